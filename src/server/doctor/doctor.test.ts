import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { DoctorFinding } from '../../gateways/http/server-facts.ts';
import { startServer } from '../index.ts';
import { CHECK_NAMES, diagnose, type DoctorFacts } from './checks.ts';

const NOW = Date.UTC(2026, 0, 1);
const DAY_MS = 86_400_000;

/** A broker in production with which nothing is wrong. */
const GOOD: DoctorFacts = {
  open: true,
  insecure: false,
  loginRequired: true,
  onlyLogin: null,
  mayEverything: ['ann'],
  users: 3,
  tls: true,
  certificateEnds: NOW + 60 * DAY_MS,
  now: NOW,
  readable: [],
  off: [],
  unused: [],
  upMs: 2 * DAY_MS,
  memory: false,
  diskUsed: 40,
  fileSystem: null,
  descriptors: 65_536,
  connections: 10_000,
  ports: 6,
  memoryLimit: 256 << 20,
  machineMemory: 4 * 2 ** 30,
  root: false,
  debugger: false,
  checksCertificates: true,
  privateWebhooks: false,
  clockOffMs: 3,
  alertRules: 0,
  scraped: true,
  unhealthy: null,
  notices: [],
};

/** What each check finds, and what is changed for it. */
const CASES: [check: string, level: DoctorFinding['level'], change: Partial<DoctorFacts>, says: RegExp][] = [
  ['unhealthy', 'error', { unhealthy: 'the disk is full' }, /the disk is full/],
  ['no-login', 'error', { loginRequired: false, insecure: true }, /Everybody who reaches its ports/],
  ['no-login', 'hint', { loginRequired: false, open: false }, /Everybody on this machine/],
  ['insecure', 'warning', { insecure: true }, /`insecure`/],
  ['one-login', 'warning', { onlyLogin: 'token', users: 0, mayEverything: [] }, /one login \(`token`\)/],
  ['too-many-rights', 'warning', { users: 2, mayEverything: ['ann', 'shop'] }, /ann, shop/],
  ['no-tls', 'error', { tls: false, certificateEnds: null }, /without TLS/],
  ['certificate', 'error', { certificateEnds: NOW - 1 }, /is over/],
  ['certificate', 'warning', { certificateEnds: NOW + 2 * DAY_MS }, /ends in 2 days/],
  ['readable-file', 'error', { readable: [{ file: '/etc/key.pem', what: 'the private key of TLS' }] }, /key\.pem/],
  ['protocol-off', 'warning', { off: ['amqp'] }, /amqp is off/],
  ['protocol-unused', 'hint', { unused: ['kafka'] }, /kafka listens/],
  ['open-files', 'warning', { descriptors: 1_024 }, /1024 files/],
  ['open-files', 'warning', { descriptors: 60_199 }, /for each of 6 ports/],
  ['machine-memory', 'warning', { machineMemory: 512 << 20 }, /limits\.memory/],
  ['in-memory', 'warning', { memory: true }, /loses all messages/],
  ['disk-full', 'warning', { diskUsed: 91.4 }, /91 %/],
  ['file-system', 'warning', { fileSystem: 'NFS' }, /NFS/],
  ['clock', 'warning', { clockOffMs: 65_000 }, /65s behind/],
  ['root', 'warning', { root: true }, /runs as root/],
  ['debugger', 'error', { debugger: true }, /--inspect/],
  ['unchecked-certificates', 'error', { checksCertificates: false }, /NODE_TLS/],
  ['private-webhooks', 'warning', { privateWebhooks: true }, /own network/],
  ['unwatched', 'warning', { scraped: false }, /Nobody looks/],
  ['notices', 'warning', { notices: ['the torn end was cut'] }, /torn end/],
];

test('a broker with which nothing is wrong has nothing to fix', () => {
  assert.deepEqual(diagnose(GOOD), []);
});

for (const [check, level, change, says] of CASES)
  test(`the doctor finds ${check} (${level})`, () => {
    const findings = diagnose({ ...GOOD, ...change });
    assert.deepEqual(
      findings.map((finding) => [finding.check, finding.level]),
      [[check, level]],
    );
    assert.match(findings[0]?.says ?? '', says);
    assert.notEqual(findings[0]?.fix, '');
  });

test('every check has a case here', () => {
  assert.deepEqual(new Set(CASES.map(([check]) => check)), new Set(CHECK_NAMES));
});

test('what is found is shown with the worst first', () => {
  const levels = diagnose({ ...GOOD, unused: ['kafka'], off: ['amqp'], tls: false }).map(({ level }) => level);
  assert.deepEqual(levels, ['error', 'warning', 'hint']);
});

test('a server says over HTTP what is to fix about it, to those who may do everything', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'railhead-doctor-'));
  const token = 'a-token-that-nobody-guesses';
  const server = await startServer({
    dir,
    port: 0,
    host: ['127.0.0.1'],
    token,
    log: { level: 'silent' },
    journal: { segmentSize: '1MiB' },
  });
  t.after(async () => {
    await server.close();
    await rm(dir, { recursive: true });
  });
  const ask = async (shown: string): Promise<{ status: number; checks: string[] }> => {
    const response = await fetch(`${server.httpUrl}/api/v1/doctor`, { headers: { authorization: `Bearer ${shown}` } });
    const { findings = [] } = (await response.json()) as { findings?: DoctorFinding[] };
    return { status: response.status, checks: findings.map(({ check }) => check) };
  };
  assert.equal((await ask('another-token-of-nobody')).status, 401);
  const { checks } = await ask(token);
  assert.ok(checks.includes('one-login'), checks.join());
  assert.ok(!checks.includes('no-tls'), 'only this machine connects');
  assert.ok(!checks.includes('readable-file'), checks.join());
  await chmod(dir, 0o755);
  assert.ok((await ask(token)).checks.includes('readable-file'));
});
