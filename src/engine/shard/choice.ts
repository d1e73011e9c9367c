import type { OffsetRange } from '../entries.ts';
import type { Backlog } from '../machine/backlog.ts';

/** Of one lease: where every second message is settled, a run is a single message. */
export const MAX_RUNS = 64;

/** Of all messages of a run. See `DeliveryRun`. */
export interface Deliveries {
  attempt: number;
  returned: number;
  firstDeliveredAt: number | undefined;
}

export type ChosenRange = OffsetRange & Deliveries;

/** Runs that can be delivered together. Nothing changes yet. */
export function choose(
  backlog: Backlog,
  partition: number,
  { suspect, max, perKey }: { suspect: number | undefined; max: number; perKey: 'one' | 'several' },
): ChosenRange[] {
  const rangeOf = (offset: number, count = 1): ChosenRange => {
    const trouble = backlog.troubles.get(offset);
    return {
      partition,
      offset,
      count,
      attempt: backlog.attemptOf(offset),
      returned: trouble?.returns ?? 0,
      firstDeliveredAt: trouble?.firstAt,
    };
  };
  if (suspect !== undefined) return [rangeOf(suspect)];
  const ranges: ChosenRange[] = [];
  let left = max;
  let run = backlog.nextRun(left);
  while (run !== undefined) {
    const { from, to } = run;
    if (perKey === 'one') {
      ranges.push(rangeOf(from, to - from));
      left -= to - from;
    } else {
      // The rest of a key before the next key.
      for (let head = from; head < to && left > 0; head++) {
        ranges.push(rangeOf(head));
        left--;
        for (const offset of backlog.following(head, Math.min(left, MAX_RUNS - ranges.length))) {
          ranges.push(rangeOf(offset));
          left--;
        }
      }
    }
    run = left > 0 && ranges.length < MAX_RUNS ? backlog.nextRun(left, to) : undefined;
  }
  return ranges;
}

export function countOf(ranges: readonly OffsetRange[]): number {
  let count = 0;
  for (const range of ranges) count += range.count;
  return count;
}
