/** The broker in arrays and maps: what a queue, a topic and a transaction mean, with nothing of how it is done. */

export interface ModelMessage {
  readonly text: string;
  readonly key: string | undefined;
  readonly priority: number;
  attempts: number;
  state:
    | { readonly is: 'ready' }
    | { readonly is: 'delayed'; readonly due: number }
    | { readonly is: 'leased'; readonly deadline: number; readonly delivery: number };
}

/** Rules of a subscription, the same numbers that the real one is declared with. */
export interface Rules {
  readonly byKey: boolean;
  readonly leaseMs: number;
  readonly maxAttempts: number;
  readonly retryMs: number;
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
    const { due, ...rest } = message;
    this.messages.push({ ...rest, attempts: 0, state: due > now ? { is: 'delayed', due } : { is: 'ready' } });
  }

  /** Leases up to `count`: higher priorities first, then publish order; with keys, one of a key at a time. */
  receive(count: number, now: number, delivery: number): { text: string; attempt: number }[] {
    const taken: { text: string; attempt: number }[] = [];
    while (taken.length < count && !this.paused) {
      const ready = this.messages.filter((message) => message.state.is === 'ready' && !this.#isHeldBack(message));
      const top = Math.max(...ready.map(({ priority }) => priority));
      const next = ready.find(({ priority }) => priority === top);
      if (next === undefined) break;
      next.state = { is: 'leased', deadline: now + this.rules.leaseMs, delivery };
      taken.push({ text: next.text, attempt: next.attempts + 1 });
    }
    return taken;
  }

  #isHeldBack(message: ModelMessage): boolean {
    if (!this.rules.byKey || message.key === undefined) return false;
    return this.messages.find(({ key }) => key === message.key) !== message;
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
  /** Texts that were sent with a dedupe id. */
  readonly deduped = new Set<string>();
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
