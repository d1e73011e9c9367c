/**
 * Kafka keeps whatever offset is committed, also one below 0, at which no reader begins: kafkajs commits -1 and -2 to send
 * a group back to the end or the start of a topic. A cursor is a whole number from 0, so such an offset is kept as a
 * cursor at 0, with the offset in front of its metadata:
 *
 *   metadata  `kafka offset ` offset `;` metadata of the client
 *
 * Metadata of a client that looks like it is kept in the same way: what comes back is what was committed.
 */
const MARK = /^kafka offset (-?\d+);/;

export interface CommittedOffset {
  readonly offset: number;
  readonly metadata: string;
}

export function toCursor({ offset, metadata }: CommittedOffset): CommittedOffset {
  if (offset >= 0 && !MARK.test(metadata)) return { offset, metadata };
  return { offset: Math.max(0, offset), metadata: `kafka offset ${offset};${metadata}` };
}

export function ofCursor({ offset, metadata }: CommittedOffset): CommittedOffset {
  const [mark, text] = MARK.exec(metadata) ?? [];
  const kept = Number(text);
  // Another protocol may have moved the cursor and left its metadata as it was.
  if (mark === undefined || Math.max(0, kept) !== offset) return { offset, metadata };
  return { offset: kept, metadata: metadata.slice(mark.length) };
}
