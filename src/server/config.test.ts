import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { RailheadError } from '../core/errors.ts';
import { checkConfig, readConfig, readConfigFile, refuseStrangers, type ConfigSources } from './config.ts';
import { allSettings } from './settings.ts';

function refusal(sources: ConfigSources): string {
  try {
    readConfig(sources);
  } catch (error) {
    assert.ok(RailheadError.is(error, 'CONFIG'), String(error));
    return error.message;
  }
  return assert.fail('the configuration was accepted');
}

test('the defaults are a durable broker on loopback port 7070', () => {
  const { config, origins } = readConfig({});
  assert.equal(config.dir, './railhead-data');
  assert.deepEqual(config.host, ['127.0.0.1', '::1']);
  assert.equal(config.port, 7070);
  assert.equal(config.memory, false);
  assert.equal(config.drainTimeout, 10_000);
  assert.equal(config.journal.segmentSize, 32 * 1024 * 1024);
  assert.deepEqual(new Set(origins.values()), new Set(['default']));
});

test('a flag wins over a variable, a variable over the file, the file over the default, and each origin is kept', () => {
  const { config, origins } = readConfig({
    flags: new Map([['port', '1']]),
    env: { RAILHEAD_PORT: '2', RAILHEAD_LOG_LEVEL: 'debug', RAILHEAD_HOST: '127.0.0.1, localhost' },
    file: { name: 'r.yaml', content: { port: 3, log: { level: 'warn', format: 'json' }, drainTimeout: '1m' } },
  });
  assert.equal(config.port, 1);
  assert.deepEqual(config.log, { level: 'debug', format: 'json' });
  assert.equal(config.drainTimeout, 60_000);
  assert.deepEqual(config.host, ['127.0.0.1', 'localhost']);
  assert.equal(origins.get('port'), '--port');
  assert.equal(origins.get('log.level'), 'RAILHEAD_LOG_LEVEL');
  assert.equal(origins.get('log.format'), 'r.yaml');
  assert.equal(origins.get('tls.cert'), 'default');
});

const REFUSED: [what: string, sources: ConfigSources, sentence: RegExp][] = [
  [
    'a port that is no number',
    { env: { RAILHEAD_PORT: 'http' } },
    /^port is "http" \(from RAILHEAD_PORT\); write a whole number from 0 to 65535\.$/,
  ],
  ['a port out of range', { flags: new Map([['port', '70000']]) }, /^port is 70000 \(from --port\); write/],
  [
    'a bare number of bytes in text',
    { env: { RAILHEAD_LIMITS_HTTP_BODY: '1000' } },
    /^limits\.httpBody is "1000" \(from RAILHEAD_LIMITS_HTTP_BODY\); write a size/,
  ],
  [
    'a size out of range',
    { file: { name: 'f', content: { journal: { segmentSize: '1GiB' } } } },
    /^journal\.segmentSize is "1GiB" \(from f\); write a size from '1MiB'/,
  ],
  [
    'a duration without a unit',
    { flags: new Map([['drainTimeout', 'soon']]) },
    /^drainTimeout is "soon" \(from --drain-timeout\)/,
  ],
  [
    'an unknown setting',
    { file: { name: 'f', content: { prot: 1 } } },
    /^f has the unknown setting "prot"\. Did you mean "port"\?$/,
  ],
  [
    'an unknown nested setting',
    { file: { name: 'f', content: { log: { lvel: 'x' } } } },
    /unknown setting "log\.lvel"\. Did you mean "log\.level"\?/,
  ],
  [
    'a setting with nothing like it',
    { file: { name: 'f', content: { zebraStripes: 1 } } },
    /^f has the unknown setting "zebraStripes"\.$/,
  ],
  [
    'a hostile name',
    { file: { name: 'f', content: JSON.parse('{"__proto__":{"port":1}}') } },
    /unknown setting "__proto__"/,
  ],
  [
    'a misspelt variable',
    { env: { RAILHEAD_PROT: '1' } },
    /^The environment variable RAILHEAD_PROT is unknown\. Did you mean RAILHEAD_PORT\?$/,
  ],
  ['a file that is a list', { file: { name: 'f', content: [1] } }, /^The config file f is \[1\]; write a map/],
  ['a section that is text', { file: { name: 'f', content: { log: 'debug' } } }, /^log in f is "debug"; write a map/],
  [
    'half of TLS',
    { env: { RAILHEAD_TLS_CERT: 'a.pem' } },
    /^tls\.cert is set \(from RAILHEAD_TLS_CERT\) and tls\.key is not/,
  ],
  [
    'a user twice',
    {
      file: {
        name: 'f',
        content: { token: 'x'.repeat(16), users: [{ name: 'token', tokenHash: `sha256:${'0'.repeat(64)}` }] },
      },
    },
    /"token" twice/,
  ],
  [
    'a user without a way in',
    { file: { name: 'f', content: { users: [{ name: 'a' }] } } },
    /^users\.0 is not acceptable/,
  ],
  [
    'a weak scrypt',
    { file: { name: 'f', content: { users: [{ name: 'a', passwordHash: 'scrypt:1:1:1:AAAA:AAAA' }] } } },
    /^users\.0\.passwordHash is not acceptable/,
  ],
];

