import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { writeFully } from './disk.ts';
import { MemoryDisk } from './memory/memory-disk.ts';
import { NodeDisk } from './node-disk.ts';
import { SyncPace } from './sync-pace.ts';

let directory = '';
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'railhead-disk-'));
});
after(() => rm(directory, { recursive: true }));

/** It has seen a disk that is quick and a loop that is idle. */
function onLoop(): SyncPace {
  const pace = new SyncPace(() => ({ busyMs: 0, passedMs: 1 }));
  for (let i = 0; i < 64; i++) {
    assert.equal(pace.begin(1), 'in pool');
    pace.tookInPool(1, 0.01);
  }
  assert.equal(pace.begin(1), 'on loop');
  return pace;
}

for (const kind of ['a real disk', 'a real disk, synced on the loop', 'the one in memory']) {
  describe(`disk: ${kind}`, () => {
    let disk: NodeDisk | MemoryDisk = new MemoryDisk();
    before(() => {
      if (kind === 'a real disk') disk = new NodeDisk(join(directory, 'made', 'on-demand'));
      if (kind === 'a real disk, synced on the loop') disk = new NodeDisk(join(directory, 'on-loop'), onLoop());
    });

    test('what is written at an offset is read back, with zeros before it and an end after it', async () => {
      const file = await disk.create('a');
      assert.equal(file.writev([Buffer.from('hello '), Buffer.from('world')], 5000), 11);
      await file.sync();
      assert.equal(file.size(), 5011);
      assert.equal((await file.read(5000, 100)).toString(), 'hello world');
      assert.deepEqual(await file.read(0, 5000), Buffer.alloc(5000));
      assert.equal((await file.read(5011, 10)).length, 0);
      assert.equal((await file.read(9000, 10)).length, 0);
      await file.close();
      const again = await disk.open('a');
      assert.equal(again.size(), 5011);
      again.writev([Buffer.from('J')], 5000);
      assert.equal((await again.read(4999, 3)).toString(), '\0Je');
      await again.close();
    });

    test('more buffers than one system call takes are written whole', async () => {
      const file = await disk.create('many');
      const buffers = Array.from({ length: 5000 }, (_, index) => Buffer.from([index % 251]));
      writeFully(file, buffers, 5000, 0);
      assert.deepEqual(await file.read(0, 5000), Buffer.concat(buffers));
      await file.close();
    });

    test('allocating fills with zeros and keeps what is there', async () => {
      const file = await disk.create('zeros');
      file.writev([Buffer.from('x')], 0);
      await file.allocate(3_000_000);
      assert.equal(file.size(), 3_000_000);
      const bytes = await file.read(0, 3_000_000);
      assert.equal(bytes[0], 'x'.charCodeAt(0));
      assert.ok(bytes.subarray(1).every((byte) => byte === 0));
      await file.close();
    });

    test('an open file stays the same through a rename, and a rename replaces', async () => {
      const one = await disk.create('one');
      one.writev([Buffer.from('1')], 0);
      const two = await disk.create('two');
      two.writev([Buffer.from('22')], 0);
      await disk.rename('one', 'two');
      await disk.syncDir();
      one.writev([Buffer.from('x')], 1);
      const found = await disk.open('two');
      assert.equal((await found.read(0, 9)).toString(), '1x');
      for (const file of [one, two, found]) await file.close();
      assert.deepEqual(
        (await disk.list()).filter(({ name }) => name === 'one' || name === 'two'),
        [{ name: 'two', bytes: 2 }],
      );
    });

    test('errors have the code of the system', async () => {
      await (await disk.create('taken')).close();
      await assert.rejects(disk.create('taken'), { code: 'EEXIST' });
      await assert.rejects(disk.open('nothing'), { code: 'ENOENT' });
      await assert.rejects(disk.rename('nothing', 'x'), { code: 'ENOENT' });
      await disk.remove('nothing');
      await disk.remove('taken');
      await assert.rejects(disk.open('taken'), { code: 'ENOENT' });
    });
  });
}

describe('disk: a real one', () => {
  test('a closed file is never written to: its number may name another file by then', async () => {
    const disk = new NodeDisk(directory);
    const file = await disk.create('closed');
    await file.close();
    await file.close();
    assert.throws(() => file.writev([Buffer.from('x')], 0), { code: 'EBADF' });
    await assert.rejects(file.sync(), { code: 'EBADF' });
    await assert.rejects(file.read(0, 1), { code: 'EBADF' });
  });

  test('a close waits for the reads and syncs that run, so that none of them meets another file', async () => {
    const disk = new NodeDisk(directory);
    for (let round = 0; round < 50; round++) {
      const file = await disk.create(`busy-${round}`);
      file.writev([Buffer.alloc(100_000, round)], 0);
      const reads = [file.read(0, 100_000), file.sync(), file.read(50_000, 50_000)] as const;
      const closing = file.close();
      const other = await disk.create(`other-${round}`);
      other.writev([Buffer.alloc(100_000, 255)], 0);
      const [first, , second] = await Promise.all(reads);
      assert.ok(first.every((byte) => byte === round) && second.every((byte) => byte === round));
      await closing;
      await other.close();
    }
  });

  test('space that the file system does not have is refused before the disk is filled', async () => {
    const file = await new NodeDisk(directory).create('huge');
    await assert.rejects(file.allocate(2 ** 50), { code: 'ENOSPC' });
    assert.equal(file.size(), 0);
    await file.close();
  });
});
