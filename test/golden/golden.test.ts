import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, test } from 'node:test';
import { entryBytes, readEntry } from '../../src/engine/entry-reader.ts';
import { COUNTED_NAMES, END, type Entry, FORMAT_VERSION, SETTLE } from '../../src/engine/entries.ts';
import type { State } from '../../src/engine/machine/state.ts';
import type { RecoveredBatch } from '../../src/engine/ports.ts';
import { MemoryDisk } from '../../src/storage/memory/memory-disk.ts';
import { assertSameState, checkpointOnDisk, History, replay, stateOnDisk } from '../simulation/replay.ts';
import { unpack, unpackBatches } from './archive.ts';
import { GOLDEN_JOURNAL, readContent, writeGolden } from './content.ts';

/** The compiler asks for a line here for every type of entry there is. */
const TYPES: Record<Entry['type'], true> = {
  publish: true,
  lease: true,
  settle: true,
  format: true,
  opened: true,
  topic: true,
  topicPolicy: true,
  topicGone: true,
  subscription: true,
  subscriptionPolicy: true,
  subscriptionGone: true,
  paused: true,
  seek: true,
  snapshot: true,
  snapshotGone: true,
  restored: true,
  forgotten: true,
  router: true,
  routerGone: true,
  bind: true,
  unbind: true,
  cursor: true,
  cursorGone: true,
  producer: true,
  producerGone: true,
  begun: true,
  enlisted: true,
  ended: true,
  schedule: true,
  scheduleGone: true,
  document: true,
  documentGone: true,
  trim: true,
  offer: true,
  compacted: true,
  swept: true,
  moved: true,
  rewritten: true,
};

const KINDS = [
  ...Object.keys(TYPES).filter((type) => type !== 'settle'),
  ...Object.keys(SETTLE).map((how) => `settle ${how}`),
  ...COUNTED_NAMES.map((how) => `counted as ${how}`),
  'publish of a large message',
  ...Object.keys(END).map((how) => `end ${how}`),
];

const formats = globSync('format-*.json', { cwd: import.meta.dirname })
  .map((file) => basename(file, '.json'))
  .sort();

function archive(name: string): Buffer<ArrayBuffer> {
  return readFileSync(join(import.meta.dirname, name));
}

function missingKinds(batches: readonly RecoveredBatch[]): string[] {
  const kinds = new Set<string>();
  for (const { body, count } of batches) {
    for (let i = 0, at = 0; i < count; i++, at += entryBytes(body, at)) {
      const entry = readEntry(body, at);
      if (entry.type === 'publish' && entry.ends !== undefined) kinds.add(`end ${entry.ends.how}`);
      kinds.add(entry.type === 'settle' ? `settle ${entry.how}` : entry.type);
      if (entry.type === 'settle') kinds.add(`counted as ${COUNTED_NAMES[entry.counted] ?? ''}`);
      if (entry.type === 'publish' && entry.body !== undefined) kinds.add('publish of a large message');
    }
  }
  return KINDS.filter((kind) => !kinds.has(kind));
}

async function assertHasAllFiles(disk: MemoryDisk): Promise<void> {
  const names = (await disk.list()).map(({ name }) => name);
  for (const prefix of ['checkpoint-', 'cold-', 'body-'])
    assert.ok(
      names.some((name) => name.startsWith(prefix)),
      names.join(),
    );
}

/** What is known of declarations beside their policies, and of producers. */
function declared(state: State): Record<string, unknown> {
  const { routers, transactions } = state.encodeGlobals();
  const topics = [...state.topics.values()];
  return {
    topics: topics.flatMap(({ name, declaration }) =>
      Object.keys(declaration).length > 0 ? [{ name, ...declaration }] : [],
    ),
    routers: routers.flatMap(({ definition: { name, attributes, transient } }) =>
      attributes === undefined && transient === undefined
        ? []
        : [{ name, ...(attributes && { attributes }), ...(transient && { transient }) }],
    ),
    open: transactions.producers.flatMap(({ name, open }) => (open === null ? [] : [name])),
    numbered: topics.flatMap(({ name, producers }) => (producers.has('numbered') ? [name] : [])),
  };
}

describe('golden directories', () => {
  test(`there is one of the current format, ${FORMAT_VERSION}, with every kind of entry, a checkpoint, a cold segment and a large body`, async () => {
    const name = `format-${FORMAT_VERSION}`;
    assert.ok(existsSync(join(import.meta.dirname, `${name}.gz`)));
    assert.deepEqual(missingKinds(unpackBatches(archive(`${name}.entries.gz`))), []);
    await assertHasAllFiles(await unpack(archive(`${name}.gz`)));
  });

  test('its checkpoint has the attributes of a queue and a router, what is transient, and producers', async () => {
    const attributes = { owner: 'golden', empty: '' };
    const disk = await unpack(archive(`format-${FORMAT_VERSION}.gz`));
    assert.deepEqual(declared(await checkpointOnDisk(disk)), {
      topics: [
        { name: 'queue', attributes },
        { name: 'topic', attributes: { owner: 'golden' } },
        { name: 'fleeting', transient: true },
      ],
      routers: [
        { name: 'router', attributes },
        { name: 'fleeting', transient: true },
      ],
      open: ['open'],
      numbered: ['topic'],
    });
  });

  for (const format of formats) {
    test(`${format} is opened by this code, and everything in it is found`, async () => {
      const expected: unknown = JSON.parse(archive(`${format}.json`).toString());
      assert.deepEqual(await readContent(await unpack(archive(`${format}.gz`))), expected);
    });

    test(`${format} is found again after this code has written to it`, async () => {
      const disk = await unpack(archive(`${format}.gz`));
      const first = await readContent(disk);
      assert.deepEqual(await readContent(disk), first);
    });

    test(`${format}: all entries that were ever written to it give the state that a start finds`, async () => {
      const found = await stateOnDisk(await unpack(archive(`${format}.gz`)), GOLDEN_JOURNAL);
      assertSameState(found, replay(unpackBatches(archive(`${format}.entries.gz`))), format);
    });
  }

  test('what this code would make has every kind of entry, a checkpoint and a cold segment', async () => {
    const disk = new MemoryDisk();
    const history = new History();
    await writeGolden(disk, (journal) => history.wrap(journal));
    assert.deepEqual(missingKinds(history.batches), []);
    await assertHasAllFiles(disk);
  });
});