for (const [what, sources, sentence] of REFUSED) {
  test(`${what} is refused with a sentence that says what to write`, () => {
    assert.match(refusal(sources), sentence);
  });
}

test('a refused token is not shown', () => {
  const message = refusal({ env: { RAILHEAD_TOKEN: 'short-secret' } });
  assert.match(message, /^token is not acceptable \(from RAILHEAD_TOKEN\); write at least 16 characters/);
  assert.doesNotMatch(message, /short-secret/);
});

test('an open address is allowed with a token, with users, with stored users and with insecure, else it names two commands', () => {
  for (const content of [
    { token: 'x'.repeat(16) },
    { users: [{ name: 'a', tokenHash: `sha256:${'0'.repeat(64)}` }] },
    { insecure: true },
  ])
    refuseStrangers(checkConfig({ host: ['0.0.0.0'], ...content }), 'none');
  refuseStrangers(checkConfig({ host: ['0.0.0.0'] }), 'some');
  refuseStrangers(checkConfig({}), 'none');
  for (const host of [['0.0.0.0'], ['127.0.0.1', '::'], ['10.0.0.1']])
    assert.throws(() => refuseStrangers(checkConfig({ host, dir: '/data' }), 'none'), {
      code: 'CONFIG',
      message: new RegExp(
        `^host is ${host.join()}, .*user add admin --role admin --dir /data.*railhead --host ${host.join()} --dir /data`,
      ),
    });
});

test('what Kubernetes sets beside a service named railhead is not taken for settings', () => {
  const env = {
    RAILHEAD_PORT: 'tcp://10.0.0.7:7070',
    RAILHEAD_SERVICE_HOST: '10.0.0.7',
    RAILHEAD_SERVICE_PORT: '7070',
    RAILHEAD_PORT_7070_TCP_ADDR: '10.0.0.7',
  };
  assert.equal(readConfig({ env }).config.port, 7070);
});

test('a checked configuration may be checked again', () => {
  const once = checkConfig({ drainTimeout: '3s', limits: { httpBody: '2MiB' }, log: { level: 'silent' } });
  assert.deepEqual(checkConfig(once), once);
});

test('a config file is YAML or JSON; a missing or broken one is named', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'railhead-config-'));
  t.after(() => rm(dir, { recursive: true }));
  const yaml = join(dir, 'r.yaml');
  await writeFile(yaml, 'port: 7\nlog:\n  level: warn\n');
  assert.deepEqual((await readConfigFile(yaml)).content, { port: 7, log: { level: 'warn' } });
  const json = join(dir, 'r.json');
  await writeFile(json, '{"port": 7}');
  assert.deepEqual((await readConfigFile(json)).content, { port: 7 });
  const broken = join(dir, 'broken.yaml');
  await writeFile(broken, 'port: [1');
  await assert.rejects(readConfigFile(broken), /broken\.yaml is not valid YAML or JSON/);
  await assert.rejects(readConfigFile(join(dir, 'none.yaml')), /none\.yaml does not exist/);
});

test('no two settings share a flag or a variable', () => {
  for (const name of ['flag', 'env'] as const) {
    const names = allSettings().flatMap((setting) => setting[name] ?? []);
    assert.equal(new Set(names).size, names.length);
    assert.ok(names.length > 10);
  }
});

test('the sample in docs/configuration.md is accepted as written', async () => {
  const page = await readFile(join(import.meta.dirname, '../../docs/configuration.md'), 'utf8');
  const sample = /```yaml\n([\s\S]*?)```/.exec(page)?.[1];
  assert.ok(sample !== undefined);
  const { parse } = await import('yaml');
  const { config } = readConfig({ file: { name: 'sample', content: parse(sample) } });
  assert.equal(config.users[0]?.grants[0]?.resource, 'orders*');
});
