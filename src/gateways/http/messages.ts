import { isUtf8 } from 'node:buffer';
import { z } from 'zod';
import type { DecodedBody } from '../../core/bodies/decode.ts';
import { RailheadError } from '../../core/errors.ts';
import {
  asBuffer,
  DEFAULT_CONTENT_TYPE,
  FORMAT_NATIVE,
  readRecord,
  recordEnd,
  RecordBatchWriter,
  type Envelope,
  type Headers,
  type HeaderValue,
} from '../../core/records.ts';
import { messageId, type DeliveryRun, type MessageHistory, type SubscriptionRef } from '../../core/session.ts';
import type { PeekedMessage } from '../../core/stats.ts';
import { deliveryId } from './delivery-id.ts';
import { duration } from './options.ts';

/** Messages as JSON: a JSON body stands in `body`, any other in `base64` with its `contentType`. */

export const MAX_BATCH = 10_000;

const MAX_HEADER_DEPTH = 32;

/** `JSON.parse` keeps a header named `__proto__` as data, `z.record` would drop it in silence: so it is refused. */
const headersSchema = z
  .unknown()
  .transform((value, context): Headers => {
    const problem = headersProblem(value);
    if (problem === undefined) return withBytes(value as Record<string, unknown>);
    context.addIssue({ code: 'custom', message: problem });
    return z.NEVER;
  })
  .meta({ type: 'object', description: 'JSON values. Bytes are written as {"$base64": "…"}.' });

export const messageFields = {
  body: z.unknown().optional().meta({ description: 'Any JSON value. Either this or base64.' }),
  base64: z.base64().optional().meta({ description: 'The bytes of a body that is not JSON.' }),
  contentType: z
    .string()
    .min(1)
    .max(255)
    .optional()
    .meta({ description: `Default ${DEFAULT_CONTENT_TYPE} with body, application/octet-stream with base64.` }),
  key: z
    .string()
    .max(1024)
    .optional()
    .meta({ description: 'Messages of one key go to one partition, and with order "key" come one at a time.' }),
  priority: z.int().min(0).max(255).optional(),
  delay: duration.optional().describe('Not delivered before so long from now.'),
  at: z.iso.datetime({ offset: true }).optional().describe('Not delivered before this time. Either this or delay.'),
  ttl: duration.optional().describe('Expires after so long.'),
  dedupeId: z
    .string()
    .min(1)
    .max(1024)
    .optional()
    .describe("A second one within the topic's dedupeWindow is not stored."),
  headers: headersSchema.optional(),
};

export const messageSchema = z.strictObject(messageFields);
export type MessageInput = z.output<typeof messageSchema>;

/** Appends one message in native form. @throws INVALID when it has no body, or two. */
export function appendMessage(batch: RecordBatchWriter, message: MessageInput): void {
  const { base64, delay, at, ttl } = message;
  const isJson = Object.hasOwn(message, 'body');
  if (isJson === (base64 !== undefined)) {
    throw new RailheadError(
      'INVALID',
      `The message has ${isJson ? 'both `body` and `base64`' : 'no body'}. Give \`body\` (JSON) or \`base64\`.`,
    );
  }
  if (delay !== undefined && at !== undefined)
    throw new RailheadError('INVALID', 'The message has both `delay` and `at`. Give one of them.');
  const contentType = message.contentType ?? (isJson ? undefined : 'application/octet-stream');
  const envelope: Omit<Envelope, 'body'> = {
    ...(message.key !== undefined && { key: message.key }),
    ...(message.priority !== undefined && { priority: message.priority }),
    ...(delay !== undefined && { delayMs: delay }),
    ...(at !== undefined && { notBefore: Date.parse(at) }),
    ...(ttl !== undefined && { ttlMs: ttl }),
    ...(message.dedupeId !== undefined && { dedupeId: message.dedupeId }),
    ...(contentType !== undefined && contentType !== DEFAULT_CONTENT_TYPE && { contentType }),
    ...(message.headers !== undefined && { headers: message.headers }),
  };
  batch.append(envelope, isJson ? JSON.stringify(message.body) : Buffer.from(base64 ?? '', 'base64'));
}

