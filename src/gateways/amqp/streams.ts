import type { TopicPolicy } from '../../core/policy.ts';
import type { StartAt } from '../../core/session.ts';
import type { RecordView } from './content.ts';
import { encodeRecord } from './content.ts';
import { AmqpError } from './errors.ts';
import { type Field, flagOf, integerOf, readTable, type Table, textOf } from './fields.ts';
import { QUEUE_MESSAGE_BYTES } from './limits.ts';
import type { Arguments } from './methods.ts';
import { encodeProperties, noPlaces, readProperties, scanProperties } from './properties.ts';
import { notOfType, QueueArguments } from './queue-arguments.ts';
import { named } from './translate.ts';

/** Queues of the type stream: what declares and consumers say of them. */

const DAY_MS = 86_400_000;
const UNIT_MS: ReadonlyMap<string, number> = new Map([
  ['Y', 365 * DAY_MS],
  ['M', 30 * DAY_MS],
  ['D', DAY_MS],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
]);

/** `7D`, `1h` and the like; undefined for another text. */
function intervalMs(text: string): number | undefined {
  const [, count, unit] = /^([0-9]{1,9})([YMDhms])$/.exec(text) ?? [];
  return count === undefined ? undefined : Number(count) * (UNIT_MS.get(unit ?? '') ?? 0);
}

/** The topic that a stream is. @throws PRECONDITION_FAILED */
export function streamPolicy(
  declare: Pick<Arguments<'queueDeclare'>, 'durable' | 'exclusive' | 'autoDelete' | 'arguments'>,
  name: string,
  namespace: string,
): Partial<TopicPolicy> {
  const args = new QueueArguments(declare.arguments, named('queue', name, namespace));
  args.type();
  const age = args.text('x-max-age');
  const ageMs = age === undefined ? null : intervalMs(age);
  if (ageMs === undefined || ageMs === 0) throw args.invalid('x-max-age', 'invalid_max_age');
  const bytes = args.whole('x-max-length-bytes', 1) ?? null;
  checkSizes(args);
  args.assertLasting(declare);
  const retain = { untilSettled: false, ageMs, bytes, compact: false };
  return { durability: 'fsync', maxMessageBytes: QUEUE_MESSAGE_BYTES, retain };
}

const MOST_SEGMENT_BYTES = 3_000_000_000;

/** Where and how RabbitMQ would store it: means nothing here, but what it refuses is refused. */
function checkSizes(args: QueueArguments): void {
  args.whole('x-stream-max-segment-size-bytes', 0, MOST_SEGMENT_BYTES);
  const filter = args.integer('x-stream-filter-size-bytes');
  if (filter !== undefined && (filter < 16 || filter > 255))
    throw args.invalid('x-stream-filter-size-bytes', `{invalid_value,${filter}}; expected 16 to 255`);
}

/** Where a consumer of a stream begins. */
export type StreamStart = StartAt | 'last' | { agoMs: number };

export interface StreamOptions {
  readonly from: StreamStart;
  /** Undefined: all messages. */
  readonly filter: StreamFilter | undefined;
}

interface StreamFilter {
  readonly values: ReadonlySet<string>;
  /** Messages without a filter value too. */
  readonly unfiltered: boolean;
}

/** Of consumers, and of no other type of queue. */
export const STREAM_ARGUMENTS = ['x-stream-offset', 'x-stream-filter', 'x-stream-match-unfiltered'] as const;

/** What the arguments of a consumer say. @throws PRECONDITION_FAILED */
export function streamOptions(args: Table, what: string): StreamOptions {
  const invalid = (name: string): AmqpError =>
    new AmqpError('PRECONDITION_FAILED', `invalid arg '${name}' for ${what}`);
  for (const name of ['x-priority', 'x-consumer-timeout']) if (args.has(name)) throw notOfType(name, what, 'stream');
  const from = startOf(args.get('x-stream-offset'));
  if (from === undefined) throw invalid('x-stream-offset');
  const wanted = args.get('x-stream-filter');
  const unfiltered = args.get('x-stream-match-unfiltered');
  if (unfiltered !== undefined && flagOf(unfiltered) === undefined) throw invalid('x-stream-match-unfiltered');
  if (wanted === undefined) return { from, filter: undefined };
  const texts = (wanted.type === 'A' ? wanted.value : [wanted]).map(textOf);
  const values = new Set(texts.flatMap((text) => text ?? []));
  if (texts.includes(undefined) || values.size === 0) throw invalid('x-stream-filter');
  return { from, filter: { values, unfiltered: flagOf(unfiltered) === true } };
}

function startOf(field: Field | undefined): StreamStart | undefined {
  if (field === undefined) return 'end';
  if (field.type === 'T') return { time: Number(field.value) * 1000 };
  const offset = integerOf(field);
  if (offset !== undefined) return { offset: Math.max(0, offset) };
  const text = textOf(field);
  if (text === 'first') return 'start';
  if (text === 'last') return 'last';
  if (text === 'next') return 'end';
  const agoMs = intervalMs(text ?? '');
  return agoMs === undefined ? undefined : { agoMs };
}

// ---- Messages -------------------------------------------------------------------------------------------------------

const FILTER_VALUE = 'x-stream-filter-value';
const OFFSET_HEADER = 'x-stream-offset';
const places = noPlaces();

/** Whether a consumer with that filter gets the record that `view` shows. */
export function passes(filter: StreamFilter, records: Buffer, view: RecordView): boolean {
  scanProperties(records, view.properties, view.body, places);
  const { headers, headersEnd } = places;
  const table = headersEnd > headers ? readTable(records, headers, headersEnd).table : undefined;
  const value = textOf(table?.get(FILTER_VALUE));
  return value === undefined ? filter.unfiltered : filter.values.has(value);
}

/** The record that `view` shows, with its offset in a header. */
export function withOffset(records: Buffer, view: RecordView, offset: number): Buffer {
  const properties = readProperties(records, view.properties, view.body);
  properties.headers = new Map([...(properties.headers ?? []), [OFFSET_HEADER, { type: 'l', value: BigInt(offset) }]]);
  const route = records.subarray(view.route, view.properties);
  return encodeRecord(route, encodeProperties(properties), records.subarray(view.body, view.end));
}
