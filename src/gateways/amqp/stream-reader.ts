import { RailheadError } from '../../core/errors.ts';
import type { Consumer, DeliveryRun, DeliverySink, Session, StartAt } from '../../core/session.ts';
import { FORMAT_AMQP, RecordView } from './content.ts';
import { amqpRecords } from './records.ts';
import { passes, type StreamOptions, type StreamStart, withOffset } from './streams.ts';

/** Read at once. */
const READ_MESSAGES = 1_000;
const READ_BYTES = 256 * 1024;
/** How long to wait at the end of the stream before asking again. */
const WAIT_MS = 30_000;

/**
 * A consumer of a stream: reads on by offset while it has credit, settles nothing. To its channel it is like a consumer
 * of a queue.
 */
export class StreamReader implements Consumer {
  readonly id = 0;
  readonly #session: Session;
  readonly #topic: string;
  readonly #filter: StreamOptions['filter'];
  readonly #sink: DeliverySink;
  /** Nothing before it is delivered: a reader may wait for an offset that is not there yet. */
  readonly #first: number;
  readonly #view = new RecordView();
  #from: StartAt;
  #credit = 0;
  /** Read, and more than there was credit for. */
  #ready: DeliveryRun[] = [];
  #working = false;
  #over = false;

  private constructor(session: Session, topic: string, from: StartAt, { filter }: StreamOptions, sink: DeliverySink) {
    this.#session = session;
    this.#topic = topic;
    this.#from = from;
    this.#first = typeof from === 'object' && 'offset' in from ? from.offset : 0;
    this.#filter = filter;
    this.#sink = sink;
  }

  /** It is fixed now where it begins: what is published later comes after `next`. */
  static async open(
    session: Session,
    topic: string,
    options: StreamOptions,
    sink: DeliverySink,
  ): Promise<StreamReader> {
    return new StreamReader(session, topic, await beginning(session, topic, options.from), options, sink);
  }

  credit(messages: number): void {
    // Nobody waits for one who takes nothing away.
    if (messages === 0) return;
    this.#credit += messages;
    this.#deliver();
    if (this.#working || this.#over) return;
    this.#working = true;
    this.#work()
      .catch((error: unknown) => {
        if (this.#over) return;
        this.#over = true;
        if (!RailheadError.is(error, 'CLOSED'))
          this.#sink.ended(error instanceof Error ? error.message : String(error));
      })
      .finally(() => (this.#working = false));
  }

  async close(): Promise<void> {
    this.#over = true;
    this.#ready = [];
  }

  async #work(): Promise<void> {
    while (this.#wantsMore()) {
      const { runs, next } = await this.#session.request('read', {
        topic: this.#topic,
        from: this.#from,
        maxMessages: this.#filter === undefined ? Math.min(this.#credit, READ_MESSAGES) : READ_MESSAGES,
        maxBytes: READ_BYTES,
        waitMs: WAIT_MS,
        formats: [FORMAT_AMQP],
        bodies: 'apart',
      });
      this.#from = { offset: Math.max(next, this.#first) };
      for (const run of runs) this.#take(run);
      this.#deliver();
    }
  }

  #wantsMore(): boolean {
    return !this.#over && this.#credit > 0 && this.#ready.length === 0;
  }

  /** What of a run the consumer gets, each with its offset. */
  #take(run: DeliveryRun): void {
    const records = amqpRecords(run, this.#topic);
    for (let i = 0, at = 0; i < run.count; i++, at = this.#view.end) {
      const offset = run.offset + i;
      this.#view.at(records, at);
      if (offset < this.#first) continue;
      if (this.#filter !== undefined && !passes(this.#filter, records, this.#view)) continue;
      const record = withOffset(records, this.#view, offset);
      this.#ready.push({ ...run, offset, count: 1, format: FORMAT_AMQP, records: record });
    }
  }

  #deliver(): void {
    if (this.#over || this.#credit === 0 || this.#ready.length === 0) return;
    const runs = this.#ready.splice(0, this.#credit);
    this.#credit -= runs.length;
    this.#sink.deliver(runs);
  }
}

async function beginning(session: Session, topic: string, from: StreamStart): Promise<StartAt> {
  if (typeof from === 'object' && 'agoMs' in from) {
    const { now } = await session.request('info', {});
    return { time: now - from.agoMs };
  }
  if (from !== 'end' && from !== 'last') return from;
  const { partitions } = await session.request('topicStats', { name: topic });
  const { start = 0, stableEnd = 0 } = partitions[0] ?? {};
  return { offset: from === 'end' ? stableEnd : Math.max(start, stableEnd - 1) };
}
