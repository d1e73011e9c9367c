/**
 * Something that is done once, on first use, and shared by everybody who needs it. A failure is not kept: the next
 * use tries again.
 */
export class Once<T> {
  readonly #run: () => Promise<T>;
  #promise: Promise<T> | undefined;
  #value: T | undefined;

  constructor(run: () => Promise<T>) {
    this.#run = run;
  }

  /** The result, once it is there. */
  get value(): T | undefined {
    return this.#value;
  }

  get(): Promise<T> {
    this.#promise ??= this.#start();
    return this.#promise;
  }

  async #start(): Promise<T> {
    try {
      this.#value = await this.#run();
      return this.#value;
    } catch (error) {
      this.#promise = undefined;
      throw error;
    }
  }
}
