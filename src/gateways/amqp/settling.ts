import { RailheadError } from '../../core/errors.ts';
import type { LeaseRange, Session, SettleAction, Settlement } from '../../core/session.ts';
import type { AmqpConsumer, Holder } from './consumer.ts';
import { AmqpError } from './errors.ts';
import { refuseStream } from './topology.ts';
import { isQuorum } from './translate.ts';
import { type Delivery, Unacked } from './unacked.ts';
import type { Queue } from './vhost.ts';

/** `reject` and `nack` are those with requeue; `lost` is what a channel held that went. */
export type Action = 'ack' | 'reject' | 'nack' | 'lost' | 'discard';

/** Settlements of one queue that are alike. */
interface Gathering {
  readonly queue: Queue;
  readonly action: Action;
  readonly ranges: LeaseRange[];
}

interface SettlingContext {
  readonly session: Session;
  readonly namespace: string;
  /** Settlements gather: call `flush` before the turn ends. */
  settles(): void;
  /** A delivery to this consumer is settled. */
  settled(consumer: AmqpConsumer): void;
  /** An exception that no method of the client caused. */
  fail(error: unknown): void;
}

/** What a channel was given and has not settled; and its settlements on their way, those that are alike together. */
export class Settling {
  readonly #context: SettlingContext;
  readonly unacked = new Unacked();
  readonly #holders: (Holder | undefined)[] = [];
  readonly #taken: Delivery = { holder: 0, partition: 0, offset: 0, token: 0 };
  readonly #gathering: Gathering[] = [];

  constructor(context: SettlingContext) {
    this.#context = context;
  }

  /** A number for somebody to whom deliveries are made. */
  nextHolder(): number {
    const free = this.#holders.indexOf(undefined);
    return free >= 0 ? free : this.#holders.length;
  }

  setHolder(number: number, holder: Holder): void {
    this.#holders[number] = holder;
  }

  /** The number is free again. */
  forgetHolder(number: number): void {
    this.#holders[number] = undefined;
  }

  /** @throws PRECONDITION_FAILED for a tag that is not there. */
  settle(tag: number, upTo: 'one' | 'all', action: Action): void {
    const taken = this.#taken;
    if (upTo === 'one') {
      if (!this.unacked.take(tag, taken)) throw unknownTag(tag);
      this.#gather(action);
      return;
    }
    const last = tag === 0 ? Infinity : tag;
    if (tag !== 0 && !this.unacked.has(tag)) throw unknownTag(tag);
    while (this.unacked.takeOldest(last, taken)) this.#gather(action);
  }

  /** Everything goes back to its place, but for what a transaction has settled. */
  recover(settled: (tag: number) => boolean): void {
    const { firstTag, nextTag } = this.unacked;
    for (let tag = firstTag; tag < nextTag; tag++)
      if (!settled(tag) && this.unacked.take(tag, this.#taken)) this.#gather('nack');
  }

  #gather(action: Action): void {
    const holder = this.#holders[this.#taken.holder];
    if (holder === undefined) return;
    const { queue, consumer } = holder;
    if (queue.kind === 'stream') {
      // Nothing of a stream is taken, so that nothing can be given back; an ack is for the next message.
      if (action !== 'ack') refuseStream(queue, 'basic.nack and basic.reject', this.#context.namespace);
      this.#context.settles();
    } else this.#gatherFor(queue, action);
    if (consumer !== undefined) this.#context.settled(consumer);
  }

  /** The delivery that was taken. */
  #gatherFor(queue: Queue, action: Action): void {
    const { partition, offset, token } = this.#taken;
    let group = this.#gathering.at(-1);
    if (group === undefined || group.queue.name !== queue.name || group.action !== action) {
      group = { queue, action, ranges: [] };
      this.#gathering.push(group);
      if (this.#gathering.length === 1) this.#context.settles();
    }
    const last = group.ranges.at(-1);
    if (
      last !== undefined &&
      last.offset + last.count === offset &&
      last.token === token &&
      last.partition === partition
    )
      last.count++;
    else group.ranges.push({ partition, offset, count: 1, token });
  }

  /** What is not settled goes back to its place; of a stream nothing was taken. */
  async giveBackAll(): Promise<void> {
    while (this.unacked.takeOldest(Infinity, this.#taken))
      if (this.#holders[this.#taken.holder]?.queue.kind === 'queue') this.#gather('lost');
    await this.flush();
  }

  /** Hands them to the engine. */
  async flush(): Promise<void> {
    await Promise.all(this.take().map((settlement) => this.send(settlement)));
  }

  /** Errors are told to the channel. */
  async send(settlement: Settlement): Promise<void> {
    try {
      // AMQP has no answer to an ack: nobody waits for its sync.
      await this.#context.session.settle([settlement], 'written');
    } catch (error) {
      // A queue that was deleted took its messages along; a session that is closed gave them back.
      if (!RailheadError.is(error, 'NOT_FOUND') && !RailheadError.is(error, 'CLOSED')) this.#context.fail(error);
    }
  }

  /** What gathered, for a transaction. */
  take(): Settlement[] {
    return this.#gathering.splice(0).map(({ queue, action, ranges }) => {
      return { topic: queue.name, subscription: queue.name, ranges, ...settleAction(action, queue) };
    });
  }
}

export function unknownTag(tag: number): AmqpError {
  return new AmqpError('PRECONDITION_FAILED', `unknown delivery tag ${tag}`);
}

function settleAction(action: Action, queue: Queue): SettleAction {
  switch (action) {
    case 'ack':
      return { action: 'ack' };
    case 'reject':
    case 'nack':
    case 'lost': {
      const failed = action !== 'nack';
      const delay = queue.delays(failed ? 'failed' : 'returned') ? {} : { delayMs: 0 };
      // To a quorum queue a nack is no failure; where nobody says which is meant, both are.
      if (!failed && isQuorum(queue.declared)) return { action: 'return', ...delay };
      return { action: 'release', countAttempt: true, ...delay };
    }
    case 'discard':
      // Without a dead-letter exchange what is rejected is gone, as it is with RabbitMQ.
      return queue.buries ? { action: 'reject', reason: 'rejected by the consumer' } : { action: 'ack' };
  }
}
