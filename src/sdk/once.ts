/**
 * Something that is done once, on first use, and shared by everybody who needs it. A failure is not kept: the next
 * use tries again.
 */
export class Once<T> {
  readonly #run: () => Promise<T>;
  #promise: Promise<T> | undefined;
  #value: T | undefined;

  /** @param value when it was done before */
  constructor(run: () => Promise<T>, value?: T) {
    this.#run = run;
    this.#value = value;
  }

  /** The result, once it is there. */
  get value(): T | undefined {
    return this.#value;
  }

  /** What was begun, if anything was. */
  get begun(): Promise<T> | undefined {
    return this.#promise;
  }

  get(): Promise<T> {
    this.#promise ??= this.#start();
    return this.#promise;
  }

  async #start(): Promise<T> {
    if (this.#value !== undefined) return this.#value;
    try {
      this.#value = await this.#run();
      return this.#value;
    } catch (error) {
      this.#promise = undefined;
      throw error;
    }
  }
}
