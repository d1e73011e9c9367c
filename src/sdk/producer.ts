import { RailheadError } from '../core/errors.ts';
import { FORMAT_NATIVE, RecordBatchWriter } from '../core/records.ts';
import type { PublishReceipt, PublishRequest, Session } from '../core/session.ts';
import { formatDuration } from '../core/units.ts';
import { AtomicBatch, GatheredBatch, allSent } from './batch.ts';
import type { Batch, Prerequisite } from './batch.ts';
import type { Client } from './client.ts';
import type { Head } from './envelope.ts';
import { sendFailure } from './failure.ts';
import type { Sent } from './sent.ts';
import { afterMicrotasks, afterTurn } from './tick.ts';
import { TracedTarget } from './tracing.ts';

const MAX_GATHERED_BYTES = 512 * 1024;
const MAX_GATHERED_RECORDS = 4_096;
/** Of one `sendMany`: it is one entry of the journal. */
export const MAX_ATOMIC_BYTES = 8 * 1024 * 1024;
/**
 * Requests of gathered sends on their way at once: enough to keep a connection and the broker's next sync busy, few
 * enough that what waits becomes larger requests.
 */
const MAX_GATHERED_IN_FLIGHT = 8;
/** Batches cannot grow while they wait. The broker remembers 64 of a producer, to know one that is sent again. */
const MAX_IN_FLIGHT = 48;
/** What a producer holds for a broker that does not take it. Above, sends are refused. */
const MAX_PENDING_BYTES = 256 * 1024 * 1024;
const FIRST_BACKOFF_MS = 50;
const LONGEST_BACKOFF_MS = 2_000;

/**
 * Sends to one topic, queue or router. Sends of one turn travel together; batches leave in order, and after a lost
 * connection they leave again in that order under the same producer id and sequence, so that none is stored twice.
 *
 * ```
 * send ─▶ gathering ─▶ queued ─▶ in flight ─▶ told
 *                        ▲           │ connection lost
 *                        └── again ◀─┘
 * ```
 */
export class Producer {
  readonly #client: Client;
  readonly #to: PublishRequest['to'];
  /** Spans of what is sent. */
  readonly traced: TracedTarget | undefined;
  readonly #id: string;
  readonly #writer = new RecordBatchWriter();
  #gathering: GatheredBatch | undefined;
  readonly #queued: Batch[] = [];
  readonly #inFlight = new Set<Batch>();
  #again: Batch[] = [];
  /** A batch waits for its declaration or the session; those behind it stay behind it. */
  #waiting = false;
  /** The connection was lost with batches in flight; nothing leaves before they left again. */
  #recovering = false;
  #cancelResend: (() => void) | undefined;
  #backoffMs = FIRST_BACKOFF_MS;
  #sequence = 0;
  #pendingBytes = 0;
  #scheduled = false;
  #cancelTimer: (() => void) | undefined;
  #busy = false;
  #idle: (() => void)[] = [];

  constructor(client: Client, to: PublishRequest['to'], id: string) {
    this.#client = client;
    this.#to = to;
    this.#id = id;
    if (client.tracing !== undefined)
      this.traced = new TracedTarget(client.tracing, 'topic' in to ? to.topic : to.router);
  }

  /** One message, gathered with others of this turn. */
  send(head: Head, body: string | Uint8Array, prerequisite: Prerequisite | undefined): Promise<Sent> {
    try {
      this.#append(head, body, prerequisite?.value === undefined ? prerequisite : undefined);
    } catch (error) {
      return Promise.reject(sendFailure(error, false));
    }
    return new Promise(this.#enlist);
  }

  // One function for every send: the executor runs at once, when `#gathering` is the batch just written to.
  readonly #enlist = (resolve: (sent: Sent) => void, reject: (error: RailheadError) => void): void => {
    this.#gathering?.enlist(resolve, reject);
  };

