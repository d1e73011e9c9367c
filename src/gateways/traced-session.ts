import { asBuffer, type Envelope, FORMAT_NATIVE, RECORD, readRecord, recordEnd } from '../core/records.ts';
import type {
  ConsumeRequest,
  DeliveryRun,
  DeliverySink,
  LeaseRange,
  OperationName,
  Operations,
  PublishReceipt,
  PublishRequest,
  Session,
  SettledUntil,
  Settlement,
  SettleReceipt,
  SubscriptionRef,
  Transaction,
} from '../core/session.ts';
import { SAMPLED, type TraceContext, TRACEPARENT, traceIn, XRAY_MARK } from '../core/trace-context.ts';
import type { OperationFacts, TracedOperation, TraceSpan, Tracing } from '../core/tracing.ts';
import type { RecordFormat } from '../engine/formats.ts';

/** What is larger, and not native, is not looked into: batches of Kafka above all. */
const MAX_LOOK_BYTES = 64 * 1024;
/** Of one span. */
const MAX_TRACES = 128;
/** Messages with a trace that are with a consumer. What is more is settled without a span. */
const MAX_LEASED = 10_000;
const MAX_OPERATIONS = 1_000;

const NONE: readonly Traced[] = [];

/** A message that somebody traces. */
interface Traced {
  readonly index: number;
  readonly context: TraceContext;
}

/**
 * Spans of what the broker does for its clients, over every protocol: how long a publish took to be durable, when a message
 * was handed out, when it was settled. Only of messages that come with a trace which is recorded: who publishes decides,
 * and a message without one costs a look at its headers. Messages are carried as they are; their next span is a child of
 * the one that sent them.
 */
export class BrokerTraces {
  readonly #tracing: Tracing;
  readonly #formats: ReadonlyMap<number, RecordFormat>;
  readonly #withXray: ReadonlySet<number>;
  readonly #operations = new Map<string, TracedOperation>();
  readonly #leased = new Map<string, TraceContext>();

  /** `withXray`: tags of the formats whose messages may carry it as Amazon's X-Ray writes it. */
  constructor(tracing: Tracing, formats: readonly RecordFormat[], withXray: readonly number[]) {
    this.#tracing = tracing;
    this.#withXray = new Set(withXray);
    this.#formats = new Map(formats.map((format) => [format.tag, format]));
  }

  of(session: Session, protocol: string): Session {
    return new TracedSession(session, this, protocol);
  }

  publishing({ to, format, records, count }: PublishRequest, protocol: string): TraceSpan | undefined {
    const traced = this.#in(format, records, 0, count);
    const destination = 'topic' in to ? to.topic : to.router;
    return this.#start({ type: 'send', destination, protocol }, traced);
  }

  delivered(ref: SubscriptionRef, runs: readonly DeliveryRun[], protocol: string): void {
    for (const run of runs) {
      const traced = this.#in(run.format, run.records, 0, run.count);
      this.#start({ type: 'receive', ...factsOf(ref), protocol }, traced)?.end();
      // Settled as it was handed out.
      if (run.deadline === 0) continue;
      for (const { index, context } of traced) {
        if (this.#leased.size >= MAX_LEASED) break;
        this.#leased.set(leaseKey(ref.topic, run, run.offset + index), context);
      }
    }
  }

  read(topic: string, runs: readonly DeliveryRun[], protocol: string): void {
    for (const run of runs) {
      const traced = this.#in(run.format, run.records, run.skip ?? 0, run.count);
      this.#start({ type: 'receive', destination: topic, protocol }, traced)?.end();
    }
  }

  settling(settlement: Settlement, protocol: string): TraceSpan | undefined {
    if (this.#leased.size === 0) return undefined;
    const { action } = settlement;
    const traced: Traced[] = [];
    this.#each(settlement.topic, settlement.ranges, (key, context) => {
      traced.push({ index: traced.length, context });
      if (action !== 'extend') this.#leased.delete(key);
    });
    return this.#start({ type: 'settle', name: action, ...factsOf(settlement), protocol }, traced);
  }

  lost(topic: string, ranges: readonly LeaseRange[]): void {
    if (this.#leased.size > 0) this.#each(topic, ranges, (key) => this.#leased.delete(key));
  }

  #each(topic: string, ranges: readonly LeaseRange[], visit: (key: string, context: TraceContext) => void): void {
    for (const range of ranges) {
      for (let i = 0; i < range.count; i++) {
        const key = leaseKey(topic, range, range.offset + i);
        const context = this.#leased.get(key);
        if (context !== undefined) visit(key, context);
      }
    }
  }

  /** Of several messages: a child of the first one's, linked to the others. */
  #start(facts: OperationFacts, traced: readonly Traced[]): TraceSpan | undefined {
    const [first, ...others] = traced;
    if (first === undefined) return undefined;
    const isOther = ({ context }: Traced): boolean => context.spanId !== first.context.spanId;
    const links = others.filter(isOther).map(({ context }) => context);
    const span = this.#operation(facts).start(first.context, { links: links.slice(0, MAX_TRACES) });
    if (traced.length > 1) span.say({ 'messaging.batch.message_count': traced.length });
    return span;
  }

  #operation(facts: OperationFacts): TracedOperation {
    const { type, name = type, destination, subscription = '', protocol = '' } = facts;
    const key = `${name} ${protocol} ${destination} ${subscription}`;
    let operation = this.#operations.get(key);
    if (operation === undefined) {
      // Clients name what they like.
      if (this.#operations.size >= MAX_OPERATIONS) this.#operations.clear();
      operation = this.#tracing.of({ ...facts, side: 'broker' });
      this.#operations.set(key, operation);
    }
    return operation;
  }

  /** The messages from `skip` on that are traced. Records of a publish were not checked yet. */
  #in(format: number, records: Uint8Array, skip: number, count: number): readonly Traced[] {
    const buffer = asBuffer(records);
    if (format === FORMAT_NATIVE) return inNative(buffer, count);
    if (buffer.byteLength > MAX_LOOK_BYTES) return NONE;
    const isMarked = buffer.includes(TRACEPARENT, 0, 'latin1');
    if (!isMarked && !(this.#withXray.has(format) && buffer.includes(XRAY_MARK, 0, 'latin1'))) return NONE;
    try {
      const envelopes = this.#formats.get(format)?.envelopes(buffer, count + skip) ?? [];
      return envelopes.slice(skip, skip + count).flatMap(tracedOf);
    } catch {
      // Whoever it is for will say what is wrong with it.
      return NONE;
    }
  }
}

