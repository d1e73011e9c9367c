import assert from 'node:assert/strict';
import fc from 'fast-check';
import { RailheadError } from '../../src/core/errors.ts';
import { asBuffer } from '../../src/core/records.ts';
import type { Settlement } from '../../src/core/session.ts';
import type { Model, ModelMessage } from './model.ts';
import { steps } from './steps.ts';
import { publishOf, receiversOf, SUBSCRIPTIONS, type System } from './system.ts';

/** After every command the counts of all queues and the contents of their dead-letter queues are the model's. */
const { Checked, Advance, Restart } = steps(async (model: Model, system: System, after: string) => {
  for (const [name, queue] of model.queues)
    assert.deepEqual(await system.counts(name), queue.counts, `${name} after ${after}`);
});

/** In order, what waits for a time of its own is passed by the others or not, by how it came to wait. */
const ORDERED: ReadonlySet<string> = new Set(['keyed', 'strict']);

interface Sent {
  key: string | undefined;
  priority: number;
  delayMs: number;
}

function accept(
  model: Model,
  topic: string,
  sent: readonly Sent[],
  dedupe: boolean,
): { text: string; key?: string; priority?: number; delayMs?: number; dedupeId?: string }[] {
  return sent.map(({ key, priority, delayMs }) => {
    const text = `m${++model.texts}`;
    const own = { key, priority: topic === 'ranked' ? priority : 0, delayMs: ORDERED.has(topic) ? 0 : delayMs };
    const message = { text, ...own, due: model.now + own.delayMs };
    if (topic === 'events') model.log.push({ ...message, publishedAt: model.now });
    for (const name of receiversOf(topic, key)) model.queue(name).publish(message, model.now);
    return {
      text,
      ...(key !== undefined && { key }),
      ...(own.priority > 0 && { priority: own.priority }),
      ...(own.delayMs > 0 && { delayMs: own.delayMs }),
      ...(dedupe && { dedupeId: text }),
    };
  });
}

class Send extends Checked {
  readonly #topic: string;
  readonly #sent: readonly Sent[];
  readonly #twice: boolean;

  constructor(topic: string, sent: readonly Sent[], twice: boolean) {
    super();
    this.#topic = topic;
    this.#sent = sent;
    this.#twice = twice;
  }

