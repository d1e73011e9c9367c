/** How many answers begin a sync at once, from nobody waits to the most that anybody waits for. */
const ENOUGH = [1, 2, 3, 4, 6, 8, 12, 16];
const LEVELS = ENOUGH.length;
/** How long the first of them waits for the others. */
const WITHIN_MS = 2;
/** Answers per millisecond, below which there are few syncs to spare: nobody waits. */
const BUSY = 0.5;

/** What is looked at together: at least so many syncs, in at least so long. */
const SPAN_SYNCS = 16;
const SPAN_MS = 64;
/** Between two syncs no more time than this counts: more, and the clients had something else to do. */
const LONGEST_GAP_MS = 10;
/** How many syncs tell that too few come. */
const FEW_SYNCS = 8;

/** A trial of waiting for more passes when so many more answers share a sync, and so much of the answers per second is left. */
const MORE = 1.15;
const NEARLY_AS_QUICK = 0.93;
/** A trial of waiting for fewer passes when so many more answers per second come of it. */
const QUICKER = 1.1;
/** Waiting goes on where this share of those that are waited for do come. */
const MOST_OF_THEM = 0.7;

/** What a span counts for when the next one is over. */
const PAST = 0.8;
/** Spans between two trials: twice as many each time that all have been tried in vain. */
const FIRST_PAUSE = 8;
const LONGEST_PAUSE = 256;

/** Syncs that were made for answers. */
class Span {
  syncs = 0;
  answers = 0;
  ms = 0;

  get perSync(): number {
    return this.answers / this.syncs;
  }

  get perMs(): number {
    return this.answers / this.ms;
  }

  get isOver(): boolean {
    return this.syncs >= SPAN_SYNCS && this.ms >= SPAN_MS;
  }

  /** This one with the next, which counts for more than each that came before. */
  with(next: Span): Span {
    const both = new Span();
    both.syncs = PAST * this.syncs + next.syncs;
    both.answers = PAST * this.answers + next.answers;
    both.ms = PAST * this.ms + next.ms;
    return both;
  }
}

/**
 * How many answers a sync should wait a moment for. Where some clients ask for one thing at a time it makes for half the
 * syncs and fewer, and spares the work of processor and disk that goes with them. Where the next request follows the answer it only makes everybody slower. Nobody can
 * know beforehand: so it is tried, against what came before, and kept up where answers share syncs and no fewer come.
 */
export class Company {
  /** Of `ENOUGH`: what has been shown to be best, and what is done now, which may be a trial. */
  #kept = 0;
  #level = 0;
  /** From the one that is kept to the one that was tried last, around in a ring. */
  #step = 0;
  #span = new Span();
  /** Those that were no trials, and how many there were since the last trial. */
  #usual = new Span();
  #spans = 0;
  #pause = FIRST_PAUSE;
  /** When the last sync began. */
  #last = 0;

  /** Until when so many answers wait: no longer than now, unless others are expected. */
  until(answers: number, now: number): number {
    return answers < this.#enough ? now + WITHIN_MS : now;
  }

  /** A sync begins, for so many answers. */
  synced(answers: number, now: number): void {
    if (answers === 0) return;
    const span = this.#span;
    span.syncs++;
    span.answers += answers;
    span.ms += Math.min(now - this.#last, LONGEST_GAP_MS);
    this.#last = now;
    const tooFew = span.syncs >= FEW_SYNCS && span.perSync < MOST_OF_THEM * this.#enough;
    if (this.#level > 0 && tooFew) this.#fall(span.perSync);
    else if (span.isOver) this.#judge(span);
  }

  get #enough(): number {
    return ENOUGH[this.#level] ?? 1;
  }

  #fall(perSync: number): void {
    if (this.#level === this.#kept) this.#keep(ENOUGH.findLastIndex((enough) => enough <= perSync));
    else {
      // Nor would more come where more are waited for.
      if (this.#level > this.#kept) this.#step = LEVELS - 1 - this.#kept;
      this.#endTrial();
    }
  }

  #judge(span: Span): void {
    this.#span = new Span();
    if (this.#level === this.#kept) {
      this.#usual = this.#usual.with(span);
      this.#spans++;
      if (this.#usual.perMs < BUSY) this.#level = this.#kept = 0;
      else if (this.#spans >= this.#pause) this.#try();
    } else if (this.#isBetter(span)) this.#keep(this.#level);
    else this.#endTrial();
  }

  #isBetter({ perSync, perMs }: Span): boolean {
    const usual = this.#usual;
    if (this.#level < this.#kept) return perMs >= QUICKER * usual.perMs;
    return perSync >= MORE * usual.perSync && perMs >= NEARLY_AS_QUICK * usual.perMs;
  }

  /** What comes together anyway is not waited for. */
  #try(): void {
    do this.#level = (this.#kept + ++this.#step) % LEVELS;
    while (this.#level > this.#kept && this.#enough <= this.#usual.perSync);
    if (this.#level === this.#kept) this.#endTrial();
  }

  #keep(level: number): void {
    this.#kept = level;
    this.#usual = new Span();
    this.#step = 0;
    this.#pause = FIRST_PAUSE;
    this.#endTrial();
  }

  #endTrial(): void {
    if (this.#step >= LEVELS - 1) {
      this.#step = 0;
      this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE);
    }
    this.#level = this.#kept;
    this.#spans = 0;
    this.#span = new Span();
  }
}
