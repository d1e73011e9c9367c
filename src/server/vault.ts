import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { RailheadError } from '../core/errors.ts';
import { Vault } from '../core/vault.ts';

const KEY_FILE = 'railhead.key';
const KEY_BYTES = 32;

/**
 * Seals with a key in a file: 64 hexadecimal digits. One beside the data is made when it is needed for the first time,
 * readable for its owner only; one that the configuration names has to be there.
 *
 * @throws CONFIG for a file of the configuration that is not there or holds no key
 */
export function vaultOf(directory: string | null, file?: string): Vault {
  if (file !== undefined) {
    const key = readKey(file);
    if (key === undefined) throw notAKey(file, 'does not exist');
    return new Vault({ read: () => key, readOrCreate: () => key });
  }
  if (directory === null) return new Vault();
  const beside = join(directory, KEY_FILE);
  return new Vault({
    read: () => readKey(beside),
    readOrCreate: () => readKey(beside) ?? createKey(directory, beside),
  });
}

function readKey(file: string): Buffer | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8').trim();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw notAKey(file, `cannot be read (${error instanceof Error ? error.message : String(error)})`);
  }
  if (!/^[0-9a-f]{64}$/i.test(text)) throw notAKey(file, 'does not hold 64 hexadecimal digits');
  return Buffer.from(text, 'hex');
}

/** Durable before anything is sealed with it: a secret without its key is lost. */
function createKey(directory: string, file: string): Buffer {
  const key = randomBytes(KEY_BYTES);
  const descriptor = openSync(file, 'wx', 0o600);
  writeSync(descriptor, `${key.toString('hex')}\n`);
  fsyncSync(descriptor);
  closeSync(descriptor);
  const parent = openSync(directory, 'r');
  fsyncSync(parent);
  closeSync(parent);
  return key;
}

function notAKey(file: string, what: string): RailheadError {
  return new RailheadError(
    'CONFIG',
    `The key file ${file} ${what}. Make one with: (umask 077; openssl rand -hex 32 > ${file}), or put the lost one back.`,
  );
}
