import type { ProducerDescription } from '../../core/open-transactions.ts';
import { RailheadError } from '../../core/errors.ts';
import { allowed, demand, maySee } from './access.ts';
import type { Client, Handlers } from './client.ts';
import { asKafkaError, ERROR, KafkaError } from './errors.ts';
import type { ResponseOf } from './fields.ts';
import type { describeProducers, describeTransactions } from './messages/transactions.ts';
import { CLAIMED_AS } from './producer-ids.ts';

type State = ResponseOf<typeof describeTransactions>['transactionStates'][number];
type Partition = ResponseOf<typeof describeProducers>['topics'][number]['partitions'][number];

const STATES = [
  'Empty',
  'Ongoing',
  'PrepareCommit',
  'PrepareAbort',
  'CompleteCommit',
  'CompleteAbort',
  'Dead',
  'PrepareEpochFence',
] as const;

/** Whose transactions are open, and where. */
export const transactionAdmin: Handlers<'describeProducers' | 'describeTransactions' | 'listTransactions'> = {
  async describeProducers(client, { topics }) {
    const open = await producers(client, 'open');
    return {
      topics: await client.shared.turns.each(topics, async ({ name, partitionIndexes }) => ({
        name,
        partitions: await client.shared.turns.each(partitionIndexes, (index) => activeIn(client, open, name, index)),
      })),
    };
  },

  async describeTransactions(client, { transactionalIds }) {
    return { transactionStates: await client.shared.turns.each(transactionalIds, (id) => describe(client, id)) };
  },

  async listTransactions(client, { stateFilters, producerIdFilters, durationFilter }) {
    const now = client.shared.clock.now();
    const all = await producers(client, 'all');
    const wanted = all.filter(
      (each) =>
        mayKnow(client, each.producer) &&
        (stateFilters.length === 0 || stateFilters.includes(stateOf(each))) &&
        (producerIdFilters.length === 0 || producerIdFilters.includes(each.producerId)) &&
        (durationFilter < 0 || (each.open !== null && now - each.open.startedAt > durationFilter)),
    );
    return {
      errorCode: ERROR.NONE,
      unknownStateFilters: stateFilters.filter((state) => !STATES.some((known) => known === state)),
      transactionStates: wanted.map((each) => ({
        transactionalId: each.producer,
        producerId: each.producerId,
        transactionState: stateOf(each),
      })),
    };
  },
};

function mayKnow(client: Client, producer: string): boolean {
  return allowed(client, 'describe', 'transactionalId', producer);
}

function stateOf({ open, last }: ProducerDescription): (typeof STATES)[number] {
  if (open !== null) return 'Ongoing';
  if (last === null) return 'Empty';
  return last.outcome === 'committed' ? 'CompleteCommit' : 'CompleteAbort';
}

/** Those that have a name, and maybe a transaction open. */
export async function producers({ shared }: Client, which: 'all' | 'open'): Promise<ProducerDescription[]> {
  const session = await shared.own();
  const found: ProducerDescription[] = [];
  for (let after: string | null | undefined; after !== null;) {
    const page: { producers: ProducerDescription[]; next: string | null } = await session.request('listProducers', {
      ...(which === 'open' && { open: true }),
      ...(after !== undefined && { after }),
    });
    found.push(...page.producers.filter(({ producer }) => producer !== CLAIMED_AS));
    after = page.next;
  }
  return found;
}

async function activeIn(
  client: Client,
  open: readonly ProducerDescription[],
  name: string,
  partitionIndex: number,
): Promise<Partition> {
  try {
    demand(client, 'read', 'topic', name);
    const topic = await client.shared.topics.find(name);
    if (topic === undefined || partitionIndex < 0 || partitionIndex >= topic.partitions)
      throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `There is no partition ${partitionIndex}.`);
    const activeProducers = open.flatMap(({ producerId, epoch, open: transaction }) => {
      const here = transaction?.partitions.find(
        ({ topic: of, partition }) => of === name && partition === partitionIndex,
      );
      if (transaction === null || here === undefined) return [];
      return [{ producerId, producerEpoch: epoch, coordinatorEpoch: -1, currentTxnStartOffset: here.offset }];
    });
    return { partitionIndex, errorCode: ERROR.NONE, activeProducers };
  } catch (error) {
    const { code, message } = asKafkaError(error);
    return { partitionIndex, errorCode: code, errorMessage: message, activeProducers: [] };
  }
}

async function describe(client: Client, transactionalId: string): Promise<State> {
  try {
    if (!mayKnow(client, transactionalId))
      throw new KafkaError('TRANSACTIONAL_ID_AUTHORIZATION_FAILED', 'Not allowed.');
    const session = await client.shared.own();
    const found = await session.request('describeProducer', { producer: transactionalId });
    const partitions = (found.open?.partitions ?? []).filter(({ topic }) => maySee(client, topic));
    return {
      errorCode: ERROR.NONE,
      transactionalId,
      transactionState: stateOf(found),
      transactionTimeoutMs: found.timeoutMs,
      transactionStartTimeMs: found.open?.startedAt ?? -1,
      producerId: found.producerId,
      producerEpoch: found.epoch,
      topics: [...Map.groupBy(partitions, ({ topic }) => topic)].map(([topic, own]) => ({
        topic,
        partitions: own.map(({ partition }) => partition),
      })),
    };
  } catch (error) {
    const code = RailheadError.is(error, 'NOT_FOUND')
      ? ERROR.TRANSACTIONAL_ID_NOT_FOUND
      : asKafkaError(error, 'transactional id').code;
    const nothing = {
      transactionTimeoutMs: 0,
      transactionStartTimeMs: 0,
      producerId: 0,
      producerEpoch: 0,
      topics: [],
    };
    return { errorCode: code, transactionalId, transactionState: '', ...nothing };
  }
}
