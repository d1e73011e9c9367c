import type fc from 'fast-check';
import type { System } from './system.ts';

/** Commands for fast-check, after each of which `compare` is asked whether the system is as the model says. */
export function steps<M extends { advance(ms: number): void }>(
  compare: (model: M, system: System, after: string) => Promise<void>,
) {
  abstract class Checked implements fc.AsyncCommand<M, System> {
    check(_model: Readonly<M>): boolean {
      return true;
    }

    async run(model: M, system: System): Promise<void> {
      await this.act(model, system);
      await system.broker.settled();
      await compare(model, system, this.toString());
    }

    abstract act(model: M, system: System): Promise<void>;
    abstract toString(): string;
  }

  class Advance extends Checked {
    readonly #ms: number;

    constructor(ms: number) {
      super();
      this.#ms = ms;
    }

    async act(model: M, system: System): Promise<void> {
      model.advance(this.#ms);
      await system.advance(this.#ms);
    }

    override toString(): string {
      return `advance ${this.#ms} ms`;
    }
  }

  class Restart extends Checked {
    readonly #how: 'close' | 'kill' | 'cut' | 'checkpoint';

    constructor(how: 'close' | 'kill' | 'cut' | 'checkpoint') {
      super();
      this.#how = how;
    }

    async act(_model: M, system: System): Promise<void> {
      await system.restart(this.#how);
    }

    override toString(): string {
      return this.#how;
    }
  }

  return { Checked, Advance, Restart };
}
