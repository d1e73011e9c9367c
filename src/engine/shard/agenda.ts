interface Appointment {
  readonly time: number;
  readonly order: number;
  readonly key: string;
  readonly act: () => void;
}

/**
 * What the shard has to do at a time. One appointment for each key: a new one replaces the old, and the replaced stays
 * in the heap until it comes up. Volatile: after a start everything is put on the agenda anew, from the state.
 */
export class Agenda {
  readonly #heap: Appointment[] = [];
  readonly #current = new Map<string, Appointment>();
  #order = 0;

  /** When the next one is due; Infinity when there is none. */
  get next(): number {
    for (;;) {
      const top = this.#heap[0];
      if (top === undefined) return Infinity;
      if (this.#current.get(top.key) === top) return top.time;
      this.#pop();
    }
  }

  set(key: string, time: number, act: () => void): void {
    if (time === Infinity) {
      this.#current.delete(key);
      return;
    }
    if (this.#current.get(key)?.time === time) return;
    const appointment = { time, order: this.#order++, key, act };
    this.#current.set(key, appointment);
    this.#push(appointment);
  }

  /** Like `set`, but keeps an earlier appointment: it will look again then. */
  atLatest(key: string, time: number, act: () => void): void {
    const current = this.#current.get(key);
    if (current === undefined || current.time > time) this.set(key, time, act);
  }

  cancel(key: string): void {
    this.#current.delete(key);
  }

  /** Does what is due, by time, then by order of appointment. */
  run(now: number): void {
    while (this.next <= now) {
      const due = this.#pop();
      if (due === undefined) return;
      this.#current.delete(due.key);
      due.act();
    }
  }

  #before(a: number, b: number): boolean {
    const x = this.#heap[a];
    const y = this.#heap[b];
    if (x === undefined || y === undefined) return false;
    return x.time < y.time || (x.time === y.time && x.order < y.order);
  }

  #swap(a: number, b: number): void {
    const x = this.#heap[a];
    const y = this.#heap[b];
    if (x === undefined || y === undefined) return;
    this.#heap[a] = y;
    this.#heap[b] = x;
  }

  #push(appointment: Appointment): void {
    let at = this.#heap.push(appointment) - 1;
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      if (!this.#before(at, parent)) break;
      this.#swap(at, parent);
      at = parent;
    }
  }

  #pop(): Appointment | undefined {
    const top = this.#heap[0];
    const last = this.#heap.pop();
    if (top === undefined || last === undefined || this.#heap.length === 0) return top;
    this.#heap[0] = last;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      let smallest = at;
      if (this.#before(left, smallest)) smallest = left;
      if (this.#before(left + 1, smallest)) smallest = left + 1;
      if (smallest === at) return top;
      this.#swap(at, smallest);
      at = smallest;
    }
  }
}
