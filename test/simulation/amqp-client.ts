import type { ManualClock } from '../../src/core/clock.ts';
import type { SeededRandom } from '../../src/core/random.ts';
import { numberField, type Table, textField } from '../../src/gateways/amqp/fields.ts';
import type { AnyMethod } from '../../src/gateways/amqp/methods.ts';
import type { AmqpGateway } from '../../src/gateways/amqp/server.ts';
import { attach } from '../amqp/in-process.ts';
import { type AmqpLedger, type Copy, GRAVES } from './amqp-ledger.ts';
import { AmqpPeer } from './amqp-peer.ts';

export interface Facts {
  ledger: AmqpLedger;
  fail(problem: string): void;
  /** A fault of the disk has stopped the broker: whatever it says now is no promise that is broken. */
  stopped(): boolean;
  /** For the trace of the run. */
  note(what: string): void;
}

/** One classic queue with dead letters, one quorum queue, and the place of the dead. */
const DECLARED: Readonly<Record<string, Table>> = {
  orders: new Map([
    ['x-dead-letter-exchange', textField('')],
    ['x-dead-letter-routing-key', textField(GRAVES)],
  ]),
  mails: new Map([
    ['x-queue-type', textField('quorum')],
    ['x-delivery-limit', numberField(-1)],
  ]),
  [GRAVES]: new Map(),
};
export const QUEUES = Object.keys(DECLARED);
const BOUND = ['orders', 'mails'];
const TARGETS: readonly { exchange: string; key: string; queues: readonly string[] }[] = [
  { exchange: '', key: 'orders', queues: ['orders'] },
  { exchange: '', key: 'mails', queues: ['mails'] },
  { exchange: 'all', key: 'any', queues: BOUND },
];

const CONFIRMS = 1;
const TRANSACTIONS = 2;
const CONSUMING = 3;
const CHANNELS = 3;
const MOST_CONSUMERS = 3;
/** Over the limit of the world from which on bodies are stored by themselves. */
const LARGE_BYTES = 700;
const MOST_IN_TRANSACTION = 2;
const DRAIN_PREFETCH = 20;

interface Held {
  copy: Copy;
  place: string;
}

/** A connection with a channel for confirms, one for transactions and one that consumes; the seed says what it does. */
export class AmqpClient {
  readonly #name: string;
  readonly #facts: Facts;
  readonly #peer: AmqpPeer;
  /** By the tag of their confirm. */
  readonly #unconfirmed = new Map<number, Copy[]>();
  #published = 0;
  #transaction: Copy[] = [];
  readonly #commits: Copy[][] = [];
  readonly #held = new Map<number, Held>();
  /** By consumer tag: the highest that was new, of each publisher. */
  readonly #consumers = new Map<string, Map<string, number>>();
  #consumed = 0;
  readonly #gets: string[] = [];
  #acked: Copy[] = [];
  #rejected: Copy[] = [];
  #draining = false;
  #bound = 0;
  readonly #counted = new Map<string, number>();

