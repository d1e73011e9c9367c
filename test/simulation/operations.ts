import { RailheadError } from '../../src/core/errors.ts';
import { FORMAT_NATIVE, RecordBatchWriter } from '../../src/core/records.ts';
import { messageId, type SeekTarget } from '../../src/core/session.ts';
import type { ShardSession } from '../../src/engine/session.ts';
import type { Consumers } from './consumers.ts';
import { type Copy, type Ledger, mayRemove } from './ledger.ts';
import { type Feed, seeks, type TopicPlan } from './topology.ts';
import type { World } from './world.ts';

const MAX_PARTITIONS = 6;

export interface OperationsOptions {
  readonly world: World;
  readonly ledger: Ledger;
  readonly session: ShardSession;
  readonly consumers: Consumers;
  /** Something is stored in a topic: what its limits may take is noted. */
  readonly evicts: (plan: TopicPlan) => void;
  /** Fails for an error with another code. */
  readonly expected: (error: unknown, ...codes: string[]) => void;
}

/** What people and clocks do to a broker beside publishing and consuming. */
export class Operations {
  readonly #world: World;
  readonly #ledger: Ledger;
  readonly #session: ShardSession;
  readonly #consumers: Consumers;
  readonly #evicts: OperationsOptions['evicts'];
  readonly #expected: OperationsOptions['expected'];
  #plans: () => readonly TopicPlan[] = () => [];

  constructor({ world, ledger, session, consumers, evicts, expected }: OperationsOptions) {
    this.#world = world;
    this.#ledger = ledger;
    this.#session = session;
    this.#consumers = consumers;
    this.#evicts = evicts;
    this.#expected = expected;
  }

