import type { TraceContext } from './trace-context.ts';

/** What a span is about, in the words of OpenTelemetry's conventions for messaging. */
export interface OperationFacts {
  type: 'create' | 'send' | 'receive' | 'process' | 'settle';
  /** What it is called here, such as `ack`. Default: the type. */
  name?: string;
  /** Who does it: a client, or the broker for one. Default `client`. */
  side?: 'client' | 'broker';
  /** The queue, topic or router. */
  destination: string;
  /** Of a topic. */
  subscription?: string;
  /** The protocol through which the broker was asked. */
  protocol?: string;
}

export type Facts = Readonly<Record<string, string | number | boolean>>;

export interface SpanOptions {
  /** What else led to it. */
  links?: readonly TraceContext[];
  /** When it began, ms of 1970, if that was not now. */
  beganAt?: number;
}

/** A span that has begun. */
export interface TraceSpan {
  /** What a message carries on; undefined where nobody set up a recorder. */
  readonly context: TraceContext | undefined;
  /** False: nothing that is said of it is kept. */
  readonly recorded: boolean;
  /** Runs it as what is active, also across its awaits. */
  run<T>(work: () => T): T;
  say(facts: Facts): void;
  /** Only the first end counts. */
  end(): void;
  /** Ends it as one that failed. */
  fail(error: unknown): void;
}

/** Makes the spans of one operation on one destination. */
export interface TracedOperation {
  /**
   * `active`: a child of what runs. A context: a child of what a message carries. `none`: the first of a new trace.
   */
  start(parent: TraceContext | 'active' | 'none', how?: SpanOptions): TraceSpan;
}

/** Spans for whoever set up OpenTelemetry in this process. */
export interface Tracing {
  /** Whether something runs that a span can be a child of. */
  readonly isActive: boolean;
  of(facts: OperationFacts): TracedOperation;
}

/** Where every copy of `@opentelemetry/api` 1.x keeps what was set up: a symbol of its own, the same for all of 1.x. */
const SET_UP = Symbol.for('opentelemetry.js.api.1');

/**
 * Tracing, when `@opentelemetry/api` is installed and something was registered with it before. Else undefined: then
 * nothing is loaded, and nobody pays for more than this look.
 */
export async function findTracing(): Promise<Tracing | undefined> {
  if (!(SET_UP in globalThis)) return undefined;
  try {
    const [api, { OpenTelemetry }] = await Promise.all([
      import('@opentelemetry/api'),
      import('./tracing/open-telemetry.ts'),
    ]);
    return new OpenTelemetry(api);
  } catch {
    // It lies where only somebody else's packages see it.
    return undefined;
  }
}
