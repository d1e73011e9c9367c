import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type { BlobStore } from '../../src/engine/ports.ts';

/** What every backend of the `BlobStore` port passes. */
export interface BlobBackend {
  readonly name: string;
  place(): Promise<BlobPlace>;
}

export interface BlobPlace {
  /** A store over this place. The one before was closed, or is dead and never used again. */
  open(): Promise<BlobStore>;
  remove(): Promise<void>;
}

export async function sealText(blobs: BlobStore, name: string, text: string): Promise<void> {
  const writer = await blobs.create(name);
  await writer.write(Buffer.from(text));
  await writer.seal();
}

export function blobAcceptance(backend: BlobBackend): void {
  describe(`blobs on ${backend.name}`, () => {
    const places: BlobPlace[] = [];
    const place = async (): Promise<BlobPlace> => {
      const made = await backend.place();
      places.push(made);
      return made;
    };
    after(async () => {
      for (const made of places) await made.remove();
    });

    test('a sealed blob is listed and read, also by the next store', async () => {
      const where = await place();
      const blobs = await where.open();
      const writer = await blobs.create('cold-1');
      await writer.write(Buffer.from('hello '));
      await writer.write(Buffer.from('world'));
      await writer.seal();
      const check = async (store: BlobStore): Promise<void> => {
        assert.deepEqual(await store.list(), [{ name: 'cold-1', bytes: 11 }]);
        assert.equal((await store.read('cold-1', 6, 5)).toString(), 'world');
        assert.equal((await store.read('cold-1', 8, 100)).toString(), 'rld');
      };
      await check(blobs);
      await blobs.close();
      const next = await where.open();
      await check(next);
      await next.close();
    });

    test('an unsealed blob is not listed, cannot be read and is gone for the next store', async () => {
      const where = await place();
      const blobs = await where.open();
      const writer = await blobs.create('half');
      await writer.write(Buffer.from('half'));
      assert.deepEqual(await blobs.list(), []);
      await assert.rejects(blobs.read('half', 0, 1), { code: 'NOT_FOUND' });
      const next = await where.open();
      assert.deepEqual(await next.list(), []);
      await sealText(next, 'half', 'whole');
      assert.equal((await next.read('half', 0, 9)).toString(), 'whole');
      await next.close();
    });

    test('a name that is taken, sealed or being written, is refused', async () => {
      const blobs = await (await place()).open();
      await sealText(blobs, 'taken', 'x');
      await assert.rejects(blobs.create('taken'), { code: 'ALREADY_EXISTS' });
      const writer = await blobs.create('half');
      await assert.rejects(blobs.create('half'), { code: 'ALREADY_EXISTS' });
      await writer.abort();
      await sealText(blobs, 'half', 'x');
      await blobs.close();
    });

    test('a removed blob is gone, and removing it again is no error', async () => {
      const blobs = await (await place()).open();
      await sealText(blobs, 'one', 'x');
      await blobs.read('one', 0, 1);
      await blobs.remove('one');
      await blobs.remove('one');
      assert.deepEqual(await blobs.list(), []);
      await assert.rejects(blobs.read('one', 0, 1), { code: 'NOT_FOUND' });
      await sealText(blobs, 'one', 'again');
      assert.equal((await blobs.read('one', 0, 5)).toString(), 'again');
      await blobs.close();
    });

    test('a name from outside the engine is refused', async () => {
      const blobs = await (await place()).open();
      for (const name of ['', '../x', 'A', 'a/b', 'a.b', 'x'.repeat(65)]) await assert.rejects(blobs.create(name));
      await blobs.close();
    });

    test('many blobs are read in any order', async () => {
      const blobs = await (await place()).open();
      for (let index = 0; index < 100; index++) await sealText(blobs, `b-${index}`, `body ${index}`);
      const reads = Array.from({ length: 300 }, async (_, index) => {
        const one = (index * 37) % 100;
        assert.equal((await blobs.read(`b-${one}`, 0, 99)).toString(), `body ${one}`);
      });
      await Promise.all(reads);
      // More at the same time than files are kept open.
      for (let round = 0; round < 5; round++) {
        await Promise.all(Array.from({ length: 100 }, (_, one) => blobs.read(`b-${one}`, 0, 1)));
      }
      await blobs.close();
    });
  });
}
