import type * as api from '@opentelemetry/api';
import { RailheadError } from '../errors.ts';
import type { TraceContext } from '../trace-context.ts';
import type { Facts, OperationFacts, SpanOptions, TracedOperation, TraceSpan, Tracing } from '../tracing.ts';
import { VERSION } from '../version.ts';

type Api = typeof api;

/** Loaded only where OpenTelemetry is set up: this file names its package, and no other does. */
export class OpenTelemetry implements Tracing {
  readonly #api: Api;
  readonly #tracer: api.Tracer;

  constructor(loaded: Api) {
    this.#api = loaded;
    this.#tracer = loaded.trace.getTracer('railhead', VERSION);
  }

  get isActive(): boolean {
    return this.#api.trace.getSpan(this.#api.context.active()) !== undefined;
  }

  of(facts: OperationFacts): TracedOperation {
    return new Operation(this.#api, this.#tracer, facts);
  }
}

class Operation implements TracedOperation {
  readonly #api: Api;
  readonly #tracer: api.Tracer;
  readonly #name: string;
  /** Shared by all of its spans, which copy them. */
  readonly #options: { kind: api.SpanKind; attributes: api.Attributes };

  constructor(loaded: Api, tracer: api.Tracer, facts: OperationFacts) {
    this.#api = loaded;
    this.#tracer = tracer;
    const { type, name = type, destination, subscription, protocol } = facts;
    this.#name = `${name} ${destination}`;
    const attributes: api.Attributes = {
      'messaging.system': 'railhead',
      'messaging.operation.name': name,
      'messaging.operation.type': type,
      'messaging.destination.name': destination,
    };
    // A queue is its own subscription: saying so tells nothing.
    if (subscription !== undefined && subscription !== destination)
      attributes['messaging.destination.subscription.name'] = subscription;
    if (protocol !== undefined) attributes['network.protocol.name'] = protocol;
    this.#options = { kind: kindOf(loaded.SpanKind, facts), attributes };
  }

  start(parent: TraceContext | 'active' | 'none', { links = [], beganAt }: SpanOptions = {}): TraceSpan {
    const { context, trace, ROOT_CONTEXT } = this.#api;
    const base =
      parent === 'active'
        ? context.active()
        : parent === 'none'
          ? ROOT_CONTEXT
          : trace.setSpanContext(ROOT_CONTEXT, this.#remote(parent));
    const options =
      links.length === 0 && beganAt === undefined
        ? this.#options
        : {
            ...this.#options,
            links: links.map((link) => ({ context: this.#remote(link) })),
            ...(beganAt !== undefined && { startTime: beganAt }),
          };
    return new Span(this.#api, this.#tracer.startSpan(this.#name, options, base), base);
  }

  #remote({ traceId, spanId, flags, state }: TraceContext): api.SpanContext {
    return {
      traceId,
      spanId,
      traceFlags: flags,
      isRemote: true,
      ...(state !== undefined && { traceState: this.#api.createTraceState(state) }),
    };
  }
}

function kindOf(kinds: Api['SpanKind'], { type, side }: OperationFacts): api.SpanKind {
  if (side === 'broker') return kinds.SERVER;
  switch (type) {
    case 'create':
    case 'send':
      return kinds.PRODUCER;
    case 'process':
      return kinds.CONSUMER;
    default:
      return kinds.CLIENT;
  }
}

class Span implements TraceSpan {
  readonly #api: Api;
  readonly #span: api.Span;
  readonly #base: api.Context;
  #over = false;

  constructor(loaded: Api, span: api.Span, base: api.Context) {
    this.#api = loaded;
    this.#span = span;
    this.#base = base;
  }

  get context(): TraceContext | undefined {
    const context = this.#span.spanContext();
    // What the API makes where nobody registered a recorder; whoever did makes valid ones.
    if (context.traceId === this.#api.INVALID_TRACEID) return undefined;
    const { traceId, spanId, traceFlags, traceState } = context;
    const state = traceState?.serialize();
    return { traceId, spanId, flags: traceFlags, ...(state !== undefined && state !== '' && { state }) };
  }

  get recorded(): boolean {
    return this.#span.isRecording();
  }

  run<T>(work: () => T): T {
    return this.#api.context.with(this.#api.trace.setSpan(this.#base, this.#span), work);
  }

  say(facts: Facts): void {
    if (this.recorded) this.#span.setAttributes(facts);
  }

  end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#span.end();
  }

  fail(error: unknown): void {
    if (this.#over) return;
    if (this.recorded) {
      const message = error instanceof Error ? error.message : String(error);
      this.#span.setAttribute('error.type', errorType(error));
      this.#span.setStatus({ code: this.#api.SpanStatusCode.ERROR, message });
    }
    this.end();
  }
}

function errorType(error: unknown): string {
  if (RailheadError.is(error)) return error.code;
  return error instanceof Error ? error.name : '_OTHER';
}
