import type { PublishReceipt } from '../../core/session.ts';
import type { Target } from '../entries.ts';
import type { Examined } from './columns.ts';
import type { Part, Plan } from './planner.ts';

/** A run of the receipt, with the index of its first record in the request. */
export type NumberedRun = PublishReceipt['runs'][number] & { first: number };

/** One body for several topics, if nothing sets the copies apart but their filters. */
export function mergeable(plans: readonly Plan[]): (Part & { kind: 'store' }) | null {
  if (plans.length < 2) return null;
  const excluded: NonNullable<Examined['excluded']> = [];
  let first: (Part & { kind: 'store' }) | undefined;
  for (const plan of plans) {
    const part = plan.parts[0];
    if (
      plan.parts.length !== 1 ||
      part?.kind !== 'store' ||
      part.partition !== 0 ||
      part.examined.dedupeIds !== undefined
    )
      return null;
    first ??= part;
    if (part.records !== first.records || !isSame(part.examined.expires, first.examined.expires)) return null;
    if (!isSame(part.examined.priorities, first.examined.priorities)) return null;
    if ((part.examined.keys === undefined) !== (first.examined.keys === undefined)) return null;
    excluded.push(...(part.examined.excluded ?? []));
  }
  if (first === undefined) return null;
  return excluded.length === 0 ? first : { ...first, examined: { ...first.examined, excluded } };
}

function isSame<T extends Float64Array | Uint8Array>(a: T | undefined, b: T | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && a.every((value, i) => value === b[i]));
}

export function withoutFirst(run: NumberedRun): PublishReceipt['runs'][number] {
  const { topicId, partition, offset, count, duplicate } = run;
  return duplicate === undefined
    ? { topicId, partition, offset, count }
    : { topicId, partition, offset, count, duplicate };
}

/** A duplicate within its own batch points to where its twin has just gone. */
export function resolveTwin(
  part: { partition: number; offset: number },
  plan: Plan,
  runs: readonly NumberedRun[],
): { partition: number; offset: number } {
  if (part.partition >= 0) return { partition: part.partition, offset: part.offset };
  const run = runs.find(
    (r) => r.topicId === plan.topic.id && part.offset >= r.first && part.offset < r.first + r.count,
  );
  return { partition: run?.partition ?? 0, offset: (run?.offset ?? 0) + part.offset - (run?.first ?? 0) };
}

export function pushRuns(runs: NumberedRun[], target: Target, indexes: readonly number[]): void {
  indexes.forEach((index, i) => {
    const last = runs.at(-1);
    if (i > 0 && last !== undefined && last.first + last.count === index) last.count++;
    else
      runs.push({
        topicId: target.topicId,
        partition: target.partition,
        offset: target.offset + i,
        count: 1,
        first: index,
      });
  });
}
