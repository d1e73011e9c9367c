/** A rule that is misspelt, or whose pattern matches nothing, would be silent. Here each one must speak. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { after, before, test } from 'node:test';

const root = resolve(import.meta.dirname, '../..');
let directory = '';
const found = new Map<string, string[]>();

/** File → what is in it and which rule must report it. */
const BAD: { path: string; code: string; rule: string }[] = [
  ...[
    ['src/core/a.ts', '../engine/x.ts'],
    ['src/core/b.ts', '../wire/x.ts'],
    ['src/wire/a.ts', '../engine/x.ts'],
    ['src/engine/a.ts', '../storage/x.ts'],
    ['src/engine/b.ts', '../gateways/http/x.ts'],
    ['src/engine/machine/a.ts', '../../storage/x.ts'],
    ['src/engine/machine/b.ts', 'node:fs'],
    ['src/storage/files/a.ts', '../memory/x.ts'],
    ['src/storage/files/b.ts', '../../server/index.ts'],
    ['src/gateways/http/a.ts', '../native/x.ts'],
    ['src/gateways/http/b.ts', '../../engine/machine/x.ts'],
    ['src/gateways/http/c.ts', '../../storage/files/x.ts'],
    ['src/sdk/a.ts', '../engine/x.ts'],
    ['src/sdk/remote/b.ts', '../../server/index.ts'],
    ['src/server/a.ts', '../cli/main.ts'],
    ['src/testing/a.ts', '../lab/main.ts'],
    ['src/server/b.ts', '../../test/samples.ts'],
    ['src/server/c.ts', 'railhead'],
  ].map(([path = '', from]) => ({ path, code: `import '${from}';\n`, rule: 'no-restricted-imports' })),
  { path: 'src/core/p1.ts', code: 'async function f() {}\nf();\n', rule: 'no-floating-promises' },
  { path: 'src/core/p2.ts', code: '[1].forEach(async () => { await null; });\n', rule: 'no-misused-promises' },
  {
    path: 'src/core/p3.ts',
    code: `export function f(x: 'a' | 'b'): void { switch (x) { case 'a': break; } }\n`,
    rule: 'switch-exhaustiveness-check',
  },
  {
    path: 'src/core/p4.ts',
    code: 'export function f(x: string): number { return x ? 1 : x === undefined ? 2 : 3; }\n',
    rule: 'no-unnecessary-condition',
  },
  { path: 'src/core/p5.ts', code: 'export const f = (x: any): void => { void x; };\n', rule: 'no-explicit-any' },
  { path: 'src/core/p6.ts', code: 'export const f = (x: string[]): string => x[0]!;\n', rule: 'no-non-null-assertion' },
  {
    path: 'src/core/p7.ts',
    code: 'export const f = (): unknown => { const x = JSON.parse("1"); return x.y; };\n',
    rule: 'no-unsafe-member-access',
  },
  { path: 'src/core/p8.ts', code: 'console.log(1);\n', rule: 'no-console' },
  {
    path: 'src/core/c1.ts',
    code: `import { c2 } from './c2.ts';\nexport const c1 = (): unknown => c2;\n`,
    rule: 'no-cycle',
  },
  {
    path: 'src/core/c2.ts',
    code: `import { c1 } from './c1.ts';\nexport const c2 = (): unknown => c1;\n`,
    rule: 'no-cycle',
  },
];
const GOOD = [
  {
    path: 'src/server/good.ts',
    code: `import '../storage/files/x.ts';\nimport '../gateways/http/x.ts';\nimport '../engine/x.ts';\n`,
  },
  {
    path: 'src/gateways/http/good.ts',
    code: `import '../listener.ts';\nimport '../../core/x.ts';\nimport '../../wire/x.ts';\n`,
  },
  { path: 'src/engine/machine/good.ts', code: `import '../structures/x.ts';\nimport '../../core/x.ts';\n` },
  {
    path: 'src/engine/good.test.ts',
    code: `import { test } from 'node:test';\nimport '../storage/x.ts';\ntest('x', async () => { await Promise.resolve(); });\n`,
  },
];

before(() => {
  directory = mkdtempSync(join(tmpdir(), 'railhead-lint-'));
  for (const name of ['.oxlintrc.json', 'tsconfig.json', 'package.json'])
    cpSync(join(root, name), join(directory, name));
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'));
  for (const { path, code } of [...BAD, ...GOOD]) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), code);
  }
  const { stdout, error } = spawnSync(join(root, 'node_modules/.bin/oxlint'), ['--type-aware', '-f', 'unix', 'src'], {
    cwd: directory,
    encoding: 'utf8',
  });
  if (error !== undefined) throw error;
  for (const line of stdout.split('\n')) {
    const [, path = '', text = ''] = /^([^:]+):\d+:\d+: (.*)$/.exec(line) ?? [];
    found.set(path, [...(found.get(path) ?? []), text]);
  }
});
after(() => rmSync(directory, { recursive: true, force: true }));

for (const { path, code, rule } of BAD) {
  test(`${path} is refused by ${rule}: ${code.split('\n').at(-2)}`, () => {
    const texts = found.get(path) ?? [];
    assert.ok(
      texts.some((text) => text.includes(`(${rule})`)),
      `Found only: ${texts.join(' · ')}`,
    );
  });
}

test('what the levels allow is not refused', () => {
  assert.deepEqual(
    GOOD.map(({ path }) => found.get(path) ?? []),
    GOOD.map(() => []),
  );
});
