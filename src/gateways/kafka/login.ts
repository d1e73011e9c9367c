import type { Authenticator, Principal } from '../../core/auth.ts';
import { RailheadError } from '../../core/errors.ts';
import { ERROR } from './errors.ts';
import type { RequestOf, ResponseOf } from './fields.ts';
import type { saslAuthenticate, saslHandshake } from './messages/discovery.ts';

const MECHANISMS = ['PLAIN'] as const;
const TOKEN_USER = 'token';

/**
 * none        nothing was chosen
 * chosen      a mechanism was; its bytes come
 * done        logged in
 */
type State = { name: 'none' } | { name: 'chosen' } | { name: 'done'; principal: Principal };

/** SASL, in the frames of the protocol (KIP-43, KIP-152). */
export class Login {
  readonly #authenticator: Authenticator;
  #state: State = { name: 'none' };

  constructor(authenticator: Authenticator) {
    this.#authenticator = authenticator;
  }

  get principal(): Principal | undefined {
    return this.#state.name === 'done' ? this.#state.principal : undefined;
  }

  handshake({ mechanism }: RequestOf<typeof saslHandshake>, version: number): ResponseOf<typeof saslHandshake> {
    // Of version 0 the bytes of the mechanism come without a frame of the protocol: no client of today does that.
    const isKnown = version > 0 && MECHANISMS.some((each) => each === mechanism);
    this.#state = isKnown ? { name: 'chosen' } : { name: 'none' };
    return { errorCode: isKnown ? ERROR.NONE : ERROR.UNSUPPORTED_SASL_MECHANISM, mechanisms: [...MECHANISMS] };
  }

  async authenticate({ authBytes }: RequestOf<typeof saslAuthenticate>): Promise<ResponseOf<typeof saslAuthenticate>> {
    if (this.#state.name !== 'chosen') return refusal(ERROR.ILLEGAL_SASL_STATE, 'A mechanism is to be chosen first.');
    this.#state = { name: 'none' };
    const credentials = plain(authBytes);
    if (credentials === undefined)
      return refusal(ERROR.SASL_AUTHENTICATION_FAILED, 'The bytes are not those of PLAIN.');
    try {
      this.#state = { name: 'done', principal: await this.#principalOf(credentials) };
      return { errorCode: ERROR.NONE, errorMessage: null, authBytes: Buffer.alloc(0) };
    } catch (error) {
      if (!RailheadError.is(error)) throw error;
      return refusal(ERROR.SASL_AUTHENTICATION_FAILED, 'Authentication failed: Invalid username or password');
    }
  }

  /** Who calls itself `token` has a token in place of a password; a user of that name may have a password all the same. */
  async #principalOf(credentials: { user: string; password: string }): Promise<Principal> {
    if (credentials.user !== TOKEN_USER) return this.#authenticator.authenticate(credentials);
    try {
      return await this.#authenticator.authenticate({ token: credentials.password });
    } catch (error) {
      if (!RailheadError.is(error, 'UNAUTHENTICATED')) throw error;
      return this.#authenticator.authenticate(credentials);
    }
  }
}

function refusal(errorCode: number, errorMessage: string): ResponseOf<typeof saslAuthenticate> {
  return { errorCode, errorMessage, authBytes: Buffer.alloc(0) };
}

/** authorization id, name, password: the first is empty, or the name once more. */
function plain(bytes: Buffer): { user: string; password: string } | undefined {
  const [as, user, password, more] = bytes.toString().split('\0');
  if (user === undefined || password === undefined || more !== undefined) return undefined;
  return as === '' || as === user ? { user, password } : undefined;
}
