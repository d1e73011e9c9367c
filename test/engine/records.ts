import {
  asBuffer,
  type Envelope,
  FORMAT_NATIVE,
  readRecord,
  RecordBatchWriter,
  recordEnd,
} from '../../src/core/records.ts';
import type { DeliveryRun } from '../../src/core/session.ts';

/** A body, with an envelope where one matters. */
export type Message = string | (Omit<Envelope, 'body'> & { text: string });

/** One batch, as a publish takes it. */
export function records(...messages: readonly Message[]): { format: number; records: Buffer; count: number } {
  const writer = new RecordBatchWriter();
  for (const message of messages) {
    const { text, ...envelope } = typeof message === 'string' ? { text: message } : message;
    writer.append(envelope, text);
  }
  const { bytes, count } = writer.take();
  return { format: FORMAT_NATIVE, records: bytes, count };
}

/** The bodies of what was delivered or read. */
export function textsOf(run: DeliveryRun): string[] {
  const batch = asBuffer(run.records);
  const texts: string[] = [];
  for (let i = 0, at = 0; i < run.count; i++, at = recordEnd(batch, at))
    texts.push(asBuffer(readRecord(batch, at).body).toString());
  return texts;
}
