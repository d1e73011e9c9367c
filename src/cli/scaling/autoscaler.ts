/** A process that was started. */
export interface WorkerProcess {
  /** Asks it to end; resolves when it is gone. */
  stop(): Promise<void>;
  /** Resolves when it is gone, whoever wanted that. */
  readonly exited: Promise<void>;
}

export interface AutoscalerOptions {
  fewest: number;
  most: number;
  start(number: number): Promise<WorkerProcess>;
}

/** Looks at which fewer were wanted, one after the other, before one is stopped: it takes longer to start one. */
const CALM_LOOKS = 2;

/** Starts and stops worker processes: up at once, down one by one. One that ends by itself is started again. */
export class Autoscaler {
  readonly #options: AutoscalerOptions;
  readonly #workers: WorkerProcess[] = [];
  /** Starts and stops under way. */
  readonly #changing = new Set<Promise<void>>();
  #starting = 0;
  #started = 0;
  #calm = 0;
  #peak = 0;
  #failure: Error | undefined;
  #closed = false;

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

  /** Takes a step towards as many as are wanted. Does not wait for processes to start or to end. @throws what a start threw */
  look(wanted: number): void {
    if (this.#failure !== undefined) throw this.#failure;
    const { fewest, most } = this.#options;
    const goal = Math.min(most, Math.max(fewest, wanted));
    const there = this.#workers.length + this.#starting;
    this.#calm = goal < there ? this.#calm + 1 : 0;
    if (goal > there) for (let more = there; more < goal; more++) this.#add();
    else if (this.#calm > CALM_LOOKS) this.#remove();
  }

  /** Stops all of them. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#changing);
    await Promise.all(this.#workers.splice(0).map((worker) => worker.stop()));
  }

  #add(): void {
    this.#starting++;
    this.#change(async () => {
      try {
        const worker = await this.#options.start(++this.#started);
        this.#workers.push(worker);
        this.#peak = Math.max(this.#peak, this.#workers.length);
        this.#watch(worker);
      } finally {
        this.#starting--;
      }
    });
  }

  #watch(worker: WorkerProcess): void {
    void worker.exited.then(() => {
      const at = this.#workers.indexOf(worker);
      if (at >= 0 && !this.#closed) this.#workers.splice(at, 1);
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
