import { RailheadError } from '../core/errors.ts';
import type { SettleAction, Settlement } from '../core/session.ts';
import type { Client } from './client.ts';
import type { SendOptions } from './envelope.ts';
import { sendFailure } from './failure.ts';
import { ACK } from './lease.ts';
import type { Lease } from './lease.ts';
import { Message } from './message.ts';
import { Outbox } from './outbox.ts';
import type { Host, QueueLike, TopicLike } from './host.ts';
import { rangeOf } from './settler.ts';

/** Collects what is to happen as one entry: all of it or nothing. */
export class Transaction {
  readonly #host: Host;
  readonly #outbox = new Outbox();
  readonly #settled = new Map<Lease, SettleAction>();
  #over = false;

  /** Made by `rail.transaction`. */
  constructor(host: Host) {
    this.#host = host;
  }

  /** Acknowledges a message that this client holds. @throws LEASE_LOST, INVALID when it was settled before. */
  ack(message: Message<unknown>): void {
    this.#settle(message, ACK);
  }

  /** To the dead-letter queue, with a reason. @throws LEASE_LOST, INVALID when it was settled before. */
  reject(message: Message<unknown>, reason: string): void {
    this.#settle(message, { action: 'reject', reason });
  }

  /** @throws INVALID, SCHEMA. */
  send<In>(queue: QueueLike<In>, body: NoInfer<In>, options?: SendOptions): void {
    this.#assertOpen();
    this.#outbox.add(this.#host.queueTarget(queue), body, options);
  }

  /** @throws INVALID, SCHEMA. */
  publish<In>(topic: TopicLike<In>, body: NoInfer<In>, options?: SendOptions): void {
    this.#assertOpen();
    this.#outbox.add(this.#host.topicTarget(topic), body, options);
  }

  #settle(message: Message<unknown>, action: SettleAction): void {
    this.#assertOpen();
    const lease = Message.leaseOf(message);
    const problem = lease.problem();
    if (problem !== undefined) throw problem;
    if (this.#settled.has(lease))
      throw new RailheadError('INVALID', 'The message was settled before in this transaction.');
    this.#settled.set(lease, action);
  }

  #assertOpen(): void {
    if (this.#over)
      throw new RailheadError('INVALID', 'The transaction is over. Await what it does inside its function.');
  }

  /** @internal Nothing can be added any more. */
  static end(transaction: Transaction): void {
    transaction.#over = true;
  }

  /** @internal Stores all of it. The messages can be settled again when that fails. */
  static async commit(transaction: Transaction, client: Client): Promise<void> {
    const publishes = await transaction.#outbox.take();
    const settlements: Settlement[] = [];
    for (const [lease, action] of transaction.#settled) {
      const problem = lease.problem();
      if (problem !== undefined) throw problem;
      settlements.push({ ...lease.settler.ref, ranges: [rangeOf(lease)], ...action });
    }
    if (publishes.length === 0 && settlements.length === 0) return;
    client.assertOpen();
    const session = await client.session();
    for (const lease of transaction.#settled.keys()) lease.state = 'settled';
    client.keepAlive.hold();
    try {
      await session.commit({ publishes, settlements, cursors: [] });
    } catch (error) {
      for (const lease of transaction.#settled.keys()) lease.state = 'held';
      throw sendFailure(error, true);
    } finally {
      client.keepAlive.drop();
    }
  }
}
