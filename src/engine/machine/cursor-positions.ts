import { scoped } from './scoped.ts';

interface CursorPosition {
  topicId: number;
  partition: number;
  offset: number;
  metadata: string;
}

export function placeOf({ topicId, partition }: Pick<CursorPosition, 'topicId' | 'partition'>): string {
  return `${topicId}/${partition}`;
}

export type EncodedCursors = [string, [string, CursorPosition][]][];

const NOWHERE: ReadonlyMap<string, CursorPosition> = new Map();

/** Committed positions of all cursors, one for each partition. A part of the directory, changed only by entries. */
export class CursorPositions {
  /** By namespace and cursor name, then by place. */
  readonly #byName = new Map<string, Map<string, CursorPosition>>();
  /** Which of these have a position in a topic. */
  readonly #byTopic = new Map<number, Set<string>>();
  /** How many positions there are, by namespace. */
  readonly #counts = new Map<string, number>();

  /** Of one cursor, by place. */
  of(namespace: string, cursor: string): ReadonlyMap<string, CursorPosition> {
    return this.#byName.get(scoped(namespace, cursor)) ?? NOWHERE;
  }

  /** Of cursors that are somewhere. */
  names(namespace: string): string[] {
    const start = scoped(namespace, '');
    return [...this.#byName.keys()].flatMap((key) => (key.startsWith(start) ? [key.slice(start.length)] : []));
  }

  count(namespace: string): number {
    return this.#counts.get(namespace) ?? 0;
  }

  set(namespace: string, cursor: string, position: CursorPosition): void {
    this.#set(scoped(namespace, cursor), position);
  }

  /** @param topicId null: of every topic; @param partition undefined: every one */
  remove(namespace: string, cursor: string, topicId: number | null, partition: number | undefined): void {
    const key = scoped(namespace, cursor);
    for (const position of this.#byName.get(key)?.values() ?? []) {
      const isMeant = topicId === null || position.topicId === topicId;
      if (isMeant && (partition ?? position.partition) === position.partition) this.#remove(key, position);
    }
  }

  /** The topic is gone, and its positions with it. False when there were none. */
  forgetTopic(topicId: number): boolean {
    const keys = this.#byTopic.get(topicId);
    if (keys === undefined) return false;
    for (const key of keys)
      for (const position of this.#byName.get(key)?.values() ?? [])
        if (position.topicId === topicId) this.#remove(key, position);
    return true;
  }

  #set(key: string, position: CursorPosition): void {
    let positions = this.#byName.get(key);
    if (positions === undefined) this.#byName.set(key, (positions = new Map<string, CursorPosition>()));
    const place = placeOf(position);
    if (!positions.has(place)) this.#add(key, 1);
    positions.set(place, position);
    const readers = this.#byTopic.get(position.topicId);
    if (readers === undefined) this.#byTopic.set(position.topicId, new Set([key]));
    else readers.add(key);
  }

  #remove(key: string, { topicId, partition }: CursorPosition): void {
    const positions = this.#byName.get(key);
    if (positions?.delete(placeOf({ topicId, partition })) !== true) return;
    this.#add(key, -1);
    if (positions.size === 0) this.#byName.delete(key);
    for (const position of positions.values()) if (position.topicId === topicId) return;
    const readers = this.#byTopic.get(topicId);
    readers?.delete(key);
    if (readers?.size === 0) this.#byTopic.delete(topicId);
  }

  #add(key: string, positions: number): void {
    const namespace = key.slice(0, key.indexOf('\u0000'));
    const count = this.count(namespace) + positions;
    if (count === 0) this.#counts.delete(namespace);
    else this.#counts.set(namespace, count);
  }

  encode(): EncodedCursors {
    return [...this.#byName].map(([name, positions]) => [name, [...positions]]);
  }

  load(cursors: EncodedCursors): void {
    for (const all of [this.#byName, this.#byTopic, this.#counts]) all.clear();
    for (const [key, positions] of cursors) for (const [, position] of positions) this.#set(key, position);
  }
}