const MARK = Buffer.from(TRACEPARENT, 'latin1');
const TRACEPARENT_BYTES = 55;

/**
 * Only records with a trace that may be recorded are read: most traces are not, and to unpack their headers would cost
 * more than all else that is done for the message.
 */
function inNative(records: Buffer, count: number): readonly Traced[] {
  let traced: Traced[] | undefined;
  let mark = -1;
  for (let i = 0, at = 0; i < count && at + 5 <= records.byteLength; i++, at = recordEnd(records, at)) {
    if (((records[at + 4] ?? 0) & RECORD.HEADERS) === 0) continue;
    if (mark < at) mark = records.indexOf(MARK, at);
    if (mark < 0) break;
    if (mark >= recordEnd(records, at) || isUnrecorded(records, mark + MARK.byteLength)) continue;
    try {
      const found = tracedOf(readRecord(records, at), i);
      if (found.length > 0) (traced ??= []).push(...found);
    } catch {
      return NONE;
    }
  }
  return traced ?? NONE;
}

/** Whether what follows is a traceparent, as MessagePack has a text of its length, whose last digit says: not recorded. */
function isUnrecorded(records: Buffer, at: number): boolean {
  if (records[at] !== 0xd9 || records[at + 1] !== TRACEPARENT_BYTES) return false;
  const digit = Number.parseInt(String.fromCharCode(records[at + 1 + TRACEPARENT_BYTES] ?? 0), 16);
  return digit % 2 === 0;
}

function tracedOf({ headers }: Envelope, index: number): Traced[] {
  const context = traceIn(headers);
  return context === undefined || (context.flags & SAMPLED) === 0 ? [] : [{ index, context }];
}

function leaseKey(topic: string, { partition, token }: { partition: number; token: number }, offset: number): string {
  return `${partition}.${offset}.${token} ${topic}`;
}

function factsOf({ topic, subscription }: SubscriptionRef): { destination: string; subscription: string } {
  return { destination: topic, subscription };
}

/** A session whose messages are looked at on their way. */
class TracedSession implements Session {
  readonly #inner: Session;
  readonly #traces: BrokerTraces;
  readonly #protocol: string;

  constructor(inner: Session, traces: BrokerTraces, protocol: string) {
    this.#inner = inner;
    this.#traces = traces;
    this.#protocol = protocol;
  }

  publish(request: PublishRequest): Promise<PublishReceipt> {
    const span = this.#traces.publishing(request, this.#protocol);
    const receipt = this.#inner.publish(request);
    return span === undefined ? receipt : ended([span], receipt);
  }

  body(...args: Parameters<Session['body']>): ReturnType<Session['body']> {
    return this.#inner.body(...args);
  }

  consume(request: ConsumeRequest, sink: DeliverySink): ReturnType<Session['consume']> {
    const traces = this.#traces;
    const protocol = this.#protocol;
    return this.#inner.consume(request, {
      deliver(runs) {
        traces.delivered(request, runs, protocol);
        sink.deliver(runs);
      },
      ended: (reason) => sink.ended(reason),
      lost(leases) {
        traces.lost(request.topic, leases);
        sink.lost?.(leases);
      },
      thirsty: () => sink.thirsty?.() === true,
    });
  }

  settle(settlements: Settlement[], until?: SettledUntil): Promise<SettleReceipt> {
    const spans = this.#settling(settlements);
    const receipt = this.#inner.settle(settlements, until);
    return spans.length === 0 ? receipt : ended(spans, receipt);
  }

  commit(transaction: Transaction): Promise<PublishReceipt[]> {
    const spans = this.#settling(transaction.settlements);
    for (const request of transaction.publishes) {
      const span = this.#traces.publishing(request, this.#protocol);
      if (span !== undefined) spans.push(span);
    }
    const receipts = this.#inner.commit(transaction);
    return spans.length === 0 ? receipts : ended(spans, receipts);
  }

  async request<O extends OperationName>(operation: O, args: Operations[O]['args']): Promise<Operations[O]['result']> {
    const result = await this.#inner.request(operation, args);
    // Who counts offsets (Kafka, streams) reads what others are given.
    if (operation === 'read' && 'runs' in result && 'topic' in args)
      this.#traces.read(args.topic, result.runs, this.#protocol);
    return result;
  }

  close(how?: 'clean' | 'lost'): Promise<void> {
    return this.#inner.close(how);
  }

  #settling(settlements: readonly Settlement[]): TraceSpan[] {
    return settlements.flatMap((settlement) => this.#traces.settling(settlement, this.#protocol) ?? []);
  }
}

function ended<T>(spans: readonly TraceSpan[], promise: Promise<T>): Promise<T> {
  promise.then(
    () => {
      for (const span of spans) span.end();
    },
    (error: unknown) => {
      for (const span of spans) span.fail(error);
    },
  );
  return promise;
}
