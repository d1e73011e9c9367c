/**
 * `node scripts/lint-deploy.ts`: what npm has to check deploy/ with. The Kubernetes manifests are looked at twice: by the
 * validators that are made from Kubernetes' own OpenAPI document, and as values of its types, where a field that nobody
 * knows is an error. The tools go to a temporary directory: nothing else of the project needs them.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseAllDocuments } from 'yaml';

const TOOLS = ['kubernetes-models@4.5.1', 'dockerfile-utils@0.16.3'];
const root = resolve(import.meta.dirname, '..');

interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: Record<string, unknown>;
}

interface DockerfileUtils {
  validate(this: void, text: string): { message: string; range: { start: { line: number } } }[];
}

type Models = Record<string, new (manifest: unknown) => { validate(): void }>;

function run(command: string, args: readonly string[], cwd: string): { ok: boolean; out: string } {
  const done = spawnSync(command, args, { cwd, encoding: 'utf8', timeout: 180_000 });
  return { ok: done.status === 0, out: `${done.stdout}${done.stderr}` };
}

/** `v1` or `apps/v1`: where the models of an API are. */
function moduleOf({ apiVersion }: Manifest): string {
  return `kubernetes-models/${apiVersion}`;
}

class Lint {
  readonly #directory: string;
  readonly #require: NodeJS.Require;

  constructor(directory: string) {
    this.#directory = directory;
    this.#require = createRequire(join(directory, 'package.json'));
  }

  dockerfile(text: string): string[] {
    const { validate } = this.#require('dockerfile-utils') as DockerfileUtils;
    return validate(text).map(({ message, range }) => `line ${range.start.line + 1}: ${message}`);
  }

  manifests(all: readonly Manifest[]): string[] {
    return [...all.flatMap((manifest) => this.#values(manifest)), ...this.#types(all)];
  }

  #values(manifest: Manifest): string[] {
    const Model = (this.#require(moduleOf(manifest)) as Models)[manifest.kind];
    if (Model === undefined) return [`${manifest.kind}: there is no such kind in ${manifest.apiVersion}`];
    try {
      new Model(manifest).validate();
      return [];
    } catch (error) {
      return [`${manifest.kind}: ${error instanceof Error ? error.message : String(error)}`];
    }
  }

  #types(all: readonly Manifest[]): string[] {
    const lines = all.map(
      (manifest, index) =>
        `import type { I${manifest.kind} as T${index} } from '${moduleOf(manifest)}';\nexport const m${index}: T${index} = ${JSON.stringify(manifest)};`,
    );
    writeFileSync(join(this.#directory, 'manifests.ts'), lines.join('\n'));
    const flags = ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext', '--types', '', 'manifests.ts'];
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    const { ok, out } = run(process.execPath, [tsc, ...flags], this.#directory);
    return ok ? [] : out.trim().split('\n');
  }
}

const directory = mkdtempSync(join(tmpdir(), 'railhead-lint-'));
try {
  writeFileSync(join(directory, 'package.json'), '{ "private": true, "type": "module" }\n');
  const installed = run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', ...TOOLS], directory);
  if (!installed.ok) throw new Error(`The tools cannot be installed: ${installed.out}`);
  const lint = new Lint(directory);
  const yaml = readFileSync(join(root, 'deploy/kubernetes/railhead.yml'), 'utf8');
  const manifests = parseAllDocuments(yaml).map((document) => document.toJS() as Manifest);
  const dockerfile = readFileSync(join(root, 'deploy/docker/Dockerfile'), 'utf8');

  // A check that finds nothing whatever it is given would find nothing here.
  const [first] = manifests;
  const canaries = [
    lint.manifests([{ ...first, metadata: { ...first?.metadata, name: 5 } } as Manifest]),
    lint.manifests([{ ...first, metadata: { ...first?.metadata, lables: {} } } as Manifest]),
    lint.dockerfile(`${dockerfile}RUNN true\n`),
  ];
  if (canaries.some((found) => found.length === 0)) throw new Error('A planted mistake was not found.');

  const found = [...lint.dockerfile(dockerfile), ...lint.manifests(manifests)];
  for (const complaint of found) console.error(complaint);
  if (found.length > 0) process.exitCode = 1;
  else console.log(`Nothing to say of the Dockerfile and ${manifests.length} manifests.`);
} finally {
  rmSync(directory, { recursive: true, force: true });
}
