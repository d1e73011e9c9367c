import { RailheadError } from '../core/errors.ts';
import type { Filter } from '../core/policy.ts';
import type { Headers } from '../core/records.ts';
import type { MessageId, Operations, RedriveProgress, SubscriptionRef } from '../core/session.ts';
import type { SubscriptionStats } from '../core/stats.ts';
import { rateLimit } from '../core/units.ts';
import type { Rate } from '../core/units.ts';
import { encodeRecord } from './envelope.ts';
import type { SendOptions } from './envelope.ts';
import { factsOf } from './feed.ts';
import type { Source } from './feed.ts';
import { Once } from './once.ts';
import type { Host } from './host.ts';
import type { Settler } from './settler.ts';
import { Subscription, isNotFound } from './subscription.ts';
import type { PeekOptions, Peeked } from './subscription.ts';
import { aborted, sleep } from './tick.ts';

/** Which dead letters. Default: all. */
export interface DeadLetterSelection {
  ids?: MessageId[];
  filter?: Filter;
  /** At most this many. */
  limit?: number;
}

export interface RedriveOptions extends DeadLetterSelection {
  /** At most this fast. Default: no limit. */
  rate?: Rate;
  /** Another queue than the one they came from. */
  to?: string;
  /**
   * Called for each dead letter, before the filter is applied: what it returns replaces body, key or headers;
   * undefined leaves the message as it is.
   */
  edit?: (message: Peeked) => Edit | undefined | Promise<Edit | undefined>;
  /** Stops the redrive; what was moved stays moved. */
  signal?: AbortSignal;
}

/** What changes in a redriven message. What is left out stays. */
export interface Edit {
  body?: unknown;
  key?: string;
  headers?: Headers;
}

export interface Redriven {
  /** Given back to their queue. */
  moved: number;
  /** Looked at and chosen by the selection. */
  matched: number;
}

const EDIT_PAGE = 100;
const QUICK_POLLS = 20;
const POLL_MS = 100;

/**
 * The dead letters of a queue or subscription: a queue with two more verbs. Its bodies are not checked by the schema,
 * since that may be what they failed. Looking at it while there are none finds nothing and makes nothing.
 */
export class DeadLetters extends Subscription<unknown> {
  readonly #source: DeadSource;

  /** Made by `queue.dead`. */
  constructor(source: DeadSource, host: Host) {
    super(source, host);
    this.#source = source;
  }

  /** Gives dead letters back to the queue they came from, as new attempts. Resolves when all are moved. @throws ABORTED. */
  async redrive(options: RedriveOptions = {}): Promise<Redriven> {
    const { edit, signal, rate } = options;
    if (signal?.aborted) throw aborted(signal);
    const args = {
      ...selection(options),
      ...(options.to !== undefined && { to: options.to }),
      ...(rate !== undefined && { ratePerSecond: perSecond(rate) }),
    };
    if (edit === undefined) return this.#redrive(args, signal);
    const total: Redriven = { moved: 0, matched: 0 };
    for await (const page of this.#pages(options)) {
      const left = options.limit === undefined ? {} : { limit: options.limit - total.moved };
      if (left.limit !== undefined && left.limit <= 0) break;
      const edits = await this.#edits(page, edit);
      const done = await this.#redrive({ ...args, ...left, ids: page.map((message) => message.id), edits }, signal);
      total.moved += done.moved;
      total.matched += done.matched;
    }
    return total;
  }

