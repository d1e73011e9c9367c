import type { Histogram } from '../../core/histogram.ts';
import { DEFAULT_ROUTER } from '../../core/publish-target.ts';
import type { PublishReceipt, PublishRequest } from '../../core/session.ts';
import { CONTENT_PREFIX_BYTES, BASIC_CLASS, readLongLong } from './codec.ts';
import type { Unconfirmed } from './confirms.ts';
import { RECORD, RECORD_PREFIX_BYTES } from './content.ts';
import { DIRECT_REPLY } from './direct-reply.ts';
import { AmqpError } from './errors.ts';
import type { Field } from './fields.ts';
import { COUNTED_MESSAGE_BYTES, LARGE_MESSAGE_BYTES } from './limits.ts';
import {
  BLIND_COPIES_HEADER,
  COPIES_HEADER,
  DEDUPE_HEADER,
  encodeProperties,
  KEY_HEADER,
  noPlaces,
  type Properties,
  PROPERTY,
  readProperties,
  routesIn,
  scanProperties,
  shortText,
} from './properties.ts';
import { LONGEST_LIFE_MS } from './queue-arguments.ts';
import type { Upload } from './upload.ts';
import type { WholeBytes } from './whole-bytes.ts';

/** Where publishes with one exchange and routing key go. */
export interface Route {
  readonly to: PublishRequest['to'];
  /** The header x-delay counts. */
  readonly delayed: boolean;
  /** In place of the queue: the channel that waits for an answer. */
  readonly directReply?: string;
}

/** Publishes of one route that came together. */
export interface PublishedBatch {
  readonly route: Route;
  readonly mandatory: boolean;
  readonly records: Buffer;
  readonly count: number;
  /** The body of one large message: `records` ends where it begins. */
  readonly upload?: Upload;
}

export interface PublishingOptions {
  readonly maxMessageBytes: number;
  /** The name that the client logged in with; a `user-id` must be equal to it, unless its user may be anybody. */
  readonly user: string;
  impersonates(): boolean;
  /** Where answers to this channel go, if it waits for any. */
  replyTo(): string | undefined;
  /** @throws ACCESS_REFUSED for a routing key among copies that the client may not publish with */
  allow(to: PublishRequest['to']): void;
  readonly whole: WholeBytes;
  /** Counts how large messages are, for metrics. */
  readonly sizes?: Histogram;
  /** Takes the body of a large message on its own way; undefined where a message has to be whole. */
  upload(to: PublishRequest['to'], bytes: number): Upload | undefined;
  /** Hands a batch to the engine. */
  publish(batch: PublishedBatch): void;
}

const FIRST_SLAB_BYTES = 4 * 1024;
const MAX_SLAB_BYTES = 256 * 1024;
/** A batch is handed over when it has so much, also in the middle of a chunk. */
const BATCH_BYTES = 256 * 1024;

const EMPTY_TABLE_BYTES = 4;
const NO_ROUTE = Buffer.alloc(0);
const HEADERS_TO_LOOK_AT = [KEY_HEADER, DEDUPE_HEADER].map(shortString);
const COPY_HEADERS = [COPIES_HEADER, BLIND_COPIES_HEADER].map(shortString);

function shortString(text: string): Buffer {
  return Buffer.concat([Buffer.from([text.length]), Buffer.from(text)]);
}

/**
 * Collects the contents that one channel publishes into records, side by side, and hands them over in batches: those
 * with one route that came in one chunk are one request. Bytes that were handed over are never written again.
 */
export class Publishing {
  readonly #options: PublishingOptions;
  readonly #places = noPlaces();
  #slab: Buffer = Buffer.alloc(0);
  /** The batch that gathers: [#from, #end) are whole records. */
  #from = 0;
  #end = 0;
  #count = 0;
  #batchRoute: Route | undefined;
  #batchMandatory = false;
  /** Exchange and routing key of the last publish as on the wire, and where they lead. */
  #routeBytes: Buffer = NO_ROUTE;
  #route: Route | undefined;
  /** The content that is being received. */
  #expects: 'method' | 'header' | 'body' = 'method';
  #mandatory = false;
  #at = 0;
  #bodyLeft = 0;
  #upload: Upload | undefined;
  /** Of the content that is being received, when it is counted. */
  #counted: number | undefined;

