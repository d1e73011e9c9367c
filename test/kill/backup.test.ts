/** kill -9 in the middle of a backup, of the broker that is backed up, and of a restore, while messages come and go. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, test, type TestContext } from 'node:test';
import { connect, defineQueue, open } from '../../src/index.ts';
import type { Rail } from '../../src/sdk/rail.ts';
import { makeBackup } from '../../src/storage/backup/backup.ts';
import { BackupRepository } from '../../src/storage/backup/repository.ts';
import { restoreBackup } from '../../src/storage/backup/restore.ts';
import { eventually } from '../eventually.ts';
import { after, Child } from './child.ts';

const MAIN = resolve(import.meta.dirname, '../../src/cli/main.ts');
const SMALL = defineQueue<string>('small');
const ORDERS = defineQueue<string>('orders');
const LARGE_BYTES = 2_000_000;
const LARGE = 12;

async function place(t: TestContext) {
  const directory = await mkdtemp(join(tmpdir(), 'railhead-backup-kill-'));
  const leaving: (() => Promise<unknown>)[] = [];
  t.after(async () => {
    for (const leave of leaving.reverse()) await leave();
    await rm(directory, { recursive: true, force: true });
  });
  const data = join(directory, 'data');
  await mkdir(data);
  const repository = new BackupRepository(join(directory, 'backups'));
  return { directory, data, repository, leave: (one: () => Promise<unknown>) => leaving.push(one) };
}

async function names(directory: string): Promise<string[]> {
  return existsSync(directory) ? readdir(directory) : [];
}

/** Something of a backup that has no name yet. */
async function isUnderWay({ directory }: BackupRepository): Promise<boolean> {
  const found = [...(await names(directory)), ...(await names(join(directory, 'files')))];
  return found.some((name) => name.includes('unfinished'));
}

/** The command in a process of its own. */
class Railhead {
  readonly #child: ReturnType<typeof spawn>;
  readonly #closed: Promise<unknown[]>;
  readonly #said: Promise<string[]>;

