/**
 * House rules that neither the compiler nor the linter can hold. Each test says in its failure what to do.
 */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { test } from 'node:test';
import { ERRORS } from '../src/core/errors.ts';
import { VERSION } from '../src/core/version.ts';

const root = resolve(import.meta.dirname, '..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const glob = (...patterns: string[]): string[] =>
  globSync(patterns, { cwd: root, exclude: ['**/node_modules/**', 'dist/**', 'dist.*/**'] }).sort();

/** Every occurrence, as `path:line: text`. */
function occurrences(paths: string[], pattern: RegExp, textOf: (path: string) => string = read): string[] {
  return paths.flatMap((path) =>
    textOf(path)
      .split('\n')
      .flatMap((line, index) => (pattern.test(line) ? [`${path}:${index + 1}: ${line.trim().slice(0, 140)}`] : [])),
  );
}

/** The code without its comments; the lines stay where they are. Good enough for words: strings are left in. */
function withoutComments(path: string): string {
  return read(path)
    .replaceAll(/\/\*[\s\S]*?\*\//g, (comment) => comment.replaceAll(/[^\n]/g, ''))
    .replaceAll(/(^|[^:'"`])\/\/.*$/gm, '$1');
}

function mustBeNone(found: string[], whatToDo: string): void {
  assert.equal(found.length, 0, `${whatToDo}\n${found.join('\n')}`);
}

const engine = glob('src/engine/**/*.ts').filter((path) => !path.endsWith('.test.ts'));

test('the engine says no word that belongs to one protocol', () => {
  const words =
    /\bexchanges?\b|\bvhosts?\b|\bbasic\.\w|\bdelivery.?tags?\b|\bvisibility\b|\breceipt.?handles?\b|\bconsumer.?groups?\b|\bXADD\b|\back.?deadline\b|\bamqp\b|\bkafka\b|\bsqs\b|\bsns\b|\bredis\b|\bpulsar\b|\brabbit(mq)?\b/i;
  mustBeNone(
    occurrences(engine, words),
    'Use the engine word (DESIGN words in ARCHITECTURE.md): router, namespace, lease, token, subscription, cursor.',
  );
});

test('time and chance come into the engine from outside', () => {
  const clocks =
    /\bDate\.now\b|\bnew Date\(\s*\)|\bMath\.random\b|\bsetTimeout\b|\bsetInterval\b|\bsetImmediate\b|\bperformance\.now\b|\bhrtime\b|\brandomUUID\b|\brandomBytes\b/;
  mustBeNone(
    occurrences(engine, clocks, withoutComments),
    'Take Clock (core/clock.ts) or Random (core/random.ts) as an argument, so that a test can move time and repeat chance.',
  );
});

test('the state machine never awaits', () => {
  const machine = engine.filter((path) => path.startsWith('src/engine/machine/'));
  mustBeNone(
    occurrences(machine, /\bawait\b|\basync\b|\bPromise\b|queueMicrotask|process\.nextTick/, withoutComments),
    'decide and apply are synchronous. Return an effect and let the engine around the machine wait.',
  );
});

test('the source can be built as CommonJS', () => {
  const source = glob('src/**/*.ts').filter((path) => !path.endsWith('.test.ts'));
  mustBeNone(occurrences(source, /\bimport\.meta\b/, withoutComments), 'import.meta does not exist in CommonJS.');
  mustBeNone(
    occurrences(source, /^(await|for await)\b|^(const|let|export const) [^=]*= await\b/, withoutComments),
    'No await at the top of a module.',
  );
});

test('no path of one machine is in the repository', () => {
  const files = glob(
    '{*,.ci/*,.oxlintrc.json,.oxfmtrc.json}',
    '{src,test,scripts,benches,docs,types}/**/*.{ts,md,json,yaml,yml,mjs,sh}',
  ).filter((path) => /\.(ts|md|json)$|^\.ci\//.test(path));
  mustBeNone(
    occurrences(files, /(^|[\s'"`(=])\/(work|root|home\/[a-z]+|Users\/[A-Za-z]+)\//),
    'Use a path from the repository, or one made with mkdtemp in os.tmpdir().',
  );
});

test('no test is left focused, and none is skipped without a reason', () => {
  const tests = glob('src/**/*.test.ts', 'test/**/*.test.ts').filter((path) => path !== 'test/tidy.test.ts');
  mustBeNone(
    occurrences(tests, /\b(test|it|describe|suite)\.only\(|\bonly: true\b/),
    'Take .only away: it hides every other test of the file.',
  );
  mustBeNone(
    occurrences(tests, /\b(test|it|describe|suite)\.skip\(|\bskip: true\b|\bt\.skip\(\)/),
    "Say why: { skip: 'reason' }.",
  );
});

test('an ignored check has its reason beside it', () => {
  const files = glob('src/**/*.ts', 'test/**/*.ts', 'scripts/**/*.ts', 'benches/**/*.ts').filter(
    (path) => path !== 'test/tidy.test.ts',
  );
  mustBeNone(occurrences(files, /@ts-(ignore|nocheck)/), 'Use @ts-expect-error with the reason.');
  mustBeNone(
    occurrences(files, /(oxlint|eslint)-disable(?!.* -- \S)/),
    'Write the reason after the rule: // oxlint-disable-next-line RULE -- reason',
  );
  mustBeNone(occurrences(files, /@ts-expect-error\s*$/), 'Write the reason after @ts-expect-error.');
});

/**
 * A ratchet: these files are longer than a file should be, and may only become shorter. Take a file off the list when
 * it is split; do not add one without a reason in its commit.
 */
const MAX_LINES = 500;
const LONGER = new Map<string, number>([]);

test(`a file has at most ${MAX_LINES} lines`, () => {
  const source = glob('src/**/*.ts', 'scripts/**/*.ts').filter((path) => !path.endsWith('.test.ts'));
  const lines = (path: string): number => read(path).split('\n').length - 1;
  mustBeNone(
    source
      .filter((path) => lines(path) > (LONGER.get(path) ?? MAX_LINES))
      .map((path) => `${path}: ${lines(path)} lines`),
    'Split it by idea: state gets a folder, one file for each kind of thing.',
  );
  mustBeNone(
    [...LONGER]
      .filter(([path, allowed]) => !existsSync(join(root, path)) || lines(path) < allowed)
      .map(([path]) => path),
    'It became shorter: write its new length into LONGER, or take it off the list.',
  );
});

test('docs/errors.md lists exactly the errors of core/errors.ts', () => {
  const rows = [...read('docs/errors.md').matchAll(/^\| `([A-Z_]+)`\s*\| (\w+)\s*\| (yes|no)\s*\|/gm)].map(
    ([, code, ends, retryable]) => ({
      code,
      ends,
      retryable: retryable === 'yes',
    }),
  );
  const table = Object.entries(ERRORS).map(([code, { ends, retryable }]) => ({ code, ends, retryable }));
  assert.deepEqual(rows, table, 'Bring docs/errors.md and ERRORS in core/errors.ts together, in the same order.');
});

test('the version in the code is the one of package.json and the newest of the changelog', () => {
  const { version } = JSON.parse(read('package.json')) as { version: string };
  assert.equal(VERSION, version, 'Write the version of package.json into src/core/version.ts.');
  const newest = /^## (\d+\.\d+\.\d+)/m.exec(read('CHANGELOG.md'))?.[1];
  assert.equal(newest, version, 'The first version heading of CHANGELOG.md is the version of package.json.');
});

test('package-lock.json has every optional build, so that npm ci takes it on every platform', () => {
  const { packages } = JSON.parse(read('package-lock.json')) as {
    packages: Record<string, { optionalDependencies?: Record<string, string> }>;
  };
  const locked = new Set(Object.keys(packages).map((path) => path.slice(path.lastIndexOf('node_modules/') + 13)));
  const left = Object.values(packages).flatMap(({ optionalDependencies = {} }) =>
    Object.keys(optionalDependencies).filter((name) => !locked.has(name)),
  );
  mustBeNone(left, 'The registry that wrote the lock lacks these. Run: npm run lock');
});

const documents = glob('*.md', 'docs/**/*.md', '.ci/*.md').filter((path) => path !== 'CHANGELOG.md');

test('every path that a document names exists', () => {
  // A path is code between backticks that starts at a folder of the repository, or the target of a relative link.
  const inCode = /`((?:src|test|docs|scripts|benches|types|\.ci)\/[\w./-]+)`/g;
  const inLink = /\]\((?!\w+:|#)([^)#\s]+)(?:#[^)\s]*)?\)/g;
  const gone = documents.flatMap((path) => {
    const text = read(path).replaceAll(/^```[\s\S]*?^```/gm, '');
    const fromRoot = [...text.matchAll(inCode)]
      .map(([, named]) => named ?? '')
      .filter((named) => !named.split('/').includes('NAME'));
    const beside = [...text.matchAll(inLink)].map(([, named]) => join(dirname(path), named ?? ''));
    return [...fromRoot, ...beside]
      .filter((named) => !existsSync(join(root, named)))
      .map((named) => `${path}: ${named}`);
  });
  mustBeNone(gone, 'The document names a path that is not there: write where it went.');
});

test('every npm script that a document names exists, and CONTRIBUTING.md names every one', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  const named = (path: string): string[] =>
    [...read(path).matchAll(/npm (?:run(?: --silent)? ([\w:-]+)|(test|start)\b)/g)].map(
      ([, run, short]) => run ?? short ?? '',
    );
  mustBeNone(
    documents.flatMap((path) =>
      named(path)
        .filter((name) => !(name in scripts))
        .map((name) => `${path}: npm run ${name}`),
    ),
    'The document names an npm script that package.json does not have.',
  );
  const explained = new Set(named('CONTRIBUTING.md'));
  mustBeNone(
    Object.keys(scripts).filter((name) => !explained.has(name) && name !== 'prepack' && name !== 'prestart'),
    'CONTRIBUTING.md has every command on its page.',
  );
});