  /** Many messages as one entry. @throws TOO_LARGE above 8 MiB. */
  sendMany(records: { bytes: Uint8Array; count: number }, prerequisite: Prerequisite | undefined): Promise<Sent[]> {
    return this.publish(this.#to, records, prerequisite, allSent);
  }

  /** One atomic request, in order with everything else that is sent here. */
  publish<T>(
    to: PublishRequest['to'],
    records: { bytes: Uint8Array; count: number },
    prerequisite: Prerequisite | undefined,
    read: (receipt: PublishReceipt, count: number) => T,
  ): Promise<T> {
    if (records.bytes.byteLength > MAX_ATOMIC_BYTES) {
      return Promise.reject(
        new RailheadError(
          'TOO_LARGE',
          `The ${records.count} messages take ${records.bytes.byteLength} bytes; one atomic send takes at most ${MAX_ATOMIC_BYTES}. Split them.`,
          { outcome: 'not-stored' },
        ),
      );
    }
    try {
      this.#admit();
    } catch (error) {
      return Promise.reject(sendFailure(error, false));
    }
    this.#seal();
    const batch = new AtomicBatch<T>(
      to,
      prerequisite?.value === undefined ? prerequisite : undefined,
      this.#deadline(),
      read,
    );
    this.#enqueue(batch, records);
    this.#schedule();
    return batch.done;
  }

  /** Resolves when everything sent so far has been answered. */
  drain(): Promise<void> {
    if (!this.#busy) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Everything that was not answered yet fails. */
  abandon(error: RailheadError): void {
    this.#cancelTimer?.();
    this.#cancelResend?.();
    this.#seal();
    for (const batch of this.#pending()) this.#drop(batch, sendFailure(error, batch.sequence >= 0));
    this.#settleIfIdle();
  }

  #append(head: Head, body: string | Uint8Array, prerequisite: Prerequisite | undefined): void {
    let batch = this.#gathering;
    if (batch !== undefined) {
      const full =
        this.#writer.count >= MAX_GATHERED_RECORDS || this.#writer.byteLength + body.length > MAX_GATHERED_BYTES;
      if (full || batch.prerequisite !== prerequisite) batch = this.#seal();
    }
    if (batch === undefined) {
      this.#admit();
      this.#writer.append(head, body);
      this.#gathering = new GatheredBatch(this.#to, prerequisite, this.#deadline());
      this.#schedule();
    } else this.#writer.append(head, body);
  }

  #admit(): void {
    this.#client.assertOpen();
    if (this.#pendingBytes > MAX_PENDING_BYTES) {
      throw new RailheadError(
        'QUEUE_FULL',
        `${this.#pendingBytes} bytes are waiting to be sent; at most ${MAX_PENDING_BYTES} may. Await earlier sends before making more.`,
        { outcome: 'not-stored' },
      );
    }
    if (!this.#busy) {
      this.#busy = true;
      this.#client.keepAlive.hold();
    }
  }

  #deadline(): number {
    const deadline = this.#client.clock.now() + this.#client.sendTimeoutMs;
    this.#cancelTimer ??= this.#client.clock.timer(deadline, this.#expire);
    return deadline;
  }

  /** Ends the batch that gathers. */
  #seal(): undefined {
    const batch = this.#gathering;
    if (batch === undefined) return;
    this.#gathering = undefined;
    this.#enqueue(batch, this.#writer.take());
  }

