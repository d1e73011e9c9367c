import { randomBytes } from 'node:crypto';
import { RailheadError } from '../../core/errors.ts';
import type { Consumer, DeliveryRun, Session, Settlement } from '../../core/session.ts';
import { asBuffer } from '../../core/records.ts';
import { CreditWindow } from '../credit-window.ts';
import type { AmqpOutput } from './codec.ts';
import { AmqpConsumer, type ConsumerOwner } from './consumer.ts';
import { FORMAT_AMQP, RecordView } from './content.ts';
import { withStory } from './deaths.ts';
import { AmqpError } from './errors.ts';
import type { ChannelInfo } from './live.ts';
import type { LargeContents } from './large-contents.ts';
import type { AmqpLimits } from './limits.ts';
import type { Arguments } from './methods.ts';
import { Prefetch } from './prefetch.ts';
import { amqpRecords } from './records.ts';
import { type Action, Settling } from './settling.ts';
import { StreamReader } from './stream-reader.ts';
import { takeOne } from './take-one.ts';
import { QueueArguments, queueTypeOf } from './queue-arguments.ts';
import { STREAM_ARGUMENTS, type StreamOptions, streamOptions } from './streams.ts';
import { refuseStream } from './topology.ts';
import type { UnackedTags } from './transaction.ts';
import { CONSUMER_TIMEOUT, hasSingleActive, isQuorum, named } from './translate.ts';
import type { Queue, Vhost } from './vhost.ts';

export interface ConsumingContext {
  readonly channel: number;
  readonly out: AmqpOutput;
  readonly session: Session;
  readonly vhost: Vhost;
  readonly limits: AmqpLimits;
  /** Windows of the connection that have credit to pass on. */
  readonly waiting: Set<CreditWindow>;
  readonly large: LargeContents;
  /** Settlements gather: call `flush` before the turn ends. */
  settles(): void;
  /** An exception that no method of the client caused. */
  fail(error: unknown): void;
  /** Ends the whole connection. */
  abort(error: AmqpError): void;
  /** The client understands `basic.cancel` from the broker. */
  readonly cancelNotify: boolean;
  /** Told of consumers that ended by themselves. */
  cancelled(tag: string): void;
}

/** Of a large body, read at once. */
const PIECE_BYTES = 256 * 1024;

/** Deliveries of one channel: its consumers, and what is got one by one. */
export class Consuming implements ConsumerOwner {
  readonly #context: ConsumingContext;
  readonly #consumers = new Map<string, AmqpConsumer>();
  readonly #getters = new Map<string, number>();
  readonly #prefetch: Prefetch;
  readonly #settling: Settling;
  readonly #view = new RecordView();
  readonly #returning = new Set<AmqpConsumer>();
  /** The consumer of direct replies, and the name that they come to. */
  #replies: { tag: string; name: string } | undefined;
  #closed = false;

