import { RailheadError } from '../../core/errors.ts';
import type { Envelope } from '../../core/records.ts';
import type { RecordFormat } from '../../engine/formats.ts';
import { copiesOf, noPlaces, PROPERTY, readProperties, scanProperties, shortText, toEnvelope } from './properties.ts';

/**
 * A published content as it is stored, byte for byte as the client sent it, and given back so.
 *
 * ```
 * record   u32 size (of what follows)    little endian
 *          u8  flags                     DELAYED: the header x-delay counts. LOOK: a header says key or dedupe id
 *          u32 n                         bytes of the properties
 *          u8 n, n bytes exchange        short strings, as in basic.publish and basic.deliver
 *          u8 n, n bytes routing key
 *          properties                    flags and list, as in the header frame
 *          body                          the rest
 * ```
 *
 * Records are stored for years: a change needs a new tag.
 */
export const FORMAT_AMQP = 2;

export const RECORD = { DELAYED: 1, LOOK: 2 } as const;

/** Size, flags and length of the properties. */
export const RECORD_PREFIX_BYTES = 9;

/** Where the parts of a record lie. Reused: one for each reader. */
export class RecordView {
  flags = 0;
  /** Exchange and routing key: `[route, properties)`. */
  route = 0;
  properties = 0;
  body = 0;
  end = 0;

  /** Looks at the record that starts at `at`. It was checked. */
  at(records: Buffer, at: number): this {
    this.end = at + 4 + records.readUInt32LE(at);
    this.flags = records[at + 4] ?? 0;
    this.route = at + RECORD_PREFIX_BYTES;
    const key = this.route + 1 + (records[this.route] ?? 0);
    this.properties = key + 1 + (records[key] ?? 0);
    this.body = this.properties + records.readUInt32LE(at + 5);
    return this;
  }
}

/** One record. `route` is exchange and routing key, `properties` flags and list, as on the wire. */
export function encodeRecord(route: Buffer, properties: Buffer, body: Uint8Array): Buffer {
  const prefix = Buffer.alloc(RECORD_PREFIX_BYTES);
  const bytes = RECORD_PREFIX_BYTES + route.byteLength + properties.byteLength + body.byteLength;
  prefix.writeUInt32LE(bytes - 4, 0);
  prefix.writeUInt32LE(properties.byteLength, 5);
  return Buffer.concat([prefix, route, properties, body], bytes);
}

function damaged(index: number, what: string): RailheadError {
  return new RailheadError('INVALID', `Record ${index} of the batch ${what}. The client library is broken.`);
}

export const amqpFormat: RecordFormat = {
  tag: FORMAT_AMQP,
  name: 'amqp',

  check(records, count) {
    const view = new RecordView();
    let plain = true;
    let at = 0;
    for (let i = 0; i < count; i++, at = view.end) {
      if (at + RECORD_PREFIX_BYTES + 2 > records.byteLength) throw damaged(i, 'is cut off');
      view.at(records, at);
      if (view.end > records.byteLength) throw damaged(i, 'has a size that does not fit its batch');
      if (!checkParts(records, view, i)) plain = false;
    }
    if (at !== records.byteLength) throw damaged(count, `is more than the ${count} that were announced`);
    return plain;
  },

  bounds(records, count) {
    const bounds = new Uint32Array(count + 1);
    for (let i = 0, at = 0; i < count; i++) bounds[i + 1] = at += 4 + records.readUInt32LE(at);
    return bounds;
  },

  envelopes(records, count) {
    const view = new RecordView();
    const envelopes: Envelope[] = [];
    for (let i = 0, at = 0; i < count; i++, at = view.end) envelopes.push(envelopeOf(records, view.at(records, at)));
    return envelopes;
  },

  headBytes: (record) => new RecordView().at(record, 0).body,

  head(head, bodyBytes) {
    if (head.byteLength < RECORD_PREFIX_BYTES + 2) throw damaged(0, 'is cut off');
    const view = new RecordView().at(head, 0);
    if (view.body !== head.byteLength || view.end !== head.byteLength + bodyBytes)
      throw damaged(0, 'has a head that does not go with its body');
    checkParts(head, view, 0);
    return envelopeOf(head, view);
  },
};

/** True for a record in which the engine has nothing to look at. @throws INVALID */
function checkParts(records: Buffer, view: RecordView, index: number): boolean {
  if (view.properties > view.end || view.body > view.end) throw damaged(index, 'has parts that do not fit into it');
  const places = noPlaces();
  try {
    scanProperties(records, view.properties, view.body, places);
  } catch (cause) {
    const { message } = damaged(index, 'has properties that are not what their flags say');
    throw new RailheadError('INVALID', message, { cause });
  }
  return view.flags === 0 && (places.flags & (PROPERTY.priority | PROPERTY.expiration)) === 0;
}

function envelopeOf(records: Buffer, view: RecordView): Envelope {
  const properties = readProperties(records, view.properties, view.body);
  const how = (view.flags & RECORD.DELAYED) === 0 ? 'plain' : 'delayed';
  const envelope = toEnvelope(properties, records.subarray(view.body, view.end), how);
  const key = shortText(records, view.route + 1 + (records[view.route] ?? 0));
  envelope.routingKeys = [key, ...copiesOf(properties)];
  return envelope;
}
