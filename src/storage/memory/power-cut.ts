import type { SeededRandom } from '../../core/random.ts';
import type { Image } from './image.ts';

const SECTOR_BYTES = 512;

export interface UnsyncedWrite {
  readonly bytes: Uint8Array;
  readonly at: number;
}

/** Applies to `image` what a power cut leaves of writes that no sync has covered. */
export function survivors(image: Image, writes: readonly UnsyncedWrite[], random: SeededRandom): void {
  switch (random.below(5)) {
    case 0:
      return;
    case 1:
      for (const write of writes) image.write(write.bytes, write.at);
      return;
    case 2: {
      // The usual picture: everything up to some write, which is torn.
      const torn = random.below(writes.length);
      for (const [index, write] of writes.entries()) {
        if (index < torn) image.write(write.bytes, write.at);
        else if (index === torn) tear(image, write, random);
      }
      return;
    }
    default:
      for (const write of shuffled(writes, random)) {
        const fate = random.below(3);
        if (fate === 0) image.write(write.bytes, write.at);
        else if (fate === 1) tear(image, write, random);
      }
  }
}

/** Keeps the first sectors of a write, or any of them. */
function tear(image: Image, write: UnsyncedWrite, random: SeededRandom): void {
  const sectors = Math.ceil((write.at + write.bytes.length) / SECTOR_BYTES) - Math.floor(write.at / SECTOR_BYTES);
  const asPrefix = random.chance(0.5);
  const kept = random.below(sectors + 1);
  let from = 0;
  for (let sector = 0; sector < sectors; sector++) {
    const to = Math.min(write.bytes.length, from + SECTOR_BYTES - ((write.at + from) % SECTOR_BYTES));
    if (asPrefix ? sector < kept : random.chance(0.5)) image.write(write.bytes.subarray(from, to), write.at + from);
    from = to;
  }
}

function shuffled<T>(items: readonly T[], random: SeededRandom): T[] {
  const order = [...items];
  if (random.chance(0.5)) return order;
  for (let index = order.length - 1; index > 0; index--) {
    const other = random.below(index + 1);
    const [a, b] = [order[index], order[other]];
    if (a !== undefined && b !== undefined) [order[index], order[other]] = [b, a];
  }
  return order;
}
