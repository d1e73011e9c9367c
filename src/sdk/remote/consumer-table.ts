import { RailheadError } from '../../core/errors.ts';
import type { ConsumeRequest, DeliveryRun, DeliverySink, LeaseRange, Settlement } from '../../core/session.ts';
import type { ByteReader } from '../../wire/byte-reader.ts';
import { readData } from '../../wire/data.ts';
import { readDeliver } from '../../wire/deliver.ts';
import { FRAME } from '../../wire/frames.ts';
import type { Output } from '../../wire/output.ts';
import { readLost } from '../../wire/settle.ts';
import { RemoteConsumer, type ConsumerHost } from './remote-consumer.ts';

/** A lease that this client holds and has not settled. */
interface HeldLease {
  readonly consumer: RemoteConsumer;
  readonly range: LeaseRange;
  /** Of the range, not settled yet. */
  remaining: number;
}

/** The consumers of a session: their credit, and the leases that end when the connection does. */
export class ConsumerTable {
  /** Called when the first consumer has credit, and when none has any more. */
  readonly #onChange: () => void;
  readonly #consumers = new Map<number, RemoteConsumer>();
  /** Consumers whose `unsent` credit goes out with the next flush. */
  readonly #credited = new Set<RemoteConsumer>();
  /** By token. Only of `session` leases. */
  readonly #leases = new Map<number, HeldLease>();
  /** Consumers with outstanding credit. */
  #hungry = 0;
  #lastId = 0;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  /** Whether a message may come. */
  get hungry(): boolean {
    return this.#hungry > 0;
  }

  [Symbol.iterator](): Iterator<RemoteConsumer> {
    return this.#consumers.values();
  }

  add(request: ConsumeRequest, sink: DeliverySink, host: ConsumerHost): RemoteConsumer {
    do this.#lastId = this.#lastId === 0xffffffff ? 1 : this.#lastId + 1;
    while (this.#consumers.has(this.#lastId));
    const consumer = new RemoteConsumer(this.#lastId, request, sink, host);
    this.#consumers.set(consumer.id, consumer);
    return consumer;
  }

  forget(consumer: RemoteConsumer): void {
    this.#consumers.delete(consumer.id);
    this.#credited.delete(consumer);
    this.#setOutstanding(consumer, 0);
    consumer.unsent = 0;
  }

  /** It takes nothing more; what is under way to it still arrives. */
  stop(consumer: RemoteConsumer): void {
    consumer.closed = true;
    this.#setOutstanding(consumer, 0);
    consumer.unsent = 0;
  }

  end(consumer: RemoteConsumer, reason: string): void {
    this.forget(consumer);
    if (!consumer.closed) {
      consumer.closed = true;
      consumer.sink.ended(reason);
    }
  }

  // ---- Credit -----------------------------------------------------------------------------------------------------

  giveCredit(consumer: RemoteConsumer, messages: number): void {
    this.#setOutstanding(consumer, consumer.outstanding + messages);
    consumer.unsent += messages;
    this.#credited.add(consumer);
  }

  /** On a new connection the broker knows of no credit: all that is left is sent with the next flush. */
  restart(consumer: RemoteConsumer): void {
    consumer.unsent = consumer.outstanding;
    this.#credited.add(consumer);
  }

  writeCredit(out: Output): void {
    for (const consumer of this.#credited) {
      while (consumer.unsent > 0) {
        const messages = Math.min(consumer.unsent, 0xffffffff);
        consumer.unsent -= messages;
        out.begin(FRAME.CREDIT, 8);
        out.u32(consumer.id);
        out.u32(messages);
        out.end();
      }
    }
    this.#credited.clear();
  }

  #setOutstanding(consumer: RemoteConsumer, messages: number): void {
    const before = consumer.outstanding;
    consumer.outstanding = messages;
    if (before > 0 === messages > 0) return;
    this.#hungry += messages > 0 ? 1 : -1;
    this.#onChange();
  }

  // ---- Frames of the broker ---------------------------------------------------------------------------------------

  onDeliver(id: number, fields: ByteReader): void {
    const consumer = this.#consumers.get(id);
    if (consumer === undefined) return;
    const runs = readDeliver(fields);
    this.#note(consumer, runs);
    consumer.sink.deliver(runs);
  }

  /** The beginning of a large message. It is handed on when all of it is here. */
  onDeliverLarge(id: number, fields: ByteReader): void {
    const consumer = this.#consumers.get(id);
    if (consumer === undefined) return;
    const more = fields.u32();
    const [run] = readDeliver(fields);
    if (run === undefined || consumer.partial !== undefined || more === 0) throw outOfPlace();
    this.#note(consumer, [run]);
    const head = run.records.byteLength;
    const records = Buffer.allocUnsafeSlow(head + more);
    records.set(run.records);
    consumer.partial = { run, records, filled: head };
  }

  onMore(id: number, fields: ByteReader): void {
    const consumer = this.#consumers.get(id);
    if (consumer === undefined) return;
    const { partial } = consumer;
    const bytes = fields.rest();
    if (partial === undefined || partial.filled + bytes.byteLength > partial.records.byteLength) throw outOfPlace();
    if (bytes.byteLength === 0) {
      // It went while it was sent: another one may come in its place.
      consumer.partial = undefined;
      const { count, token } = partial.run;
      this.#leases.delete(token);
      consumer.credit(count);
      return;
    }
    partial.records.set(bytes, partial.filled);
    partial.filled += bytes.byteLength;
    if (partial.filled < partial.records.byteLength) return;
    consumer.partial = undefined;
    consumer.sink.deliver([{ ...partial.run, records: partial.records }]);
  }

  #note(consumer: RemoteConsumer, runs: readonly DeliveryRun[]): void {
    const held = consumer.request.lease === 'session' && consumer.request.autoAck !== true;
    let messages = 0;
    for (const run of runs) {
      messages += run.count;
      if (!held) continue;
      const { partition, offset, count, token } = run;
      this.#leases.set(token, { consumer, range: { partition, offset, count, token }, remaining: count });
    }
    this.#setOutstanding(consumer, Math.max(0, consumer.outstanding - messages));
  }