  /** @param plans those whose declaration was confirmed */
  actions(plans: () => readonly TopicPlan[]): { weight: number; act: () => void }[] {
    this.#plans = plans;
    const onFeed = (act: (feed: Feed) => void) => (): void =>
      act(this.#world.random.pick(this.#world.random.pick(plans()).feeds));
    return [
      { weight: 6, act: () => this.#advance() },
      { weight: 1, act: () => this.#checkpoint() },
      { weight: 1, act: onFeed((feed) => this.#purge(feed)) },
      { weight: 2, act: onFeed((feed) => this.#cancel(feed)) },
      { weight: 2, act: onFeed((feed) => this.#reschedule(feed)) },
      { weight: 1, act: onFeed((feed) => this.#request(this.#session.request('pause', feed))) },
      { weight: 3, act: onFeed((feed) => this.#request(this.#session.request('resume', feed))) },
      { weight: 1, act: onFeed((feed) => this.#seek(feed)) },
      { weight: 2, act: onFeed((feed) => this.#snapshot(feed)) },
      { weight: 3, act: () => this.#restore() },
      { weight: 2, act: onFeed((feed) => this.#redrive(feed)) },
      { weight: 1, act: onFeed((feed) => this.#edit(feed)) },
      { weight: 1, act: onFeed((feed) => this.#drop(feed)) },
      { weight: 1, act: () => this.#grow() },
      { weight: 1, act: () => this.#trim() },
      { weight: 1, act: () => this.#temporary() },
      { weight: 1, act: () => this.#look() },
    ];
  }

  /** A queue that a clock fills: every second second, and every minute. The auditor knows when it must. */
  start(): void {
    const session = this.#session;
    const declared = async (): Promise<void> => {
      await session.request('declareTopic', { name: 'ticks', kind: 'queue', policy: { ttlMs: 20_000 } });
      const tick = { topic: 'ticks', record: encodeOne('tick') };
      await session.request('putSchedule', { name: 'often', cron: '*/2 * * * * *', ...tick });
      await session.request('putSchedule', { name: 'seldom', cron: '* * * * *', timezone: 'Europe/Berlin', ...tick });
    };
    declared().catch((error: unknown) => this.#expected(error, 'STORAGE_FAILED', 'CLOSED', 'OUT_OF_SPACE'));
  }

  topicId(name: string): number {
    return this.#world.broker.state.topicNamed('default', name)?.id ?? -1;
  }

  #advance(): void {
    const { clock, random } = this.#world;
    const next = clock.nextTimer();
    if (next !== undefined && random.chance(0.5)) clock.moveTo(Math.min(next, clock.now() + 5000));
    else clock.advance(random.below(2000));
  }

  #checkpoint(): void {
    this.#world.broker
      .checkpoint()
      .catch((error: unknown) => this.#expected(error, 'STORAGE_FAILED', 'OUT_OF_SPACE', 'CLOSED'));
  }

  #purge(feed: Feed): void {
    for (const copy of this.#ledger.of(feed.subscription)) mayRemove(copy);
    this.#request(this.#session.request('purge', feed));
  }

  #cancel(feed: Feed): void {
    const copy = this.#waiting(feed);
    if (copy?.offset === undefined) return;
    const undo = mayRemove(copy);
    const id = messageId(this.topicId(feed.topic), copy.partition ?? 0, copy.offset);
    this.#session.request('cancel', { topic: feed.topic, subscription: feed.subscription, id }).then(
      ({ cancelled }) => {
        if (cancelled) copy.gone = 'durable';
      },
      (error: unknown) => {
        this.#expected(error, 'STORAGE_FAILED', 'CLOSED', 'IN_USE');
        if (RailheadError.is(error, 'IN_USE')) undo();
      },
    );
  }

  #reschedule(feed: Feed): void {
    const plan = this.#planOf(feed);
    const copy = this.#waiting(feed);
    if (copy?.offset === undefined || plan?.delays !== true) return;
    const id = messageId(this.topicId(feed.topic), copy.partition ?? 0, copy.offset);
    const delayMs = this.#world.random.below(5000);
    copy.due = Math.min(copy.due, this.#world.clock.now() + delayMs);
    this.#request(
      this.#session.request('reschedule', { topic: feed.topic, subscription: feed.subscription, id, delayMs }),
    );
  }

  /** One that is spread gets another partition. */
  #grow(): void {
    const plan = this.#plans().find(({ policy }) => (policy.partitions ?? 1) > 1);
    const topic = plan === undefined ? undefined : this.#world.broker.state.topicNamed('default', plan.name);
    if (topic === undefined || topic.partitions.length >= MAX_PARTITIONS) return;
    const { name, kind } = topic;
    const policy = { partitions: topic.partitions.length + 1 };
    this.#request(this.#session.request('declareTopic', { name, kind, policy, ifDifferent: 'update' }));
  }

  /** Where what is old may go at any time anyway. */
  #trim(): void {
    const plan = this.#plans().find(({ retention }) => retention === 'bytes');
    const topic = plan === undefined ? undefined : this.#world.broker.state.topicNamed('default', plan.name);
    if (topic === undefined) return;
    const { random } = this.#world;
    const partition = random.below(topic.partitions.length);
    const { start, end } = topic.partition(partition);
    const before = start + random.below(end - start + 1);
    this.#request(this.#session.request('trimTopic', { topic: topic.name, partition, before }));
  }

  #waiting(feed: Feed): Copy | undefined {
    const known = [...this.#ledger.of(feed.subscription)].filter(
      ({ sent, gone, mayReturn, mayBeDead, offset }) =>
        sent === 'sure' && !gone && !mayReturn && !mayBeDead && offset !== undefined,
    );
    return known.length === 0 ? undefined : this.#world.random.pick(known);
  }

  #seek(feed: Feed): void {
    if (!seeks(feed)) return;
    const to = this.#world.random.pick(['start', 'end', { offset: this.#world.random.below(20) }] as const);
    this.#seekTo(feed, to);
  }

  #snapshot(feed: Feed): void {
    const { random } = this.#world;
    const { topic, subscription } = feed;
    const snapshot = `snapshot-${random.below(2)}`;
    if (random.chance(0.2)) this.#request(this.#session.request('deleteSnapshot', { topic, snapshot }));
    const expiresAfterMs = 500 + random.below(15_000);
    this.#request(this.#session.request('createSnapshot', { topic, subscription, snapshot, expiresAfterMs }));
  }

  #restore(): void {
    const { random, broker } = this.#world;
    const able = this.#plans().flatMap(({ feeds }) => feeds.filter((feed) => seeks(feed)));
    if (able.length === 0) return;
    const feed = random.pick(able);
    const snapshot = `snapshot-${random.below(2)}`;
    const there = broker.state.topicNamed('default', feed.topic)?.snapshots.has(snapshot) === true;
    // Sometimes it is not there, or has expired.
    if (there || random.chance(0.1)) this.#seekTo(feed, { snapshot });
    else this.#snapshot(feed);
  }

  #seekTo(feed: Feed, to: SeekTarget): void {
    for (const copy of this.#ledger.of(feed.subscription)) {
      mayRemove(copy);
      copy.mayReturn = true;
      copy.gone = false;
      copy.attempt = 0;
      copy.firstAt = undefined;
    }
    this.#consumers.forget(feed);
    this.#request(this.#session.request('seek', { topic: feed.topic, subscription: feed.subscription, to }));
  }

  /** From here until the returned function is called, dead letters of this feed may come back. */
  #reviving(feed: Feed): (() => void) | undefined {
    const plan = this.#planOf(feed);
    // What comes back to a topic comes to all its subscriptions; in a compacted one it supersedes what is newer.
    if (plan === undefined || seeks(feed) || plan.retention === 'key') return undefined;
    this.#consumers.mayEnd(feed);
    const done = this.#ledger.redrive(feed.subscription);
    this.#evicts(plan);
    return done;
  }

  #redrive(feed: Feed): void {
    const done = this.#reviving(feed);
    if (done === undefined) return;
    const limit = 1 + this.#world.random.below(5);
    const redrive = this.#session.request('redrive', { topic: feed.dead, subscription: feed.dead, limit });
    this.#request(redrive.finally(() => done()));
  }

  /** One dead letter is looked at, mended, and sent back. */
  #edit(feed: Feed): void {
    const done = this.#reviving(feed);
    if (done === undefined) return;
    const ref = { topic: feed.dead, subscription: feed.dead };
    const mend = async (): Promise<void> => {
      const { messages } = await this.#session.request('peek', { ...ref, limit: 1 });
      const [first] = messages;
      // Of a large one only the head is shown.
      if (first === undefined || first.bodyBytes !== undefined) return;
      const { body, ...envelope } = first.envelope;
      const writer = new RecordBatchWriter();
      writer.append({ ...envelope, contentType: 'mended' }, body);
      await this.#session.request('redrive', {
        ...ref,
        ids: [first.id],
        edits: [{ id: first.id, record: writer.take().bytes }],
      });
    };
    this.#request(mend().finally(() => done()));
  }

  /** Dead letters are given up for good. */
  #drop(feed: Feed): void {
    for (const copy of this.#ledger.of(feed.subscription)) mayRemove(copy);
    const limit = 1 + this.#world.random.below(2);
    this.#request(this.#session.request('drop', { topic: feed.dead, subscription: feed.dead, limit }));
  }

  /** A queue that comes and goes, with something in it. */
  #temporary(): void {
    const name = `temporary-${this.#world.random.below(3)}`;
    const session = this.#session;
    if (this.#world.random.chance(0.5)) this.#request(session.request('deleteTopic', { name }));
    else {
      const declared = session.request('declareTopic', { name, kind: 'queue' });
      const records = encodeOne('temporary');
      this.#request(
        declared.then(() => session.publish({ to: { topic: name }, format: FORMAT_NATIVE, records, count: 1 })),
      );
    }
  }

  #look(): void {
    this.#request(this.#session.request('allStats', {}));
    const plan = this.#world.random.pick(this.#plans());
    this.#request(this.#session.request('read', { topic: plan.name, from: 'start' }));
    for (const feed of plan.feeds)
      this.#request(this.#session.request('peek', { topic: feed.topic, subscription: feed.subscription, limit: 5 }));
  }

  #request(done: Promise<unknown>): void {
    done.catch((error: unknown) =>
      this.#expected(
        error,
        'STORAGE_FAILED',
        'CLOSED',
        'NOT_FOUND',
        'IN_USE',
        'OUT_OF_SPACE',
        'QUEUE_FULL',
        'TOO_LARGE',
        'ALREADY_EXISTS',
      ),
    );
  }

  #planOf(feed: Feed): TopicPlan | undefined {
    return this.#plans().find(({ name }) => name === feed.topic);
  }
}

function encodeOne(text: string): Uint8Array {
  const writer = new RecordBatchWriter();
  writer.append({}, text);
  return writer.take().bytes;
}
