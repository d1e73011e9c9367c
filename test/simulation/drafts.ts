import { asBuffer, type Envelope, FORMAT_NATIVE, RecordBatchWriter } from '../../src/core/records.ts';
import type { Copy } from './ledger.ts';
import type { TopicPlan } from './topology.ts';

/** A message as its publisher keeps it until it knows what became of it. */
export interface Draft {
  readonly plan: TopicPlan;
  readonly text: string;
  readonly envelope: Omit<Envelope, 'body'>;
  /** What its body takes at least: large ones lie in a blob of their own. */
  readonly bodyBytes: number;
  readonly copies: readonly Copy[];
  /** How often it was sent without an answer that says for certain that it was not stored. */
  readonly tries: { open: number };
}

export function encode(drafts: readonly Draft[]): { format: number; records: Uint8Array; count: number } {
  const writer = new RecordBatchWriter();
  for (const { envelope, text, bodyBytes } of drafts) writer.append(envelope, bodyOf(text, bodyBytes));
  const { bytes, count } = writer.take();
  return { format: FORMAT_NATIVE, records: bytes, count };
}

/** A body that says which message it is, and of which each byte is known. */
export function bodyOf(text: string, bytes: number): Buffer {
  if (bytes <= text.length) return Buffer.from(text);
  return Buffer.concat([Buffer.from(text), Buffer.alloc(bytes - text.length, `|${text}`)]);
}

/** The text of a body: one that nobody has ever sent when a single byte of it is wrong. */
export function textOf(bytes: Uint8Array): string {
  const body = asBuffer(bytes);
  const end = body.indexOf('|');
  if (end === -1) return body.toString();
  const text = body.toString('utf8', 0, end);
  return body.equals(bodyOf(text, body.byteLength)) ? text : `${text}, damaged, of ${body.byteLength} bytes`;
}
