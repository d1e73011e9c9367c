import type { Clock } from '../core/clock.ts';
import { RailheadError } from '../core/errors.ts';
import { RecordBatchWriter } from '../core/records.ts';
import type { Envelope, Headers } from '../core/records.ts';
import { durationMs } from '../core/units.ts';
import type { Duration } from '../core/units.ts';
import type { BodyType } from './body.ts';

/** What one message may carry beside its body. */
export interface SendOptions {
  /** 0 (default) to the queue's `priorities` minus 1; higher is delivered first. */
  priority?: number;
  /** Not delivered before: a duration from when the broker takes it, or a date of any distance. Default: at once. */
  delay?: Duration | Date;
  /** Messages of one key go to one partition, in order; with `order: 'key'` one at a time. At most 1,024 bytes. */
  key?: string;
  /** A second message with this id within the queue's `dedupeWindow` is not stored. At most 1,024 bytes. */
  dedupeId?: string;
  /** Facts beside the body, for filters and people. At most 64 KiB. */
  headers?: Headers;
  /** How long the message lives. Can only shorten the queue's own `ttl`. */
  ttl?: Duration;
}

export type Head = Omit<Envelope, 'body'>;

const PLAIN: Head = Object.freeze({});

/** @throws INVALID for an option that does not exist or a value that does not fit. */
export function headOf(options: SendOptions | undefined, contentType: string | undefined): Head {
  if (options === undefined) return contentType === undefined ? PLAIN : { contentType };
  const head: Head = {};
  if (contentType !== undefined) head.contentType = contentType;
  // One pass translates and refuses what is unknown; this runs for every message.
  for (const name in options) {
    switch (name) {
      case 'priority':
        if (options.priority !== undefined) head.priority = checkPriority(options.priority);
        break;
      case 'delay':
        if (options.delay instanceof Date) head.notBefore = timeOf(options.delay, 'The delay');
        else if (options.delay !== undefined) head.delayMs = durationMs(options.delay, 'The delay');
        break;
      case 'key':
        if (options.key !== undefined) head.key = checkText(options.key, 'key');
        break;
      case 'dedupeId':
        if (options.dedupeId !== undefined) head.dedupeId = checkText(options.dedupeId, 'dedupeId');
        break;
      case 'headers':
        if (options.headers !== undefined) head.headers = options.headers;
        break;
      case 'ttl':
        if (options.ttl !== undefined) head.ttlMs = durationMs(options.ttl, 'The ttl');
        break;
      default:
        throw new RailheadError(
          'INVALID',
          `A send has the option ${JSON.stringify(name)}, which does not exist. Known are: priority, delay, key, dedupeId, headers, ttl.`,
        );
    }
  }
  return head;
}

function checkPriority(priority: number): number {
  if (Number.isInteger(priority) && priority >= 0 && priority <= 254) return priority;
  throw new RailheadError(
    'INVALID',
    `The priority is ${JSON.stringify(priority)}; write a whole number from 0 to the queue's priorities minus 1.`,
  );
}

function checkText(text: string, what: string): string {
  if (typeof text === 'string') return text;
  throw new RailheadError('INVALID', `The ${what} is ${JSON.stringify(text)}; write a text.`);
}

function timeOf(date: Date, what: string): number {
  const time = date.getTime();
  if (Number.isNaN(time))
    throw new RailheadError('INVALID', `${what} is an invalid Date; write a duration such as '10m' or a valid Date.`);
  return time;
}

/** Milliseconds from now until then, at least 0. */
export function msUntil(clock: Clock, when: Duration | Date, what: string): number {
  return when instanceof Date ? Math.max(0, timeOf(when, what) - clock.now()) : durationMs(when, what);
}

/** One native record by itself, for what stores a single message: schedules and edits. @throws INVALID, SCHEMA. */
export async function encodeRecord<In>(
  type: BodyType<In, unknown>,
  body: In,
  options?: SendOptions,
): Promise<Uint8Array> {
  await type.check(body);
  const writer = new RecordBatchWriter();
  writer.append(headOf(options, type.contentType(body)), type.encode(body));
  return writer.take().bytes;
}