  constructor(context: ConsumingContext) {
    this.#context = context;
    const { session, vhost } = context;
    this.#prefetch = new Prefetch(context);
    this.#settling = new Settling({
      session,
      namespace: vhost.namespace,
      settles: () => context.settles(),
      settled: (consumer) => this.#returnCredit(consumer),
      fail: (error) => context.fail(error),
    });
  }

  info(): Pick<ChannelInfo, 'prefetch' | 'globalPrefetch' | 'unacked' | 'consumers'> {
    return {
      prefetch: this.#prefetch.each,
      globalPrefetch: this.#prefetch.shared?.prefetch ?? 0,
      unacked: this.#settling.unacked.size,
      consumers: Array.from(
        this.#consumers.values(),
        ({ tag, queue, noAck, exclusive, prefetch, arguments: args }) => ({
          tag,
          queue: queue.name,
          noAck,
          exclusive,
          prefetch: prefetch === 'shared' ? 0 : prefetch,
          arguments: args,
        }),
      ),
    };
  }

  // ---- Consumers --------------------------------------------------------------------------------------------------

  async consume(queue: Queue, args: Arguments<'basicConsume'>): Promise<void> {
    const { session, vhost, limits, channel, out, large } = this.#context;
    const tag = this.#tag(args);
    const what = named('queue', queue.name, vhost.namespace);
    const asked = new QueueArguments(args.arguments, what);
    const priority = asked.integer('x-priority');
    if (queue.kind === 'queue')
      for (const each of isQuorum(queue.declared) ? STREAM_ARGUMENTS : [...STREAM_ARGUMENTS, CONSUMER_TIMEOUT])
        if (asked.has(each)) throw asked.notOf(each, queueTypeOf(queue.declared.arguments));
    // How long it may keep a delivery: as it says, or its queue.
    const own = asked.whole(CONSUMER_TIMEOUT, 0);
    const timeoutMs = own === undefined ? vhost.timeoutMs(queue) : Math.max(1, own);
    const stream = queue.kind === 'stream' ? this.#streamOptions(queue, args) : undefined;
    const shared = args.noAck || stream !== undefined ? undefined : this.#prefetch.shared;
    const consumer = new AmqpConsumer({
      tag,
      queue,
      noAck: args.noAck,
      exclusive: args.exclusive,
      arguments: args.arguments,
      window: shared?.window ?? new CreditWindow(out, limits.highWaterBytes, this.#context.waiting),
      prefetch: shared === undefined ? this.#prefetch.each : 'shared',
      timeoutMs,
      holder: this.#settling.nextHolder(),
      owner: this,
    });
    this.#consumers.set(tag, consumer);
    this.#settling.setHolder(consumer.holder, consumer);
    let started: Consumer;
    try {
      started =
        stream === undefined
          ? await session.consume(
              {
                topic: queue.name,
                subscription: queue.name,
                lease: 'connection',
                leaseMs: timeoutMs,
                formats: [FORMAT_AMQP],
                bodies: 'apart',
                name: tag,
                ...(priority !== undefined && { priority }),
                ...(args.exclusive && { exclusive: true }),
                ...(args.noAck && { autoAck: true }),
                ...(shared !== undefined && { pool: shared.pool }),
              },
              consumer,
            )
          : await StreamReader.open(session, queue.name, stream, consumer);
    } catch (error) {
      this.#consumers.delete(tag);
      this.#settling.forgetHolder(consumer.holder);
      if (RailheadError.is(error, 'IN_USE')) throw new AmqpError('ACCESS_REFUSED', `${what} in exclusive use`);
      if (RailheadError.is(error, 'NOT_FOUND')) throw vhost.noQueue(queue.name);
      throw error;
    }
    if (this.#closed) {
      await started.close({ release: true });
      return;
    }
    if (!args.noWait) out.method(channel, 'basicConsumeOk', { consumerTag: tag });
    consumer.start(started, () => large.busy(channel));
  }

  /** @throws NOT_IMPLEMENTED, PRECONDITION_FAILED for what RabbitMQ refuses */
  #streamOptions(queue: Queue, { noAck, arguments: args }: Arguments<'basicConsume'>): StreamOptions {
    const { namespace } = this.#context.vhost;
    const what = named('queue', queue.name, namespace);
    if (noAck) refuseStream(queue, 'automatic acknowledgement', namespace);
    if (this.#prefetch.each === 0)
      throw new AmqpError('PRECONDITION_FAILED', `consumer prefetch count is not set for '${what}'`);
    return streamOptions(args, what);
  }

  /** Answers of others come straight to this channel. */
  consumeReplies(args: Arguments<'basicConsume'>): void {
    const { vhost, channel, out } = this.#context;
    if (!args.noAck) throw new AmqpError('PRECONDITION_FAILED', 'reply consumer cannot acknowledge');
    if (this.#replies !== undefined) throw new AmqpError('PRECONDITION_FAILED', 'reply consumer already set');
    const tag = this.#tag(args);
    const bytes = Buffer.from(tag);
    const tagBytes = Buffer.concat([Buffer.from([bytes.byteLength]), bytes]);
    const name = vhost.directReplies.open((records, view) =>
      out.deliver(channel, tagBytes, this.#settling.unacked.skip(), 1, records, view),
    );
    this.#replies = { tag, name };
    if (!args.noWait) out.method(channel, 'basicConsumeOk', { consumerTag: tag });
  }

  /** Where answers to this channel go. */
  get replyTo(): string | undefined {
    return this.#replies?.name;
  }

  #endReplies(): void {
    if (this.#replies !== undefined) this.#context.vhost.directReplies.close(this.#replies.name);
    this.#replies = undefined;
  }

  /** @throws NOT_ALLOWED */
  #tag({ consumerTag }: Arguments<'basicConsume'>): string {
    const { maxConsumers } = this.#context.limits;
    const tag = consumerTag === '' ? `amq.ctag-${randomBytes(16).toString('base64url')}` : consumerTag;
    if (this.#consumers.has(tag) || this.#replies?.tag === tag)
      throw new AmqpError('NOT_ALLOWED', `attempt to reuse consumer tag '${tag}'`);
    if (this.#consumers.size >= maxConsumers)
      throw new AmqpError('NOT_ALLOWED', `reached maximum (${maxConsumers}) of consumers per channel`);
    return tag;
  }

  /** What it holds may still be settled. */
  async cancel(tag: string): Promise<void> {
    if (this.#replies?.tag === tag) this.#endReplies();
    const consumer = this.#consumers.get(tag);
    if (consumer === undefined) return;
    this.#consumers.delete(tag);
    await consumer.close();
    this.#forgetIfDone(consumer);
    await this.#unused(consumer.queue);
  }

  async #unused(queue: Queue): Promise<void> {
    if (queue.declared.autoDelete) await this.#context.vhost.dropQueue(queue.name, 'unused');
  }

  ended(consumer: AmqpConsumer): void {
    this.#consumers.delete(consumer.tag);
    this.#forgetIfDone(consumer);
    if (!this.#closed) this.#context.cancelled(consumer.tag);
  }

  timedOut(consumer: AmqpConsumer): void {
    const { timeoutMs } = consumer;
    // This consumer gets nothing any more, and the others of its channel go on.
    if (this.#context.cancelNotify) {
      this.cancel(consumer.tag).catch((error: unknown) => this.#context.fail(error));
      this.#context.cancelled(consumer.tag);
      return;
    }
    this.#context.fail(
      new AmqpError(
        'PRECONDITION_FAILED',
        `delivery acknowledgement on channel ${this.#context.channel} timed out. Timeout value used: ${timeoutMs} ms. This timeout value can be configured, see consumers doc guide to learn more`,
      ),
    );
  }

  deliver(consumer: AmqpConsumer, runs: readonly DeliveryRun[]): void {
    if (this.#closed) return;
    const { out, channel, vhost } = this.#context;
    try {
      for (const run of runs) {
        if (consumer.noAck) vhost.traffic.deliveredAutoAck += run.count;
        else vhost.traffic.delivered += run.count;
        const records = this.#records(run, consumer.queue);
        if (!consumer.noAck) consumer.unsettled += run.count;
        if (run.bodyBytes !== undefined) this.#deliverLarge(consumer, run, records, run.bodyBytes);
        else
          for (let i = 0, at = 0; i < run.count; i++, at = this.#view.end) {
            this.#view.at(records, at);
            const tag = consumer.noAck
              ? this.#settling.unacked.skip()
              : this.#settling.unacked.add(consumer.holder, run.partition, run.offset + i, run.token);
            out.deliver(channel, consumer.tagBytes, tag, run.attempt, records, this.#view);
          }
      }
    } catch (error) {
      this.#context.fail(error);
    }
  }

  #deliverLarge(consumer: AmqpConsumer, run: DeliveryRun, records: Buffer, bodyBytes: number): void {
    const { out, channel } = this.#context;
    const tag = this.#settling.unacked.add(consumer.holder, run.partition, run.offset, run.token);
    this.#sendLarge(consumer.queue, run, bodyBytes, () =>
      out.deliver(channel, consumer.tagBytes, tag, run.attempt, records, this.#view.at(records, 0), bodyBytes),
    );
  }

  #sendLarge({ name }: Queue, { partition, offset }: DeliveryRun, bodyBytes: number, head: () => void): void {
    const { session, vhost, channel, large } = this.#context;
    large.send(channel, {
      bodyBytes,
      head: () => {
        if (this.#closed) return 'unwanted';
        head();
        return 'begun';
      },
      read: async (from) => {
        const args = { topic: name, partition, offset, from, maxBytes: PIECE_BYTES };
        return (await session.request('readBody', args)).bytes;
      },
      // The channel is in the middle of its body, where no exception of the channel can be told.
      failed: (error) => {
        const what = named('queue', name, vhost.namespace);
        const text = `a message of ${what} went while it was delivered: ${String(error)}`;
        this.#context.abort(new AmqpError('INTERNAL_ERROR', text));
      },
    });
  }

  late({ queue, noAck }: AmqpConsumer, runs: readonly DeliveryRun[]): void {
    if (noAck || queue.kind === 'stream') return;
    const ranges = runs.map(({ partition, offset, count, token }) => ({ partition, offset, count, token }));
    const what = { topic: queue.name, subscription: queue.name, ranges };
    void this.#settling.send({ ...what, action: 'release', countAttempt: false });
  }

  /** With what RabbitMQ adds to them on their way. */
  #records(run: DeliveryRun, { name, declared, kind }: Queue): Buffer {
    if (kind === 'stream') return asBuffer(run.records);
    const { deadLetterTargets } = this.#context.vhost;
    return withStory(amqpRecords(run, name), run, { name, counts: isQuorum(declared) }, deadLetterTargets);
  }

  // ---- Get --------------------------------------------------------------------------------------------------------

  async get(queue: Queue, noAck: boolean): Promise<void> {
    const { session, vhost } = this.#context;
    refuseStream(queue, 'basic.get', vhost.namespace);
    if (isQuorum(queue.declared) && hasSingleActive(queue.declared))
      throw new AmqpError(
        'RESOURCE_LOCKED',
        `cannot obtain access to locked ${named('queue', queue.name, vhost.namespace)}. basic.get operations are not supported by quorum queues with single active consumer`,
      );
    const { ready } = await vhost.counts(queue);
    // Of a queue that goes when nobody uses it, a look is a use too.
    if (ready === 0 && !queue.expires) this.#gotNone();
    else
      await takeOne(session, { name: queue.name, timeoutMs: vhost.timeoutMs(queue), noAck }, (run) => {
        if (this.#closed) return 'unwanted';
        if (run === undefined) this.#gotNone();
        else this.#got(queue, run, noAck, ready - 1);
        return 'kept';
      });
  }

  #gotNone(): void {
    const { channel, out, vhost } = this.#context;
    vhost.traffic.gotNone++;
    if (!this.#closed) out.method(channel, 'basicGetEmpty', { reserved1: '' });
  }

  #got(queue: Queue, run: DeliveryRun, noAck: boolean, left: number): void {
    const { channel, out, vhost } = this.#context;
    if (noAck) vhost.traffic.gotAutoAck++;
    else vhost.traffic.got++;
    const records = this.#records(run, queue);
    const tag = noAck
      ? this.#settling.unacked.skip()
      : this.#settling.unacked.add(this.#getter(queue), run.partition, run.offset, run.token);
    const { bodyBytes } = run;
    if (bodyBytes === undefined) out.getOk(channel, tag, run.attempt, left, records, this.#view.at(records, 0));
    else
      this.#sendLarge(queue, run, bodyBytes, () =>
        out.getOk(channel, tag, run.attempt, left, records, this.#view.at(records, 0), bodyBytes),
      );
  }

  /** One holder for all that was got from a queue. */
  #getter(queue: Queue): number {
    let holder = this.#getters.get(queue.name);
    if (holder === undefined) {
      this.#getters.set(queue.name, (holder = this.#settling.nextHolder()));
      this.#settling.setHolder(holder, { queue, consumer: undefined });
    }
    return holder;
  }

  // ---- Settling and credit ----------------------------------------------------------------------------------------

  qos(args: Arguments<'basicQos'>): void {
    this.#prefetch.set(args, this.#settling.unacked.size);
  }

  get unacked(): UnackedTags {
    return this.#settling.unacked;
  }

  /** @throws PRECONDITION_FAILED for a tag that is not there. */
  settle(tag: number, upTo: 'one' | 'all', action: Action): void {
    this.#settling.settle(tag, upTo, action);
  }

  /** Everything goes back to its place, but for what a transaction has settled. */
  recover(settled: (tag: number) => boolean): void {
    this.#settling.recover(settled);
  }

  takeSettlements(): Settlement[] {
    return this.#settling.take();
  }

  #returnCredit(consumer: AmqpConsumer): void {
    if (consumer.prefetch === 'shared') this.#prefetch.giveBack();
    consumer.returned++;
    consumer.unsettled--;
    if (consumer.over) this.#forgetIfDone(consumer);
    else this.#returning.add(consumer);
  }

  /** Hands the settlements to the engine and passes the credit on that they gave back. */
  flush(): void {
    void this.#settling.flush();
    this.passCredit();
  }

  /** What settling gave back. */
  passCredit(): void {
    for (const consumer of this.#returning) consumer.passCredit();
    this.#returning.clear();
    this.#prefetch.passCredit();
  }

  /** The channel is over: its consumers leave, and what is not settled goes back to its place. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#endReplies();
    this.flush();
    this.#closed = true;
    const consumers = [...this.#consumers.values()];
    this.#consumers.clear();
    // First they leave: one of them that acks by itself would get, and lose, what the others give back.
    await Promise.all(consumers.map((consumer) => consumer.close()));
    // What is on its way has to arrive: the client could not tell anything else from the rest of it.
    await this.#context.large.idle(this.#context.channel);
    await this.#settling.giveBackAll();
    for (const { queue } of consumers) await this.#unused(queue);
  }

  #forgetIfDone(consumer: AmqpConsumer): void {
    if (consumer.unsettled === 0) this.#settling.forgetHolder(consumer.holder);
  }
}
