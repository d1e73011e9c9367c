import type { Clock } from '../../core/clock.ts';
import type { Random } from '../../core/random.ts';
import type { AlertRule } from '../../gateways/alerts.ts';
import type { Notice } from './notice.ts';

/** Where a notice goes. Rejects when it did not get there. */
export type Send = (rule: AlertRule, notice: Notice) => Promise<void>;

const FIRST_BACKOFF_MS = 1_000;
const LONGEST_BACKOFF_MS = 5 * 60_000;
/** Some 50 minutes in all. */
const MAX_ATTEMPTS = 18;
/** Of one rule; the oldest goes. */
const MAX_WAITING = 100;

interface Waiting {
  readonly rule: AlertRule;
  readonly notice: Notice;
  attempts: number;
}

/**
 * Sends the notices of one way (webhooks, messages), those of one rule in their order: what was resolved is not told before
 * it was said to be on. What fails is tried again after a while, and given up in the end.
 */
export class Notifier {
  readonly #send: Send;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #failed: (rule: AlertRule, error: unknown, final: 'again' | 'given up') => void;
  /** By the name of the rule; the first of each is on its way, or waits for its next attempt. */
  readonly #waiting = new Map<string, Waiting[]>();
  readonly #cancels = new Map<string, () => void>();
  #closed = false;

  constructor(options: {
    send: Send;
    clock: Clock;
    random: Random;
    failed: (rule: AlertRule, error: unknown, final: 'again' | 'given up') => void;
  }) {
    this.#send = options.send;
    this.#clock = options.clock;
    this.#random = options.random;
    this.#failed = options.failed;
  }

  notify(rule: AlertRule, notice: Notice): void {
    if (this.#closed) return;
    const waiting = this.#waiting.get(rule.name);
    const next: Waiting = { rule, notice, attempts: 0 };
    if (waiting === undefined) {
      this.#waiting.set(rule.name, [next]);
      void this.#attempt(rule.name);
    } else {
      waiting.push(next);
      // The first one is under way.
      if (waiting.length > MAX_WAITING) waiting.splice(1, 1);
    }
  }

  /** What was not told by now is not told. */
  close(): void {
    this.#closed = true;
    for (const cancel of this.#cancels.values()) cancel();
    this.#cancels.clear();
    this.#waiting.clear();
  }

  async #attempt(name: string): Promise<void> {
    const waiting = this.#waiting.get(name);
    const [first] = waiting ?? [];
    if (waiting === undefined || first === undefined) {
      this.#waiting.delete(name);
      return;
    }
    first.attempts++;
    try {
      await this.#send(first.rule, first.notice);
    } catch (error) {
      if (this.#closed) return;
      if (first.attempts < MAX_ATTEMPTS) {
        this.#failed(first.rule, error, 'again');
        this.#again(name, first.attempts);
        return;
      }
      this.#failed(first.rule, error, 'given up');
    }
    if (this.#closed) return;
    waiting.shift();
    await this.#attempt(name);
  }

  #again(name: string, attempts: number): void {
    const backoff = Math.min(LONGEST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** (attempts - 1));
    const at = this.#clock.now() + backoff * (0.5 + this.#random.next() / 2);
    const cancel = this.#clock.timer(at, () => {
      this.#cancels.delete(name);
      void this.#attempt(name);
    });
    this.#cancels.set(name, cancel);
  }
}
