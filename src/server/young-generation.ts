import { PerformanceObserver } from 'node:perf_hooks';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

/** Two halves of 16 MiB, as Node had it for years. */
const MAX_BYTES = 32 << 20;

/**
 * Keeps V8 from letting the part of its heap where new objects are made grow to 128 MiB, which it does on machines with
 * much memory once some thousand publishes are under way, and hardly ever takes back. Nothing of a broker is quicker for
 * it. The setting is that of the whole process: only for one that is nothing but a broker, and left alone when somebody
 * has chosen a size.
 */
export function boundYoungGeneration(): void {
  const flags = [...process.execArgv, process.env['NODE_OPTIONS'] ?? ''].join(' ');
  if (/--(max|min)[-_]semi[-_]space/.test(flags)) return;
  const observer = new PerformanceObserver(() => {
    const young = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space');
    if (young === undefined || young.space_size < MAX_BYTES) return;
    setFlagsFromString('--semi-space-growth-factor=1');
    observer.disconnect();
  });
  observer.observe({ entryTypes: ['gc'] });
}
