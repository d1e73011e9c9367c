import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, test } from 'node:test';
import { entryBytes, readEntry } from '../../src/engine/entry-reader.ts';
import { FORMAT_VERSION, SETTLE } from '../../src/engine/entries.ts';
import { MemoryDisk } from '../../src/storage/memory/memory-disk.ts';
import { History } from '../simulation/replay.ts';
import { unpack } from './archive.ts';
import { readContent, writeGolden } from './content.ts';

const KINDS = [
  ...Object.keys(SETTLE).map((how) => `settle ${how}`),
  'publish',
  'lease',
  'format',
  'opened',
  'topic',
  'topicPolicy',
  'topicGone',
  'subscription',
  'subscriptionPolicy',
  'subscriptionGone',
  'paused',
  'seek',
  'router',
  'routerGone',
  'bind',
  'unbind',
  'cursor',
  'cursorGone',
  'schedule',
  'scheduleGone',
  'trim',
  'offer',
  'moved',
  'rewritten',
];

const formats = globSync('format-*.gz', { cwd: import.meta.dirname })
  .map((file) => basename(file, '.gz'))
  .sort();

describe('golden directories', () => {
  test(`there is one of the current format, ${FORMAT_VERSION}`, () => {
    assert.ok(existsSync(join(import.meta.dirname, `format-${FORMAT_VERSION}.gz`)));
  });

  for (const format of formats) {
    const archive = readFileSync(join(import.meta.dirname, `${format}.gz`));

    test(`${format} is opened by this code, and everything in it is found`, async () => {
      const expected: unknown = JSON.parse(readFileSync(join(import.meta.dirname, `${format}.json`), 'utf8'));
      assert.deepEqual(await readContent(await unpack(archive)), expected);
    });

    test(`${format} is found again after this code has written to it`, async () => {
      const disk = await unpack(archive);
      const first = await readContent(disk);
      assert.deepEqual(await readContent(disk), first);
    });
  }

  test('what the current one is made of has every kind of entry, a checkpoint and a cold segment', async () => {
    const disk = new MemoryDisk();
    const history = new History();
    await writeGolden(disk, (journal) => history.wrap(journal));
    const kinds = new Set<string>();
    for (const { body, count } of history.batches) {
      for (let i = 0, at = 0; i < count; i++, at += entryBytes(body, at)) {
        const entry = readEntry(body, at);
        kinds.add(entry.type === 'settle' ? `settle ${entry.how}` : entry.type);
      }
    }
    assert.deepEqual(
      KINDS.filter((kind) => !kinds.has(kind)),
      [],
    );
    const names = (await disk.list()).map(({ name }) => name);
    for (const prefix of ['checkpoint-', 'cold-'])
      assert.ok(
        names.some((name) => name.startsWith(prefix)),
        names.join(),
      );
  });
});
