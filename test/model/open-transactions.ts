import assert from 'node:assert/strict';
import fc from 'fast-check';
import { asBuffer, readRecord, recordEnd } from '../../src/core/records.ts';
import type { DeliveryRun, Operations } from '../../src/core/session.ts';
import { Model, type ModelProducer, PARTITIONS, type Slot, stableEnd, textsOf } from './open-transactions-model.ts';
import { steps } from './steps.ts';
import { type Delivery, publishOf, System } from './system.ts';

const DAY_MS = 86_400_000;

/** All pages of a read: what they say together. */
async function readAll(
  system: System,
  partition: number,
  args: Pick<Operations['read']['args'], 'isolation' | 'verbatim'>,
  maxMessages: number,
): Promise<{ texts: string[]; markers: unknown[]; aborted: Set<string>; stable: number; end: number }> {
  const all = { texts: [] as string[], markers: [] as unknown[], aborted: new Set<string>() };
  for (let from = 0; ;) {
    const {
      runs,
      next,
      markers,
      aborted,
      stableEnd: stable,
      end,
    } = await system.session.request('read', {
      topic: 'log',
      partition,
      from: { offset: from },
      maxMessages,
      ...args,
    });
    all.texts.push(...runs.flatMap(textsOfRun));
    all.markers.push(...(markers ?? []));
    for (const one of aborted ?? []) all.aborted.add(JSON.stringify(one));
    if (next >= (args.isolation === 'uncommitted' ? end : stable)) return { ...all, stable, end };
    assert.ok(next > from, 'a read that goes nowhere');
    from = next;
  }
}

function textsOfRun({ records, count }: DeliveryRun): string[] {
  const bytes = asBuffer(records);
  const texts: string[] = [];
  for (let i = 0, at = 0; i < count; i++, at = recordEnd(bytes, at))
    texts.push(asBuffer(readRecord(bytes, at).body).toString());
  return texts;
}

async function checkLog(model: Model, system: System, partition: number): Promise<void> {
  const slots = model.log(partition);
  const stable = stableEnd(slots);
  const below = slots.slice(0, stable);
  const maxMessages = 1 + (model.count % 4);
  const committed = await readAll(system, partition, {}, maxMessages);
  assert.deepEqual(committed.texts, textsOf(below, 'committed'));
  assert.deepEqual([committed.stable, committed.end], [stable, slots.length]);
  const uncommitted = await readAll(system, partition, { isolation: 'uncommitted' }, maxMessages);
  assert.deepEqual(uncommitted.texts, textsOf(slots, 'all'));
  const verbatim = await readAll(system, partition, { verbatim: true }, maxMessages);
  assert.deepEqual(verbatim.texts, textsOf(below, 'all'));
  const markers: unknown[] = [];
  const aborted = new Set<string>();
  slots.forEach((slot, offset) => {
    if (slot.is === 'message') return;
    const { owner, fate: outcome } = slot.transaction;
    const { producerId, epoch } = owner;
    const from = slots.findIndex((one) => one.transaction === slot.transaction);
    if (offset < stable) markers.push({ offset, producerId, epoch, outcome });
    // One that began below and ended above the stable end is told of too: it reaches into what was read.
    if (outcome === 'aborted' && from < stable)
      aborted.add(JSON.stringify({ producerId, epoch, from, marker: offset }));
  });
  assert.deepEqual(verbatim.markers, markers);
  assert.deepEqual(verbatim.aborted, aborted);
}

