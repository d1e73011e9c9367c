import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Session } from '../core/session.ts';
import { Declarations } from './declarations.ts';

test('who needs what another one declares again waits for it', async () => {
  const declarations = new Declarations();
  declarations.note('declareTopic', { name: 'jobs', kind: 'queue' });
  declarations.reset();
  const { promise, resolve } = Promise.withResolvers<void>();
  const steps: string[] = [];
  const request = async (): Promise<void> => {
    await promise;
    steps.push('declared');
  };
  const session = { request } as unknown as Session;
  const first = declarations.restore('jobs', session);
  const second = declarations.restore('jobs', session).then(() => steps.push('used'));
  resolve();
  await Promise.all([first, second]);
  assert.deepEqual(steps, ['declared', 'used']);
});

test('routers that are bound in a circle are declared again', async () => {
  const declarations = new Declarations();
  const asked: string[] = [];
  const request = async (operation: string): Promise<void> => void asked.push(operation);
  for (const [name, to] of [
    ['a', 'b'],
    ['b', 'a'],
  ] as const) {
    declarations.note('declareRouter', { name, type: 'fanout' });
    declarations.note('bind', { router: name, binding: { to: { router: to }, key: '', match: null, filter: null } });
  }
  declarations.reset();
  await declarations.restore('a', { request } as unknown as Session);
  assert.deepEqual(asked, ['declareRouter', 'declareRouter', 'bind', 'bind']);
});
