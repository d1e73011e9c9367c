import { crc32c } from '../../../src/gateways/kafka/crc32c.ts';
import { CRC, writeBatch } from '../../../src/gateways/kafka/record-batch.ts';

/** The time of the first record of each batch. */
export const T0 = 1_700_000_000_000;

/** Stands in a request for what a broker has told: an id of a topic, a member or a producer. */
export class Ref {
  readonly symbol: string;

  constructor(symbol: string) {
    this.symbol = symbol;
  }
}

interface Numbers {
  producerId?: Ref | number;
  epoch?: Ref | number;
  sequence?: number;
  transactional?: boolean;
}

/** Bytes whose producer is known only when they are sent. */
export class DraftBatch extends Ref {
  readonly values: readonly string[];
  readonly numbers: Numbers;

  constructor(values: readonly string[], numbers: Numbers) {
    super('batch');
    this.values = values;
    this.numbers = numbers;
  }
}

export function bytesOf(
  values: readonly string[],
  numbers: { producerId: number; epoch: number; sequence: number; transactional: boolean },
): Buffer {
  const batch = writeBatch(
    values.map((value, i) => ({
      timestamp: T0 + i,
      key: Buffer.from(`k${i}`),
      value: Buffer.from(value),
      headers: [],
    })),
    numbers.transactional ? 16 : 0,
  );
  batch.writeBigInt64BE(BigInt(numbers.producerId), 43);
  batch.writeInt16BE(numbers.epoch, 51);
  batch.writeInt32BE(numbers.sequence, 53);
  batch.writeUInt32BE(crc32c(batch, CRC + 4), CRC);
  return batch;
}