/** After every command the logs, the queue, the subscription, the cursor and the producers are the model's. */
const { Checked, Advance, Restart } = steps(async (model: Model, system: System, after: string) => {
  for (let partition = 0; partition < PARTITIONS; partition++) await checkLog(model, system, partition);
  const queued = textsOf(model.log(PARTITIONS), 'committed').filter((text) => !model.acked.has(text));
  const { ready, leased } = await system.counts('tq');
  assert.deepEqual([ready, leased], [model.ready.length, queued.length - model.ready.length], after);
  const { messages } = await system.session.request('peek', { topic: 'log', subscription: 'reader', limit: 1000 });
  const peeked = messages.map(({ envelope }) => asBuffer(envelope.body).toString());
  const wanted = model.logs.slice(0, PARTITIONS).flatMap((slots) => textsOf(slots, 'committed'));
  assert.deepEqual(peeked, wanted, after);
  const { partitions } = await system.session.request('fetchCursors', { cursor: 'c', topic: 'log' });
  assert.equal(partitions[0]?.offset, model.cursor);
  for (const [producer, { ref, open }] of model.producers) {
    const { epoch, open: found } = await system.session.request('describeProducer', { producer });
    assert.deepEqual([epoch, found?.deadline], [ref.epoch, open?.deadline]);
  }
});

class Claim extends Checked {
  readonly #name: string;

  constructor(name: string) {
    super();
    this.#name = name;
  }