  async act(model: Model, system: System): Promise<void> {
    const request = publishOf(this.#topic, accept(model, this.#topic, this.#sent, this.#twice));
    const first = await system.session.publish(request);
    if (!this.#twice) return;
    const again = await system.session.publish(request);
    assert.ok(again.runs.every(({ duplicate }) => duplicate === true));
    assert.equal(again.runs[0]?.offset, first.runs[0]?.offset);
  }

  override toString(): string {
    return `send ${this.#sent.length} to ${this.#topic}${this.#twice ? ' twice' : ''}`;
  }
}

class Receive extends Checked {
  readonly #name: string;
  readonly #count: number;

  constructor(name: string, count: number) {
    super();
    this.#name = name;
    this.#count = count;
  }

  async act(model: Model, system: System): Promise<void> {
    const delivery = ++model.deliveries;
    const queue = model.queue(this.#name);
    const fair = queue.rules.order === 'fair';
    const expected = fair ? [] : queue.receive(this.#count, model.now, delivery);
    const got = await system.receive(this.#name, this.#count);
    const seen = got.map(({ text, attempt, firstAt }) => ({ text, attempt, firstAt }));
    if (fair) assert.equal(queue.receiveFairly(seen, this.#count, model.now, delivery), undefined, this.toString());
    else assert.deepEqual(seen, expected, this.toString());
    for (const one of got) {
      model.hands.push({ queue: this.#name, text: one.text, delivery });
      system.hands.set(`${delivery} ${one.text}`, one);
    }
  }

  override toString(): string {
    return `receive ${this.#count} of ${this.#name}`;
  }
}

type Action = 'ack' | 'release' | 'return' | 'giveBack' | 'reject' | 'extend';

/** Settles a delivery that a client has in hand, whether its lease still holds or not. */
class Settle extends Checked {
  readonly #action: Action;
  readonly #choice: number;

  constructor(action: Action, choice: number) {
    super();
    this.#action = action;
    this.#choice = choice;
  }

  override check(model: Readonly<Model>): boolean {
    return model.hands.length > 0;
  }

  async act(model: Model, system: System): Promise<void> {
    const [hand] = model.hands.splice(this.#choice % model.hands.length, 1);
    const own = hand === undefined ? undefined : system.hands.get(`${hand.delivery} ${hand.text}`);
    assert.ok(hand !== undefined && own !== undefined);
    const queue = model.queue(hand.queue);
    const message = queue.leased(hand.text, hand.delivery);
    const { partition, offset, token } = own;
    const { lost } = await system.session.settle([
      settlement(hand.queue, this.#action, { partition, offset, count: 1, token }),
    ]);
    assert.equal(lost.length, message === undefined ? 1 : 0, `${this.toString()} of ${hand.text}`);
    if (message === undefined) return;
    if (this.#action === 'ack') queue.remove(message);
    else if (this.#action === 'release') queue.fail(message, model.now);
    else if (this.#action === 'return') {
      message.returns++;
      message.state = { is: 'ready' };
    } else if (this.#action === 'giveBack') message.state = { is: 'ready' };
    else if (this.#action === 'reject') queue.bury(message);
    else {
      message.state = { is: 'leased', deadline: model.now + 8000, delivery: hand.delivery };
      model.hands.push(hand);
    }
  }

  override toString(): string {
    return this.#action;
  }
}

function settlement(
  name: string,
  action: Action,
  range: { partition: number; offset: number; count: number; token: number },
): Settlement {
  const ref = { topic: SUBSCRIPTIONS.get(name)?.topic ?? name, subscription: name, ranges: [range] };
  if (action === 'release') return { ...ref, action, countAttempt: true };
  if (action === 'return') return { ...ref, action, delayMs: 0 };
  if (action === 'giveBack') return { ...ref, action: 'release', countAttempt: false };
  if (action === 'reject') return { ...ref, action, reason: 'no' };
  return action === 'extend' ? { ...ref, action, leaseMs: 8000 } : { ...ref, action };
}

/** Acks some, sends some, moves a cursor: all of it, or nothing when a lease is over. */
class Transact extends Checked {
  readonly #acks: number;
  readonly #topic: string;
  readonly #sent: readonly Sent[];

  constructor(acks: number, topic: string, sent: readonly Sent[]) {
    super();
    this.#acks = acks;
    this.#topic = topic;
    this.#sent = sent;
  }

  async act(model: Model, system: System): Promise<void> {
    const hands = model.hands.splice(0, this.#acks);
    const messages = hands.map(({ queue, text, delivery }) => model.queue(queue).leased(text, delivery));
    const holds = messages.every((message) => message !== undefined);
    const settlements = hands.map((hand) => {
      const own = system.hands.get(`${hand.delivery} ${hand.text}`);
      assert.ok(own !== undefined);
      return settlement(hand.queue, 'ack', {
        partition: own.partition,
        offset: own.offset,
        count: 1,
        token: own.token,
      });
    });
    const offset = ++model.texts;
    const drafts = holds ? accept(model, this.#topic, this.#sent, false) : this.#sent.map(() => ({ text: 'never' }));
    const done = system.session.commit({
      settlements,
      publishes: [publishOf(this.#topic, drafts)],
      cursors: [{ cursor: 'c', topic: 'events', partition: 0, offset }],
    });
    if (holds) {
      await done;
      model.cursors.set('c', offset);
      messages.forEach((message: ModelMessage | undefined, i) => {
        if (message !== undefined) model.queue(hands[i]?.queue ?? '').remove(message);
      });
    } else await assert.rejects(done, (error) => RailheadError.is(error, 'LEASE_LOST'));
    const { partitions } = await system.session.request('fetchCursors', { cursor: 'c', topic: 'events' });
    assert.equal(partitions[0]?.offset, model.cursors.get('c'));
  }

  override toString(): string {
    return `transaction of ${this.#acks} acks and ${this.#sent.length} to ${this.#topic}`;
  }
}

class Purge extends Checked {
  readonly #name: string;

  constructor(name: string) {
    super();
    this.#name = name;
  }

  async act(model: Model, system: System): Promise<void> {
    const queue = model.queue(this.#name);
    const topic = SUBSCRIPTIONS.get(this.#name)?.topic ?? this.#name;
    const before = queue.messages.length;
    queue.messages = queue.messages.filter(({ state }) => state.is === 'leased');
    const { purged } = await system.session.request('purge', { topic, subscription: this.#name });
    assert.equal(purged, before - queue.messages.length);
  }

  override toString(): string {
    return `purge ${this.#name}`;
  }
}

/** Puts a subscription of the topic back, or ahead. */
class Seek extends Checked {
  readonly #name: string;
  readonly #to: 'start' | 'end' | 'offset' | 'time';
  readonly #choice: number;

  constructor(name: string, to: 'start' | 'end' | 'offset' | 'time', choice: number) {
    super();
    this.#name = name;
    this.#to = to;
    this.#choice = choice;
  }

  async act(model: Model, system: System): Promise<void> {
    const { log, now } = model;
    const offset = this.#choice % (log.length + 2);
    const time = log[offset]?.publishedAt ?? now + 1;
    const firstAt = log.findIndex(({ publishedAt }) => publishedAt >= time);
    const from = { start: 0, end: log.length, offset, time: firstAt === -1 ? log.length : firstAt }[this.#to];
    const to = { start: 'start', end: 'end', offset: { offset }, time: { time } } as const;
    const messages = log.slice(from).filter(({ key }) => receiversOf('events', key).includes(this.#name));
    model.queue(this.#name).seek(messages, now);
    await system.session.request('seek', { topic: 'events', subscription: this.#name, to: to[this.#to] });
    await system.filled('events');
  }

  override toString(): string {
    return `seek ${this.#name} to ${this.#to} ${this.#choice}`;
  }
}

class Redrive extends Checked {
  readonly #name: string;

  constructor(name: string) {
    super();
    this.#name = name;
  }

  override check(model: Readonly<Model>): boolean {
    return model.queue(this.#name).dead.length > 0;
  }

  async act(model: Model, system: System): Promise<void> {
    const queue = model.queue(this.#name);
    const dead = queue.dead.splice(0);
    const { moved } = await system.session.request('redrive', {
      topic: `${this.#name}.dead`,
      subscription: `${this.#name}.dead`,
    });
    assert.equal(moved, dead.length);
    for (const message of dead) queue.publish({ ...message, due: 0 }, model.now);
  }

  override toString(): string {
    return `redrive ${this.#name}`;
  }
}

class Pause extends Checked {
  readonly #name: string;
  readonly #operation: 'pause' | 'resume';

  constructor(name: string, operation: 'pause' | 'resume') {
    super();
    this.#name = name;
    this.#operation = operation;
  }

  async act(model: Model, system: System): Promise<void> {
    model.queue(this.#name).paused = this.#operation === 'pause';
    const topic = SUBSCRIPTIONS.get(this.#name)?.topic ?? this.#name;
    await system.session.request(this.#operation, { topic, subscription: this.#name });
  }

  override toString(): string {
    return `${this.#operation} ${this.#name}`;
  }
}

/** Cancels one message that is not settled, or gives it another time; refused while somebody has it. */
class Change extends Checked {
  readonly #name: string;
  readonly #choice: number;
  /** Undefined: cancels. */
  readonly #delayMs: number | undefined;

  constructor(name: string, choice: number, delayMs: number | undefined) {
    super();
    this.#name = name;
    this.#choice = choice;
    this.#delayMs = ORDERED.has(name) ? undefined : delayMs;
  }

  override check(model: Readonly<Model>): boolean {
    return model.queue(this.#name).messages.length > 0;
  }

  async act(model: Model, system: System): Promise<void> {
    const queue = model.queue(this.#name);
    const message = queue.messages[this.#choice % queue.messages.length];
    assert.ok(message !== undefined);
    const ref = { topic: SUBSCRIPTIONS.get(this.#name)?.topic ?? this.#name, subscription: this.#name };
    const { messages } = await system.session.request('peek', { ...ref, limit: 1000 });
    const found = messages.find(({ envelope }) => asBuffer(envelope.body).toString() === message.text);
    assert.ok(found !== undefined, `${message.text} is there`);
    const done: Promise<unknown> =
      this.#delayMs === undefined
        ? system.session.request('cancel', { ...ref, id: found.id })
        : system.session.request('reschedule', { ...ref, id: found.id, delayMs: this.#delayMs });
    if (message.state.is === 'leased') {
      await assert.rejects(done, (error) => RailheadError.is(error, 'IN_USE'));
      return;
    }
    await done;
    if (this.#delayMs === undefined) queue.remove(message);
    else message.state = this.#delayMs > 0 ? { is: 'delayed', due: model.now + this.#delayMs } : { is: 'ready' };
  }

  override toString(): string {
    return this.#delayMs === undefined ? `cancel in ${this.#name}` : `reschedule in ${this.#name} by ${this.#delayMs}`;
  }
}

const topics = fc.constantFrom('plain', 'ranked', 'keyed', 'strict', 'fair', 'events');
const names = fc.constantFrom(...SUBSCRIPTIONS.keys());
const queues = fc.constantFrom('plain', 'ranked', 'keyed', 'strict', 'fair');
const sent = fc.array(
  fc.record({
    key: fc.constantFrom(undefined, 'a', 'b'),
    priority: fc.nat(2),
    delayMs: fc.constantFrom(0, 0, 0, 700, 3000),
  }),
  { minLength: 1, maxLength: 4 },
);

export const commands = [
  fc.tuple(topics, sent, fc.boolean()).map(([topic, some, twice]) => new Send(topic, some, twice)),
  fc.tuple(names, fc.integer({ min: 1, max: 5 })).map(([name, count]) => new Receive(name, count)),
  fc.tuple(names, fc.integer({ min: 1, max: 5 })).map(([name, count]) => new Receive(name, count)),
  fc
    .tuple(fc.constantFrom<Action>('ack', 'ack', 'release', 'return', 'giveBack', 'reject', 'extend'), fc.nat(20))
    .map(([action, choice]) => new Settle(action, choice)),
  fc.tuple(fc.constantFrom<Action>('ack', 'release'), fc.nat(20)).map(([action, choice]) => new Settle(action, choice)),
  fc.tuple(fc.nat(3), topics, sent).map(([acks, topic, some]) => new Transact(acks, topic, some)),
  fc.constantFrom(1, 500, 1000, 4999, 5000, 9000).map((ms) => new Advance(ms)),
  fc
    .constantFrom('close' as const, 'kill' as const, 'cut' as const, 'checkpoint' as const)
    .map((how) => new Restart(how)),
  names.map((name) => new Purge(name)),
  queues.map((name) => new Redrive(name)),
  fc
    .tuple(
      fc.constantFrom('all', 'some'),
      fc.constantFrom('start' as const, 'end' as const, 'offset' as const, 'time' as const),
      fc.nat(20),
    )
    .map(([name, to, choice]) => new Seek(name, to, choice)),
  fc
    .tuple(names, fc.constantFrom('pause' as const, 'resume' as const, 'resume' as const))
    .map(([name, operation]) => new Pause(name, operation)),
  fc
    .tuple(names, fc.nat(20), fc.constantFrom(undefined, 0, 800, 4000))
    .map(([name, choice, delayMs]) => new Change(name, choice, delayMs)),
];
