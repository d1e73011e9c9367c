/** One message in one queue that it was published to. */
export interface Copy {
  readonly n: number;
  readonly queue: string;
  /** Connection and channel: their messages come in their order. */
  readonly publisher: string;
  /** What was published in one transaction comes as a whole or not at all. */
  readonly transaction: readonly Copy[] | undefined;
  /** The broker said so. */
  confirmed: boolean;
  /** It came at all. */
  received: boolean;
  /** Where it was delivered, so that it comes marked as redelivered. */
  readonly seen: Set<string>;
  /** Those of `seen` of which a crash may leave nothing: a first delivery does not wait until it is on disk. */
  readonly unsure: Set<string>;
  /** Nothing happened since its publish that can make a first delivery look like a second one. */
  fresh: boolean;
  /** The ack of its last delivery was sent. */
  acked: boolean;
  /** Its ack was carried out: it must not come again. */
  gone: boolean;
  /** Rejected by a consumer: it may come as a dead letter. */
  rejected: boolean;
  /** Its reject was carried out: it must not come where it was rejected. */
  buried: boolean;
}

/** Where what is rejected in `orders` goes. */
export const GRAVES = 'graves';

/** What clients know of messages. Every rule that a delivery can break is here. */
export class AmqpLedger {
  readonly #copies = new Map<string, Copy>();
  readonly #fail: (problem: string) => void;
  #next = 1;
  /**
   * No consumer has gone since all was at rest. One that goes gives back what was on its way to it, and by then later
   * messages may have gone to others.
   */
  ordered = true;
  readonly counts = { confirmed: 0, delivered: 0, redelivered: 0 };

  constructor(fail: (problem: string) => void) {
    this.#fail = fail;
  }

  /** A new message, sent to these queues. */
  publish(publisher: string, queues: readonly string[], transaction?: Copy[]): { n: number; copies: Copy[] } {
    const n = this.#next++;
    const copies = queues.map((queue): Copy => ({
      n,
      queue,
      publisher,
      transaction,
      confirmed: false,
      received: false,
      seen: new Set(),
      unsure: new Set(),
      fresh: true,
      acked: false,
      gone: false,
      rejected: false,
      buried: false,
    }));
    for (const copy of copies) this.#copies.set(`${copy.queue} ${n}`, copy);
    transaction?.push(...copies);
    return { n, copies };
  }

  /** It was rolled back before it could be committed. */
  withdraw(copies: readonly Copy[]): void {
    for (const { queue, n } of copies) this.#copies.delete(`${queue} ${n}`);
  }

  confirm(copies: readonly Copy[]): void {
    for (const copy of copies) copy.confirmed = true;
    this.counts.confirmed += copies.length;
  }

  /** The message `n` came from `place`; undefined, and a problem, when it should not have. */
  deliver(place: string, n: number, redelivered: boolean): Copy | undefined {
    const copy = this.#copies.get(`${place === GRAVES ? 'orders' : place} ${n}`);
    const what = `message ${n} from ${place}`;
    if (copy === undefined || (place === GRAVES && !copy.rejected)) {
      this.#fail(`${what} is unexpected`);
      return undefined;
    }
    if (copy.gone) this.#fail(`${what} comes although its ack was carried out`);
    if (copy.buried && place !== GRAVES) this.#fail(`${what} comes although it was dead-lettered`);
    if (copy.seen.has(place) && !redelivered) this.#fail(`${what} comes again and is not marked as redelivered`);
    if (!copy.seen.has(place) && copy.fresh && redelivered) this.#fail(`${what} is new and marked as redelivered`);
    if (redelivered) copy.unsure.delete(place);
    else copy.unsure.add(place);
    copy.seen.add(place);
    copy.received = true;
    copy.acked = false;
    this.counts.delivered++;
    if (redelivered) this.counts.redelivered++;
    return copy;
  }

  /** Everything that was said was heard and is on disk. */
  rested(): void {
    this.ordered = true;
    for (const { unsure } of this.#copies.values()) unsure.clear();
  }

  /** What was sent over a connection that is lost was not heard, and comes marked as redelivered. */
  disconnected(): void {
    this.ordered = false;
    for (const copy of this.#copies.values()) copy.fresh = false;
  }

  crashed(): void {
    this.disconnected();
    this.ordered = true;
    for (const { seen, unsure } of this.#copies.values()) {
      for (const place of unsure) seen.delete(place);
      unsure.clear();
    }
  }

  /** Nothing waits any more. */
  drained(): void {
    for (const copy of this.#copies.values()) {
      const { n, queue, confirmed, acked, received, transaction } = copy;
      const name = `message ${n} to ${queue}`;
      if (confirmed && !acked) this.#fail(`${name} was confirmed and is lost`);
      else if (received && !acked) this.#fail(`${name} was given back and is lost`);
      else if (!received && transaction?.some((other) => other.received) === true)
        this.#fail(`${name} did not come, though others of its transaction did`);
    }
  }
}
