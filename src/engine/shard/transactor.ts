import { RailheadError } from '../../core/errors.ts';
import type { EndedTransaction, ProducerDescription, ProducerRef } from '../../core/open-transactions.ts';
import type { Operations, Settlement } from '../../core/session.ts';
import { type EndHow, FORMAT_MARKER, type Target } from '../entries.ts';
import type { NamedProducer, OpenTransaction } from '../machine/transactions.ts';
import type { Cursors } from './cursors.ts';
import type { Feeds } from './feeds.ts';
import { knownProducer, MARKER_BYTES, noTransaction, openTransaction, ownedProducer } from './fencing.ts';
import type { Settler } from './settler.ts';
import type { Shard } from './shard.ts';

/** What a cursor takes at most, beside its texts. */
const CURSOR_BYTES = 160;
/** Of one character. */
const TEXT_BYTES = 3;

type Args<O extends keyof Operations> = Operations[O]['args'];
type Result<O extends keyof Operations> = Operations[O]['result'];

/**
 * Open transactions: producers that are claimed by name and fenced by epoch, and what they publish, settle and commit
 * over many calls, decided at once. The end is one batch: what was enlisted, a marker in each partition, and the entry
 * that says that it has ended. A transaction that is open for too long is aborted, also after a restart.
 */
export class Transactor {
  readonly #shard: Shard;
  readonly #feeds: Feeds;
  readonly #settler: Settler;
  readonly #cursors: Cursors;

  constructor(shard: Shard, feeds: Feeds, settler: Settler, cursors: Cursors) {
    this.#shard = shard;
    this.#feeds = feeds;
    this.#settler = settler;
    this.#cursors = cursors;
  }

  /** After a start: what is open keeps its deadline. */
  arm(): void {
    for (const { namespace, name, open } of this.#shard.state.transactions.producers.values())
      if (open !== null) this.#watch(namespace, name, open);
  }

  // ---- Claim ------------------------------------------------------------------------------------------------------

  claim(namespace: string, args: Args<'claimProducer'>): ProducerRef {
    const { producer: name, after } = args;
    const { limits, state, clock } = this.#shard;
    checkName(name, limits.maxNameBytes);
    const timeoutMs = this.#timeout(args.timeoutMs ?? limits.transactionMs);
    const known = state.transactions.named(namespace, name);
    if (after !== undefined && !isNewest(known, after)) {
      throw new RailheadError(
        'FENCED',
        `Producer ${JSON.stringify(name)} was claimed by somebody else after epoch ${after.epoch}. Stop, or claim it whoever owns it (without after).`,
      );
    }
    if (known === undefined) this.#makeRoom();
    else if (known.open !== null) this.#end(known, known.open, 'aborted');
    const fresh = known === undefined || known.epoch >= limits.maxProducerEpoch;
    const producerId = fresh ? state.transactions.nextProducerId : known.producerId;
    const epoch = fresh ? 0 : known.epoch + 1;
    this.#shard.record({ type: 'producer', namespace, name, producerId, epoch, timeoutMs, at: clock.now() });
    return { producer: name, producerId, epoch };
  }

  /** Those that nobody has used for long go, and of too many the least recently used. */
  #makeRoom(): void {
    const { limits, state, clock } = this.#shard;
    const { producers } = state.transactions;
    const oldest = clock.now() - limits.producerIdleMs;
    for (const { namespace, name, usedAt, open } of producers.values()) {
      if (usedAt > oldest && producers.size < limits.maxProducers) return;
      if (open === null) this.#shard.record({ type: 'producerGone', namespace, name });
    }
    if (producers.size < limits.maxProducers) return;
    throw new RailheadError(
      'IN_USE',
      `${producers.size} producers have a transaction open, the most allowed (maxProducers). End some, or use fewer names.`,
    );
  }

