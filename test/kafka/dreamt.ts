import type { SeededRandom } from '../../src/core/random.ts';
import { type ApiName, APIS } from '../../src/gateways/kafka/apis.ts';
import { Reader } from '../../src/gateways/kafka/codec.ts';
import { BrokenRequest } from '../../src/gateways/kafka/errors.ts';
import type { Api } from '../../src/gateways/kafka/fields.ts';
import { writeBatch } from '../../src/gateways/kafka/record-batch.ts';
import { numbered } from './numbered.ts';

/** A request that was made up, with something in it that a broker may know. */
export interface Dreamt {
  readonly name: ApiName;
  readonly version: number;
  readonly value: unknown;
}

export interface DreamOptions {
  /** How many elements the next list has. */
  readonly elements: () => number;
  /** Of strings, bytes and lists. */
  readonly nullChance: number;
  /** What the broker has told: ids of members and topics. */
  readonly heard: readonly string[];
}

const TEXTS = [
  't0',
  't1',
  't2',
  'g0',
  'g1',
  'tx0',
  'tx1',
  '',
  'range',
  'uniform',
  'consumer',
  'raw',
  'retention.ms',
  '1',
];
const MORE_TEXTS = [
  'PLAIN',
  'user',
  'client-id',
  'producer_byte_rate',
  'User:a',
  '*',
  'kafka-cluster',
  'Empty',
  't.*',
  'm',
];
const INT8 = [0, 0, 1, 1, 2, 2, 3, 4, -1, -2, -3, 6, 12];
const INT16 = [0, 0, 0, 1, 1, -1, 2, 32767, -32768];
const INT32 = [0, 0, 0, 0, 1, 1, 1, 2, 3, -1, -2, 100, 10_000, 2 ** 31 - 1, -(2 ** 31)];
const INT64 = [0, 0, 0, 1, 1, 2, 3, -1, -2, -3, 1_000, 2 ** 40, 2 ** 53, -(2 ** 53)];
const FLOAT64 = [0, 1, 1e6, -1, Number.NaN, Number.POSITIVE_INFINITY];
const UUID_BYTES = 16;

/** Reads from nothing: each value is made up as it is asked for, so that the tables themselves say what a request is. */
class Dreamer extends Reader {
  readonly #random: SeededRandom;
  readonly #options: DreamOptions;
  #text = '';
  #bytes: Buffer = Buffer.alloc(0);

  constructor(random: SeededRandom, version: number, flexible: boolean, options: DreamOptions) {
    super(Buffer.alloc(0), 0, 0, version, flexible);
    this.#random = random;
    this.#options = options;
  }

  override int8(): number {
    return this.#random.pick(INT8);
  }

  override int16(): number {
    return this.#random.pick(INT16);
  }

  override int32(): number {
    return this.#random.pick(INT32);
  }

  override int64(): number {
    return this.#random.pick(INT64);
  }

  override float64(): number {
    return this.#random.pick(FLOAT64);
  }

  /** Of tagged fields: none. */
  override varint(): number {
    return 0;
  }

  override length(short: boolean): number {
    if (this.#random.chance(this.#options.nullChance)) return -1;
    if (short) return Buffer.byteLength((this.#text = this.#word()));
    return (this.#bytes = blob(this.#random)).byteLength;
  }

  override count(): number {
    return this.#random.chance(this.#options.nullChance) ? -1 : this.#options.elements();
  }

  override text(): string {
    return this.#text;
  }

  override view(length: number): Buffer {
    if (length !== UUID_BYTES) return this.#bytes;
    const ids = this.#options.heard.filter((word) => /^[0-9a-f]{32}$/.test(word));
    return ids.length === 0 ? Buffer.alloc(UUID_BYTES) : Buffer.from(this.#random.pick(ids), 'hex');
  }

  #word(): string {
    const { heard } = this.#options;
    if (heard.length > 0 && this.#random.chance(0.2)) return this.#random.pick(heard);
    return this.#random.pick(this.#random.chance(0.8) ? TEXTS : MORE_TEXTS);
  }
}

/** Record batches, right and wrong, what members of groups say of themselves, and nothing. Never as long as an id. */
function blob(random: SeededRandom): Buffer {
  if (random.chance(0.1)) return Buffer.alloc(random.pick([0, 1, 12]), 1);
  if (random.chance(0.2)) return Buffer.from('00000000000100027430ffffffff', 'hex');
  const records = Array.from({ length: 1 + random.below(3) }, (_, i) => ({
    timestamp: random.pick([0, 1, 1_000_000]),
    key: random.chance(0.5) ? null : Buffer.from(`k${i}`),
    value: random.chance(0.2) ? null : Buffer.from('{"n":1}'),
    headers: [],
  }));
  const batch = writeBatch(records, random.chance(0.2) ? 16 : 0);
  if (random.chance(0.3)) numbered(batch, random.below(3), random.below(3), random.below(2));
  if (random.chance(0.1)) batch[random.below(batch.byteLength)] = random.below(256);
  return batch;
}

export function dream(random: SeededRandom, name: ApiName, options: Partial<DreamOptions> = {}): Dreamt {
  const { versions } = APIS[name];
  return dreamOf(random, name, versions[0] + random.below(versions[1] - versions[0] + 1), options);
}

/** In that version. One in which something is null that must not be is dreamt again. */
export function dreamOf(
  random: SeededRandom,
  name: ApiName,
  version: number,
  options: Partial<DreamOptions> = {},
): Dreamt {
  const api: Api = APIS[name];
  const all: DreamOptions = { elements: () => random.below(3), nullChance: 0.03, heard: [], ...options };
  for (;;) {
    try {
      return { name, version, value: api.request.read(new Dreamer(random, version, version >= api.flexibleFrom, all)) };
    } catch (error) {
      if (!(error instanceof BrokenRequest)) throw error;
    }
  }
}
