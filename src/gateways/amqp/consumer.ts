import type { Consumer, DeliveryRun, DeliverySink } from '../../core/session.ts';
import type { CreditWindow } from '../credit-window.ts';
import type { Table } from './fields.ts';
import type { Queue } from './vhost.ts';

/** To whom deliveries of a channel were made, so that settling them reaches the right queue. */
export interface Holder {
  readonly queue: Queue;
  /** Undefined for `basic.get`. */
  readonly consumer: AmqpConsumer | undefined;
}

/** What a consumer asks of its channel. */
export interface ConsumerOwner {
  deliver(consumer: AmqpConsumer, runs: readonly DeliveryRun[]): void;
  /** What was on its way when it ended: the client never sees it. */
  late(consumer: AmqpConsumer, runs: readonly DeliveryRun[]): void;
  /** The engine ended it: its queue was deleted. */
  ended(consumer: AmqpConsumer): void;
  /** It did not settle in time. */
  timedOut(consumer: AmqpConsumer): void;
}

/** A consumer of a channel. Its credit is its prefetch less what it has not settled; without a prefetch, all there is. */
export class AmqpConsumer implements DeliverySink, Holder {
  readonly tag: string;
  /** The tag as a short string. */
  readonly tagBytes: Buffer;
  readonly queue: Queue;
  readonly consumer = this;
  readonly noAck: boolean;
  readonly exclusive: boolean;
  /** As the client gave them, to be shown. */
  readonly arguments: Table;
  readonly window: CreditWindow;
  /** 0: no limit. `shared`: that of the channel, with its other consumers. */
  readonly prefetch: number | 'shared';
  /** How long it may keep a delivery. */
  readonly timeoutMs: number;
  /** Place in the channel's list of holders. */
  readonly holder: number;
  /** Credit that settled deliveries gave back and that was not passed on yet. */
  returned = 0;
  /** Deliveries that are not settled. */
  unsettled = 0;
  readonly #owner: ConsumerOwner;
  #consumer: Consumer | undefined;
  #over = false;

  constructor(init: {
    tag: string;
    queue: Queue;
    noAck: boolean;
    exclusive: boolean;
    arguments: Table;
    window: CreditWindow;
    prefetch: number | 'shared';
    timeoutMs: number;
    holder: number;
    owner: ConsumerOwner;
  }) {
    this.tag = init.tag;
    const tag = Buffer.from(init.tag);
    this.tagBytes = Buffer.concat([Buffer.from([tag.byteLength]), tag]);
    this.queue = init.queue;
    this.noAck = init.noAck;
    this.exclusive = init.exclusive;
    this.arguments = init.arguments;
    this.window = init.window;
    this.prefetch = init.prefetch;
    this.timeoutMs = init.timeoutMs;
    this.holder = init.holder;
    this.#owner = init.owner;
  }

  get over(): boolean {
    return this.#over;
  }

  /** The client knows of it: from now on messages may come, while its channel is not in the middle of a large one. */
  start(consumer: Consumer, busy: () => boolean): void {
    this.#consumer = consumer;
    if (this.prefetch !== 'shared')
      this.window.credit(this.noAck || this.prefetch === 0 ? Number.MAX_SAFE_INTEGER : this.prefetch);
    this.window.join(consumer, busy);
  }

  /** Passes on what settling gave back. */
  passCredit(): void {
    const returned = this.returned;
    this.returned = 0;
    if (this.prefetch !== 0 && this.prefetch !== 'shared' && !this.#over) this.window.credit(returned);
  }

  /** No more messages. What it holds may still be settled. */
  async close(): Promise<void> {
    this.#over = true;
    this.window.leave(this.#consumer);
    await this.#consumer?.close({ release: false });
  }

  deliver(runs: DeliveryRun[]): void {
    if (this.#over) {
      this.#owner.late(this, runs);
      return;
    }
    let messages = 0;
    let bytes = 0;
    for (const run of runs) {
      messages += run.count;
      bytes += run.records.byteLength + (run.bodyBytes ?? 0);
    }
    this.window.delivered(messages, bytes);
    this.#owner.deliver(this, runs);
    this.window.written(this.#consumer);
  }

  thirsty(): boolean {
    return this.window.thirsty;
  }

  ended(): void {
    if (this.#over) return;
    this.#over = true;
    this.window.leave(this.#consumer);
    this.#owner.ended(this);
  }

  lost(): void {
    if (!this.#over) this.#owner.timedOut(this);
  }
}
