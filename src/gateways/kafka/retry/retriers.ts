import type { Clock } from '../../../core/clock.ts';
import { RailheadError } from '../../../core/errors.ts';
import type { Random } from '../../../core/random.ts';
import { Retries } from '../../../core/retries.ts';
import type { Session } from '../../../core/session.ts';
import { Retrier } from './retrier.ts';

/** Policies are looked at so often: they are set over another protocol. */
const LOOK_MS = 1_000;

export interface RetriersOptions {
  /** The session of the gateway. */
  own: () => Promise<Session>;
  clock: Clock;
  random: Random;
  report: (error: unknown) => void;
}

/** For each retry policy one that moves on what was handed back, as long as the policy is there. */
export class Retriers {
  readonly #options: RetriersOptions;
  readonly #byName = new Map<string, Retrier>();
  #disarm: (() => void) | undefined;
  #looking: Promise<void>;
  #closed = false;

  constructor(options: RetriersOptions) {
    this.#options = options;
    this.#looking = this.#lookAndArm();
  }

  /** Resolves when what has begun is done. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#disarm?.();
    await this.#looking;
    await Promise.all([...this.#byName.values()].map((retrier) => retrier.stop()));
  }

  async #lookAndArm(): Promise<void> {
    const { clock, report } = this.#options;
    try {
      await this.#look();
    } catch (error) {
      // The broker stops, or has no room: it is looked at again.
      if (!RailheadError.is(error)) report(error);
    }
    if (this.#closed) return;
    this.#disarm = clock.timer(clock.now() + LOOK_MS, () => {
      this.#looking = this.#lookAndArm();
    });
  }

  async #look(): Promise<void> {
    const { own, random, report } = this.#options;
    const session = await own();
    const policies = new Map(
      (await new Retries(session).list()).map((policy) => [JSON.stringify([policy.topic, policy.group]), policy]),
    );
    for (const [name, retrier] of this.#byName) {
      if (policies.has(name) && !retrier.ended) continue;
      this.#byName.delete(name);
      await retrier.stop();
    }
    for (const [name, policy] of policies) {
      const running = this.#byName.get(name);
      if (running !== undefined) {
        running.policy = policy;
        continue;
      }
      const retrier = new Retrier(session, policy, random, report);
      try {
        await retrier.start();
        this.#byName.set(name, retrier);
      } catch (error) {
        // Its queue was deleted. The topic may be gone as well: then nothing is handed back.
        if (!RailheadError.is(error, 'NOT_FOUND')) throw error;
        await makeAgain(session, policy);
      }
    }
  }
}

async function makeAgain(session: Session, policy: Parameters<Retries['makePlaces']>[0]): Promise<void> {
  try {
    await new Retries(session).makePlaces(policy);
  } catch (error) {
    if (!RailheadError.is(error, 'NOT_FOUND')) throw error;
  }
}