  async act(model: Model, system: System): Promise<void> {
    const known = model.producers.get(this.#name);
    const ref = await system.session.request('claimProducer', { producer: this.#name });
    if (known !== undefined) {
      if (known.open !== null) model.end(known, 'aborted');
      model.stale.push(known.ref);
      assert.deepEqual(ref, { ...known.ref, epoch: known.ref.epoch + 1 });
    }
    model.producers.set(this.#name, { ref, owned: true, open: null, last: null });
  }

  override toString(): string {
    return `claim ${this.#name}`;
  }
}

/** Does something with a producer that somebody owns. */
abstract class OfProducer extends Checked {
  readonly name: string;

  constructor(name: string) {
    super();
    this.name = name;
  }

  override check(model: Readonly<Model>): boolean {
    return model.producers.get(this.name)?.owned === true;
  }

  producer(model: Model): ModelProducer {
    const producer = model.producers.get(this.name);
    assert.ok(producer !== undefined);
    return producer;
  }
}

class Begin extends OfProducer {
  readonly #timeoutMs: number;

  constructor(name: string, timeoutMs: number) {
    super(name);
    this.#timeoutMs = timeoutMs;
  }

  async act(model: Model, system: System): Promise<void> {
    const producer = this.producer(model);
    // No two are due together: the order of their markers would be nobody's business.
    const timeoutMs = this.#timeoutMs + ++model.count;
    const { deadline } = await system.session.request('beginTransaction', { ...producer.ref, timeoutMs });
    const owner = producer.ref;
    const made = { owner, deadline: model.now + timeoutMs, fate: 'open' as const, logs: new Set<Slot[]>() };
    producer.open ??= { ...made, cursor: undefined, acks: [] };
    assert.equal(deadline, producer.open.deadline);
  }

  override toString(): string {
    return `begin ${this.name} for ${this.#timeoutMs} ms`;
  }
}

class Publish extends OfProducer {
  readonly #log: number;
  readonly #messages: number;

  constructor(name: string, log: number, messages: number) {
    super(name);
    this.#log = log;
    this.#messages = messages;
  }

  async act(model: Model, system: System): Promise<void> {
    const { ref, open } = this.producer(model);
    const request = (texts: readonly string[]): Parameters<System['session']['publish']>[0] => ({
      ...publishOf(...targetOf(this.#log, texts)),
      ...(this.#log < PARTITIONS && { partition: this.#log }),
      transaction: ref,
    });
    if (open === null) {
      await assert.rejects(system.session.publish(request(['never'])), { code: 'NO_TRANSACTION' });
      return;
    }
    const texts = Array.from({ length: this.#messages }, () => model.append(this.#log, open));
    await system.session.publish(request(texts));
  }

  override toString(): string {
    return `${this.name} publishes ${this.#messages} to ${this.#log}`;
  }
}

function targetOf(log: number, texts: readonly string[]): Parameters<typeof publishOf> {
  return [log < PARTITIONS ? 'log' : 'tq', texts.map((text) => ({ text }))];
}

class PublishFreely extends Checked {
  readonly #log: number;

  constructor(log: number) {
    super();
    this.#log = log;
  }

  async act(model: Model, system: System): Promise<void> {
    const request = publishOf(...targetOf(this.#log, [model.append(this.#log, null)]));
    await system.session.publish({ ...request, ...(this.#log < PARTITIONS && { partition: this.#log }) });
  }

  override toString(): string {
    return `publish to ${this.#log}`;
  }
}

/** Takes what the queue hands out, in its order. */
class Take extends Checked {
  async act(model: Model, system: System): Promise<void> {
    const { ready } = model;
    const got = await system.receive('tq', 100);
    assert.deepEqual(
      got.map(({ text }) => text),
      ready,
    );
    for (const text of ready) model.taken.add(text);
    model.hands.push(...got);
  }

  override toString(): string {
    return 'take';
  }
}

function ack({ partition, offset, token }: Delivery): Parameters<System['session']['settle']>[0] {
  const ranges = [{ partition, offset, count: 1, token }];
  return [{ topic: 'tq', subscription: 'tq', action: 'ack', ranges }];
}

/** Acks a message that was taken, perhaps one that a transaction was to ack. */
class Ack extends Checked {
  readonly #choice: number;

  constructor(choice: number) {
    super();
    this.#choice = choice;
  }

  async act(model: Model, system: System): Promise<void> {
    const enlisted = [...model.producers.values()].flatMap(({ open }) => open?.acks ?? []);
    const all = [...model.hands, ...enlisted].filter(({ text }) => !model.acked.has(text));
    const hand = all[this.#choice % Math.max(all.length, 1)];
    if (hand === undefined) return;
    await system.session.settle(ack(hand));
    model.acked.add(hand.text);
    model.hands = model.hands.filter((one) => one !== hand);
  }

  override toString(): string {
    return 'ack';
  }
}

/** The commit will ack one that was taken, and set the cursor. */
class Enlist extends OfProducer {
  async act(model: Model, system: System): Promise<void> {
    const { ref, open } = this.producer(model);
    const offset = ++model.count;
    const hand = open === null ? undefined : model.hands.shift();
    const added = system.session.request('addToTransaction', {
      ...ref,
      cursors: [{ cursor: 'c', topic: 'log', partition: 0, offset }],
      settlements: hand === undefined ? [] : ack(hand),
    });
    if (open === null) {
      await assert.rejects(added, { code: 'NO_TRANSACTION' });
      return;
    }
    await added;
    open.cursor = offset;
    if (hand !== undefined) open.acks.push(hand);
  }

  override toString(): string {
    return `enlist for ${this.name}`;
  }
}

class End extends OfProducer {
  readonly #outcome: 'committed' | 'aborted';

  constructor(name: string, outcome: 'committed' | 'aborted') {
    super(name);
    this.#outcome = outcome;
  }

  async act(model: Model, system: System): Promise<void> {
    const producer = this.producer(model);
    const { ref, open, last } = producer;
    const ended = system.session.request('endTransaction', { ...ref, outcome: this.#outcome });
    if (open === null) {
      if (last?.outcome === this.#outcome) assert.deepEqual(await ended, last);
      else await assert.rejects(ended, { code: 'NO_TRANSACTION' });
    } else if (this.#outcome === 'committed' && !model.holds(open)) {
      await assert.rejects(ended, { code: 'LEASE_LOST' });
    } else {
      producer.last = await ended;
      model.end(producer, this.#outcome);
    }
  }

  override toString(): string {
    return `${this.name} is ${this.#outcome}`;
  }
}

/** Somebody who was fenced tries it all. */
class Zombie extends Checked {
  readonly #choice: number;

  constructor(choice: number) {
    super();
    this.#choice = choice;
  }

  async act(model: Model, system: System): Promise<void> {
    const ref = model.stale[this.#choice % Math.max(model.stale.length, 1)];
    if (ref === undefined) return;
    const { session } = system;
    await assert.rejects(session.publish({ ...publishOf('tq', [{ text: 'zombie' }]), transaction: ref }), FENCED);
    await assert.rejects(session.request('beginTransaction', ref), FENCED);
    await assert.rejects(session.request('addToTransaction', ref), FENCED);
    await assert.rejects(session.request('endTransaction', { ...ref, outcome: 'committed' }), FENCED);
  }

  override toString(): string {
    return 'zombie';
  }
}

const FENCED = { code: 'FENCED' };

/** The subscription of the topic looks at everything once more. */
class Rewind extends Checked {
  async act(_model: Model, system: System): Promise<void> {
    await system.session.request('seek', { topic: 'log', subscription: 'reader', to: 'start' });
    for (let turn = 0; turn < 10; turn++) {
      await system.broker.settled();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  override toString(): string {
    return 'rewind';
  }
}

const names = fc.constantFrom('one', 'two', 'three');
const logs = fc.nat(PARTITIONS);
const outcomes = fc.constantFrom('committed' as const, 'committed' as const, 'aborted' as const);
const restarts = fc.constantFrom('close' as const, 'kill' as const, 'cut' as const, 'checkpoint' as const);

const commands = [
  names.map((name) => new Claim(name)),
  fc.tuple(names, fc.constantFrom(3000, 60_000)).map(([name, ms]) => new Begin(name, ms)),
  fc.tuple(names, fc.constantFrom(60_000)).map(([name, ms]) => new Begin(name, ms)),
  fc.tuple(names, logs, fc.integer({ min: 1, max: 3 })).map(([name, log, n]) => new Publish(name, log, n)),
  fc.tuple(names, logs, fc.integer({ min: 1, max: 3 })).map(([name, log, n]) => new Publish(name, log, n)),
  logs.map((log) => new PublishFreely(log)),
  fc.tuple(names, outcomes).map(([name, outcome]) => new End(name, outcome)),
  fc.tuple(names, outcomes).map(([name, outcome]) => new End(name, outcome)),
  fc.constant(new Take()),
  fc.nat(20).map((choice) => new Ack(choice)),
  names.map((name) => new Enlist(name)),
  fc.nat(20).map((choice) => new Zombie(choice)),
  fc.constant(new Rewind()),
  fc.constantFrom(1000, 4000, 61_000).map((ms) => new Advance(ms)),
  restarts.map((how) => new Restart(how)),
];

/** Runs `sequences` random sequences of commands on the broker and on the model. Throws the smallest one that differs. */
export async function runOpenTransactions(sequences: number, seed: number): Promise<number> {
  let ran = 0;
  await fc.assert(
    fc.asyncProperty(fc.commands(commands, { maxCommands: 60, size: '+1' }), async (sequence) => {
      const system = await System.open();
      const { session } = system;
      const retain = { untilSettled: false, ageMs: null, bytes: null, compact: false };
      await session.request('declareTopic', { name: 'log', kind: 'topic', policy: { partitions: PARTITIONS, retain } });
      await session.request('declareSubscription', { topic: 'log', subscription: 'reader' });
      await session.request('declareTopic', { name: 'tq', kind: 'queue', subscription: { leaseMs: DAY_MS / 2 } });
      // Owned from the start: most sequences would not come to it.
      const model = new Model(system.clock.now());
      for (const producer of ['one', 'two', 'three']) {
        const ref = await session.request('claimProducer', { producer });
        model.producers.set(producer, { ref, owned: true, open: null, last: null });
      }
      await fc.asyncModelRun(() => ({ model, real: system }), sequence);
      ran++;
    }),
    { numRuns: sequences, seed },
  );
  return ran;
}
