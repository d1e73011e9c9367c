import { performance } from 'node:perf_hooks';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

/** Two halves of 16 MiB, as Node had it for years. */
const BYTES = 32 << 20;
/** So many objects are made between two looks. */
const ROUND = 1000;
/** Enough for 64 MiB of objects; a V8 that does not grow by then is left as it is. */
const ROUNDS = 2000;
const LOOK_MS = 10_000;
/**
 * Share of a processor that a process with something to do takes. Its own time counts: on a machine that has too much to do
 * the loop of an idle process looks busy, too.
 */
const BUSY = 0.05;

/**
 * Gives the part of V8's heap where new objects are made its full size at once, and keeps it there. Left alone it begins
 * with 1 MiB, and a broker with little to do then collects several times a second, each time in the way of a message; and
 * once some thousand publishes are under way it grows to 128 MiB on machines with much memory, which it hardly ever gives
 * back and nothing of a broker is quicker for. The setting is that of the whole process: only for one that is nothing but
 * a broker, and left alone when somebody has chosen a size. Takes some 20 ms.
 *
 * V8 makes a process small that has little to do for a while, this part of it too. Once there is something to do again it
 * gets its size back.
 */
export function fixYoungGeneration(lookMs = LOOK_MS): void {
  const flags = [...process.execArgv, process.env['NODE_OPTIONS'] ?? ''].join(' ');
  if (/--(max|min)[-_]semi[-_]space/.test(flags)) return;
  grow();
  let before = process.cpuUsage();
  let at = performance.now();
  setInterval(() => {
    const { user, system } = process.cpuUsage(before);
    const share = (user + system) / 1000 / (performance.now() - at);
    if (share > BUSY && young().space_size < BYTES) grow();
    before = process.cpuUsage();
    at = performance.now();
  }, lookMs).unref();
  // What lives through a collection here is some 100 KB: one thread is done before helpers of V8 have been woken, and on
  // cores that clients keep busy it would wait for these.
  if (!/--parallel[-_]scavenge/.test(flags)) setFlagsFromString('--no-parallel-scavenge');
}

function grow(): void {
  // V8 lets it grow by a factor, in a collection that many objects live through.
  const living: unknown[] = [];
  growBy(1);
  let used = 0;
  let collected = false;
  for (let round = 0; round < ROUNDS && young().space_size < BYTES; round++) {
    for (let i = 0; i < ROUND; i++) living.push({ i });
    const { space_size: size, space_used_size: usedNow } = young();
    // Both halves count from the first collection on: only then is the size the true one.
    if (!collected && usedNow < used) growBy(Math.floor(BYTES / size));
    collected ||= usedNow < used;
    used = usedNow;
  }
  growBy(1);
}

function growBy(factor: number): void {
  setFlagsFromString(`--semi-space-growth-factor=${factor}`);
}

function young(): { space_size: number; space_used_size: number } {
  const space = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space');
  return space ?? { space_size: Infinity, space_used_size: 0 };
}
