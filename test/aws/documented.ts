import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const SDK = resolve(import.meta.dirname, '../../node_modules/@aws-sdk');

/** Which errors Amazon documents for each action, as `ACTION ERROR`: its SDK says it of each command. */
export function documentedErrors(client: 'client-sqs' | 'client-sns'): string[] {
  const folder = join(SDK, client, 'dist-types/commands');
  const pairs = readdirSync(folder).flatMap((file) => {
    const action = /^(\w+)Command\.d\.ts$/.exec(file)?.[1];
    if (action === undefined) return [];
    const errors = readFileSync(join(folder, file), 'utf8').matchAll(/@throws \{@link (\w+)\}/g);
    return Array.from(errors, ([, error = '']) => `${action} ${error}`);
  });
  const found = pairs.filter((pair) => !pair.endsWith('ServiceException'));
  assert.ok(found.length > 100, 'the SDK says it otherwise now');
  return found.toSorted();
}