  constructor(gateway: AmqpGateway, clock: ManualClock, name: string, facts: Facts) {
    this.#name = name;
    this.#facts = facts;
    this.#peer = new AmqpPeer(attach(gateway, clock), CHANNELS, (channel, method, body) =>
      this.#heard(channel, method, body),
    );
    this.#peer.say(CONFIRMS, 'confirmSelect', { noWait: false });
    this.#peer.say(TRANSACTIONS, 'txSelect', {});
    this.#declare();
  }

  /** The connection is lost. */
  cut(): void {
    this.#peer.cut();
  }

  act(random: SeededRandom): void {
    // Channels do not wait for each other: before that it cannot know that there is anything to publish to.
    if (this.#bound < BOUND.length) return;
    const roll = random.next();
    if (roll < 0.3) this.#publish(random);
    else if (roll < 0.4) this.#publishInTransaction(random);
    else if (roll < 0.46) this.#endTransaction(random);
    else if (roll < 0.54) this.#consume(random.pick(QUEUES), 1 + random.below(8));
    else if (roll < 0.57) this.#cancel(random);
    else if (roll < 0.64) this.#get(random.pick(QUEUES));
    else this.#settle(random);
  }

  /** Nothing of what was said is on its way any more: what it asked for is done for good. */
  rested(): void {
    if (!this.#facts.ledger.ordered) for (const highest of this.#consumers.values()) highest.clear();
    for (const copy of this.#acked) copy.gone = copy.acked;
    for (const copy of this.#rejected) copy.buried = true;
    this.#acked = [];
    this.#rejected = [];
    if (this.#unconfirmed.size > 0)
      this.#facts.fail(`${this.#name}: ${this.#unconfirmed.size} publishes have no confirm`);
    if (this.#gets.length > 0) this.#facts.fail(`${this.#name}: ${this.#gets.length} gets have no answer`);
    if (this.#commits.length > 0) this.#facts.fail(`${this.#name}: ${this.#commits.length} commits have no answer`);
  }

  /** Takes and acks all that comes from now on. */
  drain(): void {
    this.#draining = true;
    for (const queue of QUEUES) this.#consume(queue, DRAIN_PREFETCH);
    this.count();
  }

  /** Asks how much waits. */
  count(): void {
    for (const queue of QUEUES) this.#declareQueue(queue, true);
  }

  /** As it was when it was counted. */
  get waiting(): number {
    return [...this.#counted.values()].reduce((sum, count) => sum + count, 0);
  }

  // ---- What it does ---------------------------------------------------------------------------------------------------

  #declare(): void {
    for (const queue of QUEUES) this.#declareQueue(queue, false);
    const flags = { passive: false, durable: true, autoDelete: false, internal: false, noWait: false };
    this.#peer.say(CONFIRMS, 'exchangeDeclare', {
      reserved1: 0,
      exchange: 'all',
      type: 'fanout',
      ...flags,
      arguments: new Map(),
    });
    for (const queue of BOUND) {
      const binding = { reserved1: 0, queue, exchange: 'all', routingKey: '', noWait: false, arguments: new Map() };
      this.#peer.say(CONFIRMS, 'queueBind', binding);
    }
  }

  #declareQueue(queue: string, passive: boolean): void {
    const flags = { passive, durable: true, exclusive: false, autoDelete: false, noWait: false };
    const table = DECLARED[queue] ?? new Map();
    this.#peer.say(CONFIRMS, 'queueDeclare', { reserved1: 0, queue, ...flags, arguments: table });
  }

  #publish(random: SeededRandom): void {
    for (let n = random.chance(0.2) ? 1 + random.below(10) : 1; n > 0; n--)
      this.#unconfirmed.set(++this.#published, this.#send(random, CONFIRMS));
  }

  #publishInTransaction(random: SeededRandom): void {
    // The world's limits are tiny: a larger transaction is refused.
    if (this.#transaction.length > MOST_IN_TRANSACTION) this.#endTransaction(random);
    else for (let n = 1 + random.below(3); n > 0; n--) this.#send(random, TRANSACTIONS, this.#transaction);
  }

  #send(random: SeededRandom, channel: number, transaction?: Copy[]): Copy[] {
    const { exchange, key, queues } = random.pick(TARGETS);
    const { n, copies } = this.#facts.ledger.publish(`${this.#name}/${channel}`, queues, transaction);
    const body = String(n).padEnd(
      channel === CONFIRMS && random.chance(0.05) ? LARGE_BYTES : random.below(channel === CONFIRMS ? 120 : 40),
    );
    this.#peer.publish(channel, exchange, key, Buffer.from(body));
    return copies;
  }

  #endTransaction(random: SeededRandom): void {
    const copies = this.#transaction;
    this.#transaction = [];
    if (random.chance(0.7)) {
      this.#commits.push(copies);
      this.#peer.say(TRANSACTIONS, 'txCommit', {});
    } else {
      this.#facts.ledger.withdraw(copies);
      this.#peer.say(TRANSACTIONS, 'txRollback', {});
    }
  }

  #consume(queue: string, prefetchCount: number): void {
    if (this.#consumers.size >= MOST_CONSUMERS) return;
    const consumerTag = `${queue}.${++this.#consumed}`;
    this.#consumers.set(consumerTag, new Map());
    const flags = { noLocal: false, noAck: false, exclusive: false, noWait: false };
    this.#peer.say(CONSUMING, 'basicQos', { prefetchSize: 0, prefetchCount, global: false });
    this.#peer.say(CONSUMING, 'basicConsume', { reserved1: 0, queue, consumerTag, ...flags, arguments: new Map() });
  }

  #cancel(random: SeededRandom): void {
    if (this.#consumers.size === 0) return;
    const consumerTag = random.pick([...this.#consumers.keys()]);
    this.#facts.ledger.ordered = false;
    this.#peer.say(CONSUMING, 'basicCancel', { consumerTag, noWait: false });
  }

  #get(queue: string): void {
    this.#gets.push(queue);
    this.#peer.say(CONSUMING, 'basicGet', { reserved1: 0, queue, noAck: false });
  }

  #settle(random: SeededRandom): void {
    if (this.#held.size === 0) return;
    const deliveryTag = random.pick([...this.#held.keys()]);
    const roll = random.next();
    const multiple = roll < 0.3;
    if (roll < 0.75) {
      for (const { copy } of this.#take(deliveryTag, multiple)) this.#done(copy);
      this.#peer.say(CONSUMING, 'basicAck', { deliveryTag, multiple });
      return;
    }
    const requeue = roll < 0.9;
    for (const { copy, place } of this.#take(deliveryTag, false)) {
      if (requeue) continue;
      if (place !== 'orders') this.#done(copy);
      else {
        copy.rejected = true;
        this.#rejected.push(copy);
      }
    }
    this.#peer.say(CONSUMING, 'basicReject', { deliveryTag, requeue });
  }

  #take(tag: number, multiple: boolean): Held[] {
    const tags = multiple ? [...this.#held.keys()].filter((each) => each <= tag) : [tag];
    const held = tags.map((each) => this.#held.get(each)).filter((each) => each !== undefined);
    for (const each of tags) this.#held.delete(each);
    return held;
  }

  #done(copy: Copy): void {
    copy.acked = true;
    this.#acked.push(copy);
  }

  // ---- What it hears --------------------------------------------------------------------------------------------------

  #heard(channel: number, { name, args }: AnyMethod, body: Buffer): void {
    this.#facts.note(`${this.#name}/${channel} ${name}`);
    switch (name) {
      case 'basicAck':
        for (const [tag, copies] of this.#unconfirmed) {
          if (args.multiple ? tag > args.deliveryTag : tag !== args.deliveryTag) continue;
          this.#unconfirmed.delete(tag);
          this.#facts.ledger.confirm(copies);
        }
        return;
      case 'txCommitOk':
        this.#facts.ledger.confirm(this.#commits.shift() ?? []);
        return;
      case 'basicDeliver':
        this.#deliver(args, body);
        return;
      case 'basicGetOk':
        this.#keep(this.#gets.shift() ?? '', args, body);
        return;
      case 'basicGetEmpty':
        this.#gets.shift();
        return;
      case 'basicCancelOk':
        this.#consumers.delete(args.consumerTag);
        return;
      case 'queueDeclareOk':
        this.#counted.set(args.queue, args.messageCount);
        return;
      case 'queueBindOk':
        this.#bound++;
        return;
      case 'basicNack':
      case 'basicCancel':
      case 'channelClose':
      case 'connectionClose':
        if (this.#facts.stopped()) return;
        this.#facts.fail(`${this.#name}: the broker says ${name} ${JSON.stringify(args)}`);
        return;
      default:
    }
  }

  #deliver(args: { consumerTag: string; deliveryTag: number; redelivered: boolean }, body: Buffer): void {
    const place = args.consumerTag.slice(0, args.consumerTag.indexOf('.'));
    const copy = this.#keep(place, args, body);
    const highest = this.#consumers.get(args.consumerTag);
    // What is delivered again comes at its old place, and dead letters in the order of their rejects.
    if (copy === undefined || highest === undefined || args.redelivered || place === GRAVES) return;
    const before = highest.get(copy.publisher) ?? 0;
    if (this.#facts.ledger.ordered && copy.n < before)
      this.#facts.fail(`message ${copy.n} of ${copy.publisher} comes after ${before} from ${place}`);
    highest.set(copy.publisher, copy.n);
  }

  #keep(place: string, args: { deliveryTag: number; redelivered: boolean }, body: Buffer): Copy | undefined {
    const { deliveryTag, redelivered } = args;
    const n = Number.parseInt(body.toString(), 10);
    this.#facts.note(`${place} ${n}`);
    const copy = this.#facts.ledger.deliver(place, n, redelivered);
    if (copy === undefined) return undefined;
    this.#held.set(deliveryTag, { copy, place });
    if (this.#draining) {
      for (const each of this.#take(deliveryTag, false)) this.#done(each.copy);
      this.#peer.say(CONSUMING, 'basicAck', { deliveryTag, multiple: false });
    }
    return copy;
  }
}
