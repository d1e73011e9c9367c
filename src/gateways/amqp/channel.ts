import { IMPERSONATOR } from '../../core/access.ts';
import type { Principal } from '../../core/auth.ts';
import type { Session } from '../../core/session.ts';
import type { CreditWindow } from '../credit-window.ts';
import { type AmqpOutput, FRAME, readLongLong, readMethod } from './codec.ts';
import { Confirming } from './confirming.ts';
import { Consuming } from './consuming.ts';
import { DIRECT_REPLY, isDirectReply } from './direct-reply.ts';
import { define } from './definitions.ts';
import { AmqpError, asAmqpError } from './errors.ts';
import type { LargeContents } from './large-contents.ts';
import type { AmqpLimits } from './limits.ts';
import type { ChannelInfo } from './live.ts';
import { type AnyMethod, METHODS } from './methods.ts';
import { type PublishedBatch, Publishing, type Route } from './publishing.ts';
import { Rights } from './rights.ts';
import { named } from './translate.ts';
import { Topology } from './topology.ts';
import { ChannelTransaction } from './transaction.ts';
import { Upload } from './upload.ts';
import { type Exchange, Vhost } from './vhost.ts';
import type { WholeBytes } from './whole-bytes.ts';

/** What a channel needs from its connection. */
export interface ChannelContext {
  readonly out: AmqpOutput;
  readonly session: Session;
  readonly vhost: Vhost;
  readonly principal: Principal;
  /** The name that the client logged in with. */
  readonly user: string;
  readonly limits: AmqpLimits;
  readonly waiting: Set<CreditWindow>;
  readonly large: LargeContents;
  /** The connection itself: owner of exclusive queues. */
  readonly owner: object;
  /** The client understands `basic.cancel` from the broker. */
  readonly cancelNotify: boolean;
  readonly whole: WholeBytes;
  /** Bytes that wait for the engine; negative when they are done. */
  hold(bytes: number): void;
  /** Called with each batch that is published. */
  publishes(): void;
  /** Something gathers: `flush` before the turn ends. */
  dirty(channel: Channel): void;
  /** Ends the whole connection. */
  abort(error: AmqpError, method: number): void;
  /** The channel is over; its number is free. */
  gone(channel: Channel): void;
  report(error: unknown): void;
}

/** A frame that came while the channel waited for the engine. */
interface Deferred {
  readonly type: number;
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
}

/**
 * opening   the number is known, `channel.open` has not come
 * open      methods are obeyed, one after the other
 * busy      a method waits for the engine; frames wait in `#deferred`
 * closing   told to close by an exception: everything but the end of the closing is ignored
 * closed    over
 */
type State = 'opening' | 'open' | 'busy' | 'closing' | 'closed';

/** One channel: methods and contents in, in order; answers out. */
export class Channel {
  readonly number: number;
  readonly #context: ChannelContext;
  readonly #publishing: Publishing;
  readonly #confirming: Confirming;
  readonly #consuming: Consuming;
  readonly #topology: Topology;
  readonly #rights: Rights;
  /** Set in transaction mode. */
  #transaction: ChannelTransaction | undefined;
  #state: State = 'opening';
  #deferred: Deferred[] = [];
  /** Until the method is done that later frames wait for. */
  #busy: Promise<void> = Promise.resolve();
  /** Tags of consumers that ended by themselves, until the client is told. */
  #cancelled: string[] = [];
  /** Of `Vhost`, when the route of the last publish was looked up. */
  #generation = -1;
  #dirty = false;

