import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';

/** In a process of its own, where nobody else has loaded anything. */
const SCRIPT = `
  import { startServer } from ${JSON.stringify(new URL('index.ts', import.meta.url).href)};
  const loaded = () => ['http', 'https', 'tls'].filter((name) => process.moduleLoadList.includes('NativeModule ' + name));
  const server = await startServer({ memory: true, port: 0, log: { level: 'silent' } });
  const atStart = loaded();
  const { status } = await fetch(server.httpUrl + '/healthz');
  console.log(JSON.stringify({ atStart, status, later: loaded().includes('http') }));
  await server.close();
`;

test('a start loads nothing of HTTP and TLS, and the first request is answered all the same', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', SCRIPT]);
  assert.deepEqual(JSON.parse(stdout), { atStart: [], status: 200, later: true });
});
