import { CRC } from '../../src/gateways/kafka/record-batch.ts';
import { crc32c } from '../../src/gateways/kafka/crc32c.ts';

/** As an idempotent producer sends it. */
export function numbered(batch: Buffer, producerId: number, sequence: number, epoch = 0): Buffer {
  batch.writeBigInt64BE(BigInt(producerId), 43);
  batch.writeInt16BE(epoch, 51);
  batch.writeInt32BE(sequence, 53);
  batch.writeUInt32BE(crc32c(batch, CRC + 4), CRC);
  return batch;
}
