interface Appointment {
  readonly key: string;
  act: () => void;
  /** When it is due, and which of those due together comes first; `time` is Infinity once it was cancelled. */
  time: number;
  order: number;
  /** The same when it was put in its place in the heap: never later than it is due. */
  placedTime: number;
  placedOrder: number;
  place: number;
}

/**
 * What the shard has to do at a time. One appointment for each key: a new one replaces the old. Volatile: after a start
 * everything is put on the agenda anew, from the state.
 *
 * Nearly all appointments are put off before they are due (the end of an idle time by each sync, the end of the first
 * lease by each settlement). One that is put off or cancelled stays where it is in the heap, and moves when it comes up:
 * thousands of puttings-off a second make no work and no garbage.
 */
export class Agenda {
  readonly #heap: Appointment[] = [];
  readonly #byKey = new Map<string, Appointment>();
  #order = 0;

  /** When the next one is due; Infinity when there is none. */
  get next(): number {
    for (;;) {
      const top = this.#heap[0];
      if (top === undefined) return Infinity;
      if (top.time === Infinity) this.#remove(top);
      else if (top.time > top.placedTime || top.order !== top.placedOrder) this.#replace(top);
      else return top.time;
    }
  }

  set(key: string, time: number, act: () => void): void {
    const known = this.#byKey.get(key);
    if (known === undefined) {
      if (time !== Infinity) this.#add(key, time, act);
      return;
    }
    if (known.time === time) return;
    known.time = time;
    known.act = act;
    known.order = this.#order++;
    if (time < known.placedTime) this.#replace(known);
  }

  /** Like `set`, but keeps an earlier appointment: it will look again then. */
  atLatest(key: string, time: number, act: () => void): void {
    const known = this.#byKey.get(key);
    if (known === undefined || known.time > time) this.set(key, time, act);
  }

  cancel(key: string): void {
    const known = this.#byKey.get(key);
    if (known !== undefined) known.time = Infinity;
  }

  /** Does what is due, by time, then by order of appointment. */
  run(now: number): void {
    while (this.next <= now) {
      const due = this.#heap[0];
      if (due === undefined) return;
      this.#remove(due);
      due.act();
    }
  }

  #add(key: string, time: number, act: () => void): void {
    const order = this.#order++;
    const place = this.#heap.length;
    const appointment = { key, act, time, order, placedTime: time, placedOrder: order, place };
    this.#byKey.set(key, appointment);
    this.#heap.push(appointment);
    this.#up(appointment);
  }

  #replace(appointment: Appointment): void {
    appointment.placedTime = appointment.time;
    appointment.placedOrder = appointment.order;
    this.#up(appointment);
    this.#down(appointment);
  }

  #remove(appointment: Appointment): void {
    this.#byKey.delete(appointment.key);
    const last = this.#heap.pop();
    if (last === undefined || last === appointment) return;
    this.#put(last, appointment.place);
    this.#up(last);
    this.#down(last);
  }

  #up(appointment: Appointment): void {
    for (;;) {
      const parent = this.#heap[(appointment.place - 1) >> 1];
      if (parent === undefined || !isBefore(appointment, parent)) return;
      this.#swap(appointment, parent);
    }
  }

  #down(appointment: Appointment): void {
    for (;;) {
      const left = this.#heap[2 * appointment.place + 1];
      const right = this.#heap[2 * appointment.place + 2];
      const smaller = left !== undefined && right !== undefined && isBefore(right, left) ? right : left;
      if (smaller === undefined || !isBefore(smaller, appointment)) return;
      this.#swap(appointment, smaller);
    }
  }

  #swap(a: Appointment, b: Appointment): void {
    const { place } = a;
    this.#put(a, b.place);
    this.#put(b, place);
  }

  #put(appointment: Appointment, place: number): void {
    this.#heap[place] = appointment;
    appointment.place = place;
  }
}

function isBefore(a: Appointment, b: Appointment): boolean {
  return a.placedTime < b.placedTime || (a.placedTime === b.placedTime && a.placedOrder < b.placedOrder);
}
