import type { Clock } from '../../core/clock.ts';
import type { Random } from '../../core/random.ts';
import { RENEWING } from '../../wire/handshake.ts';
import type { Line } from './connector.ts';

/** A newer token is shown after such a part of the time that the login lasts, by chance, so that not all come at once. */
const EARLIEST = 0.8;
const LATEST = 0.9;
/** What is refused, or does not come, is tried again after half of the time that is left, down to this. */
const SHORTEST_MS = 1_000;

export interface LoginRenewalOptions {
  clock: Clock;
  random: Random;
  /** Asked for each renewal. */
  token: () => Promise<string>;
}

/**
 * Shows the broker a newer token before the login ends, so that the connection, its consumers and what they hold go on. Where
 * that does not work, and with brokers of version 1, the broker ends the connection with the token and the next one begins
 * with a new one.
 */
export class LoginRenewal {
  readonly #options: LoginRenewalOptions;
  #cancel: (() => void) | undefined;

  constructor(options: LoginRenewalOptions) {
    this.#options = options;
  }

  /** From now on for this connection, and for no other. */
  follow(line: Line): void {
    this.stop();
    const { protocol, loginEndsInMs } = line.welcome;
    if (protocol >= RENEWING) this.#begin(line, loginEndsInMs);
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #begin(line: Line, lastsMs: number | undefined): void {
    if (lastsMs === undefined) return;
    const { clock, random } = this.#options;
    const share = EARLIEST + (LATEST - EARLIEST) * random.next();
    this.#arm(line, clock.now() + lastsMs, Math.max(SHORTEST_MS, lastsMs * share));
  }

  #arm(line: Line, endsAt: number, waitMs: number): void {
    const { clock } = this.#options;
    const at = clock.now() + waitMs;
    if (at >= endsAt) return;
    const cancel = clock.timer(at, () => {
      this.#renew(line).then(
        (lastsMs) => {
          if (this.#cancel === cancel) this.#begin(line, lastsMs);
        },
        () => {
          if (this.#cancel === cancel) this.#arm(line, endsAt, Math.max(SHORTEST_MS, (endsAt - clock.now()) / 2));
        },
      );
    });
    this.#cancel = cancel;
  }

  async #renew({ connection }: Line): Promise<number | undefined> {
    return connection.renew(await this.#options.token());
  }
}