  constructor(options: PublishingOptions) {
    this.#options = options;
  }

  /** Whether anything was published so far. */
  get isUsed(): boolean {
    return this.#routeBytes !== NO_ROUTE;
  }

  /** What frame comes next: anything but a content frame, or which. */
  get expects(): 'method' | 'header' | 'body' {
    return this.#expects;
  }

  /** Whether exchange and routing key at `[from, to)` are those of the last publish, so that its route holds. */
  isLastRoute(buffer: Buffer, from: number, to: number): boolean {
    const last = this.#routeBytes;
    if (this.#route === undefined || last.byteLength !== to - from) return false;
    for (let i = 0; i < last.byteLength; i++) if (last[i] !== buffer[from + i]) return false;
    return true;
  }

  /** The next publishes go this way. */
  setRoute(bytes: Buffer, route: Route): void {
    this.#routeBytes = Buffer.from(bytes);
    this.#route = route;
  }

  /** Exchanges changed: the next publish asks anew. */
  forgetRoute(): void {
    this.#route = undefined;
  }

  /** `basic.publish` was read; its content follows. */
  begin(mandatory: boolean): void {
    this.#mandatory = mandatory;
    this.#expects = 'header';
  }

  header(buffer: Buffer, start: number, end: number): void {
    if (end - start < CONTENT_PREFIX_BYTES + 2)
      throw new AmqpError('SYNTAX_ERROR', 'a content header is shorter than its fields');
    if (buffer.readUInt16BE(start) !== BASIC_CLASS)
      throw new AmqpError('UNEXPECTED_FRAME', 'expected content header for class 60, got one for another');
    const size = readLongLong(buffer, start + 4);
    const { maxMessageBytes } = this.#options;
    if (size > maxMessageBytes) {
      this.#expects = 'method';
      throw new AmqpError(
        'PRECONDITION_FAILED',
        `message size ${size} is larger than configured max size ${maxMessageBytes}`,
      );
    }
    const properties = start + CONTENT_PREFIX_BYTES;
    scanProperties(buffer, properties, end, this.#places);
    const flags = this.#lookAt(buffer);
    this.#options.sizes?.observe(size);
    const rewritten = this.#rewritten(buffer, properties, end);
    this.#beginUpload(rewritten?.route ?? this.#route, size);
    if (rewritten === undefined) this.#beginRecord(flags, this.#route, buffer, properties, end);
    else {
      const bytes = encodeProperties(rewritten.properties);
      this.#beginRecord(flags, rewritten.route, bytes, 0, bytes.byteLength);
    }
    if (this.#upload === undefined && size > COUNTED_MESSAGE_BYTES) this.#counted = 0;
    this.#bodyLeft = size;
    this.#expects = 'body';
    if (size === 0) this.#endRecord();
  }

  body(buffer: Buffer, start: number, end: number): void {
    const bytes = end - start;
    if (bytes > this.#bodyLeft) throw new AmqpError('FRAME_ERROR', 'content body frame exceeds remaining content size');
    if (this.#upload === undefined) {
      if (this.#counted !== undefined) {
        this.#options.whole.take(bytes);
        this.#counted += bytes;
      }
      this.#reserve(bytes);
      buffer.copy(this.#slab, this.#at, start, end);
      this.#at += bytes;
    } else this.#upload.write(buffer.subarray(start, end));
    this.#bodyLeft -= bytes;
    if (this.#bodyLeft === 0) this.#endRecord();
  }

  /** One that would come back if nobody takes it, or goes straight to a channel, has to be whole. */
  #beginUpload(route: Route | undefined, size: number): void {
    if (size <= LARGE_MESSAGE_BYTES || this.#mandatory || route === undefined || route.directReply !== undefined)
      return;
    this.#upload = this.#options.upload(route.to, size);
    // It goes alone.
    if (this.#upload !== undefined) this.flush();
  }

  /** The channel is over in the middle of a content. */
  drop(): void {
    this.#upload?.abort();
    this.#upload = undefined;
    this.#giveBackCounted();
  }

  #giveBackCounted(): void {
    if (this.#counted !== undefined) this.#options.whole.giveBack(this.#counted);
    this.#counted = undefined;
  }

  /** Hands over what is whole. */
  flush(): void {
    const count = this.#count;
    const route = this.#batchRoute;
    if (count === 0 || route === undefined) return;
    const records = this.#slab.subarray(this.#from, this.#end);
    this.#from = this.#end;
    this.#count = 0;
    this.#options.publish({ route, mandatory: this.#batchMandatory, records, count });
  }

  /** What the broker has to know of the content before it is stored; refuses what it may not say. */
  #lookAt(buffer: Buffer): number {
    const { flags, headers, headersEnd, expiration, userId } = this.#places;
    let record = 0;
    // Many clients send a table of nothing with every message.
    if ((flags & PROPERTY.headers) !== 0 && headersEnd - headers > EMPTY_TABLE_BYTES) {
      const table = buffer.subarray(headers, headersEnd);
      if (HEADERS_TO_LOOK_AT.some((name) => table.includes(name))) record |= RECORD.LOOK;
      if (this.#route?.delayed === true) record |= RECORD.DELAYED;
    }
    if (expiration > 0 && !PLAIN_LIFE.test(shortText(buffer, expiration)))
      assertExpiration(shortText(buffer, expiration));
    if (userId > 0 && shortText(buffer, userId) !== this.#options.user && !this.#options.impersonates()) {
      throw new AmqpError(
        'PRECONDITION_FAILED',
        `user_id property set to '${shortText(buffer, userId)}' but authenticated user was '${this.#options.user}'`,
      );
    }
    return record;
  }

  /** Of a content that asks for something that its properties must not go on to say, or that changes its route. */
  #rewritten(buffer: Buffer, start: number, end: number): { properties: Properties; route: Route } | undefined {
    const { replyTo, headers, headersEnd } = this.#places;
    const route = this.#route;
    const asks = replyTo > 0 && buffer[replyTo] === DIRECT_REPLY.length && shortText(buffer, replyTo) === DIRECT_REPLY;
    const table = buffer.subarray(headers, headersEnd);
    const copies = table.byteLength > EMPTY_TABLE_BYTES && COPY_HEADERS.some((name) => table.includes(name));
    if (route === undefined || (!asks && !copies)) return undefined;
    const properties = readProperties(buffer, start, end);
    if (asks) properties.replyTo = this.#replyTo();
    if (!copies) return { properties, route };
    const rewritten = withCopies(properties, route);
    this.#options.allow(rewritten.route.to);
    return rewritten;
  }

  /** The one who answers gets the name of this channel instead of that of all. */
  #replyTo(): string {
    const replyTo = this.#options.replyTo();
    if (replyTo === undefined) throw new AmqpError('PRECONDITION_FAILED', 'fast reply consumer does not exist');
    return replyTo;
  }

  #beginRecord(flags: number, route: Route | undefined, buffer: Buffer, properties: number, end: number): void {
    if (route === undefined) throw new Error('Railhead bug: a content came before its route was known');
    if (route !== this.#batchRoute || this.#mandatory !== this.#batchMandatory || this.#isFull()) this.flush();
    this.#batchRoute = route;
    this.#batchMandatory = this.#mandatory;
    this.#at = this.#end;
    const routeBytes = this.#routeBytes;
    const propertyBytes = end - properties;
    this.#reserve(RECORD_PREFIX_BYTES + routeBytes.byteLength + propertyBytes);
    const slab = this.#slab;
    const at = this.#at;
    slab[at + 4] = flags;
    slab.writeUInt32LE(propertyBytes, at + 5);
    slab.set(routeBytes, at + RECORD_PREFIX_BYTES);
    this.#at = at + RECORD_PREFIX_BYTES + routeBytes.byteLength;
    buffer.copy(slab, this.#at, properties, end);
    this.#at += propertyBytes;
  }

  #endRecord(): void {
    const upload = this.#upload;
    this.#slab.writeUInt32LE(this.#at - this.#end - 4 + (upload?.bytes ?? 0), this.#end);
    this.#expects = 'method';
    this.#giveBackCounted();
    if (upload !== undefined) {
      this.#upload = undefined;
      this.#publishAlone(upload);
      return;
    }
    this.#end = this.#at;
    this.#count++;
  }

  #publishAlone(upload: Upload): void {
    const route = this.#batchRoute;
    const records = this.#slab.subarray(this.#end, this.#at);
    this.#from = this.#end = this.#at;
    if (route !== undefined) this.#options.publish({ route, mandatory: false, records, count: 1, upload });
  }

  #isFull(): boolean {
    // One that must come back if nobody takes it stands alone where one of many could go another way.
    return this.#end - this.#from >= BATCH_BYTES || (this.#mandatory && 'router' in (this.#batchRoute?.to ?? {}));
  }

  /** Room for more of the content; what was begun moves along. Memory grows with what came, not with what was promised. */
  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#slab.byteLength) return;
    const begun = this.#at - this.#end;
    // Whole records stay where they are: they are handed over first.
    this.flush();
    const old = this.#slab;
    const wanted = Math.min(MAX_SLAB_BYTES, Math.max(FIRST_SLAB_BYTES, old.byteLength * 2));
    const slab = Buffer.allocUnsafeSlow(Math.max(wanted, 2 * begun, begun + bytes));
    old.copy(slab, 0, this.#end, this.#at);
    this.#slab = slab;
    this.#from = this.#end = 0;
    this.#at = begun;
  }
}

/** Of milliseconds, far below the longest. */
const PLAIN_LIFE = /^[0-9]{1,11}$/;

/** @throws PRECONDITION_FAILED with what RabbitMQ says of it */
function assertExpiration(text: string): void {
  const [, digits, rest = ''] = /^([+-]?[0-9]+)(.*)$/s.exec(text) ?? [];
  if (digits !== undefined && rest === '' && Number(digits) >= 0 && Number(digits) <= LONGEST_LIFE_MS) return;
  const why =
    digits === undefined
      ? 'no_integer'
      : rest !== ''
        ? `{leftover_string,${JSON.stringify(rest)}}`
        : `{${Number(digits) < 0 ? 'value_negative' : 'value_too_large'},${Number(digits)}}`;
  throw new AmqpError('PRECONDITION_FAILED', `invalid expiration '${text}': ${why}`);
}

/** A route of its own for a content with copies. What is blind of them is forgotten. */
function withCopies(properties: Properties, route: Route): { properties: Properties; route: Route } {
  const { headers = new Map<string, Field>() } = properties;
  const also = [...routesIn(headers, COPIES_HEADER), ...routesIn(headers, BLIND_COPIES_HEADER)];
  if (headers.has(BLIND_COPIES_HEADER))
    properties.headers = new Map([...headers].filter(([name]) => name !== BLIND_COPIES_HEADER));
  if (also.length === 0) return { properties, route };
  const { to } = route;
  const routed = 'topic' in to ? { router: DEFAULT_ROUTER, key: to.topic } : to;
  return { properties, route: { ...route, to: { ...routed, also } } };
}

/** The tags of what a receipt refused. */
export function refusedTags(unconfirmed: Unconfirmed, receipt: PublishReceipt): (readonly [number, number])[] {
  const refused = (receipt.refused ?? []).map(
    ({ index, count }) => [unconfirmed.from + index, unconfirmed.from + index + count] as const,
  );
  // Through a router one message may be refused by several queues.
  refused.sort((a, b) => a[0] - b[0]);
  const merged: (readonly [number, number])[] = [];
  for (const [first, end] of refused) {
    const last = merged.at(-1);
    if (last !== undefined && first <= last[1]) merged[merged.length - 1] = [last[0], Math.max(last[1], end)];
    else merged.push([first, end]);
  }
  return merged;
}