  #enqueue(batch: Batch, records: { bytes: Uint8Array; count: number }): void {
    batch.records = records.bytes;
    batch.count = records.count;
    this.#pendingBytes += records.bytes.byteLength;
    this.#queued.push(batch);
  }

  /**
   * A lone send leaves after the microtasks of this moment. While others are on their way, what the sockets bring in
   * this turn is waited for: fewer and larger requests, no added time.
   */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    if (this.#inFlight.size === 0) afterMicrotasks(this.#flush);
    else afterTurn(this.#flush);
  }

  readonly #flush = (): void => {
    this.#scheduled = false;
    this.#pump();
  };

  #pump(): void {
    if (this.#recovering) this.#resendWhenQuiet();
    while (!this.#waiting && !this.#recovering) {
      const batch = this.#nextToLeave();
      if (batch === undefined) break;
      this.#inFlight.add(batch);
      const session = this.#client.current;
      const ready = batch.prerequisite === undefined || batch.prerequisite.value !== undefined;
      if (session !== undefined && ready) this.#publish(batch, session);
      else void this.#publishWhenReady(batch);
    }
    this.#settleIfIdle();
  }

  #nextToLeave(): Batch | undefined {
    const limit = this.#queued[0]?.atomic === true ? MAX_IN_FLIGHT : MAX_GATHERED_IN_FLIGHT;
    if (this.#inFlight.size >= limit) return undefined;
    if (this.#queued.length === 0) this.#seal();
    return this.#queued.shift();
  }

  async #publishWhenReady(batch: Batch): Promise<void> {
    this.#waiting = true;
    try {
      await batch.prerequisite?.get();
      const session = await this.#client.session();
      if (!batch.over) this.#publish(batch, session);
    } catch (error) {
      this.#drop(batch, sendFailure(error, false));
    }
    this.#waiting = false;
    this.#pump();
  }

  #publish(batch: Batch, session: Session): void {
    if (batch.sequence < 0) {
      batch.sequence = this.#sequence;
      this.#sequence += batch.count;
    }
    const left = Math.max(0, batch.deadline - this.#client.clock.now());
    const request: PublishRequest = {
      to: batch.to,
      format: FORMAT_NATIVE,
      records: batch.records,
      count: batch.count,
      producer: { id: this.#id, sequence: batch.sequence },
      // A little less than we wait ourselves, so that the broker's certain answer comes before our uncertain one.
      waitMs: left - Math.min(500, left / 10),
    };
    if (batch.atomic) request.atomic = true;
    session.publish(request).then(
      (receipt) => this.#confirmed(batch, receipt),
      (error: unknown) => this.#failed(batch, error),
    );
  }

  #confirmed(batch: Batch, receipt: PublishReceipt): void {
    this.#backoffMs = FIRST_BACKOFF_MS;
    if (!batch.over) {
      this.#forget(batch);
      batch.confirm(receipt);
    }
    this.#pump();
  }

  #failed(batch: Batch, error: unknown): void {
    if (!batch.over) {
      if (RailheadError.is(error, 'CONNECTION_LOST') && !this.#client.closed) {
        this.#inFlight.delete(batch);
        this.#again.push(batch);
        this.#recovering = true;
      } else this.#drop(batch, sendFailure(error, true));
    }
    this.#pump();
  }

  /** Only when nothing is in flight any more: a batch that overtook an earlier one would hide it from the broker. */
  #resendWhenQuiet(): void {
    if (this.#inFlight.size > 0 || this.#cancelResend !== undefined) return;
    const wait = this.#backoffMs * (0.5 + this.#client.random.next() / 2);
    this.#backoffMs = Math.min(this.#backoffMs * 2, LONGEST_BACKOFF_MS);
    this.#cancelResend = this.#client.clock.timer(this.#client.clock.now() + wait, () => {
      this.#cancelResend = undefined;
      this.#queued.unshift(...this.#again.filter((batch) => !batch.over).sort((a, b) => a.sequence - b.sequence));
      this.#again = [];
      this.#recovering = false;
      this.#pump();
    });
  }

  #pending(): Batch[] {
    return [...this.#inFlight, ...this.#again, ...this.#queued];
  }

  readonly #expire = (): void => {
    this.#cancelTimer = undefined;
    const now = this.#client.clock.now();
    if (this.#gathering !== undefined && this.#gathering.deadline <= now) this.#seal();
    let next = this.#gathering?.deadline ?? Infinity;
    for (const batch of this.#pending()) {
      if (batch.deadline > now) next = Math.min(next, batch.deadline);
      else this.#drop(batch, this.#timeout(batch));
    }
    if (next < Infinity) this.#cancelTimer = this.#client.clock.timer(next, this.#expire);
    this.#pump();
  };

  #timeout(batch: Batch): RailheadError {
    const underWay = batch.sequence >= 0;
    const waited = formatDuration(this.#client.sendTimeoutMs);
    const message = underWay
      ? `The broker did not confirm within ${waited}; it may have stored the message. Send again with a dedupeId to be sure that it is stored once.`
      : `The message could not be given to the broker within ${waited}. Check that it runs and can be reached, then send again.`;
    return new RailheadError('TIMEOUT', message, { outcome: underWay ? 'unknown' : 'not-stored' });
  }

  #drop(batch: Batch, error: RailheadError): void {
    this.#forget(batch);
    batch.fail(error);
  }

  #forget(batch: Batch): void {
    if (batch.over) return;
    this.#pendingBytes -= batch.records.byteLength;
    if (this.#inFlight.delete(batch)) return;
    const index = this.#queued.indexOf(batch);
    if (index >= 0) this.#queued.splice(index, 1);
  }

  #settleIfIdle(): void {
    if (!this.#busy || this.#pendingBytes > 0 || this.#gathering !== undefined) return;
    this.#busy = false;
    this.#client.keepAlive.drop();
    for (const resolve of this.#idle.splice(0)) resolve();
  }
}
