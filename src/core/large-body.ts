import { RailheadError } from './errors.ts';
import { type Operations, parseMessageId } from './session.ts';
import type { PeekedMessage } from './stats.ts';

const READ_BYTES = 1024 * 1024;

type ReadBody = (args: Operations['readBody']['args']) => Promise<Operations['readBody']['result']>;

/**
 * Fills `target` with a large body, piece by piece. False when its message went meanwhile.
 *
 * @throws PROTOCOL for a body of another size
 */
export async function readBodyInto(
  target: Buffer,
  { topic, partition, offset }: { topic: string; partition: number; offset: number },
  read: ReadBody,
): Promise<boolean> {
  try {
    for (let from = 0; from < target.byteLength;) {
      const { bytes } = await read({ topic, partition, offset, from, maxBytes: READ_BYTES });
      if (bytes.byteLength === 0 || from + bytes.byteLength > target.byteLength)
        throw new RailheadError('PROTOCOL', 'The broker sent a piece of a large body that does not fit.');
      target.set(bytes, from);
      from += bytes.byteLength;
    }
    return true;
  } catch (error) {
    if (RailheadError.is(error, 'NOT_FOUND')) return false;
    throw error;
  }
}

/** Peeked messages with the bodies that were left out for their size. One that went meanwhile stays without. */
export async function withLargeBodies(
  topic: string,
  messages: readonly PeekedMessage[],
  read: ReadBody,
): Promise<PeekedMessage[]> {
  const whole: PeekedMessage[] = [];
  for (const message of messages) {
    const { bodyBytes, ...rest } = message;
    const place = bodyBytes === undefined ? undefined : parseMessageId(message.id);
    const body = Buffer.allocUnsafeSlow(place === undefined ? 0 : (bodyBytes ?? 0));
    const found = place !== undefined && (await readBodyInto(body, { topic, ...place }, read));
    whole.push(found ? { ...rest, envelope: { ...rest.envelope, body } } : message);
  }
  return whole;
}
