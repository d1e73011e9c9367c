import { RailheadError } from '../../core/errors.ts';
import type { CursorCommit, Operations } from '../../core/session.ts';
import { placeOf } from '../machine/cursor-positions.ts';
import type { EnlistedCursor } from '../machine/transactions.ts';
import type { Definitions } from './definitions.ts';
import type { Shard } from './shard.ts';

const MAX_METADATA_BYTES = 4096;
const DEFAULT_PAGE = 100;
const MAX_PAGE = 1000;

/** Named committed positions, for readers that count offsets. */
export class Cursors {
  readonly #shard: Shard;
  readonly #definitions: Definitions;

  constructor(shard: Shard, definitions: Definitions) {
    this.#shard = shard;
    this.#definitions = definitions;
  }

  /** Checks commits that are done together; the returned functions do them. @throws INVALID, NOT_FOUND, TOO_LARGE */
  prepare(namespace: string, commits: readonly CursorCommit[]): (() => void)[] {
    return this.check(namespace, commits).map(
      (cursor) => () => void this.#shard.record({ type: 'cursor', namespace, ...cursor }),
    );
  }

  /** The same for an open transaction, whose commit does them. */
  check(namespace: string, commits: readonly CursorCommit[]): EnlistedCursor[] {
    const cursors = commits.map((commit) => this.#check(namespace, commit));
    this.#assertRoom(namespace, cursors);
    return cursors;
  }

  #check(namespace: string, commit: CursorCommit): EnlistedCursor {
    const topic = this.#definitions.topic(namespace, commit.topic);
    const { cursor, partition, offset, metadata = '' } = commit;
    const { maxNameBytes } = this.#shard.limits;
    if (cursor === '' || Buffer.byteLength(cursor) > maxNameBytes)
      throw new RailheadError(
        'INVALID',
        `The name of a cursor has ${Buffer.byteLength(cursor)} bytes; allowed are 1 to ${maxNameBytes}.`,
      );
    if (topic.partitions[partition] === undefined)
      throw new RailheadError(
        'INVALID',
        `Partition ${partition} of ${JSON.stringify(topic.name)}; it has ${topic.partitions.length}, from 0.`,
      );
    if (!Number.isInteger(offset) || offset < 0)
      throw new RailheadError('INVALID', `A cursor at ${offset}; allowed are whole numbers from 0.`);
    if (Buffer.byteLength(metadata) > MAX_METADATA_BYTES)
      throw new RailheadError('TOO_LARGE', `The cursor's metadata is longer than ${MAX_METADATA_BYTES} bytes.`);
    return { cursor, topicId: topic.id, partition, offset, metadata };
  }

  /** Where a cursor is it may always move. What open transactions will make has its place already. @throws TOO_LARGE */
  #assertRoom(namespace: string, asked: readonly EnlistedCursor[]): void {
    const { limits, state } = this.#shard;
    const { directory, transactions } = state;
    const count = directory.cursors.count(namespace);
    // Those that are there already may be among them: looked at only where it may matter.
    if (count + transactions.enlistedCursors + asked.length <= limits.maxCursors) return;
    const made = new Set<string>();
    const note = (cursors: readonly EnlistedCursor[]): number => {
      for (const each of cursors) {
        const place = placeOf(each);
        if (!directory.cursors.of(namespace, each.cursor).has(place)) made.add(`${place} ${each.cursor}`);
      }
      return made.size;
    };
    for (const { namespace: where, open } of transactions.open()) if (where === namespace) note(open?.cursors ?? []);
    const before = made.size;
    if (note(asked) === before || count + made.size <= limits.maxCursors) return;
    throw new RailheadError(
      'TOO_LARGE',
      `The namespace ${JSON.stringify(namespace)} has ${count} committed offsets; allowed are ${limits.maxCursors}. Delete cursors that nobody uses, or raise limits.cursors.`,
    );
  }

  fetch(
    namespace: string,
    { cursor, topic: name }: Operations['fetchCursors']['args'],
  ): Operations['fetchCursors']['result'] {
    const topic = name === undefined ? undefined : this.#definitions.topic(namespace, name);
    const { directory, topics } = this.#shard.state;
    const partitions: Operations['fetchCursors']['result']['partitions'] = [];
    for (const { topicId, ...position } of directory.cursors.of(namespace, cursor).values()) {
      const found = topics.get(topicId);
      if (found !== undefined && (topic === undefined || topic === found))
        partitions.push({ topic: found.name, ...position });
    }
    partitions.sort((a, b) => (a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1));
    const pending = this.#pending(namespace, cursor, topic?.id);
    return pending.length > 0 ? { partitions, pending } : { partitions };
  }

  #pending(namespace: string, name: string, only: number | undefined): { topic: string; partition: number }[] {
    const { transactions, topics } = this.#shard.state;
    const places = new Map<string, { topic: string; partition: number }>();
    for (const producer of transactions.open()) {
      if (producer.namespace !== namespace) continue;
      for (const { cursor, topicId, partition } of producer.open?.cursors ?? []) {
        const topic = topics.get(topicId);
        if (cursor !== name || topic === undefined || (only !== undefined && only !== topicId)) continue;
        places.set(`${topicId}/${partition}`, { topic: topic.name, partition });
      }
    }
    return [...places.values()];
  }

  list(
    namespace: string,
    { prefix = '', after, limit = DEFAULT_PAGE }: Operations['listCursors']['args'],
  ): Operations['listCursors']['result'] {
    const { directory, topics } = this.#shard.state;
    const names = directory.cursors
      .names(namespace)
      .filter((name) => name.startsWith(prefix) && (after === undefined || name > after))
      .sort();
    const page = names.slice(0, Math.max(1, Math.min(limit, MAX_PAGE)));
    const cursors = page.map((cursor) => {
      const positions = directory.cursors.of(namespace, cursor).values();
      const named = [...positions].flatMap(({ topicId }) => topics.get(topicId)?.name ?? []);
      return { cursor, topics: [...new Set(named)].sort() };
    });
    return { cursors, next: page.length < names.length ? (page.at(-1) ?? null) : null };
  }

  delete(namespace: string, { cursor, topic, partition }: Operations['deleteCursor']['args']): { deleted: number } {
    if (partition !== undefined && topic === undefined)
      throw new RailheadError('INVALID', `Partition ${partition} of no topic; name the topic too.`);
    const topicId = topic === undefined ? null : this.#definitions.topic(namespace, topic).id;
    const positions = [...this.#shard.state.directory.cursors.of(namespace, cursor).values()];
    const deleted = positions.filter(
      (position) =>
        (topicId === null || position.topicId === topicId) && (partition ?? position.partition) === position.partition,
    ).length;
    const only = partition === undefined ? {} : { partition };
    if (deleted > 0) this.#shard.record({ type: 'cursorGone', namespace, cursor, topicId, ...only });
    return { deleted };
  }
}
