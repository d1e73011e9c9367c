import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const SDK = resolve(import.meta.dirname, '../../node_modules/@aws-sdk');

type Client = 'client-sqs' | 'client-sns';

/** Which errors Amazon documents for each action, as `ACTION ERROR`: its SDK says it of each command. */
export function documentedErrors(client: Client): string[] {
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

/** Which attributes of queues, messages, topics and subscriptions Amazon documents, of what is asked and answered. */
export function documentedAttributes(client: Client): string[] {
  const text = readFileSync(join(SDK, client, 'dist-types/models/models_0.d.ts'), 'utf8');
  const found = new Set(
    text
      .split(/^export interface /m)
      .filter((each) => /^\w*(?:Queue|Topic|Subscri|ReceiveMessage)\w*/.test(each))
      .flatMap((each) => Array.from(each.matchAll(/<code>([A-Z]\w+)<\/code>\s+–/g), ([, name = '']) => name)),
  );
  assert.ok(found.size > 12, 'the SDK says it otherwise now');
  return [...found].toSorted();
}
