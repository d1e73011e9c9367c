import { RailheadError } from '../../core/errors.ts';
import type { CursorCommit, Operations } from '../../core/session.ts';
import { scoped } from '../machine/directory.ts';
import type { Definitions } from './definitions.ts';
import type { Shard } from './shard.ts';

const MAX_METADATA_BYTES = 4096;

/** Named committed positions, for readers that count offsets. */
export class Cursors {
  readonly #shard: Shard;
  readonly #definitions: Definitions;

  constructor(shard: Shard, definitions: Definitions) {
    this.#shard = shard;
    this.#definitions = definitions;
  }

  /** Checks a commit; the returned function does it. */
  prepare(namespace: string, commit: CursorCommit): () => void {
    const topic = this.#definitions.topic(namespace, commit.topic);
    const { cursor, partition, offset, metadata = '' } = commit;
    if (topic.partitions[partition] === undefined)
      throw new RailheadError(
        'INVALID',
        `Partition ${partition} of ${JSON.stringify(topic.name)}; it has ${topic.partitions.length}, from 0.`,
      );
    if (!Number.isInteger(offset) || offset < 0)
      throw new RailheadError('INVALID', `A cursor at ${offset}; allowed are whole numbers from 0.`);
    if (Buffer.byteLength(metadata) > MAX_METADATA_BYTES)
      throw new RailheadError('TOO_LARGE', `The cursor's metadata is longer than ${MAX_METADATA_BYTES} bytes.`);
    return () =>
      void this.#shard.record({ type: 'cursor', namespace, cursor, topicId: topic.id, partition, offset, metadata });
  }

  fetch(
    namespace: string,
    { cursor, topic: name }: Operations['fetchCursors']['args'],
  ): Operations['fetchCursors']['result'] {
    const topic = this.#definitions.topic(namespace, name);
    const positions = this.#shard.state.directory.cursors.get(scoped(namespace, cursor));
    const partitions: { partition: number; offset: number; metadata: string }[] = [];
    for (const { topicId, ...position } of positions?.values() ?? [])
      if (topicId === topic.id) partitions.push(position);
    return { partitions: partitions.sort((a, b) => a.partition - b.partition) };
  }

  delete(namespace: string, { cursor, topic }: Operations['deleteCursor']['args']): { deleted: number } {
    const topicId = topic === undefined ? null : this.#definitions.topic(namespace, topic).id;
    const positions = [...(this.#shard.state.directory.cursors.get(scoped(namespace, cursor))?.values() ?? [])];
    const deleted = positions.filter((position) => topicId === null || position.topicId === topicId).length;
    if (deleted > 0) this.#shard.record({ type: 'cursorGone', namespace, cursor, topicId });
    return { deleted };
  }
}
