import type { Child } from '../child.ts';

export interface AutoscalerOptions {
  fewest: number;
  most: number;
  /** As many waiting messages are work for one worker. */
  messagesForEach: number;
  depth(): Promise<number>;
  start(number: number): Promise<Pick<Child, 'stop'>>;
}

/** Looks with fewer waiting than workers need, one after the other, before one is stopped: it takes longer to start one. */
const CALM_LOOKS = 2;

/** Starts and stops worker processes with the depth of a queue: up at once, down one by one. */
export class Autoscaler {
  readonly #options: AutoscalerOptions;
  readonly #workers: Pick<Child, 'stop'>[] = [];
  /** Starts and stops under way. */
  readonly #changing = new Set<Promise<void>>();
  #starting = 0;
  #started = 0;
  #calm = 0;
  #peak = 0;
  #failure: Error | undefined;

  constructor(options: AutoscalerOptions) {
    this.#options = options;
  }

  /** At work now. */
  get workers(): number {
    return this.#workers.length;
  }

  /** The most that were at work at one time. */
  get peak(): number {
    return this.#peak;
  }

  /** Looks at the depth once and acts on it. Does not wait for processes to start or to end. */
  async look(): Promise<{ depth: number }> {
    if (this.#failure !== undefined) throw this.#failure;
    const { fewest, most, messagesForEach } = this.#options;
    const depth = await this.#options.depth();
    const wanted = Math.min(most, Math.max(fewest, Math.ceil(depth / messagesForEach)));
    const there = this.#workers.length + this.#starting;
    this.#calm = wanted < there ? this.#calm + 1 : 0;
    if (wanted > there) for (let more = there; more < wanted; more++) this.#add();
    else if (this.#calm > CALM_LOOKS) this.#remove();
    return { depth };
  }

  /** Stops all of them. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#changing);
    await Promise.all(this.#workers.splice(0).map((worker) => worker.stop()));
  }

  #add(): void {
    this.#starting++;
    this.#change(async () => {
      try {
        this.#workers.push(await this.#options.start(++this.#started));
        this.#peak = Math.max(this.#peak, this.#workers.length);
      } finally {
        this.#starting--;
      }
    });
  }

  #remove(): void {
    const worker = this.#workers.pop();
    if (worker === undefined) return;
    this.#calm = 0;
    this.#change(() => worker.stop());
  }

  #change(act: () => Promise<void>): void {
    const change: Promise<void> = act()
      .catch((error: unknown) => {
        this.#failure = error instanceof Error ? error : new Error(String(error));
      })
      .finally(() => this.#changing.delete(change));
    this.#changing.add(change);
  }
}
