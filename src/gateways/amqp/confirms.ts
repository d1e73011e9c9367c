import type { AmqpOutput } from './codec.ts';

/** Publishes that wait for their confirm together. */
export interface Unconfirmed {
  /** First tag, and the one after the last. */
  readonly from: number;
  readonly to: number;
  state: 'waiting' | 'settled' | 'sent';
  /** Tags that were refused, [from, to), ascending. */
  refused: readonly (readonly [number, number])[];
}

/**
 * Which publishes of a channel are confirmed. What is settled in order is said with one `multiple` for all of it; what
 * is settled before something older is said one by one.
 */
export class Confirms {
  #next = 1;
  #waiting: Unconfirmed[] = [];
  #early = false;

  add(count: number): Unconfirmed {
    const added: Unconfirmed = { from: this.#next, to: this.#next + count, state: 'waiting', refused: [] };
    this.#next = added.to;
    this.#waiting.push(added);
    return added;
  }

  /** Publishes that the client has no answer for. */
  get waiting(): number {
    return this.#waiting.reduce((sum, { from, to, state }) => sum + (state === 'waiting' ? to - from : 0), 0);
  }

  settle(unconfirmed: Unconfirmed, refused: Unconfirmed['refused'] = []): void {
    unconfirmed.state = 'settled';
    unconfirmed.refused = refused;
    if (this.#waiting[0] !== unconfirmed) this.#early = true;
  }

  /** Says what was settled since the last call. */
  write(out: AmqpOutput, channel: number): void {
    let acked = 0;
    let done = 0;
    for (const each of this.#waiting) {
      if (each.state === 'waiting') break;
      done++;
      if (each.state === 'sent') continue;
      let from = each.from;
      for (const [first, end] of each.refused) {
        if (first > from) acked = first - 1;
        if (acked > 0) out.confirm(channel, 'ack', acked, 'all');
        acked = 0;
        out.confirm(channel, 'nack', end - 1, end - first > 1 ? 'all' : 'one');
        from = end;
      }
      if (each.to > from) acked = each.to - 1;
    }
    if (acked > 0) out.confirm(channel, 'ack', acked, 'all');
    if (done === this.#waiting.length) {
      this.#waiting = [];
      this.#early = false;
      return;
    }
    if (done > 0) this.#waiting = this.#waiting.slice(done);
    if (this.#early) this.#writeEarly(out, channel);
  }

  #writeEarly(out: AmqpOutput, channel: number): void {
    this.#early = false;
    for (const each of this.#waiting) {
      if (each.state !== 'settled') continue;
      each.state = 'sent';
      for (let tag = each.from; tag < each.to; tag++) {
        const refused = each.refused.some(([first, end]) => tag >= first && tag < end);
        out.confirm(channel, refused ? 'nack' : 'ack', tag, 'one');
      }
    }
  }
}
