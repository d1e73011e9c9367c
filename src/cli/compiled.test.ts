import assert from 'node:assert/strict';
import { chmod, chown, lstat, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { privateDirectory } from './compiled.ts';

const skip = process.geteuid === undefined && 'Windows has no modes: nothing is kept there';

describe('the directory for compiled code', { skip }, () => {
  let home = '';
  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'railhead-compiled-'));
  });
  afterEach(() => rm(home, { recursive: true, force: true }));

  test('is made for this user alone, and used again', async () => {
    const made = privateDirectory(join(home, 'cache'));
    assert.equal(made, join(home, 'cache/railhead'));
    assert.equal((await lstat(join(home, 'cache/railhead'))).mode & 0o777, 0o700);
    assert.equal(privateDirectory(join(home, 'cache')), made);
  });

  test('is not one that others may write', async () => {
    const directory = join(home, 'railhead');
    await mkdir(directory);
    for (const mode of [0o777, 0o770, 0o702, 0o730]) {
      await chmod(directory, mode);
      assert.equal(privateDirectory(home), undefined, mode.toString(8));
    }
    for (const mode of [0o700, 0o755]) {
      await chmod(directory, mode);
      assert.equal(privateDirectory(home), directory, mode.toString(8));
    }
  });

  test('is not one that others may put another in the place of', async () => {
    await mkdir(join(home, 'open/cache'), { recursive: true });
    await chmod(join(home, 'open'), 0o777);
    assert.equal(privateDirectory(join(home, 'open/cache')), undefined);
    // As temporary directories are: what this user owns, only this user can rename.
    await chmod(join(home, 'open'), 0o1777);
    assert.equal(privateDirectory(join(home, 'open/cache')), join(home, 'open/cache/railhead'));
  });

  test('is looked at where it is, not where a link to it is', async () => {
    await mkdir(join(home, 'open/railhead'), { recursive: true });
    await chmod(join(home, 'open'), 0o777);
    await chmod(join(home, 'open/railhead'), 0o700);
    await symlink(join(home, 'open/railhead'), join(home, 'railhead'));
    assert.equal(privateDirectory(home), undefined);
  });

  test(
    'is not one of another user',
    { skip: process.geteuid?.() !== 0 && 'only root can give files away' },
    async () => {
      const directory = join(home, 'railhead');
      await mkdir(directory, { mode: 0o700 });
      await chown(directory, 12_345, 12_345);
      assert.equal(privateDirectory(home), undefined);
      await chown(directory, 0, 0);
      await chown(home, 12_345, 12_345);
      assert.equal(privateDirectory(home), undefined);
    },
  );

  test('is none where it cannot be made', () => {
    assert.equal(privateDirectory('/dev/null'), undefined);
  });
});