/** One native record. */
export function recordOf(message: MessageInput): Uint8Array {
  const batch = new RecordBatchWriter();
  appendMessage(batch, message);
  return batch.take().bytes;
}

/** JSON that is text already: a body goes through as it was published, digit for digit. */
export class JsonText {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

const reason = z.enum(['attempts', 'crashes', 'rejected', 'expired', 'overflow']);

const historySchema = z.object({
  reason,
  error: z.string().optional(),
  topic: z.string(),
  subscription: z.string(),
  id: z.string(),
  attempts: z.int(),
  crashes: z.int(),
  publishedAt: z.iso.datetime(),
  deadAt: z.iso.datetime(),
  deaths: z
    .array(
      z.object({
        reason,
        topic: z.string(),
        subscription: z.string(),
        count: z.int(),
        firstAt: z.iso.datetime(),
      }),
    )
    .optional()
    .describe('Of one that died more than once: each place and reason, the newest first.'),
});

const shown = {
  id: z.string(),
  body: z.unknown().optional(),
  base64: z.string().optional(),
  contentType: z.string().optional(),
  key: z.string().optional(),
  priority: z.int().optional(),
  headers: z.record(z.string(), z.unknown()).optional(),
  publishedAt: z.iso.datetime(),
  history: historySchema.optional(),
};

export const receivedSchema = z.object({
  ...shown,
  delivery: z.string().optional().meta({ description: 'Names this delivery in /settle. Absent with autoAck.' }),
  attempt: z.int(),
  deadline: z.iso.datetime().optional().meta({ description: 'End of the lease.' }),
});
export const peekedSchema = z.object({
  ...shown,
  state: z.enum(['ready', 'delayed', 'leased', 'settled']),
  attempts: z.int(),
  crashes: z.int(),
  bodyBytes: z.int().optional().meta({ description: 'Of a message over 1 MiB, which is shown without its body.' }),
  dueAt: z.iso.datetime().nullable(),
  expiresAt: z.iso.datetime().nullable(),
  decoded: z
    .object({ as: z.string(), text: z.string().optional() })
    .optional()
    .meta({ description: 'With `decode`: a body that is neither JSON nor text, as far as it or its schema says.' }),
});
export const readSchema = z.object({ ...shown, partition: z.int(), offset: z.int() });

/** The messages of delivered runs, in order. */
export function showReceived(runs: readonly DeliveryRun[], ref: SubscriptionRef): string[] {
  return runs.flatMap((run) =>
    envelopesOf(run).map((envelope, index) => {
      const offset = run.offset + index;
      return showMessage(envelope, {
        id: messageId(run.topicId, run.partition, offset),
        ...(run.deadline > 0 && {
          delivery: deliveryId({ ref, partition: run.partition, offset, token: run.token }),
          deadline: isoTime(run.deadline),
        }),
        attempt: run.attempt,
        publishedAt: isoTime(run.publishedAt),
        ...(run.history && { history: showHistory(run.history) }),
      });
    }),
  );
}

/** The messages of runs that were read by offset. */
export function showRead(runs: readonly DeliveryRun[]): string[] {
  return runs.flatMap((run) =>
    envelopesOf(run).map((envelope, index) =>
      showMessage(envelope, {
        id: messageId(run.topicId, run.partition, run.offset + index),
        partition: run.partition,
        offset: run.offset + index,
        publishedAt: isoTime(run.publishedAt),
        ...(run.history && { history: showHistory(run.history) }),
      }),
    ),
  );
}

export function showPeeked(message: PeekedMessage, decoded?: DecodedBody): string {
  return showMessage(message.envelope, {
    id: message.id,
    state: message.state,
    attempts: message.attempts,
    crashes: message.crashes,
    ...(message.bodyBytes !== undefined && { bodyBytes: message.bodyBytes }),
    publishedAt: isoTime(message.publishedAt),
    dueAt: message.dueAt === null ? null : isoTime(message.dueAt),
    expiresAt: message.expiresAt === null ? null : isoTime(message.expiresAt),
    ...(message.history && { history: showHistory(message.history) }),
    ...(decoded !== undefined && { decoded }),
  });
}

/** One record as the fields of a published message, for a schedule. */
export function showRecord(record: Uint8Array): string {
  return showMessage(readRecord(asBuffer(record), 0), {});
}

export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}

