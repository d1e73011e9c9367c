import assert from 'node:assert/strict';
import { test } from 'node:test';
import { samplesOf } from '../samples.ts';

const fence = (info: string, code: string): string => `\`\`\`${info}\n${code}\n\`\`\`\n`;

test('ts and sh fences are samples with their line, others are not', () => {
  const text = `# Title\n\n${fence('ts', 'one()')}text\n${fence('json', '{}')}${fence('sh', 'ls')}${fence('', 'plain')}`;
  assert.deepEqual(samplesOf(text), [
    { language: 'ts', line: 3, name: undefined, code: 'one()\n' },
    { language: 'sh', line: 10, name: undefined, code: 'ls\n' },
  ]);
});

test('a continued fence is one program with the fence before it', () => {
  const samples = samplesOf(`${fence('ts', 'const a = 1;')}${fence('ts continued', 'use(a);')}`);
  assert.deepEqual(
    samples.map(({ code }) => code),
    ['const a = 1;\nuse(a);\n'],
  );
});

test('a first line with a file name names the program', () => {
  assert.equal(samplesOf(fence('ts', '// queues.ts\nexport {}'))[0]?.name, 'queues.ts');
});

test('a fence inside a longer fence is text', () => {
  assert.deepEqual(samplesOf('````md\n```ts\none()\n```\n````\n'), []);
});

test('an ignored sample needs a reason', () => {
  assert.deepEqual(samplesOf(fence('ts ignore needs a cluster', 'x')), []);
  assert.throws(() => samplesOf(fence('ts ignore', 'x')), /Line 1: an ignored sample says why/);
});

test('a mistake in a fence is an error and hides no sample', () => {
  assert.throws(() => samplesOf(fence('ts skipped', 'x')), /says `ignore REASON` or `continued`/);
  assert.throws(() => samplesOf(fence('ts continued', 'x')), /no ts sample to continue/);
  assert.throws(() => samplesOf('```ts\nx'), /never closed/);
});
