import type { SettleAction, SubscriptionRef } from '../core/session.ts';
import { traceIn, withTrace } from '../core/trace-context.ts';
import type { TraceContext } from '../core/trace-context.ts';
import type { Facts, TracedOperation, TraceSpan, Tracing } from '../core/tracing.ts';
import type { SendOptions } from './envelope.ts';
import type { Message, StoredMessage } from './message.ts';

/** Of a span of many messages; a recorder keeps 128 by default. */
const MAX_LINKS = 128;

/** Spans of what is sent to one queue, topic or router. Each message carries on the one that sent it. */
export class TracedTarget {
  readonly #send: TracedOperation;
  readonly #create: TracedOperation;

  constructor(tracing: Tracing, destination: string) {
    this.#send = tracing.of({ type: 'send', destination });
    this.#create = tracing.of({ type: 'create', destination });
  }

  send<S extends object>(
    options: SendOptions | undefined,
    send: (options: SendOptions | undefined) => Promise<S>,
  ): Promise<S> {
    const span = start(this.#send, options);
    return ended(span, send(carrying(options, span.context)), (sent) =>
      'id' in sent ? { 'messaging.message.id': String(sent.id) } : {},
    );
  }

  /** One span for all of them. */
  sendMany<S>(
    count: number,
    send: (carry: (options: SendOptions | undefined) => SendOptions | undefined) => Promise<S>,
  ): Promise<S> {
    const span = this.#send.start('active');
    span.say({ 'messaging.batch.message_count': count });
    const { context } = span;
    return ended(
      span,
      send((options) => carrying(options, context)),
    );
  }

  /** Of a message that is sent with others and an ack: the span is over at once, and the message carries it on. */
  create(options: SendOptions | undefined): SendOptions | undefined {
    const span = start(this.#create, options);
    span.end();
    return carrying(options, span.context);
  }
}

/** Spans of what is done with the messages of one subscription. */
export class TracedSource {
  readonly #tracing: Tracing;
  readonly #ref: SubscriptionRef;
  readonly #receive: TracedOperation;
  readonly #process: TracedOperation;
  readonly #settle = new Map<SettleAction['action'], TracedOperation>();

  constructor(tracing: Tracing, ref: SubscriptionRef) {
    this.#tracing = tracing;
    this.#ref = ref;
    const { topic: destination, subscription } = ref;
    this.#receive = tracing.of({ type: 'receive', destination, subscription });
    this.#process = tracing.of({ type: 'process', destination, subscription });
  }

  /** One handler with one message: goes on with the trace that the message came with. */
  process(message: Message<unknown>): TraceSpan {
    const span = this.#process.start(traceIn(message.headers) ?? 'none');
    if (span.recorded) span.say(factsOf(message));
    return span;
  }

  /** Messages that were asked for. They belong to as many traces as they came with, which the span links to. */
  received(messages: readonly Message<unknown>[], beganAt?: number): void {
    const [first] = messages;
    if (first === undefined) return;
    const links = messages.flatMap((message) => traceIn(message.headers) ?? []).slice(0, MAX_LINKS);
    const span = this.#receive.start('active', { links, ...(beganAt !== undefined && { beganAt }) });
    if (span.recorded)
      span.say(messages.length === 1 ? factsOf(first) : { 'messaging.batch.message_count': messages.length });
    span.end();
  }

  settle(action: SettleAction['action'], message: Message<unknown>, settle: () => Promise<void>): Promise<void> {
    let operation = this.#settle.get(action);
    if (operation === undefined) {
      const { topic: destination, subscription } = this.#ref;
      operation = this.#tracing.of({ type: 'settle', name: action, destination, subscription });
      this.#settle.set(action, operation);
    }
    const context = traceIn(message.headers);
    const links = context === undefined ? [] : [context];
    const span = this.#tracing.isActive ? operation.start('active', { links }) : operation.start(context ?? 'none');
    if (span.recorded) span.say(factsOf(message));
    return ended(span, settle());
  }
}

function start(operation: TracedOperation, options: SendOptions | undefined): TraceSpan {
  const given = traceIn(options?.headers);
  return operation.start('active', given === undefined ? {} : { links: [given] });
}

function carrying(options: SendOptions | undefined, context: TraceContext | undefined): SendOptions | undefined {
  if (context === undefined) return options;
  const headers = withTrace(options?.headers, context);
  return headers === undefined ? options : { ...options, headers };
}

function factsOf(message: StoredMessage<unknown>): Record<string, string | number> {
  return {
    'messaging.message.id': message.id,
    'messaging.destination.partition.id': String(message.partition),
    'railhead.attempt': message.attempt,
  };
}

function ended<T>(span: TraceSpan, promise: Promise<T>, facts?: (value: T) => Facts): Promise<T> {
  promise.then(
    (value) => {
      if (span.recorded && facts !== undefined) span.say(facts(value));
      span.end();
    },
    (error: unknown) => span.fail(error),
  );
  return promise;
}