  constructor(number: number, context: ChannelContext) {
    this.number = number;
    this.#context = context;
    const { out, session, vhost, principal, limits, waiting, large, owner, user } = context;
    this.#publishing = new Publishing({
      user,
      impersonates: () => principal.tags?.includes(IMPERSONATOR) === true,
      maxMessageBytes: limits.maxMessageBytes,
      whole: context.whole,
      sizes: vhost.traffic.sizes,
      replyTo: () => this.#consuming.replyTo,
      allow: (to) => this.#rights.keys(vhost, to),
      // What a transaction holds has no time limit, and a body that nobody names has one.
      upload: (to, bytes) => (this.#transaction === undefined ? new Upload(context, to, bytes) : undefined),
      publish: (batch) => this.#publish(batch),
    });
    this.#confirming = new Confirming({
      channel: number,
      out,
      session,
      vhost,
      hold: (bytes) => context.hold(bytes),
      publishes: () => context.publishes(),
      confirms: () => this.#markDirty(),
      fail: (error, method) => this.#fail(error, method),
      isOver: () => this.#isOver(),
    });
    this.#rights = new Rights(principal, vhost.namespace);
    this.#topology = new Topology({ vhost, rights: this.#rights, owner });
    this.#consuming = new Consuming({
      channel: number,
      out,
      session,
      vhost,
      limits,
      waiting,
      large,
      cancelNotify: context.cancelNotify,
      settles: () => this.#markDirty(),
      fail: (error) => this.#fail(error, 0),
      abort: (error) => context.abort(error, 0),
      cancelled: (consumerTag) => {
        if (!context.cancelNotify) return;
        this.#cancelled.push(consumerTag);
        if (this.#state === 'open') this.#tellCancelled();
      },
    });
  }

  info(): ChannelInfo {
    const mode = this.#transaction !== undefined ? 'transactional' : this.#confirming.selected ? 'confirm' : 'plain';
    const { isUsed: publishes } = this.#publishing;
    return { number: this.number, mode, publishes, unconfirmed: this.#confirming.waiting, ...this.#consuming.info() };
  }

  // ---- Frames -----------------------------------------------------------------------------------------------------

  frame(type: number, buffer: Buffer, start: number, end: number): void {
    if (this.#state === 'busy') {
      this.#context.hold(end - start);
      this.#deferred.push({ type, buffer, start, end });
      return;
    }
    const method = type === FRAME.method && end - start >= 4 ? buffer.readUInt32BE(start) : METHODS.basicPublish.id;
    try {
      if (type === FRAME.method) this.#method(method, buffer, start, end);
      else if (this.#state === 'open') this.#content(type, buffer, start, end);
      else if (this.#state === 'opening') throw new AmqpError('CHANNEL_ERROR', "expected 'channel.open'");
    } catch (error) {
      this.#fail(error, method);
    }
  }

  #content(type: number, buffer: Buffer, start: number, end: number): void {
    const { expects } = this.#publishing;
    if (type === FRAME.header && expects === 'header') this.#publishing.header(buffer, start, end);
    else if (type === FRAME.body && expects === 'body') this.#publishing.body(buffer, start, end);
    else throw unexpected(expects, type === FRAME.header ? 'content header' : 'content body');
    if (this.#publishing.expects === 'method') this.#markDirty();
  }

  #method(id: number, buffer: Buffer, start: number, end: number): void {
    if (this.#state === 'open') {
      if (this.#publishing.expects !== 'method') throw unexpected(this.#publishing.expects, 'method');
      switch (id) {
        case METHODS.basicPublish.id:
          this.#basicPublish(buffer, start + 4, end);
          return;
        case METHODS.basicAck.id:
        case METHODS.basicReject.id:
        case METHODS.basicNack.id:
          this.#basicSettle(id, buffer, start + 4, end);
          return;
        default:
      }
    }
    const method = readMethod(buffer, start, end);
    if (this.#state === 'closing') this.#whileClosing(method);
    else if (this.#state === 'opening') this.#open(method);
    else {
      // What was published and settled before must be done before.
      this.flush();
      const waiting = this.#run(method);
      if (waiting !== undefined) this.#wait(waiting, id);
    }
  }

  #open(method: AnyMethod): void {
    if (method.name !== 'channelOpen') throw new AmqpError('CHANNEL_ERROR', "expected 'channel.open'");
    this.#state = 'open';
    this.#context.vhost.traffic.channelsOpened++;
    this.#context.out.method(this.number, 'channelOpenOk', { reserved1: Buffer.alloc(0) });
  }

  #whileClosing({ name }: AnyMethod): void {
    if (name === 'channelClose') this.#context.out.method(this.number, 'channelCloseOk', {});
    if (name !== 'channelCloseOk') return;
    this.#end();
    this.#context.gone(this);
  }

  /** Later frames wait until this is done. */
  #wait(waiting: Promise<void>, method: number): void {
    this.#state = 'busy';
    this.#busy = waiting
      .catch((error: unknown) => this.#fail(error, method))
      .finally(() => {
        if (this.#state === 'busy') this.#state = 'open';
        this.#tellCancelled();
        this.#resume();
      });
  }

  /** Resolves when every frame that came has been obeyed. */
  async idle(): Promise<void> {
    while (this.#state === 'busy') await this.#busy;
  }

  /** After the answer to the method that ended them, if it was one of this channel. */
  #tellCancelled(): void {
    for (const consumerTag of this.#cancelled.splice(0))
      if (this.#state === 'open') this.#context.out.method(this.number, 'basicCancel', { consumerTag, noWait: true });
  }

  #resume(): void {
    while (this.#state !== 'busy') {
      const next = this.#deferred.shift();
      if (next === undefined) break;
      this.#context.hold(next.start - next.end);
      if (this.#state !== 'closed') this.frame(next.type, next.buffer, next.start, next.end);
    }
  }

  // ---- Methods ----------------------------------------------------------------------------------------------------

  /** Obeys a method; the promise, if any, is what later frames wait for. */
  #run(method: AnyMethod): Promise<void> | void {
    const { out } = this.#context;
    const channel = this.number;
    switch (method.name) {
      case 'channelOpen':
        throw new AmqpError('CHANNEL_ERROR', "second 'channel.open' seen");
      case 'channelClose':
        return this.#close();
      case 'channelFlow':
        if (!method.args.active) throw new AmqpError('NOT_IMPLEMENTED', 'active=false');
        return out.method(channel, 'channelFlowOk', { active: true });
      case 'accessRequest':
        return out.method(channel, 'accessRequestOk', { reserved1: 1 });
      case 'exchangeDeclare':
      case 'exchangeDelete':
      case 'exchangeBind':
      case 'exchangeUnbind':
      case 'queueDeclare':
      case 'queueDelete':
      case 'queueBind':
      case 'queueUnbind':
      case 'queuePurge':
        return define(method, this.#topology, out, channel);
      case 'basicQos':
        this.#consuming.qos(method.args);
        return out.method(channel, 'basicQosOk', {});
      case 'basicConsume':
        if (method.args.queue === DIRECT_REPLY) return this.#consuming.consumeReplies(method.args);
        return this.#topology.readable(method.args.queue).then((queue) => this.#consuming.consume(queue, method.args));
      case 'basicCancel':
        return this.#consuming.cancel(method.args.consumerTag).then(() => {
          const { consumerTag, noWait } = method.args;
          if (!noWait) out.method(channel, 'basicCancelOk', { consumerTag });
        });
      case 'basicGet':
        return this.#topology
          .readable(method.args.queue)
          .then((queue) => this.#consuming.get(queue, method.args.noAck));
      case 'basicRecover':
      case 'basicRecoverAsync':
        if (!method.args.requeue) throw new AmqpError('NOT_IMPLEMENTED', 'requeue=false');
        this.#consuming.recover((tag) => this.#transaction?.hasSettled(tag) === true);
        if (method.name === 'basicRecover') out.method(channel, 'basicRecoverOk', {});
        return;
      case 'confirmSelect':
        if (this.#transaction !== undefined)
          throw new AmqpError('PRECONDITION_FAILED', 'cannot switch from tx to confirm mode');
        this.#confirming.select();
        if (!method.args.noWait) out.method(channel, 'confirmSelectOk', {});
        return;
      case 'txSelect':
        if (this.#confirming.selected)
          throw new AmqpError('PRECONDITION_FAILED', 'cannot switch from confirm to tx mode');
        this.#transaction ??= new ChannelTransaction(this.#context.whole);
        return out.method(channel, 'txSelectOk', {});
      case 'txCommit':
        return this.#commit(this.#transactional());
      case 'txRollback':
        this.#transactional().rollback();
        return out.method(channel, 'txRollbackOk', {});
      default:
        throw new AmqpError('COMMAND_INVALID', 'unimplemented method');
    }
  }

  /** What a channel in transaction mode gathered takes effect, or nothing of it. */
  async #commit(transaction: ChannelTransaction): Promise<void> {
    const { session, vhost, out } = this.#context;
    for (const batch of await transaction.commit(session, vhost, this.#consuming)) this.#confirming.giveBack(batch);
    out.method(this.number, 'txCommitOk', {});
  }

  #transactional(): ChannelTransaction {
    if (this.#transaction === undefined) throw new AmqpError('PRECONDITION_FAILED', 'channel is not transactional');
    return this.#transaction;
  }

  #basicSettle(id: number, buffer: Buffer, start: number, end: number): void {
    if (end - start !== 9) throw new AmqpError('SYNTAX_ERROR', 'a settlement is not 9 bytes long');
    const tag = readLongLong(buffer, start);
    const bits = buffer[start + 8] ?? 0;
    const upTo = (bits & 1) === 0 || id === METHODS.basicReject.id ? 'one' : 'all';
    const requeue = id === METHODS.basicReject.id ? 1 : 2;
    const back = id === METHODS.basicReject.id ? 'reject' : 'nack';
    const action = id === METHODS.basicAck.id ? 'ack' : (bits & requeue) === 0 ? 'discard' : back;
    if (this.#transaction === undefined) this.#consuming.settle(tag, upTo, action);
    else this.#transaction.settle(tag, upTo, action, this.#consuming.unacked);
  }

  // ---- Publish ----------------------------------------------------------------------------------------------------

  #basicPublish(buffer: Buffer, start: number, end: number): void {
    const exchange = start + 2;
    const key = exchange + 1 + (buffer[exchange] ?? 0);
    const bits = key + 1 + (buffer[key] ?? 0);
    if (bits + 1 !== end) throw new AmqpError('SYNTAX_ERROR', 'basic.publish is not as long as its fields');
    const flags = buffer[bits] ?? 0;
    if ((flags & 2) !== 0) throw new AmqpError('NOT_IMPLEMENTED', 'immediate=true');
    const mandatory = (flags & 1) !== 0;
    const { vhost } = this.#context;
    if (this.#generation !== vhost.generation) this.#publishing.forgetRoute();
    if (!this.#publishing.isLastRoute(buffer, exchange, bits)) {
      const name = buffer.utf8Slice(exchange + 1, key);
      const routingKey = buffer.utf8Slice(key + 1, bits);
      if (name !== '' || !isDirectReply(routingKey)) this.#rights.publish(name, routingKey);
      const known = name === '' ? undefined : vhost.known(name);
      if (name !== '' && known === undefined) {
        this.flush();
        const found = vhost.exchange(name).then((each) => {
          this.#toExchange(each, routingKey, buffer.subarray(exchange, bits));
          this.#publishing.begin(mandatory);
        });
        this.#wait(found, METHODS.basicPublish.id);
        return;
      }
      this.#toExchange(known, routingKey, buffer.subarray(exchange, bits));
    }
    this.#publishing.begin(mandatory);
  }

  #publish(batch: PublishedBatch): void {
    if (this.#transaction !== undefined) this.#gather(this.#transaction, batch);
    else if (batch.route.directReply === undefined) this.#confirming.publish(batch);
    else this.#confirming.answer(batch, batch.route.directReply);
    // What is published after it must be stored after it. What became of it, `Confirming` says.
    if (batch.upload !== undefined)
      this.#wait(
        batch.upload.id.then(
          () => {},
          () => {},
        ),
        METHODS.basicPublish.id,
      );
  }

  #gather(transaction: ChannelTransaction, batch: PublishedBatch): void {
    try {
      transaction.publish(batch);
    } catch (error) {
      this.#fail(error, METHODS.basicPublish.id);
    }
  }

  #toExchange(exchange: Exchange | undefined, key: string, bytes: Buffer): void {
    if (exchange?.declared.internal === true) {
      const { namespace } = this.#context.vhost;
      throw new AmqpError(
        'ACCESS_REFUSED',
        `cannot publish to internal ${named('exchange', exchange.name, namespace)}`,
      );
    }
    if (exchange !== undefined) this.#rights.key('write', exchange, key);
    const route: Route =
      exchange === undefined
        ? { to: { topic: key }, delayed: false, ...(isDirectReply(key) && { directReply: key }) }
        : { to: { router: exchange.name, key }, delayed: Vhost.isDelayed(exchange) };
    this.#generation = this.#context.vhost.generation;
    this.#publishing.setRoute(bytes, route);
  }

  // ---- Gathering --------------------------------------------------------------------------------------------------

  #markDirty(): void {
    if (this.#dirty) return;
    this.#dirty = true;
    this.#context.dirty(this);
  }

  /** Hands over what gathered: publishes and settlements to the engine, confirms to the client. */
  flush(): void {
    this.#dirty = false;
    if (this.#state === 'closed') return;
    this.#publishing.flush();
    this.#consuming.flush();
    if (this.#state !== 'closing') this.#confirming.write();
  }

  // ---- End --------------------------------------------------------------------------------------------------------

  /** An exception: ends this channel, or the whole connection. */
  #fail(error: unknown, method: number): void {
    if (this.#isOver()) return;
    const context = this.#context;
    const exception = asAmqpError(error);
    if (exception.reply === 'INTERNAL_ERROR') context.report(error);
    if (exception.ends === 'connection') {
      context.abort(exception, method);
      return;
    }
    this.flush();
    this.#drop();
    this.#state = 'closing';
    this.#consuming.close().catch((each: unknown) => context.report(each));
    context.out.method(this.number, 'channelClose', {
      replyCode: exception.code,
      replyText: exception.text,
      classId: method >>> 16,
      methodId: method & 0xffff,
    });
  }

  #end(): void {
    // One that was never open was not counted as opened.
    if (this.#state !== 'opening') this.#context.vhost.traffic.channelsClosed++;
    this.#state = 'closed';
  }

  #isOver(): boolean {
    return this.#state === 'closing' || this.#state === 'closed';
  }

  /** What was begun is given up. */
  #drop(): void {
    this.#publishing.drop();
    this.#transaction?.rollback();
  }

  async #close(): Promise<void> {
    this.#drop();
    await this.#consuming.close();
    this.#end();
    this.#context.out.method(this.number, 'channelCloseOk', {});
    this.#context.gone(this);
  }

  /** The connection is over: gives everything back. */
  async dispose(): Promise<void> {
    if (this.#state === 'closed') return;
    this.flush();
    this.#drop();
    this.#end();
    this.#deferred = [];
    await this.#consuming.close();
  }
}

function unexpected(expects: 'method' | 'header' | 'body', got: string): AmqpError {
  const expected = expects === 'method' ? 'method frame' : `content ${expects} for class 60`;
  return new AmqpError(
    'UNEXPECTED_FRAME',
    `expected ${expected}, got ${expects === 'method' ? 'non method' : got} frame instead`,
  );
}
