import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { Schemas } from '../gateways/schemas.ts';
import { connect } from '../sdk/connect.ts';
import { startServer } from '../server/index.ts';
import { hashToken } from '../server/users.ts';

const MAIN = join(import.meta.dirname, 'main.ts');
const [ADMIN, READER] = ['a-token-of-the-admin', 'a-token-of-a-reader'];

test('who may peek at a queue and nothing else sees its bodies by their schema', async (t) => {
  const users = [
    { name: 'ann', tokenHash: hashToken(READER), grants: [{ resource: 'encoded', actions: ['consume' as const] }] },
  ];
  const server = await startServer({ memory: true, port: 0, log: { level: 'silent' }, token: ADMIN, users });
  t.after(() => server.close());
  const rail = await connect(server.url, { token: ADMIN });
  t.after(() => rail.close());
  await rail.request('declareTopic', { name: 'encoded', kind: 'queue' });
  // A field with the number 1 and the value 150.
  await rail.queue('encoded').send(Buffer.from('089601', 'hex'));
  await new Schemas(rail).put({ topic: 'encoded', protobuf: 'message Order { int32 total = 1; }' });
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [MAIN, 'peek', 'encoded', '--json', '--url', server.url],
    { env: { ...process.env, NODE_TEST_CONTEXT: undefined, RAILHEAD_TOKEN: READER }, timeout: 60_000 },
  );
  const { decoded } = JSON.parse(stdout) as { decoded?: unknown };
  assert.deepEqual(decoded, { as: 'Protobuf Order', text: '{\n  "total": 150\n}' });
});
