import type { RailheadError } from '../core/errors.ts';
import type { PublishReceipt, PublishRequest } from '../core/session.ts';
import { eachOutcome } from './sent.ts';
import type { Sent } from './sent.ts';

/** What must be there before a batch may leave: the declared queue or topic. */
export interface Prerequisite {
  readonly value: unknown;
  get(): Promise<unknown>;
}

type Resolve<T> = (value: T) => void;
type Reject = (error: RailheadError) => void;

/** Records that travel in one publish request, and who waits for the answer. */
export abstract class Batch {
  readonly to: PublishRequest['to'];
  readonly prerequisite: Prerequisite | undefined;
  /** By the client's clock. After it the senders are told, whatever the broker does. */
  readonly deadline: number;
  abstract readonly atomic: boolean;
  records: Uint8Array = new Uint8Array(0);
  count = 0;
  /** Given when it is first published, and kept when it is sent again. */
  sequence = -1;
  /** The senders were told; a late answer means nothing any more. */
  over = false;

  constructor(to: PublishRequest['to'], prerequisite: Prerequisite | undefined, deadline: number) {
    this.to = to;
    this.prerequisite = prerequisite;
    this.deadline = deadline;
  }

  confirm(receipt: PublishReceipt): void {
    if (this.over) return;
    this.over = true;
    this.tell(receipt);
  }

  fail(error: RailheadError): void {
    if (this.over) return;
    this.over = true;
    this.tellFailure(error);
  }

  protected abstract tell(receipt: PublishReceipt): void;
  protected abstract tellFailure(error: RailheadError): void;
}

/** Single sends that happened at about the same time. Each stands alone. */
export class GatheredBatch extends Batch {
  readonly atomic = false;
  readonly #resolves: Resolve<Sent>[] = [];
  readonly #rejects: Reject[] = [];

  enlist(resolve: Resolve<Sent>, reject: Reject): void {
    this.#resolves.push(resolve);
    this.#rejects.push(reject);
  }

  protected override tell(receipt: PublishReceipt): void {
    eachOutcome(
      receipt,
      this.#resolves.length,
      (index, sent) => this.#resolves[index]?.(sent),
      (index, error) => this.#rejects[index]?.(error),
    );
  }

  protected override tellFailure(error: RailheadError): void {
    for (const reject of this.#rejects) reject(error);
  }
}

/** Many messages as one: all are stored or none. */
export class AtomicBatch<T> extends Batch {
  readonly atomic = true;
  readonly #read: (receipt: PublishReceipt, count: number) => T;
  readonly #done = Promise.withResolvers<T>();

  constructor(
    to: PublishRequest['to'],
    prerequisite: Prerequisite | undefined,
    deadline: number,
    read: (receipt: PublishReceipt, count: number) => T,
  ) {
    super(to, prerequisite, deadline);
    this.#read = read;
  }

  get done(): Promise<T> {
    return this.#done.promise;
  }

  protected override tell(receipt: PublishReceipt): void {
    try {
      this.#done.resolve(this.#read(receipt, this.count));
    } catch (error) {
      this.#done.reject(error);
    }
  }

  protected override tellFailure(error: RailheadError): void {
    this.#done.reject(error);
  }
}

/** The answers in order. A refused record fails all, as the batch promised. */
export function allSent(receipt: PublishReceipt, count: number): Sent[] {
  const all: Sent[] = [];
  eachOutcome(
    receipt,
    count,
    (_, sent) => all.push(sent),
    (_, error) => {
      throw error;
    },
  );
  return all;
}
