import { RailheadError } from '../../../core/errors.ts';
import { asBuffer } from '../../../core/records.ts';
import type { PublishRequest, Session } from '../../../core/session.ts';
import { encodeRecord, FORMAT_SQS, readRecord } from '../content.ts';
import type { PublishedInput } from './inputs.ts';
import type { Topic, Topics } from './topics.ts';

/** What a FIFO topic keeps is in a topic of the engine of this name, in the namespace of its account. */
export function archiveOf({ name }: Pick<Topic, 'name'>): string {
  return `sns-archive-${name}`;
}

const DAY_MS = 86_400_000;
const MAX_DAYS = 365;
const DEDUPE_WINDOW_MS = 300_000;
const PAGE = 100;

/** Of a policy, 0 when it keeps nothing; undefined when it is none. */
export function archiveDaysOf(policy: string): number | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(policy === '' ? '{}' : policy);
  } catch {
    return undefined;
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return undefined;
  const fields = new Map<string, unknown>(Object.entries(parsed));
  if (fields.size === 0) return 0;
  const days = Number(fields.get('MessageRetentionPeriod'));
  return fields.size === 1 && Number.isInteger(days) && days >= 1 && days <= MAX_DAYS ? days : undefined;
}

/** A message as it was published, so that it can be again, later and to somebody else. */
export interface Archived {
  input: PublishedInput;
  at: number;
  sequence: string;
}

/** As JSON has it: attributes as a list, bytes as base64. */
interface Stored {
  message: string;
  subject?: string;
  structure?: string;
  attributes: [name: string, type: string, text: string | null, bytes: string | null][];
  at: number;
  sequence: string;
}

export function archiveRequest(topic: Topic, { input, at, sequence }: Archived, dedupeId: string): PublishRequest {
  const { Message, Subject, MessageStructure, MessageAttributes, MessageGroupId } = input;
  const stored: Stored = {
    message: Message,
    ...(Subject !== undefined && { subject: Subject }),
    ...(MessageStructure !== undefined && { structure: MessageStructure }),
    attributes: Array.from(MessageAttributes ?? [], ([name, { DataType, StringValue, BinaryValue }]) => [
      name,
      DataType,
      StringValue ?? null,
      BinaryValue?.toString('base64') ?? null,
    ]),
    at,
    sequence,
  };
  const records = encodeRecord({
    body: JSON.stringify(stored),
    groupId: MessageGroupId,
    dedupeId,
    dedupeScope: topic.attributes.get('FifoThroughputScope') === 'MessageGroup' ? 'messageGroup' : 'queue',
  });
  return { to: { topic: archiveOf(topic) }, format: FORMAT_SQS, records, count: 1 };
}

/** What FIFO topics keep of what was published. */
export class Archive {
  readonly #topics: Topics;

  constructor(topics: Topics) {
    this.#topics = topics;
  }

  /** Makes it, or changes how long things stay; with 0 days it is gone with all that is in it. */
  async keep(topic: Topic, days: number): Promise<void> {
    const name = archiveOf(topic);
    await this.#topics.asBroker(topic.account, async (session) => {
      if (days === 0) await removed(session, name);
      else
        await session.request('declareTopic', {
          name,
          kind: 'topic',
          policy: {
            retain: { untilSettled: false, ageMs: days * DAY_MS, bytes: null, compact: false },
            dedupeWindowMs: DEDUPE_WINDOW_MS,
          },
          ifDifferent: 'update',
        });
    });
  }

  /** A page of it, in order, and where the next one begins; `end` is behind the last that there is now. */
  async read(
    topic: Pick<Topic, 'account' | 'name'>,
    from: { time: number } | { offset: number },
  ): Promise<{ messages: Archived[]; next: number; end: number }> {
    const { runs, next, stableEnd } = await this.#topics.asBroker(topic.account, (session) =>
      session.request('read', { topic: archiveOf(topic), from, maxMessages: PAGE, formats: [FORMAT_SQS] }),
    );
    const messages: Archived[] = [];
    for (const run of runs) {
      const bytes = asBuffer(run.records);
      for (let i = 0, at = 0; run.format === FORMAT_SQS && i < run.count; i++) {
        const { record, end } = readRecord(bytes, at);
        at = end;
        messages.push(archivedOf(record));
      }
    }
    return { messages, next, end: stableEnd };
  }
}

function archivedOf({
  body,
  groupId,
  dedupeId,
}: {
  body: string;
  groupId?: string | undefined;
  dedupeId?: string | undefined;
}): Archived {
  // We wrote it.
  const { message, subject, structure, attributes, at, sequence } = JSON.parse(body) as Stored;
  const input: PublishedInput = {
    Message: message,
    ...(subject !== undefined && { Subject: subject }),
    ...(structure !== undefined && { MessageStructure: structure }),
    MessageAttributes: new Map(
      attributes.map(([name, DataType, text, bytes]) => [
        name,
        {
          DataType,
          ...(text !== null && { StringValue: text }),
          ...(bytes !== null && { BinaryValue: Buffer.from(bytes, 'base64') }),
        },
      ]),
    ),
    ...(groupId !== undefined && { MessageGroupId: groupId }),
    ...(dedupeId !== undefined && { MessageDeduplicationId: dedupeId }),
  };
  return { input, at, sequence };
}

async function removed(session: Session, name: string): Promise<void> {
  try {
    await session.request('deleteTopic', { name });
  } catch (error) {
    if (!RailheadError.is(error, 'NOT_FOUND')) throw error;
  }
}
