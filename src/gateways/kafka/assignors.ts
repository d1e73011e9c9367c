/** How the partitions of topics are shared out among the members of a group. Pure: the same question, the same answer. */

/** What a member may get, and what it has. */
export interface Candidate {
  readonly id: string;
  readonly topics: ReadonlySet<string>;
  readonly has: ReadonlySet<string>;
}

/** By the name of a topic, the places that are its partitions, in order. */
export type Places = ReadonlyMap<string, readonly string[]>;
export type Assignment = Map<string, Set<string>>;
export type Assign = (candidates: readonly Candidate[], places: Places) => Assignment;

/** The name of the first is what is meant where nothing is said. */
export const ASSIGNORS: ReadonlyMap<string, Assign> = new Map([
  ['uniform', uniform],
  ['range', range],
]);

/**
 * As many for each as can be, whatever the topic, and as few moves as that allows: each keeps what it has, what nobody has
 * goes to whoever has least, and then those with more give to those with two or more less.
 */
function uniform(candidates: readonly Candidate[], places: Places): Assignment {
  const members = inOrder(candidates);
  const assignment: Assignment = new Map(members.map(({ id }) => [id, new Set<string>()]));
  const countOf = (id: string): number => assignment.get(id)?.size ?? 0;
  for (const [topic, partitions] of places) {
    const able = members.filter(({ topics }) => topics.has(topic));
    for (const place of partitions) {
      const owner = able.find(({ has }) => has.has(place));
      if (owner !== undefined) assignment.get(owner.id)?.add(place);
    }
  }
  const taken = new Set([...assignment.values()].flatMap((each) => [...each]));
  const least = (able: readonly Candidate[]): Candidate | undefined => {
    let found: Candidate | undefined;
    for (const each of able) if (found === undefined || countOf(each.id) < countOf(found.id)) found = each;
    return found;
  };
  for (const [topic, partitions] of places) {
    const able = members.filter(({ topics }) => topics.has(topic));
    for (const place of partitions) if (!taken.has(place)) assignment.get(least(able)?.id ?? '')?.add(place);
  }
  // Each move makes the counts more alike, so that there is a last one.
  for (let moved = true; moved;) {
    moved = false;
    for (const [topic, partitions] of places) {
      const able = members.filter(({ topics }) => topics.has(topic));
      for (const place of partitions) {
        const owner = able.find(({ id }) => assignment.get(id)?.has(place));
        const other = least(able);
        if (owner === undefined || other === undefined || countOf(other.id) + 1 >= countOf(owner.id)) continue;
        assignment.get(owner.id)?.delete(place);
        assignment.get(other.id)?.add(place);
        moved = true;
      }
    }
  }
  return assignment;
}

/** Of each topic a run of neighbours for each, so that topics of one size are shared out alike. */
function range(candidates: readonly Candidate[], places: Places): Assignment {
  const members = inOrder(candidates);
  const assignment: Assignment = new Map(members.map(({ id }) => [id, new Set<string>()]));
  for (const [topic, partitions] of places) {
    const able = members.filter(({ topics }) => topics.has(topic));
    const each = Math.floor(partitions.length / able.length);
    const withMore = partitions.length % able.length;
    let at = 0;
    for (const [i, { id }] of able.entries()) {
      const count = each + (i < withMore ? 1 : 0);
      for (const place of partitions.slice(at, at + count)) assignment.get(id)?.add(place);
      at += count;
    }
  }
  return assignment;
}

function inOrder(candidates: readonly Candidate[]): Candidate[] {
  return [...candidates].sort((a, b) => (a.id < b.id ? -1 : 1));
}
