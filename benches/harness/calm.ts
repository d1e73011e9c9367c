import { readFileSync } from 'node:fs';

/** What a virtual machine asked of the processors of its host and did not get ("steal"), as a share of what it asked for. */
const CALM = 0.02;
/** For whatever is measured, whether the machine was ever calm or not: what comes last in a row must not have fewer. */
const TRIES = 3;

interface Ticks {
  asked: number;
  stolen: number;
}

/** Of all processors since they started. Other systems than Linux do not tell: nothing is stolen there. */
function ticksOfMachine(): Ticks {
  try {
    // Source: proc_stat(5): user, nice, system, idle, iowait, irq, softirq, steal.
    const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n', 1);
    const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, stolen = 0] = line
      .split(/ +/)
      .slice(1)
      .map(Number);
    return { asked: user + nice + system + irq + softirq + stolen, stolen };
  } catch {
    return { asked: 0, stolen: 0 };
  }
}

/** So that a figure tells of the program and not of those who have the other machines of the host. */
export class Calm {
  readonly #ticks: () => Ticks;
  #measured = 0;
  #again = 0;
  #worst = 0;

  constructor(ticks = ticksOfMachine) {
    this.#ticks = ticks;
  }

  /** Measures again when more than `CALM` was stolen meanwhile; of `TRIES` the calmest counts. */
  async measure<T>(work: () => Promise<T>): Promise<T> {
    let best: { value: T; share: number } | undefined;
    for (let i = 0; i < TRIES; i++) {
      const before = this.#ticks();
      const value = await work();
      const after = this.#ticks();
      const share = (after.stolen - before.stolen) / Math.max(1, after.asked - before.asked);
      if (best === undefined || share < best.share) best = { value, share };
      if (best.share <= CALM) break;
      if (i < TRIES - 1) this.#again++;
    }
    if (best === undefined) throw new Error('Nothing was tried.');
    this.#measured++;
    this.#worst = Math.max(this.#worst, best.share);
    return best.value;
  }

  /** Of what was measured since it was last asked: nothing, when there is nothing that a reader should know. */
  note(): string | undefined {
    const [measured, again, worst] = [this.#measured, this.#again, this.#worst];
    this.#measured = this.#again = this.#worst = 0;
    if (worst <= CALM && again === 0) return undefined;
    return `${again} measurements were thrown away, as the host of this machine kept over ${percent(CALM)} of the processor time that was asked for; of the ${measured} that count, up to ${percent(worst)}.`;
  }
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}
