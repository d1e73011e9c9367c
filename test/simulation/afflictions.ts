import { RailheadError } from '../../src/core/errors.ts';
import { LOCAL_PRINCIPAL } from '../../src/core/auth.ts';
import type { ManualClock } from '../../src/core/clock.ts';
import type { SeededRandom } from '../../src/core/random.ts';
import type { DiskCall, MemoryDisk } from '../../src/storage/memory/memory-disk.ts';
import { checkRecovered } from './check.ts';
import type { End, Snapshot } from './ledger.ts';
import type { TopicPlan } from './topology.ts';
import { reopen } from './world.ts';

/**
 * What a disk does to one life of a broker. With `fails` and `short` the broker may stop, losing nothing; with `full` it
 * must go on, refuse publishers, and be as new once there is room.
 */
export type Affliction = 'none' | 'fails' | 'short' | 'full';

const CALLS: readonly DiskCall[] = [
  'sync',
  'write',
  'syncDir',
  'create',
  'rename',
  'read',
  'open',
  'remove',
  'allocate',
];

export function afflict(
  disk: MemoryDisk,
  random: SeededRandom,
  kinds: readonly Affliction[] = ['fails', 'fails', 'short', 'full'],
): Affliction {
  const affliction = random.chance(0.55) ? 'none' : random.pick(kinds);
  if (affliction === 'fails') disk.failAt(random.pick(CALLS), 1 + random.below(60));
  if (affliction === 'short') disk.shortWrite(random.below(60_000));
  if (affliction === 'full') disk.capacityBytes = disk.usedBytes + random.below(30_000);
  return affliction;
}

export interface FlipOptions {
  readonly disk: MemoryDisk;
  readonly clock: ManualClock;
  readonly random: SeededRandom;
  readonly plans: readonly TopicPlan[];
  readonly snapshot: Snapshot;
  readonly end: End;
}

/**
 * One bit of the disk flips while nobody looks. Whoever starts on it sees that (it refuses, stops, or cuts the torn end
 * and says so), or nothing that was promised is hurt. True when it was seen.
 */
export async function flipOneBit(options: FlipOptions, fail: (problem: string) => void): Promise<boolean> {
  const { disk, clock, random, plans, snapshot, end } = options;
  const files = (await disk.list()).filter(({ bytes }) => bytes > 0);
  if (files.length === 0) return false;
  const { name, bytes } = random.pick(files);
  const bit = random.below(bytes * 8);
  disk.flip(name, bit);
  const problems: string[] = [];
  let seen = false;
  let cut = false;
  try {
    const broker = await reopen(disk, clock, random, () => (seen = true));
    const { notices } = broker.info();
    if (notices.length > 0) seen = true;
    cut = notices.some((notice) => notice.startsWith('The torn end of the journal was cut'));
    const session = broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
    await checkRecovered(broker, session, plans, snapshot, { end, ties: [] }, (problem) => problems.push(problem));
    await broker.close();
  } catch (error) {
    if (!RailheadError.is(error)) throw error;
    seen = true;
  }
  // The end that was cut may hold a confirmed ack as well: no header after it said yet that it was synced.
  const undone = cut ? /^(lost|half|settled for good)|cannot be read/ : /^(lost|half)|cannot be read/;
  const wrong = problems.find((problem) => !seen || !undone.test(problem));
  if (wrong !== undefined) fail(`bit ${bit} of ${name} flips, ${seen ? 'which is seen' : 'unseen'}: ${wrong}`);
  return seen;
}
