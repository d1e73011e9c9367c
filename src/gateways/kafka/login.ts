import type { Authenticator, Principal } from '../../core/auth.ts';
import { ERROR, KafkaError } from './errors.ts';
import type { RequestOf, ResponseOf } from './fields.ts';
import type { saslAuthenticate, saslHandshake } from './messages/discovery.ts';
import { mechanismsOf, type SaslStep } from './sasl.ts';

/**
 * none        nothing was chosen, or what was chosen has failed
 * asked       a mechanism was chosen; its next bytes come
 * done        logged in
 */
type State = { name: 'none' } | { name: 'asked'; step: SaslStep } | { name: 'done'; principal: Principal };

/** SASL, in the frames of the protocol (KIP-43, KIP-152). */
export class Login {
  readonly #mechanisms: ReadonlyMap<string, SaslStep>;
  #state: State = { name: 'none' };

  constructor(authenticator: Authenticator) {
    this.#mechanisms = mechanismsOf(authenticator);
  }

  get principal(): Principal | undefined {
    return this.#state.name === 'done' ? this.#state.principal : undefined;
  }

  handshake({ mechanism }: RequestOf<typeof saslHandshake>, version: number): ResponseOf<typeof saslHandshake> {
    // Of version 0 the bytes of the mechanism come without a frame of the protocol: no client of today does that.
    const step = version > 0 ? this.#mechanisms.get(mechanism) : undefined;
    this.#state = step === undefined ? { name: 'none' } : { name: 'asked', step };
    const errorCode = step === undefined ? ERROR.UNSUPPORTED_SASL_MECHANISM : ERROR.NONE;
    return { errorCode, mechanisms: [...this.#mechanisms.keys()] };
  }

  async authenticate({ authBytes }: RequestOf<typeof saslAuthenticate>): Promise<ResponseOf<typeof saslAuthenticate>> {
    if (this.#state.name !== 'asked') return refusal(ERROR.ILLEGAL_SASL_STATE, 'A mechanism is to be chosen first.');
    const { step } = this.#state;
    this.#state = { name: 'none' };
    try {
      const answer = await step(authBytes);
      this.#state =
        'next' in answer ? { name: 'asked', step: answer.next } : { name: 'done', principal: answer.principal };
      return { errorCode: ERROR.NONE, errorMessage: null, authBytes: answer.bytes };
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error;
      return refusal(error.code, error.message);
    }
  }
}

function refusal(errorCode: number, errorMessage: string): ResponseOf<typeof saslAuthenticate> {
  return { errorCode, errorMessage, authBytes: Buffer.alloc(0) };
}