  onLost(id: number, fields: ByteReader): void {
    const leases = readLost(fields);
    for (const range of leases) this.#drop(range);
    this.#consumers.get(id)?.sink.lost?.(leases);
  }

  onEnded(id: number, fields: ByteReader): void {
    const consumer = this.#consumers.get(id);
    const reason = readData(fields);
    if (consumer !== undefined) this.end(consumer, typeof reason === 'string' ? reason : 'The broker ended it.');
  }

  // ---- Leases -----------------------------------------------------------------------------------------------------

  settled(settlements: readonly Settlement[]): void {
    for (const settlement of settlements) {
      if (settlement.action !== 'extend') for (const range of settlement.ranges) this.#drop(range);
    }
  }

  /**
   * The connection broke. If only that, the broker has given back what was held over it. If the broker died, the next
   * one keeps it for us for a while: what is returned here says that we do not want it.
   */
  loseLeases(): Settlement[] {
    const lost = new Map<RemoteConsumer, LeaseRange[]>();
    for (const { consumer, range } of this.#leases.values()) {
      const ranges = lost.get(consumer);
      if (ranges === undefined) lost.set(consumer, [range]);
      else ranges.push(range);
    }
    this.#leases.clear();
    this.#credited.clear();
    for (const consumer of this.#consumers.values()) this.#loseParts(consumer);
    const releases: Settlement[] = [];
    for (const [consumer, ranges] of lost) {
      const { topic, subscription } = consumer.request;
      releases.push({ topic, subscription, ranges, action: 'release', countAttempt: false, delayMs: 0 });
      consumer.sink.lost?.(ranges);
    }
    return releases;
  }

  forgetLeases(consumer: RemoteConsumer): void {
    for (const [token, lease] of this.#leases) if (lease.consumer === consumer) this.#leases.delete(token);
  }

  /** It comes again from its beginning; the credit for it is still ours. */
  #loseParts(consumer: RemoteConsumer): void {
    const { partial } = consumer;
    consumer.partial = undefined;
    if (partial !== undefined && !consumer.closed)
      this.#setOutstanding(consumer, consumer.outstanding + partial.run.count);
  }

  #drop(range: LeaseRange): void {
    const lease = this.#leases.get(range.token);
    if (lease === undefined) return;
    lease.remaining -= range.count;
    if (lease.remaining <= 0) this.#leases.delete(range.token);
  }
}

function outOfPlace(): RailheadError {
  return new RailheadError('PROTOCOL', 'The broker sent a part of a large message that does not fit what came before.');
}
