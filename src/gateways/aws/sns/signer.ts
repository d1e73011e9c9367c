import { createHash, createPrivateKey, createSign, type KeyObject } from 'node:crypto';
import type { Clock } from '../../../core/clock.ts';
import { DEFAULT_ACCOUNT } from '../names.ts';
import { makeCertificate } from './certificate.ts';
import type { Topics } from './topics.ts';

const KIND = 'sns-signing';
const NAME = 'key';

interface Signing {
  key: KeyObject;
  certificate: string;
  /** Where it is fetched. */
  path: string;
}

/** Signs what SNS sends, with a key of this broker. Made when it is first needed, and kept with the broker. */
export class Signer {
  readonly #topics: Topics;
  readonly #clock: Clock;
  #signing: Promise<Signing> | undefined;

  constructor(topics: Topics, clock: Clock) {
    this.#topics = topics;
    this.#clock = clock;
  }

  async certificatePath(): Promise<string> {
    return (await this.#ready()).path;
  }

  /** The certificate that is served under that path; undefined for every other path. */
  async certificateAt(path: string): Promise<string | undefined> {
    if (!/^\/SimpleNotificationService-[0-9a-f]{32}\.pem$/.test(path)) return undefined;
    const { certificate, path: own } = await this.#ready();
    return path === own ? certificate : undefined;
  }

  /** Over the fields that are there, each name and value on a line of its own. */
  async sign(fields: readonly (readonly [string, string | undefined])[], version: '1' | '2'): Promise<string> {
    const { key } = await this.#ready();
    const text = fields.flatMap(([name, value]) => (value === undefined ? [] : [`${name}\n${value}\n`])).join('');
    return createSign(version === '1' ? 'sha1' : 'sha256')
      .update(text, 'utf8')
      .sign(key, 'base64');
  }

  #ready(): Promise<Signing> {
    if (this.#signing === undefined) {
      this.#signing = this.#load();
      this.#signing.catch(() => (this.#signing = undefined));
    }
    return this.#signing;
  }

  #load(): Promise<Signing> {
    return this.#topics.asBroker(DEFAULT_ACCOUNT, async (session) => {
      const { documents } = await session.request('listDocuments', { kind: KIND });
      // We wrote it.
      let stored = documents[0] && (JSON.parse(documents[0].value) as { privateKey: string; certificate: string });
      if (stored === undefined) {
        stored = await makeCertificate('sns.amazonaws.com', this.#clock.now());
        await session.request('putDocument', { kind: KIND, name: NAME, value: JSON.stringify(stored) });
      }
      const { privateKey, certificate } = stored;
      const digest = createHash('md5').update(certificate).digest('hex');
      return {
        key: createPrivateKey(privateKey),
        certificate,
        path: `/SimpleNotificationService-${digest}.pem`,
      };
    });
  }
}
