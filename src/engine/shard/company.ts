/** How long the first answer waits for a second one. */
const WITHIN_MS = 1;
/** So many waits are looked at together, and of these at most so many may be in vain. */
const TRIAL = 16;
const MOST_IN_VAIN = 6;
/** How many answers go alone between two trials, less the syncs for three and more; twice as many after a trial that failed. */
const FIRST_PAUSE = 512;
const LONGEST_PAUSE = 16_384;

/**
 * Whether an answer should wait a moment for another one to share its sync. Where a few clients ask for one thing at a
 * time it halves the syncs, and the work of processor and disk with them. Where one client asks for one thing after the
 * other nobody comes, for the next request follows the answer; and where many ask they come together anyway. So it is
 * tried now and then, and kept up where it helps.
 */
export class Company {
  #isExpected = false;
  /** An answer waits. */
  #waits = false;
  /** Of the waits of this trial; between two trials, of what leads to the next one. */
  #count = 0;
  #inVain = 0;
  /** Syncs of this trial that three and more shared though nobody had waited. Two are the wait's doing: they come back together. */
  #needless = 0;
  #pause = FIRST_PAUSE;

  /** Until when the only answer that there is waits: no longer than now, unless somebody is expected. */
  until(now: number): number {
    if (!this.#isExpected) return now;
    this.#waits = true;
    return now + WITHIN_MS;
  }

  /** A sync begins, for so many answers. */
  synced(answers: number): void {
    if (this.#waits) this.#waited(answers > 1);
    else if (this.#isExpected) {
      if (answers > 2 && ++this.#needless > TRIAL) this.#giveUp();
    } else if (answers > 2) this.#count = Math.max(0, this.#count - 1);
    else if (answers === 1 && ++this.#count === this.#pause) this.#expect(true);
  }

  #waited(met: boolean): void {
    this.#waits = false;
    this.#count++;
    if (!met && ++this.#inVain > MOST_IN_VAIN) this.#giveUp();
    else if (this.#count === TRIAL) {
      this.#pause = FIRST_PAUSE;
      this.#expect(true);
    }
  }

  #giveUp(): void {
    this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE);
    this.#expect(false);
  }

  #expect(company: boolean): void {
    this.#isExpected = company;
    this.#count = 0;
    this.#inVain = 0;
    this.#needless = 0;
  }
}
