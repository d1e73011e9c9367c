/** What docs/ says to Prometheus and Grafana is what a broker shows, and Prometheus' own tool reads it. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { before, test } from 'node:test';
import { pino } from 'pino';
import { LOCAL_PRINCIPAL } from '../src/core/auth.ts';
import { startServer } from '../src/server/index.ts';

const docs = resolve(import.meta.dirname, '../docs');
const alerts = join(docs, 'prometheus/alerts.yml');
const dashboard = readFileSync(join(docs, 'prometheus/grafana.json'), 'utf8');
const page = readFileSync(join(docs, 'metrics.md'), 'utf8');
const noTool = spawnSync('promtool', ['--version']).error === undefined ? false : 'promtool is not installed';

let scraped = '';
/** Names of families, as the TYPE lines have them. */
let families = new Map<string, string>();

before(async () => {
  const server = await startServer({ memory: true, port: 0, host: ['127.0.0.1'] }, { log: pino({ level: 'silent' }) });
  try {
    const session = server.broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
    await session.request('declareTopic', { name: 'a "queue" \\', kind: 'queue' });
    scraped = await (await fetch(`${server.httpUrl}/metrics`)).text();
  } finally {
    await server.close();
  }
  families = new Map(
    Array.from(scraped.matchAll(/^# TYPE (\w+) (\w+)$/gm), ([, name = '', type = '']) => [name, type]),
  );
});

function promtool(args: string[], input?: string): void {
  const { status, stdout, stderr } = spawnSync('promtool', args, {
    encoding: 'utf8',
    ...(input !== undefined && { input }),
  });
  assert.equal(status, 0, `promtool ${args.join(' ')}: ${stdout}${stderr}`);
}

/** Every name of ours in it, without what Prometheus adds to the names of histograms. */
function namesIn(text: string): Set<string> {
  const names = [...text.matchAll(/\b(?:railhead|process)_\w+/g)].map(([name]) => name);
  return new Set(names.map((name) => name.replace(/_seconds_(?:bucket|sum|count)$/, '_seconds')));
}

test('promtool finds nothing wrong with what a broker shows', { skip: noTool }, () => {
  promtool(['check', 'metrics'], scraped);
});

test('promtool finds nothing wrong with the rules', { skip: noTool }, () => {
  promtool(['check', 'rules', alerts]);
});

for (const [what, text] of [
  ['each rule', readFileSync(alerts, 'utf8')],
  ['the dashboard', dashboard],
] as const) {
  test(`${what} asks for nothing that a broker does not show`, () => {
    const names = namesIn(text);
    assert.ok(names.size > 10);
    for (const name of names) assert.ok(families.has(name), name);
  });
}

test('expressions of the dashboard are PromQL', { skip: noTool }, (t) => {
  const expressions = [...dashboard.matchAll(/"expr": ("(?:[^"\\]|\\.)*")/g)].map(([, text = '']) =>
    String(JSON.parse(text)),
  );
  assert.ok(expressions.length > 30);
  // Grafana fills in its variables; promtool has no command for one expression, so each becomes a rule.
  const rules = expressions.map((expr, i) => ({
    record: `railhead:panel${i}`,
    expr: expr.replaceAll('$__rate_interval', '1m').replaceAll(/\$\w+/g, '.*'),
  }));
  const directory = mkdtempSync(join(tmpdir(), 'railhead-panels-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'panels.yml');
  writeFileSync(file, JSON.stringify({ groups: [{ name: 'panels', rules }] }));
  promtool(['check', 'rules', file]);
});

test('the page names every series', () => {
  // `railhead_a_b`, `_c` stands for `railhead_a_b` and another that ends in `_c`.
  const endings = [...page.matchAll(/`(_\w+)`/g)].map(([, ending = '']) => ending);
  const whole = namesIn(page);
  for (const name of families.keys())
    assert.ok(whole.has(name) || endings.some((ending) => name.endsWith(ending)), `docs/metrics.md lacks ${name}`);
});
