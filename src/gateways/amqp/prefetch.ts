import { CreditWindow } from '../credit-window.ts';
import type { AmqpOutput } from './codec.ts';
import { AmqpError } from './errors.ts';
import type { AmqpLimits } from './limits.ts';
import type { Arguments } from './methods.ts';

/** The credit of consumers that have it together. */
export interface SharedCredit {
  readonly window: CreditWindow;
  /** By which the engine knows that they belong together. */
  readonly pool: string;
  prefetch: number;
}

interface PrefetchContext {
  readonly channel: number;
  readonly out: AmqpOutput;
  readonly limits: AmqpLimits;
  readonly waiting: Set<CreditWindow>;
}

/** What `basic.qos` said: how much a consumer that starts now may hold, by itself or with the others of its channel. */
export class Prefetch {
  readonly #context: PrefetchContext;
  /** Of each consumer; 0: no limit. */
  #each = 0;
  #shared: SharedCredit | undefined;
  #pools = 0;
  /** Settled deliveries that give no credit back, since the prefetch of the channel became smaller. */
  #withheld = 0;
  #returned = 0;

  constructor(context: PrefetchContext) {
    this.#context = context;
  }

  get each(): number {
    return this.#each;
  }

  get shared(): SharedCredit | undefined {
    return this.#shared;
  }

  /** @param unacked deliveries that the channel holds */
  set({ prefetchSize, prefetchCount, global }: Arguments<'basicQos'>, unacked: number): void {
    if (prefetchSize !== 0) throw new AmqpError('NOT_IMPLEMENTED', `prefetch_size!=0 (${prefetchSize})`);
    if (global) this.#setShared(prefetchCount, unacked);
    else {
      this.#each = prefetchCount;
      // As RabbitMQ has it: the last word is for each, and there is no limit for all of them any more.
      this.#setShared(0, unacked);
    }
  }

  /** For all consumers that start from now on together. */
  #setShared(prefetch: number, unacked: number): void {
    if (prefetch === 0) {
      // What shares it already has no limit any more.
      this.#shared?.window.credit(Number.MAX_SAFE_INTEGER);
      this.#shared = undefined;
      return;
    }
    const { out, limits, waiting } = this.#context;
    if (this.#shared === undefined) {
      const window = new CreditWindow(out, limits.highWaterBytes, waiting);
      this.#shared = { window, prefetch, pool: `channel ${this.#context.channel}.${this.#pools++}` };
      window.credit(Math.max(0, prefetch - unacked));
      return;
    }
    const more = prefetch - this.#shared.prefetch;
    this.#shared.prefetch = prefetch;
    if (more > 0) this.#shared.window.credit(more);
    else this.#withheld -= more;
  }

  /** A delivery to one of those that share was settled. */
  giveBack(): void {
    this.#returned++;
  }

  /** What settling gave back to those that share. */
  passCredit(): void {
    const returned = this.#returned - this.#withheld;
    this.#withheld = Math.max(0, -returned);
    this.#returned = 0;
    if (returned > 0) this.#shared?.window.credit(returned);
  }
}
