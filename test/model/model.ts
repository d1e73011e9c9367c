import type { Order } from '../../src/core/policy.ts';

/** The broker in arrays and maps: what a queue, a topic and a transaction mean, with nothing of how it is done. */

export interface ModelMessage {
  readonly text: string;
  readonly key: string | undefined;
  readonly priority: number;
  attempts: number;
  /** Given back without having failed. */
  returns: number;
  /** When it was first received; nobody asks before. */
  firstAt: number;
  state:
    | { readonly is: 'ready' }
    | { readonly is: 'delayed'; readonly due: number }
    | { readonly is: 'leased'; readonly deadline: number; readonly delivery: number };
}

/** What a client sees of a message that it receives. */
export interface Received {
  readonly text: string;
  readonly attempt: number;
  readonly firstAt: number;
}

/** Rules of a subscription, the same numbers that the real one is declared with. */
export interface Rules {
  readonly order: Order;
  readonly leaseMs: number;
  readonly maxAttempts: number;
  readonly retryMs: number;
}

/** A message of a topic that keeps all of them. */
export interface LogMessage {
  readonly text: string;
  readonly key: string | undefined;
  readonly priority: number;
  readonly due: number;
  readonly publishedAt: number;
}

export class ModelQueue {
  readonly rules: Rules;
  /** In publish order: everything that is not settled. */
  messages: ModelMessage[] = [];
  /** Its dead-letter queue. */
  dead: { text: string; key: string | undefined; priority: number }[] = [];
  paused = false;

  constructor(rules: Rules) {
    this.rules = rules;
  }

  publish(message: { text: string; key: string | undefined; priority: number; due: number }, now: number): void {
    const { text, key, priority, due } = message;
    this.messages.push({
      text,
      key,
      priority,
      attempts: 0,
      returns: 0,
      firstAt: 0,
      state: due > now ? { is: 'delayed', due } : { is: 'ready' },
    });
  }

  /**
   * Leases up to `count`: higher priorities first, then publish order; with order by key one of a key at a time, with
   * strict order one of all.
   */
  receive(count: number, now: number, delivery: number): Received[] {
    const taken: Received[] = [];
    while (taken.length < count && !this.paused) {
      const ready = this.messages.filter((message) => message.state.is === 'ready' && !this.#isHeldBack(message));
      const top = Math.max(...ready.map(({ priority }) => priority));
      const next = ready.find(({ priority }) => priority === top);
      if (next === undefined) break;
      taken.push(this.#hand(next, now, delivery));
    }
    return taken;
  }

  #hand(message: ModelMessage, now: number, delivery: number): Received {
    const attempt = message.attempts + message.returns + 1;
    if (attempt === 1) message.firstAt = now;
    message.state = { is: 'leased', deadline: now + this.rules.leaseMs, delivery };
    return { text: message.text, attempt, firstAt: message.firstAt };
  }

  #isHeldBack(message: ModelMessage): boolean {
    const { order } = this.rules;
    if (order === 'strict') return this.messages[0] !== message;
    if (order !== 'key' || message.key === undefined) return false;
    return this.messages.find(({ key }) => key === message.key) !== message;
  }

  /**
   * With fair order the turn of a key is nobody's business, so that what was received is looked at instead: as much as
   * there was, of each key in publish order, and of two keys that both had more as many, or one more.
   *
   * @returns what is wrong with it
   */
  receiveFairly(got: readonly Received[], count: number, now: number, delivery: number): string | undefined {
    const ready = this.paused ? [] : this.messages.filter(({ state }) => state.is === 'ready');
    if (got.length !== Math.min(count, ready.length)) return `${got.length} of ${count}, ${ready.length} are ready`;
    const taken = new Map<string | undefined, number>();
    for (const one of got) {
      const { text } = one;
      const message = ready.find((other) => other.text === text && other.state.is === 'ready');
      if (message === undefined) return `${text} is not ready`;
      const older = ready.find(({ key, state }) => key === message.key && state.is === 'ready');
      if (older !== message) return `${text} before ${older?.text ?? ''}, which has the same key`;
      const { attempt, firstAt } = this.#hand(message, now, delivery);
      if (one.attempt !== attempt) return `attempt ${one.attempt} of ${text}`;
      if (one.firstAt !== firstAt) return `${text} was first received at ${firstAt}, not ${one.firstAt}`;
      taken.set(message.key, (taken.get(message.key) ?? 0) + 1);
    }
    const most = Math.max(0, ...taken.values());
    for (const { key, state } of ready)
      if (state.is === 'ready' && (taken.get(key) ?? 0) < most - 1)
        return `${most} of one key, fewer of ${key ?? 'none'}`;
    return undefined;
  }

  /** These wait, and nothing else. What somebody has is nobody's any more. */
  seek(messages: readonly LogMessage[], now: number): void {
    this.messages = [];
    for (const message of messages) this.publish(message, now);
  }

  /** The message if this delivery of it still holds. */
  leased(text: string, delivery: number): ModelMessage | undefined {
    const message = this.messages.find((one) => one.text === text);
    return message?.state.is === 'leased' && message.state.delivery === delivery ? message : undefined;
  }

  remove(message: ModelMessage): void {
    this.messages = this.messages.filter((one) => one !== message);
  }

  /** A failed attempt: later again, or dead after the last one. */
  fail(message: ModelMessage, now: number, delayMs = this.rules.retryMs): void {
    message.attempts++;
    if (message.attempts >= this.rules.maxAttempts) this.bury(message);
    else message.state = delayMs > 0 ? { is: 'delayed', due: now + delayMs } : { is: 'ready' };
  }

  bury(message: ModelMessage): void {
    this.remove(message);
    const { text, key, priority } = message;
    this.dead.push({ text, key, priority });
  }

  /** Everything that comes due up to `now`, in order of time. */
  advance(now: number): void {
    for (;;) {
      const next = Math.min(
        ...this.messages.map(({ state }) =>
          state.is === 'delayed' ? state.due : state.is === 'leased' ? state.deadline : Infinity,
        ),
      );
      if (next > now) return;
      for (const message of this.messages) {
        const { state } = message;
        if (state.is === 'delayed' && state.due <= next) message.state = { is: 'ready' };
        else if (state.is === 'leased' && state.deadline <= next) this.fail(message, next);
      }
    }
  }

  get counts(): { ready: number; delayed: number; leased: number; depth: number; dead: string[] } {
    const of = (is: string): number => this.messages.filter(({ state }) => state.is === is).length;
    return {
      ready: of('ready'),
      delayed: of('delayed'),
      leased: of('leased'),
      depth: this.messages.length,
      dead: this.dead.map(({ text }) => text).sort(),
    };
  }
}

export class Model {
  now: number;
  readonly queues: ReadonlyMap<string, ModelQueue>;
  readonly cursors = new Map<string, number>();
  /** All that was published to `events`, by offset. */
  readonly log: LogMessage[] = [];
  /** Deliveries that a client still has in hand, settled or not. */
  hands: { queue: string; text: string; delivery: number }[] = [];
  deliveries = 0;
  texts = 0;

  constructor(now: number, rules: ReadonlyMap<string, Rules>) {
    this.now = now;
    this.queues = new Map([...rules].map(([name, own]) => [name, new ModelQueue(own)]));
  }

  queue(name: string): ModelQueue {
    const queue = this.queues.get(name);
    if (queue === undefined) throw new Error(`no queue ${name} in the model`);
    return queue;
  }

  advance(ms: number): void {
    this.now += ms;
    for (const queue of this.queues.values()) queue.advance(this.now);
  }
}
