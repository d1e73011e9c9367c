import { nextTurn, realTime } from '../../core/real-time.ts';

const SLICE_MS = 4;

/** Long work that messages must not wait for: after some milliseconds what waits has its turn. */
export class Slices {
  #begun = realTime.monotonic();

  /** To be asked between two small steps; `if (slices.due()) await slices.rest()`. */
  due(): boolean {
    return realTime.monotonic() - this.#begun >= SLICE_MS;
  }

  async rest(): Promise<void> {
    await nextTurn();
    this.#begun = realTime.monotonic();
  }
}
