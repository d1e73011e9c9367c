import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';

const run = promisify(execFile);
const openssl = (args: string[]): Promise<unknown> => run('openssl', args);
const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];

export interface Pair {
  readonly key: Buffer;
  readonly cert: Buffer;
}

/** Somebody who says who somebody is, made for one test. */
export class Authority {
  readonly #dir: string;
  /** PEM file of its certificate. */
  readonly file: string;

  private constructor(dir: string) {
    this.#dir = dir;
    this.file = join(dir, 'ca.crt');
  }

  static async make(t: TestContext): Promise<Authority> {
    const dir = await mkdtemp(join(tmpdir(), 'railhead-ca-'));
    t.after(() => rm(dir, { recursive: true, force: true }));
    const authority = new Authority(dir);
    await openssl([
      'req',
      '-x509',
      ...NEW_KEY,
      '-subj',
      '/CN=ca',
      '-keyout',
      join(dir, 'ca.key'),
      '-out',
      authority.file,
    ]);
    return authority;
  }

  /** @param names alternative ones, such as `DNS:a.example,URI:spiffe://b` */
  async issue(subject: string, names?: string): Promise<Pair> {
    const [key, request, cert, extensions] = ['key', 'csr', 'crt', 'ext'].map((end) =>
      join(this.#dir, `client.${end}`),
    );
    const [ca, caKey] = [this.file, join(this.#dir, 'ca.key')];
    if (key === undefined || request === undefined || cert === undefined || extensions === undefined)
      throw new Error('four files');
    await openssl(['req', ...NEW_KEY, '-subj', subject, '-keyout', key, '-out', request]);
    await writeFile(extensions, `basicConstraints=CA:FALSE\n${names === undefined ? '' : `subjectAltName=${names}\n`}`);
    const from = ['-in', request, '-CA', ca, '-CAkey', caKey, '-CAcreateserial', '-days', '2', '-extfile', extensions];
    await openssl(['x509', '-req', ...from, '-out', cert]);
    return { key: await readFile(key), cert: await readFile(cert) };
  }
}