  /** Removes dead letters for good. Resolves to how many that were. */
  async drop(options: DeadLetterSelection = {}): Promise<number> {
    const { dropped } = await this.#orElse(() => this.ask('drop', { ...this.ref, ...selection(options) }), {
      dropped: 0,
    });
    return dropped;
  }

  override peek(options: PeekOptions = {}): Promise<Peeked[]> {
    return this.#orElse(() => super.peek(options), []);
  }

  override purge(): Promise<number> {
    return this.#orElse(() => super.purge(), 0);
  }

  override stats(): Promise<SubscriptionStats> {
    const none = {
      ready: 0,
      delayed: 0,
      leased: 0,
      depth: 0,
      consumers: 0,
      paused: false,
      // Where a dead letter dies again: it stays where it is.
      deadLetterQueue: this.ref.subscription,
      oldestAt: null,
      delivered: 0,
      redelivered: 0,
      acked: 0,
      released: 0,
      deadLettered: 0,
      expired: 0,
    };
    return this.#orElse(() => super.stats(), { ...this.ref, ...none });
  }

  /** Made now, instead of with the first dead letter. */
  override async ready(): Promise<this> {
    await this.#source.declared.get();
    return this;
  }

  // Only what takes messages makes the queue; a look at it does not.
  protected override before(): Promise<void> {
    return this.#source.named();
  }

  async #redrive(
    args: Omit<Operations['redrive']['args'], 'topic' | 'subscription'>,
    signal: AbortSignal | undefined,
  ): Promise<Redriven> {
    const none: RedriveProgress = { id: '', state: 'done', moved: 0, matched: 0 };
    let progress = await this.#orElse(() => this.ask('redrive', { ...this.ref, ...args }), none);
    const { clock } = this.#source.client;
    for (let polls = 0; progress.state === 'running'; polls++) {
      if (polls > QUICK_POLLS) await sleep(clock, POLL_MS, signal).catch(() => undefined);
      const cancel = signal?.aborted === true ? { cancel: true } : {};
      progress = await this.ask('redriveProgress', { id: progress.id, ...cancel });
    }
    if (progress.state === 'failed') {
      throw new RailheadError(
        'STORAGE_FAILED',
        `The redrive stopped after ${progress.moved} messages: ${progress.error ?? 'no reason was given'}.`,
      );
    }
    if (progress.state === 'cancelled' && signal?.aborted) throw aborted(signal);
    return { moved: progress.moved, matched: progress.matched };
  }

  async *#pages(options: RedriveOptions): AsyncGenerator<Peeked[]> {
    let after: MessageId | undefined;
    for (;;) {
      const page = await this.peek({ limit: EDIT_PAGE, state: 'ready', ...(after !== undefined && { after }) });
      const last = page[page.length - 1];
      if (last === undefined) return;
      after = last.id;
      const chosen = options.ids === undefined ? page : page.filter((message) => options.ids?.includes(message.id));
      if (chosen.length > 0) yield chosen;
    }
  }

  async #edits(
    page: Peeked[],
    edit: NonNullable<RedriveOptions['edit']>,
  ): Promise<{ id: MessageId; record: Uint8Array }[]> {
    const edits: { id: MessageId; record: Uint8Array }[] = [];
    for (const message of page) {
      const changed = await edit(message);
      if (changed === undefined) continue;
      const options: SendOptions = { headers: changed.headers ?? message.headers };
      const key = changed.key ?? message.key;
      if (key !== undefined) options.key = key;
      if (message.priority > 0) options.priority = message.priority;
      edits.push({
        id: message.id,
        record: await encodeRecord(this.#source.type, 'body' in changed ? changed.body : message.body, options),
      });
    }
    return edits;
  }

  async #orElse<R>(ask: () => Promise<R>, none: R): Promise<R> {
    // Not inside: that the queue itself is not there is an error.
    await this.before();
    try {
      return await ask();
    } catch (error) {
      if (isNotFound(error)) return none;
      throw error;
    }
  }
}

function selection(options: DeadLetterSelection): DeadLetterSelection {
  const { ids, filter, limit } = options;
  return {
    ...(ids !== undefined && { ids }),
    ...(filter !== undefined && { filter }),
    ...(limit !== undefined && { limit }),
  };
}

function perSecond(rate: Rate): number {
  const { count, perMs } = rateLimit(rate);
  return (count * 1000) / perMs;
}

/** The queue that the broker puts the dead letters of `source` into. Its name is known when `source` is declared. */
export class DeadSource implements Source<unknown> {
  readonly #of: Source<unknown>;
  readonly #ref = { topic: '', subscription: '' };
  readonly client: Source<unknown>['client'];
  readonly type: Source<unknown>['type'];
  readonly declared: Source<unknown>['declared'];

  constructor(of: Source<unknown>) {
    this.#of = of;
    this.client = of.client;
    this.type = of.type.unchecked();
    this.declared = new Once(async () => {
      await this.named();
      // As the broker makes it: no limit of attempts, and what is rejected comes back.
      const { topic: name } = this.#ref;
      const subscription = { maxAttempts: 0, maxCrashes: 0, deadLetter: name };
      const { definition } = await this.client.request('declareTopic', {
        name,
        kind: 'queue',
        subscription,
        ifDifferent: 'keep',
      });
      return factsOf(name, definition.subscription);
    });
  }

  get ref(): SubscriptionRef {
    return this.#ref;
  }

  get settler(): Settler {
    return this.client.settler(this.#ref);
  }

  async named(): Promise<void> {
    const { deadLetter } = await this.#of.declared.get();
    this.#ref.topic = deadLetter;
    this.#ref.subscription = deadLetter;
  }
}
