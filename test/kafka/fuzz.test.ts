import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '../../src/core/random.ts';
import { type ApiName, APIS } from '../../src/gateways/kafka/apis.ts';
import { FRAME_HEADER_BYTES, MAX_ELEMENTS, Reader, Writer } from '../../src/gateways/kafka/codec.ts';
import { BrokenRequest } from '../../src/gateways/kafka/errors.ts';
import type { Api } from '../../src/gateways/kafka/fields.ts';
import { dreamOf } from './dreamt.ts';
import { fuzz } from './fuzz.ts';
import { encodeRequest } from './raw-peer.ts';

const SEED = Number(process.env.SEED ?? 1);
/** Key, version, correlation id and the name `raw` of a client. */
const HEADER_BYTES = FRAME_HEADER_BYTES + 8 + 5;

test('frames of every API, right and broken, cause no error that is our own', async (t) => {
  const { frames, answers, bugs, longest } = await fuzz(SEED, 3000);
  t.diagnostic(`the longest turn took ${longest.cpuMs.toFixed(0)} ms of CPU, after ${longest.after}`);
  assert.deepEqual(bugs, [], `SEED=${SEED}`);
  assert.ok(longest.cpuMs <= 100, `one turn took ${longest.cpuMs} ms of CPU, after ${longest.after}, SEED=${SEED}`);
  assert.ok(answers > frames / 4, `${answers} answers to ${frames} frames`);
});

type ListKind = 'elements' | 'tagged fields';

/** Notes where lists begin, those of tagged fields too. */
class Watching extends Reader {
  readonly lists: { kind: ListKind; at: number; end: number; eachBytes: number }[] = [];

  override count(eachBytes: number): number {
    const at = this.at;
    const count = super.count(eachBytes);
    this.lists.push({ kind: 'elements', at, end: this.at, eachBytes });
    return count;
  }

  override taggedCount(): number {
    const at = this.at;
    const count = super.taggedCount();
    // A tag and a length.
    this.lists.push({ kind: 'tagged fields', at, end: this.at, eachBytes: 2 });
    return count;
  }
}

/** Of a request, behind its header: how it is read, and where. */
function bodyOf(api: Api, version: number): { at: number; flexible: boolean } {
  const flexible = version >= api.flexibleFrom;
  return { at: HEADER_BYTES + (flexible ? 1 : 0), flexible };
}

function countBytes(version: number, flexible: boolean, kind: ListKind, count: number): Buffer {
  const writer = new Writer(version, flexible);
  if (kind === 'tagged fields') writer.varint(count);
  else if (flexible) writer.varint(count + 1);
  else writer.int32(count);
  return Buffer.concat(writer.take());
}

test('each list of each API in each version is refused before its first element when it cannot be there', () => {
  const random = new SeededRandom(SEED);
  const lists = { elements: 0, 'tagged fields': 0 };
  for (const name of Object.keys(APIS) as ApiName[]) {
    const api: Api = APIS[name];
    for (let version = api.versions[0]; version <= api.versions[1]; version++) {
      const { value } = dreamOf(random, name, version, { elements: () => 1, nullChance: 0 });
      const frame = encodeRequest(name, version, 1, value);
      const body = bodyOf(api, version);
      const watching = new Watching(frame, body.at, frame.byteLength, version, body.flexible);
      api.request.read(watching);
      assert.equal(watching.at, frame.byteLength);
      for (const { kind, at, end, eachBytes } of watching.lists) {
        lists[kind]++;
        const oneTooMany = Math.floor((frame.byteLength - end) / eachBytes) + 1;
        for (const count of [oneTooMany, 2 ** 31 - 2]) {
          const said = countBytes(version, body.flexible, kind, count);
          const forged = Buffer.concat([frame.subarray(0, at), said, frame.subarray(end)]);
          const reader = new Reader(forged, body.at, forged.byteLength, version, body.flexible);
          const what = `${name} ${version}: ${count} ${kind} at ${at}, SEED=${SEED}`;
          assert.throws(() => api.request.read(reader), BrokenRequest, what);
          assert.equal(reader.at, at + said.byteLength, what);
        }
      }
    }
  }
  for (const [kind, count] of Object.entries(lists)) assert.ok(count > 200, `${count} lists of ${kind}`);
});

test('a request has at most so many elements in all, however small each is', () => {
  const groups = (count: number): (() => unknown) => {
    const frame = encodeRequest('describeGroups', 5, 1, { groups: Array(count).fill('') });
    const reader = new Reader(frame, HEADER_BYTES + 1, frame.byteLength, 5, true);
    return () => APIS.describeGroups.request.read(reader);
  };
  groups(MAX_ELEMENTS)();
  assert.throws(groups(MAX_ELEMENTS + 1), BrokenRequest);
  const half = Array(MAX_ELEMENTS / 2).fill(0);
  const topics = [half, half].map((partitions, i) => ({ name: String(i), partitionIndexes: partitions }));
  const frame = encodeRequest('describeProducers', 0, 1, { topics });
  const reader = new Reader(frame, HEADER_BYTES + 1, frame.byteLength, 0, true);
  assert.throws(() => APIS.describeProducers.request.read(reader), BrokenRequest);
});
