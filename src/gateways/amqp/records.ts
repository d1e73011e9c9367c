import { asBuffer, FORMAT_NATIVE, readRecord, recordEnd } from '../../core/records.ts';
import type { DeliveryRun } from '../../core/session.ts';
import { encodeRecord, FORMAT_AMQP } from './content.ts';
import { AmqpError } from './errors.ts';
import { encodeProperties, fromEnvelope } from './properties.ts';

/** The records of a run as AMQP has them: as they were published, or translated from another format. */
export function amqpRecords(run: DeliveryRun, queue: string): Buffer {
  const records = asBuffer(run.records);
  if (run.format === FORMAT_AMQP) return records;
  if (run.format !== FORMAT_NATIVE)
    throw new AmqpError('NOT_IMPLEMENTED', `messages of format ${run.format} cannot be read over AMQP`);
  const route = publishedTo(queue);
  const translated: Buffer[] = [];
  for (let i = 0, at = 0; i < run.count; i++, at = recordEnd(records, at)) {
    const envelope = readRecord(records, at);
    translated.push(encodeRecord(route, encodeProperties(fromEnvelope(envelope, run.publishedAt)), envelope.body));
  }
  return Buffer.concat(translated);
}

/** The default exchange, and the name of the queue as routing key. */
function publishedTo(queue: string): Buffer {
  const name = Buffer.from(queue);
  return Buffer.concat([Buffer.from([0, name.byteLength]), name]);
}