  constructor(...args: string[]) {
    const child = spawn(process.execPath, [MAIN, ...args], {
      env: { ...process.env, NODE_TEST_CONTEXT: '', NO_COLOR: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.#closed = once(child, 'close');
    this.#said = Promise.all([text(child.stdout), text(child.stderr)]);
  }

  get isOver(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** False for one that was done already. */
  async kill(): Promise<boolean> {
    this.#child.kill('SIGKILL');
    await this.#closed;
    return this.#child.signalCode === 'SIGKILL';
  }

  async end(): Promise<{ code: number | null; out: string; err: string }> {
    const [code] = await this.#closed;
    const [out = '', err = ''] = await this.#said;
    return { code: code as number | null, out, err };
  }
}

/** What was confirmed, and what of it was given to somebody, who settles it. */
class Books {
  readonly confirmed = new Set<string>();
  readonly given = new Set<string>();
  readonly settled = new Set<string>();

  /** Confirmed, and with nobody. */
  waiting(): string[] {
    return [...this.confirmed].filter((body) => !this.given.has(body));
  }
}

/** Publishes and settles until it is told to stop, or nobody answers any more. */
class Load {
  readonly #rail: Rail;
  readonly #books: Books;
  readonly #over = new AbortController();
  readonly #work: Promise<unknown>;

  constructor(rail: Rail, books: Books) {
    this.#rail = rail;
    this.#books = books;
    this.#work = Promise.allSettled([this.#publish(randomUUID()), this.#settle()]);
  }

  /** With its connection: over one that is lost the answers to what it asked would not come. */
  async stop(): Promise<void> {
    this.#over.abort();
    await this.#rail.close();
    await this.#work;
  }

  async #publish(mark: string): Promise<void> {
    for (let n = 0; !this.#over.signal.aborted; n++) {
      const body = `${mark} ${n} `.padEnd(5_000, 'x');
      await this.#rail.queue(SMALL).send(body);
      this.#books.confirmed.add(body);
    }
  }

  async #settle(): Promise<void> {
    while (!this.#over.signal.aborted) {
      await after(20);
      for (const message of await this.#rail.queue(SMALL).fetch({ max: 5 })) {
        this.#books.given.add(message.body);
        await message.ack();
        this.#books.settled.add(message.body);
      }
    }
  }
}

const large = (i: number): string => `${i} `.padEnd(LARGE_BYTES, '.');

/** Bodies that take their time to copy. */
async function fill(rail: Rail, from = 0): Promise<void> {
  for (let i = from; i < from + LARGE; i++) await rail.queue(ORDERS).send(large(i));
}

/** All bodies that are there. */
async function drain(directory: string): Promise<Set<string>> {
  const rail = await open({ dir: directory });
  const found = new Set<string>();
  for (const queue of [rail.queue(ORDERS), rail.queue(SMALL)])
    while ((await queue.stats()).depth > 0)
      for (const message of await queue.fetch({ max: 500, wait: '1s' })) {
        found.add(message.body);
        await message.ack();
      }
  await rail.close();
  return found;
}

/** Every one that is there is whole, and the newest becomes a directory. */
async function restoreNewest(repository: BackupRepository, target: string): Promise<void> {
  const backups = await repository.list();
  assert.deepEqual(
    backups.map(({ name }) => name),
    await repository.names(),
  );
  for (const each of backups) await repository.verify(each);
  const newest = backups.at(-1);
  assert.ok(newest);
  await restoreBackup(repository, newest, target);
}

// Side by side: a backup waits half a minute for a broker that was killed to come back.
describe('kill -9 around backups', { concurrency: true }, () => {
  test(
    'backups that are killed under load leave those before as they are, and the next has all that was confirmed',
    { timeout: 180_000 },
    async (t) => {
      const { directory, data, repository, leave } = await place(t);
      const rail = await open({ dir: data });
      leave(() => rail.close());
      const books = new Books();
      await fill(rail);
      const first = await new Railhead('backup', repository.directory, '--dir', data, '--json').end();
      assert.equal(first.code, 0, first.err);
      const load = new Load(await open({ dir: data }), books);
      let killed = 0;
      for (let round = 1; round <= 4; round++) {
        // Something new that has to be copied.
        await fill(rail, round * LARGE);
        const child = new Railhead('backup', repository.directory, '--dir', data);
        await eventually('a backup is under way', async () => child.isOver || (await isUnderWay(repository)));
        await after(round * 5);
        if (await child.kill()) killed++;
        for (const each of await repository.list()) await repository.verify(each);
      }
      assert.ok(killed > 0);
      const [confirmed, settled] = [books.waiting(), [...books.settled]];
      assert.ok(confirmed.length > 0 && settled.length > 0);
      const last = await new Railhead('backup', repository.directory, '--dir', data, '--json').end();
      assert.equal(last.code, 0, last.err);
      const { bytes, copiedBytes } = JSON.parse(last.out) as { bytes: number; copiedBytes: number };
      assert.ok(copiedBytes < bytes - (LARGE - 1) * LARGE_BYTES, `${copiedBytes} of ${bytes} copied`);
      await load.stop();
      assert.equal(await isUnderWay(repository), false);
      await restoreNewest(repository, join(directory, 'restored'));
      const found = await drain(join(directory, 'restored'));
      // What was taken while the backup was made may be in it or not.
      for (const body of confirmed) assert.ok(found.has(body) || books.given.has(body), `lost: ${body.slice(0, 50)}`);
      for (const body of settled) assert.ok(!found.has(body), `back: ${body.slice(0, 50)}`);
      for (let i = 0; i < 5 * LARGE; i++) assert.ok(found.has(large(i)), `lost: large ${i}`);
    },
  );

  test(
    'when the broker is killed in the middle of a backup, what is there is whole, and the next has all that was confirmed',
    { timeout: 180_000 },
    async (t) => {
      const { directory, data, repository, leave } = await place(t);
      const books = new Books();
      let url = '';
      const child = new Child('server-child.ts', [data], (message) => (url = String(message['url'])));
      leave(() => child.kill());
      await eventually('the broker is there', () => url !== '', 60_000);
      const rail = await connect(url);
      await fill(rail);
      const load = new Load(rail, books);
      await eventually('messages are settled', () => books.settled.size > 0 && books.waiting().length > 0);
      const backup = new Railhead('backup', repository.directory, '--dir', data);
      await eventually('a backup is under way', async () => backup.isOver || (await isUnderWay(repository)));
      await child.kill();
      await load.stop();
      const { code, err } = await backup.end();
      // It was done before, or says that there is no broker any more.
      assert.ok(code === 0 || /broker|connection/i.test(err), err);
      for (const each of await repository.list())
        await restoreBackup(repository, each, join(directory, `of-${each.name}`));
      const last = await new Railhead('backup', repository.directory, '--dir', data).end();
      assert.equal(last.code, 0, last.err);
      await restoreNewest(repository, join(directory, 'restored'));
      const found = await drain(join(directory, 'restored'));
      for (let i = 0; i < LARGE; i++) assert.ok(found.has(large(i)), `lost: large ${i}`);
      for (const body of books.waiting()) assert.ok(found.has(body), `lost: ${body.slice(0, 50)}`);
    },
  );

  test(
    'a restore that is killed leaves no directory that a broker would start from, and the next one is whole',
    { timeout: 180_000 },
    async (t) => {
      const { directory, data, repository } = await place(t);
      const rail = await open({ dir: data });
      await fill(rail);
      await makeBackup(data, (operation, args) => rail.request(operation, args), repository);
      await rail.close();
      const target = join(directory, 'restored');
      const half = join(directory, '.restored.unfinished');
      let killed = 0;
      for (const files of [1, 4, 8, 12]) {
        const child = new Railhead('restore', repository.directory, '--dir', target);
        await eventually('files are copied', async () => child.isOver || (await names(half)).length >= files);
        if (await child.kill()) killed++;
        // All of it or nothing, whenever it was killed.
        if (existsSync(target)) await rm(target, { recursive: true });
        else assert.ok(existsSync(half), `killed after ${files} files`);
      }
      assert.ok(killed > 0);
      const { code, err } = await new Railhead('restore', repository.directory, '--dir', target).end();
      assert.equal(code, 0, err);
      assert.equal(existsSync(half), false);
      assert.equal((await drain(target)).size, LARGE);
    },
  );
});