function envelopesOf(run: DeliveryRun): Envelope[] {
  if (run.format !== FORMAT_NATIVE) {
    throw new RailheadError(
      'NOT_SUPPORTED',
      `Message format ${run.format} cannot be shown as JSON. Consume this queue with the protocol that published to it.`,
    );
  }
  const batch = asBuffer(run.records);
  const envelopes: Envelope[] = [];
  for (let at = 0; envelopes.length < run.count; at = recordEnd(batch, at)) envelopes.push(readRecord(batch, at));
  return envelopes;
}

function showMessage(envelope: Envelope, facts: Record<string, unknown>): string {
  const fields = JSON.stringify({
    ...facts,
    ...(envelope.contentType !== undefined && { contentType: envelope.contentType }),
    ...(envelope.key !== undefined && { key: envelope.key }),
    ...(envelope.priority !== undefined && { priority: envelope.priority }),
    ...(envelope.headers !== undefined && { headers: withoutBytes(envelope.headers) }),
  });
  const json = jsonBody(envelope);
  const body = json === undefined ? `"base64":"${asBuffer(envelope.body).toString('base64')}"` : `"body":${json}`;
  return fields === '{}' ? `{${body}}` : `${fields.slice(0, -1)},${body}}`;
}

/** The body if it is what its content type says, else undefined. */
function jsonBody({ contentType, body }: Envelope): string | undefined {
  if (contentType !== undefined && !/^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i.test(contentType)) return undefined;
  if (!isUtf8(body)) return undefined;
  const text = asBuffer(body).toString('utf8');
  try {
    JSON.parse(text);
    return text;
  } catch {
    return undefined;
  }
}

function showHistory(history: MessageHistory): z.input<typeof historySchema> {
  const { deaths, publishedAt, deadAt, ...facts } = history;
  const shownDeaths = deaths?.map((death) => ({ ...death, firstAt: isoTime(death.firstAt) }));
  return {
    ...facts,
    publishedAt: isoTime(publishedAt),
    deadAt: isoTime(deadAt),
    ...(shownDeaths !== undefined && { deaths: shownDeaths }),
  };
}

function headersProblem(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'write an object';
  return hostileName(value, 0) ? 'a name is __proto__, or it is nested deeper than 32' : undefined;
}

function hostileName(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return (
    depth >= MAX_HEADER_DEPTH ||
    Object.entries(value).some(([name, child]) => name === '__proto__' || hostileName(child, depth + 1))
  );
}

function withBytes(headers: Record<string, unknown>): Headers {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, readHeader(value)]));
}

function readHeader(value: unknown): HeaderValue {
  if (Array.isArray(value)) return value.map(readHeader);
  if (typeof value !== 'object' || value === null) return value as string | number | boolean | null;
  if ('$base64' in value && typeof value.$base64 === 'string' && Object.keys(value).length === 1)
    return Buffer.from(value.$base64, 'base64');
  return Object.fromEntries(Object.entries(value).map(([name, child]) => [name, readHeader(child)]));
}

function withoutBytes(value: unknown): unknown {
  if (value instanceof Uint8Array) return { $base64: asBuffer(value).toString('base64') };
  if (Array.isArray(value)) return value.map(withoutBytes);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, child]) => [name, withoutBytes(child)]));
}
