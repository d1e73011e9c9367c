import type { Authenticator, LoginOrigin, Principal } from '../../core/auth.ts';
import type { Clock } from '../../core/clock.ts';
import { RenewablePrincipal } from '../renewable-principal.ts';
import { ERROR, KafkaError } from './errors.ts';
import type { RequestOf, ResponseOf } from './fields.ts';
import type { saslAuthenticate, saslHandshake } from './messages/discovery.ts';
import { mechanismsOf, type SaslStep } from './sasl.ts';

/**
 * SASL, in the frames of the protocol (KIP-43, KIP-152). Whose login ends, for the token does or since logins last so long,
 * is told when, and logs in again on the same connection before (KIP-368).
 */
export class Login {
  readonly #mechanisms: ReadonlyMap<string, SaslStep>;
  readonly #clock: Clock;
  readonly #maxMs: number;
  /** A mechanism was chosen; its next bytes come. */
  #step: SaslStep | undefined;
  #principal: Principal | undefined;
  #endsAt = Infinity;

  /** @param maxMs how long a login lasts at most */
  constructor(authenticator: Authenticator, clock: Clock, maxMs = Infinity, from?: LoginOrigin) {
    this.#mechanisms = mechanismsOf(authenticator, from);
    this.#clock = clock;
    this.#maxMs = maxMs;
  }

  /** Whoever has logged in, also while a new login is under way and when it has failed: until the token that was shown ends. */
  get principal(): Principal | undefined {
    return this.#principal;
  }

  /** It has lasted as long as a login may, and was not renewed: the connection is good for nothing but that. */
  get isOver(): boolean {
    return this.#clock.now() >= this.#endsAt;
  }

  handshake({ mechanism }: RequestOf<typeof saslHandshake>, version: number): ResponseOf<typeof saslHandshake> {
    // Of version 0 the bytes of the mechanism come without a frame of the protocol: no client of today does that.
    this.#step = version > 0 ? this.#mechanisms.get(mechanism) : undefined;
    const errorCode = this.#step === undefined ? ERROR.UNSUPPORTED_SASL_MECHANISM : ERROR.NONE;
    return { errorCode, mechanisms: [...this.#mechanisms.keys()] };
  }

  async authenticate({ authBytes }: RequestOf<typeof saslAuthenticate>): Promise<ResponseOf<typeof saslAuthenticate>> {
    const step = this.#step;
    if (step === undefined) return refusal(ERROR.ILLEGAL_SASL_STATE, 'A mechanism is to be chosen first.');
    this.#step = undefined;
    try {
      const answer = await step(authBytes);
      if ('next' in answer) this.#step = answer.next;
      else this.#enter(answer.principal);
      const sessionLifetimeMs = 'next' in answer ? 0 : this.#lifetime();
      return { errorCode: ERROR.NONE, errorMessage: null, authBytes: answer.bytes, sessionLifetimeMs };
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error;
      return refusal(error.code, error.message);
    }
  }

  /** @throws SASL_AUTHENTICATION_FAILED for another user than before, as in Kafka */
  #enter(shown: Principal): void {
    const before = this.#principal;
    if (before === undefined) this.#principal = shown.expiresAt === undefined ? shown : new RenewablePrincipal(shown);
    else if (before.name !== shown.name)
      throw new KafkaError(
        'SASL_AUTHENTICATION_FAILED',
        `Cannot change principals during re-authentication from ${before.name} to ${shown.name}`,
      );
    else if (before instanceof RenewablePrincipal) before.renew(shown);
    this.#endsAt = this.#clock.now() + this.#maxMs;
  }

  /** ms; 0 for a login that does not end by itself. */
  #lifetime(): number {
    const ends = Math.min(this.#endsAt, this.#principal?.expiresAt ?? Infinity);
    return ends === Infinity ? 0 : Math.max(1, Math.floor(ends - this.#clock.now()));
  }
}

function refusal(errorCode: number, errorMessage: string): ResponseOf<typeof saslAuthenticate> {
  return { errorCode, errorMessage, authBytes: Buffer.alloc(0) };
}
