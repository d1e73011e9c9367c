import { RailheadError } from '../../core/errors.ts';
import type { PublishReceipt, Session } from '../../core/session.ts';
import type { AmqpOutput } from './codec.ts';
import { Confirms, type Unconfirmed } from './confirms.ts';
import { FORMAT_AMQP, RecordView } from './content.ts';
import { METHODS } from './methods.ts';
import { type PublishedBatch, refusedTags } from './publishing.ts';
import type { Vhost } from './vhost.ts';

interface ConfirmingContext {
  readonly channel: number;
  readonly out: AmqpOutput;
  readonly session: Session;
  readonly vhost: Vhost;
  /** Bytes that wait for the engine; negative when they are done. */
  hold(bytes: number): void;
  /** Called with each batch that is published. */
  publishes(): void;
  /** Confirms gather: call `write` before the turn ends. */
  confirms(): void;
  fail(error: unknown, method: number): void;
  /** Nobody is told anything any more. */
  isOver(): boolean;
}

/** Hands what a channel publishes to the engine, and tells the client what became of it. */
export class Confirming {
  readonly #context: ConfirmingContext;
  /** Set in confirm mode. */
  #confirms: Confirms | undefined;

  constructor(context: ConfirmingContext) {
    this.#context = context;
  }

  /** From here on the client is told what is stored. */
  select(): void {
    this.#confirms ??= new Confirms();
  }

  get selected(): boolean {
    return this.#confirms !== undefined;
  }

  /** Publishes that the client has no answer for. */
  get waiting(): number {
    return this.#confirms?.waiting ?? 0;
  }

  /** Says what is known since the last call. */
  write(): void {
    this.#confirms?.write(this.#context.out, this.#context.channel);
  }

  /** One request for many messages; its answer is one confirm for all of them. */
  publish(batch: PublishedBatch): void {
    const { records, count, upload } = batch;
    const unconfirmed = this.#confirms?.add(count);
    const context = this.#context;
    const { traffic } = context.vhost;
    traffic.received += count;
    if (unconfirmed !== undefined) traffic.receivedToConfirm += count;
    context.hold(records.byteLength);
    context.publishes();
    const stored = upload === undefined ? this.#store(batch) : upload.id.then((body) => this.#store(batch, body));
    stored.then(
      (receipt) => {
        context.hold(-records.byteLength);
        upload?.abort();
        this.#published(batch, receipt, unconfirmed);
      },
      (error: unknown) => {
        context.hold(-records.byteLength);
        upload?.abort();
        this.#notPublished(batch, error, unconfirmed);
      },
    );
  }

  #store({ records, count, route }: PublishedBatch, body?: number): Promise<PublishReceipt> {
    const named = body === undefined ? {} : { body };
    return this.#context.session.publish({ to: route.to, format: FORMAT_AMQP, records, count, ...named });
  }

  /** An answer goes straight to the one who asked. */
  answer(batch: PublishedBatch, name: string): void {
    const unconfirmed = this.#confirms?.add(batch.count);
    const view = new RecordView();
    let found = true;
    for (let i = 0, at = 0; i < batch.count; i++, at = view.end)
      found = this.#context.vhost.directReplies.answer(name, batch.records, view.at(batch.records, at));
    // Nobody has it when nobody waits; else it counts as routed.
    const runs = found ? [{ topicId: 0, partition: 0, offset: 0, count: batch.count }] : [];
    this.#published(batch, { topicId: 0, runs }, unconfirmed);
  }

  #published(batch: PublishedBatch, receipt: PublishReceipt, unconfirmed: Unconfirmed | undefined): void {
    const { traffic } = this.#context.vhost;
    const unroutable = receipt.runs.length === 0 && receipt.refused === undefined;
    if (unroutable && batch.mandatory) this.giveBack(batch);
    else if (unroutable) traffic.dropped += batch.count;
    if (unconfirmed === undefined) return;
    const refused = receipt.refused === undefined ? [] : refusedTags(unconfirmed, receipt);
    traffic.confirmed += batch.count - refused.reduce((sum, [from, to]) => sum + to - from, 0);
    this.#confirms?.settle(unconfirmed, refused);
    this.#context.confirms();
  }

  #notPublished(batch: PublishedBatch, error: unknown, unconfirmed: Unconfirmed | undefined): void {
    const { to } = batch.route;
    if (RailheadError.is(error, 'NOT_FOUND')) {
      if ('topic' in to) {
        // The default exchange without such a queue: nobody takes it, and that is no error.
        this.#published(batch, { topicId: 0, runs: [] }, unconfirmed);
        return;
      }
      const { vhost } = this.#context;
      vhost.forget(to.router);
      this.#context.fail(vhost.noExchange(to.router), METHODS.basicPublish.id);
      return;
    }
    const code = RailheadError.is(error) ? error.code : 'INTERNAL';
    if (['QUEUE_FULL', 'RATE_LIMITED', 'OUT_OF_SPACE', 'STORAGE_FAILED', 'CLOSED', 'ABORTED'].includes(code)) {
      if (unconfirmed === undefined) return;
      this.#confirms?.settle(unconfirmed, [[unconfirmed.from, unconfirmed.to]]);
      this.#context.confirms();
      return;
    }
    this.#context.fail(error, METHODS.basicPublish.id);
  }

  /** Nobody takes them, and the client wanted to know. */
  giveBack({ records, count }: PublishedBatch): void {
    if (this.#context.isOver()) return;
    this.#context.vhost.traffic.returned += count;
    const view = new RecordView();
    for (let i = 0, at = 0; i < count; i++, at = view.end)
      this.#context.out.unroutable(this.#context.channel, records, view.at(records, at));
  }
}
