import type { Topic } from '../machine/topic.ts';

/** Records of a publish that go to the same topics, one after the other: `[from, to)`. */
export interface Group {
  readonly topics: readonly Topic[];
  readonly from: number;
  readonly to: number;
}

/** @param sets where each record goes, or one that says it for all */
export function groupsOf(sets: readonly (readonly Topic[])[], count: number): Group[] {
  const [all] = sets;
  if (all !== undefined && sets.length === 1) return [{ topics: all, from: 0, to: count }];
  const groups: Group[] = [];
  sets.forEach((topics, i) => {
    const last = groups.at(-1);
    if (last !== undefined && isSame(last.topics, topics)) groups[groups.length - 1] = { ...last, to: i + 1 };
    else groups.push({ topics, from: i, to: i + 1 });
  });
  return groups;
}

function isSame(a: readonly Topic[], b: readonly Topic[]): boolean {
  return a.length === b.length && a.every((topic, i) => topic === b[i]);
}

/** Each record by itself: for queues that take only some of them. */
export function singly(groups: readonly Group[]): Group[] {
  return groups.flatMap(({ topics, from, to }) =>
    Array.from({ length: to - from }, (_, i) => ({ topics, from: from + i, to: from + i + 1 })),
  );
}
