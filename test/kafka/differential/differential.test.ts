import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type ApiName, APIS } from '../../../src/gateways/kafka/apis.ts';
import { testBroker } from '../../../src/testing/index.ts';
import { compareScript, comparison, describeMismatch, scriptOf, spokenWith } from './compare.ts';
import { KNOWN } from './known.ts';
import { differences } from './normal.ts';
import type { Spoken } from './script.ts';

/** What is asked beside the scripts, and what no script asks. */
const ELSEWHERE = new Set<ApiName>(['apiVersions', 'saslAuthenticate', 'saslHandshake', 'writeTxnMarkers']);

test('a script is answered alike by two brokers, as far as it can be said in words of neither', async (t) => {
  const brokers = [await testBroker(), await testBroker()];
  t.after(() => Promise.all(brokers.map((broker) => broker.close())));
  const [theirs = 0, ours = 0] = await Promise.all(brokers.map(async (each) => (await each.endpoint('kafka')).port));
  const spoken = await spokenWith(theirs);
  const found = comparison();
  for (let seed = 1; seed <= 6; seed++) await compareScript(scriptOf(seed, 20, spoken), { theirs, ours }, found);
  assert.deepEqual(found.mismatches.map(describeMismatch), []);
  assert.ok(found.answers > 150, `${found.answers} answers`);
});

test('what differs is found, wherever it is in an answer', () => {
  const answer = { topics: [{ name: 'a', partitions: [{ offset: 1 }, { offset: 2 }] }] };
  const other = structuredClone(answer);
  assert.deepEqual(differences(answer, other), []);
  const [partition] = other.topics[0]?.partitions ?? [];
  assert.ok(partition);
  partition.offset = 7;
  assert.deepEqual(differences(answer, other), [{ path: 'topics[].partitions[].offset', theirs: 1, ours: 7 }]);
  assert.equal(differences(answer, { topics: [] }).length, 1);
  assert.equal(differences(answer, null).length, 1);
});

test('scripts ask for each API in each version', () => {
  const all: Spoken = new Map(Object.entries(APIS).map(([name, { versions }]) => [name as ApiName, versions]));
  const asked = new Map<string, Set<number>>();
  for (let seed = 1; seed <= 600; seed++)
    for (const step of scriptOf(seed, 25, all).steps)
      if (!('collect' in step)) asked.set(step.api, (asked.get(step.api) ?? new Set<number>()).add(step.version));
  // Message sets, which Kafka 4 does not take any more, and what an old layout cannot say.
  const least: Partial<Record<ApiName, number>> = { produce: 3, metadata: 1, createTopics: 0, initProducerId: 0 };
  const missing = [...all].flatMap(([name, [from, to]]) =>
    ELSEWHERE.has(name)
      ? []
      : Array.from({ length: to - from + 1 }, (_, i) => from + i)
          .filter((version) => version >= (least[name] ?? 0) && asked.get(name)?.has(version) !== true)
          .map((version) => `${name} ${version}`),
  );
  assert.deepEqual(missing, []);
});

test('the Kafka page has every difference from Kafka that is known, with its reason', () => {
  const page = readFileSync(join(import.meta.dirname, '../../../docs/protocols/kafka.md'), 'utf8');
  assert.deepEqual(
    KNOWN.map(({ what, why }) => `| ${what} | ${why} |`).filter((row) => !page.includes(row)),
    [],
  );
});
