import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { Dashboard } from './files.ts';

async function pages(
  t: TestContext,
): Promise<{ get: (path: string, headers?: Record<string, string>) => Response | undefined; directory: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'railhead-files-'));
  t.after(() => rm(directory, { recursive: true }));
  const dashboard = new Dashboard(join(directory, 'pages'));
  const get = (path: string, headers: Record<string, string> = {}): Response | undefined =>
    dashboard.serve(new Request(`http://localhost${path}`, { headers }));
  return { get, directory };
}

async function built(directory: string): Promise<void> {
  await mkdir(join(directory, 'pages/assets'), { recursive: true });
  await writeFile(join(directory, 'secret.js'), 'secret');
  await writeFile(join(directory, 'pages/index.html'), '<!doctype html>');
  await writeFile(join(directory, 'pages/assets/app-1234.js'), 'plain');
  await writeFile(join(directory, 'pages/assets/app-1234.js.br'), 'brotli');
  await writeFile(join(directory, 'pages/assets/app-1234.js.gz'), 'gzip');
}

test('the page is asked for anew each time, and what it names is kept for ever', async (t) => {
  const { get, directory } = await pages(t);
  await built(directory);
  const page = get('/');
  assert.ok(page);
  assert.equal(page.status, 200);
  assert.equal(page.headers.get('cache-control'), 'no-cache');
  assert.match(page.headers.get('content-security-policy') ?? '', /default-src 'none'.*script-src 'self'/);
  const script = get('/assets/app-1234.js');
  assert.match(script?.headers.get('cache-control') ?? '', /immutable/);
  const etag = page.headers.get('etag') ?? '';
  const again = get('/', { 'if-none-match': `W/"x", ${etag}` });
  assert.equal(again?.status, 304);
});

test('the best encoding that the browser takes is sent as it was built', async (t) => {
  const { get, directory } = await pages(t);
  await built(directory);
  for (const [accepted, encoding, text] of [
    ['gzip, deflate, br, zstd', 'br', 'brotli'],
    ['gzip', 'gzip', 'gzip'],
    ['br;q=0, gzip;q=0.5', 'gzip', 'gzip'],
    ['', null, 'plain'],
  ] as const) {
    const response = get('/assets/app-1234.js', { 'accept-encoding': accepted });
    assert.ok(response);
    assert.equal(response.headers.get('content-encoding'), encoding);
    assert.equal(await response.text(), text);
    assert.equal(response.headers.get('vary'), 'accept-encoding');
  }
});

test('no path leads out of the build', async (t) => {
  const { get, directory } = await pages(t);
  await built(directory);
  for (const path of [
    '/../secret.js',
    '/%2e%2e/secret.js',
    '/assets/../../secret.js',
    '/..%2fsecret.js',
    '/assets',
    '/app-1234.js.br',
  ])
    assert.equal(get(path), undefined, path);
});

test('a build that is not there is said in words, and found once it is', async (t) => {
  const { get, directory } = await pages(t);
  const missing = get('/');
  assert.ok(missing);
  assert.equal(missing.status, 503);
  assert.match(await missing.text(), /npm start/);
  await built(directory);
  assert.equal(get('/')?.status, 200);
});
