/** Frames of every API, right and broken; minutes of it: `npm run soak -- kafka-fuzz`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '../../src/core/random.ts';
import { type ApiName, APIS } from '../../src/gateways/kafka/apis.ts';
import { FRAME_HEADER_BYTES, Reader } from '../../src/gateways/kafka/codec.ts';
import { BrokenRequest } from '../../src/gateways/kafka/errors.ts';
import type { Api } from '../../src/gateways/kafka/fields.ts';
import { fuzz, sample } from './fuzz.ts';
import { encodeRequest } from './raw-peer.ts';

const SEED = Number(process.env.SEED ?? 1);
/** Before the fields: key, version, correlation id. */
const HEADER = FRAME_HEADER_BYTES + 8;

test('frames of every API, right and broken, cause no error that is our own', async () => {
  const { frames, answers, bugs } = await fuzz(SEED, 3000);
  assert.deepEqual(bugs, [], `SEED=${SEED}`);
  assert.ok(answers > frames / 4, `${answers} answers to ${frames} frames`);
});

test('a count or length that cannot be is refused before memory is taken for it, wherever it is', () => {
  const random = new SeededRandom(SEED);
  const huge = Buffer.from([0x7f, 0xff, 0xff, 0xff]);
  const varint = Buffer.from([0xff, 0xff, 0xff, 0xff, 0x07]);
  for (const name of Object.keys(APIS) as ApiName[]) {
    const api: Api = APIS[name];
    for (let i = 0; i < 4; i++) {
      const asked = sample(random, name);
      const frame = encodeRequest(name, asked.version, 1, asked.value);
      const flexible = asked.version >= api.flexibleFrom;
      for (let at = HEADER; at < Math.min(frame.byteLength, HEADER + 400); at++) {
        const bad = Buffer.from(frame);
        (flexible && at % 2 === 0 ? varint : huge).copy(bad, at);
        const before = process.memoryUsage.rss();
        const reader = new Reader(bad, HEADER, bad.byteLength, asked.version, flexible);
        try {
          reader.int16();
          api.request.read(reader);
        } catch (error) {
          assert.ok(
            error instanceof BrokenRequest,
            `${name} ${asked.version} at ${at}, SEED=${SEED}: ${String(error)}`,
          );
        }
        const grown = process.memoryUsage.rss() - before;
        assert.ok(grown < 64 << 20, `${name} ${asked.version} at ${at}, SEED=${SEED}: ${grown} bytes`);
      }
    }
  }
});
