import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { takePhotos } from './photos.ts';
import { isThumbnail, makeThumbnail } from './thumbnail.ts';

async function emptyDir(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'railhead-thumbnail-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

test('the photographs are the same every time, and each is another one', async (t) => {
  const [one, two] = [await emptyDir(t), await emptyDir(t)];
  const photos = await takePhotos(one);
  const again = await takePhotos(two);
  const bytes = await Promise.all([...photos, ...again].map((file) => readFile(file, 'base64')));
  assert.deepEqual(bytes.slice(0, photos.length), bytes.slice(photos.length));
  assert.equal(new Set(bytes).size, photos.length);
});

test('a photograph becomes a small square, and nothing else is left in its directory', async (t) => {
  const dir = await emptyDir(t);
  const [photo = ''] = await takePhotos(dir);
  const file = join(dir, 'made', 'small.webp');
  await makeThumbnail(photo, file);
  assert.ok(await isThumbnail(file));
  assert.ok(!(await isThumbnail(photo)));
  assert.deepEqual(readdirSync(join(dir, 'made')), ['small.webp']);
});

test('what is no photograph is refused and leaves no file', async (t) => {
  const dir = await emptyDir(t);
  const broken = join(dir, 'broken.jpg');
  await writeFile(broken, '<html></html>');
  await assert.rejects(makeThumbnail(broken, join(dir, 'small.webp')), /unsupported image format/);
  assert.ok(!existsSync(join(dir, 'small.webp')));
});