  #timeout(timeoutMs: number): number {
    const { maxTransactionMs } = this.#shard.limits;
    if (timeoutMs > 0 && timeoutMs <= maxTransactionMs) return timeoutMs;
    throw new RailheadError(
      'INVALID',
      `A transaction with a timeout of ${timeoutMs} ms; allowed are 1 to ${maxTransactionMs} (maxTransactionMs).`,
    );
  }

  // ---- Begin, add, end --------------------------------------------------------------------------------------------

  begin(namespace: string, args: Args<'beginTransaction'>): Result<'beginTransaction'> {
    const { state, clock } = this.#shard;
    const producer = ownedProducer(state, namespace, args);
    if (producer.open === null) {
      const at = clock.now();
      const deadline = at + this.#timeout(args.timeoutMs ?? producer.timeoutMs);
      const { name } = producer;
      const transaction = state.transactions.nextTransaction;
      this.#shard.record({ type: 'begun', transaction, namespace, name, at, deadline });
    }
    const open = openTransaction(state, namespace, args);
    this.#watch(namespace, producer.name, open);
    return { transaction: open.transaction, deadline: open.deadline };
  }

  add(namespace: string, args: Args<'addToTransaction'>): Result<'addToTransaction'> {
    const { state, limits } = this.#shard;
    const open = openTransaction(state, namespace, args);
    const { cursors: commits = [], settlements = [] } = args;
    const cursors = this.#cursors.check(namespace, commits);
    for (const settlement of settlements) this.#checkSettlement(settlement);
    this.#settler.assertHeld(namespace, settlements);
    const enlisted = {
      cursors: [...open.cursors, ...cursors],
      settlements: [...open.settlements, ...settlements],
    };
    const bytes = this.#bytesOf(enlisted);
    // The commit has to fit into one batch: refused now, not then.
    const max = Math.min(limits.maxTransactionBytes, this.#shard.commandBytes / 2);
    if (bytes > max) {
      throw new RailheadError(
        'TOO_LARGE',
        `The settlements and cursors of the transaction take up to ${bytes} bytes; allowed are ${max} (maxTransactionBytes). Commit what there is.`,
      );
    }
    this.#shard.beginCommand(bytes + this.#settler.boundOf(settlements));
    this.#shard.record({ type: 'enlisted', namespace, name: args.producer, cursors, settlements });
    // Nobody is given these while they may still be settled by the commit.
    this.#settler.holdUntil(namespace, settlements, open.deadline);
    this.#shard.endCommand();
    return { transaction: open.transaction };
  }

  async end(namespace: string, args: Args<'endTransaction'>): Promise<EndedTransaction> {
    const { state } = this.#shard;
    const { outcome } = args;
    const waiting = ownedProducer(state, namespace, args).open;
    const bytes = waiting === null ? 0 : this.#boundOf(waiting, outcome);
    if (!this.#shard.hasRoom(bytes)) {
      await this.#shard.room(bytes);
      this.#shard.assertOpen();
    }
    const producer = ownedProducer(state, namespace, args);
    const { open, last } = producer;
    if (open !== null && (args.transaction ?? open.transaction) === open.transaction) {
      if (outcome === 'committed') this.#settler.assertHeld(namespace, open.settlements);
      return this.#shard.durable(this.#end(producer, open, outcome));
    }
    const repeated =
      last !== null && (args.transaction === undefined ? open === null : args.transaction === last.transaction);
    if (!repeated) throw noTransaction(args.producer, 'none is open, or another one');
    if (last.outcome !== outcome) throw noTransaction(args.producer, `the last one was ${last.outcome}`);
    return this.#shard.durable({ ...last });
  }

  #end(producer: NamedProducer, open: OpenTransaction, how: EndHow): EndedTransaction {
    const { state, clock } = this.#shard;
    const { namespace, name, producerId, epoch } = producer;
    const { transaction } = open;
    const at = clock.now();
    const targets = this.#targets(transaction);
    this.#shard.beginCommand(this.#boundOf(open, how));
    if (how === 'committed') {
      this.#settler.settle(namespace, open.settlements);
      for (const { topicId, ...cursor } of open.cursors)
        if (state.topics.has(topicId)) this.#shard.record({ type: 'cursor', namespace, topicId, ...cursor });
    }
    for (const target of targets) {
      this.#shard.record({
        type: 'publish',
        targets: [target],
        format: FORMAT_MARKER,
        count: 1,
        publishedAt: at,
        transaction,
        ends: { how, producerId, epoch },
        records: Buffer.alloc(0),
      });
    }
    this.#shard.record({ type: 'ended', transaction, namespace, name, how, at });
    this.#shard.endCommand();
    this.#shard.agenda.cancel(agendaKey(transaction));
    for (const topicId of new Set(targets.map((target) => target.topicId))) {
      const topic = state.topics.get(topicId);
      if (topic !== undefined) this.#feeds.touchTopic(topic, topic.timed);
    }
    return { transaction, outcome: how === 'committed' ? 'committed' : 'aborted', endedAt: at };
  }

  #targets(transaction: number): Target[] {
    const targets: Target[] = [];
    for (const { topicId, partition } of this.#shard.state.transactions.partsOf(transaction)) {
      const topic = this.#shard.state.topics.get(topicId);
      if (topic !== undefined) targets.push({ topicId, partition, offset: topic.partition(partition).end });
    }
    return targets;
  }

  #watch(namespace: string, name: string, { transaction, deadline }: OpenTransaction): void {
    this.#shard.agenda.set(agendaKey(transaction), deadline, () => {
      const producer = this.#shard.state.transactions.named(namespace, name);
      if (producer?.open?.transaction === transaction) this.#end(producer, producer.open, 'expired');
    });
  }

  // ---- What takes effect with the commit --------------------------------------------------------------------------

  #checkSettlement({ action }: Settlement): void {
    if (action !== 'extend') return;
    throw new RailheadError(
      'INVALID',
      'A lease cannot be extended by a commit; extend it with settle, which is done at once.',
    );
  }

  /** What the commit records for them at most. */
  #bytesOf({ cursors, settlements }: Pick<OpenTransaction, 'cursors' | 'settlements'>): number {
    let bytes = this.#settler.boundOf(settlements);
    for (const { cursor, metadata } of cursors) bytes += CURSOR_BYTES + TEXT_BYTES * (cursor.length + metadata.length);
    return bytes;
  }

  #boundOf(open: OpenTransaction, how: EndHow): number {
    const markers = this.#shard.state.transactions.partCount(open.transaction) * MARKER_BYTES;
    return markers + (how === 'committed' ? this.#bytesOf(open) : 0);
  }

  // ---- For people -------------------------------------------------------------------------------------------------

  describe(namespace: string, { producer }: Args<'describeProducer'>): ProducerDescription {
    return this.#describe(knownProducer(this.#shard.state, namespace, producer));
  }

  list(
    namespace: string,
    { prefix = '', after, limit = 1000, open = false }: Args<'listProducers'>,
  ): Result<'listProducers'> {
    const found: NamedProducer[] = [];
    for (const producer of this.#shard.state.transactions.producers.values()) {
      const { name } = producer;
      if (producer.namespace !== namespace || !name.startsWith(prefix) || (after !== undefined && name <= after))
        continue;
      if (!open || producer.open !== null) found.push(producer);
    }
    found.sort((a, b) => (a.name < b.name ? -1 : 1));
    const page = found.slice(0, Math.max(1, Math.min(limit, 10_000)));
    return {
      producers: page.map((producer) => this.#describe(producer)),
      next: page.length < found.length ? (page.at(-1)?.name ?? null) : null,
    };
  }

  #describe({ name: producer, producerId, epoch, timeoutMs, usedAt, open, last }: NamedProducer): ProducerDescription {
    const described: ProducerDescription = { producer, producerId, epoch, timeoutMs, usedAt, open: null, last };
    if (open === null) return described;
    const { transaction, startedAt, deadline, cursors, settlements } = open;
    const partitions: { topic: string; partition: number; offset: number }[] = [];
    for (const { topicId, partition } of this.#targets(transaction)) {
      const topic = this.#shard.state.topics.get(topicId);
      const offset = topic?.partition(partition).transactions?.firstOf(transaction);
      if (topic !== undefined && offset !== undefined) partitions.push({ topic: topic.name, partition, offset });
    }
    const enlisted = { cursors: cursors.length, settlements: settlements.length };
    return { ...described, open: { transaction, startedAt, deadline, partitions, ...enlisted } };
  }
}

function agendaKey(transaction: number): string {
  return `transaction:${transaction}`;
}

/** Whether nobody has claimed it since: a timeout alone fences only what was under way. */
function isNewest(known: NamedProducer | undefined, after: ProducerRef): boolean {
  if (known === undefined || known.producerId !== after.producerId) return false;
  return known.epoch === after.epoch || known.expiredEpoch === after.epoch;
}

function checkName(name: string, maxBytes: number): void {
  if (name.length > 0 && Buffer.byteLength(name) <= maxBytes) return;
  throw new RailheadError(
    'INVALID',
    `The producer name ${JSON.stringify(name.slice(0, 300))} cannot be used; allowed are 1 to ${maxBytes} bytes.`,
  );
}
