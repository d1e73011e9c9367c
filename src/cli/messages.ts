import { isUtf8 } from 'node:buffer';
import type { DecodedBody } from '../core/bodies/decode.ts';
import { RailheadError } from '../core/errors.ts';
import { asBuffer, FORMAT_NATIVE, readRecord, recordEnd, type Envelope } from '../core/records.ts';
import { messageId, type DeliveryRun, type MessageHistory } from '../core/session.ts';
import type { PeekedMessage } from '../core/stats.ts';
import { paint, safe } from './terminal.ts';

/** A message as the command line shows it. */
export interface ShownMessage {
  id: string;
  publishedAt: string;
  key?: string;
  priority?: number;
  contentType?: string;
  headers?: unknown;
  body?: unknown;
  base64?: string;
  /** Of a large one, which is not shown with its body. */
  bodyBytes?: number;
  attempt?: number;
  attempts?: number;
  state?: string;
  dueAt?: string;
  history?: MessageHistory;
  /** Of a body that is neither JSON nor text. */
  decoded?: DecodedBody;
}

/** Parsed JSON, text, or base64: by what the bytes are. */
export function showBody({
  contentType,
  body,
}: Pick<Envelope, 'contentType' | 'body'>): Pick<ShownMessage, 'body' | 'base64'> {
  if (!isUtf8(body)) return { base64: asBuffer(body).toString('base64') };
  const text = asBuffer(body).toString('utf8');
  if (contentType !== undefined && !/json\b/i.test(contentType)) {
    return /^text\//i.test(contentType) ? { body: text } : { base64: asBuffer(body).toString('base64') };
  }
  try {
    return { body: JSON.parse(text) as unknown };
  } catch {
    return { body: text };
  }
}

export function showEnvelope(id: string, publishedAt: number, envelope: Envelope): ShownMessage {
  const { key, priority, contentType, headers } = envelope;
  return {
    id,
    publishedAt: new Date(publishedAt).toISOString(),
    ...(key !== undefined && { key }),
    ...(priority !== undefined && { priority }),
    ...(contentType !== undefined && { contentType }),
    ...(headers !== undefined && { headers }),
    ...showBody(envelope),
  };
}

export function showPeeked(message: PeekedMessage): ShownMessage {
  return {
    ...showEnvelope(message.id, message.publishedAt, message.envelope),
    state: message.state,
    attempts: message.attempts,
    ...(message.bodyBytes !== undefined && { bodyBytes: message.bodyBytes }),
    ...(message.dueAt !== null && { dueAt: new Date(message.dueAt).toISOString() }),
    ...(message.history !== undefined && { history: message.history }),
  };
}

/** @throws NOT_SUPPORTED for a format of another protocol. */
export function showRun(run: DeliveryRun): ShownMessage[] {
  if (run.format !== FORMAT_NATIVE) {
    throw new RailheadError(
      'NOT_SUPPORTED',
      `Messages of format ${run.format} cannot be shown here. Read them with the protocol that published them.`,
    );
  }
  const batch = asBuffer(run.records);
  const shown: ShownMessage[] = [];
  for (let at = 0; shown.length < run.count; at = recordEnd(batch, at)) {
    const id = messageId(run.topicId, run.partition, run.offset + shown.length);
    shown.push(showEnvelope(id, run.publishedAt, readRecord(batch, at)));
  }
  return shown;
}

/** One line for people: id, facts, body. */
export function messageLine(message: ShownMessage): string {
  const facts = [
    message.state,
    message.key === undefined ? undefined : `key=${safe(message.key)}`,
    message.attempt !== undefined && message.attempt > 1 ? `attempt=${message.attempt}` : undefined,
    message.attempts !== undefined && message.attempts > 0 ? `attempts=${message.attempts}` : undefined,
    message.dueAt === undefined ? undefined : `due=${message.dueAt}`,
    message.bodyBytes === undefined ? undefined : `${message.bodyBytes} bytes`,
    message.history === undefined
      ? undefined
      : `${message.history.reason}: ${safe(message.history.error ?? '')}`.trim(),
  ].filter((fact) => fact !== undefined);
  const { decoded, base64 } = message;
  const body =
    decoded?.text !== undefined
      ? `${paint('dim', decoded.as)}  ${safe(decoded.text.replaceAll(/\s*\n\s*/g, ' '))}`
      : base64 === undefined
        ? safe(bodyText(message.body))
        : paint('dim', `base64 ${base64}`);
  return [paint('cyan', message.id), ...facts.map((fact) => paint('yellow', fact)), body].join('  ');
}

function bodyText(body: unknown): string {
  return typeof body === 'string' ? body : String(JSON.stringify(body));
}
