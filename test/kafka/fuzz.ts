import { duplexPair } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { LOCAL_PRINCIPAL } from '../../src/core/auth.ts';
import { SystemClock } from '../../src/core/clock.ts';
import { SeededRandom } from '../../src/core/random.ts';
import { Peer } from '../../src/gateways/gateway.ts';
import { type ApiName, APIS } from '../../src/gateways/kafka/apis.ts';
import { FRAME_HEADER_BYTES, Reader } from '../../src/gateways/kafka/codec.ts';
import { BrokenRequest, ERROR } from '../../src/gateways/kafka/errors.ts';
import type { Api } from '../../src/gateways/kafka/fields.ts';
import { KafkaGateway } from '../../src/gateways/kafka/server.ts';
import { startServer } from '../../src/server/index.ts';
import { FrameCutter } from '../../src/wire/frame-cutter.ts';
import { encodeRequest } from './raw-peer.ts';

export interface FuzzReport {
  frames: number;
  answers: number;
  /** Errors that no client should be able to cause, with the API that did. */
  bugs: string[];
}

/** The last of them is broken half of the time. */
const FRAMES_OF_CONNECTION = 8;
const SAMPLE_BYTES = 1_500;
const SAMPLES_OF_API = 12;
/** So many turns of the loop a connection lives after its last frame. */
const TURNS = 30;
const NAMES = Object.keys(APIS) as ApiName[];
/** What counts and lengths are made of: too much, too little, and the end of what has a sign. */
const WRONG = [0x7fffffff, 0xffffffff, 0x80000000, 0x00ffffff, 0xfffffffe];

export interface Sample {
  name: ApiName;
  version: number;
  value: unknown;
}

/** A request that can be read, with elements in its lists: what few and small bytes mean in that layout. */
export function sample(random: SeededRandom, name: ApiName): Sample {
  const api: Api = APIS[name];
  const version = api.versions[0] + random.below(api.versions[1] - api.versions[0] + 1);
  // A zero is an empty list in the older layout, and one that is null, which most may not be, in the newer one.
  const flexible = version >= api.flexibleFrom;
  for (;;) {
    const density = flexible ? 0.6 + random.next() * 0.35 : 0.02 + random.next() * 0.06;
    const bytes = Buffer.alloc(SAMPLE_BYTES);
    for (let at = 0; at < bytes.byteLength; at++)
      if (random.chance(density)) bytes[at] = random.chance(0.7) ? 1 : 1 + random.below(4);
    try {
      const reader = new Reader(bytes, 0, bytes.byteLength, version, flexible);
      return { name, version, value: api.request.read(reader) };
    } catch (error) {
      if (!(error instanceof BrokenRequest)) throw error;
    }
  }
}

/** The frame of a request with something in it that is wrong. Its header stays: what it is a request of. */
function broken(random: SeededRandom, whole: Buffer): Buffer {
  const frame = Buffer.from(whole);
  const from = 8 + FRAME_HEADER_BYTES;
  for (let wrong = 1 + random.below(3); wrong > 0; wrong--) {
    const at = from + random.below(Math.max(1, frame.byteLength - from - 4));
    if (random.chance(0.5) && at + 4 <= frame.byteLength) frame.writeUInt32BE(random.pick(WRONG) >>> 0, at);
    else frame[at] = random.below(256);
  }
  return frame;
}

function hasUnknownError(answer: unknown): boolean {
  if (typeof answer !== 'object' || answer === null) return false;
  return Object.entries(answer).some(([key, value]) =>
    /errorcode$/i.test(key) ? value === ERROR.UNKNOWN_SERVER_ERROR : hasUnknownError(value),
  );
}

/** Sends frames of every API, right and broken, to a gateway over a broker in memory. */
export async function fuzz(seed: number, frames: number): Promise<FuzzReport> {
  const random = new SeededRandom(seed);
  const server = await startServer({ memory: true, port: 0, kafka: false, log: { level: 'silent' } });
  const clock = new SystemClock();
  const report: FuzzReport = { frames: 0, answers: 0, bugs: [] };
  const gateway = new KafkaGateway({
    authenticator: { required: false, authenticate: () => Promise.resolve(LOCAL_PRINCIPAL) },
    connect: (principal, namespace, name) => server.broker.connect({ principal, namespace, name }),
    broker: { journalId: server.broker.info().journalId },
    clock,
    report: (error) => report.bugs.push(`reported: ${error instanceof Error ? error.stack : String(error)}`),
  });
  const samples = new Map<ApiName, Sample[]>();
  const pool = (name: ApiName): Sample => {
    const known = samples.get(name) ?? Array.from({ length: SAMPLES_OF_API }, () => sample(random, name));
    samples.set(name, known);
    return random.pick(known);
  };
  try {
    while (report.frames < frames) await connection(gateway, random, report, clock, pool);
  } finally {
    await gateway.close();
    await server.close();
  }
  return report;
}

async function connection(
  gateway: KafkaGateway,
  random: SeededRandom,
  report: FuzzReport,
  clock: SystemClock,
  pool: (name: ApiName) => Sample,
) {
  const [client, socket] = duplexPair();
  const where = { address: '127.0.0.1:1', local: true, loopback: true, secure: false };
  gateway.handle(socket, new Peer({ ...where, clock, handshakeMs: 60_000, onTimeout: () => {} }));
  const sent = new Map<number, Sample>();
  const frameBytes = (buffer: Buffer, at: number): number => FRAME_HEADER_BYTES + buffer.readInt32BE(at);
  const cutter = new FrameCutter({ headerBytes: FRAME_HEADER_BYTES, frameBytes }, (buffer, from, end) => {
    report.answers++;
    const asked = sent.get(buffer.readInt32BE(from + FRAME_HEADER_BYTES));
    if (asked === undefined) return void report.bugs.push('an answer to nothing');
    const api: Api = APIS[asked.name];
    const flexible = asked.version >= api.flexibleFrom;
    const reader = new Reader(buffer, from + FRAME_HEADER_BYTES + 4, end, asked.version, flexible);
    if (flexible && asked.name !== 'apiVersions') reader.varint();
    const answer = api.response.read(reader);
    if (reader.at !== end) report.bugs.push(`${asked.name} ${asked.version}: its answer has bytes too many`);
    if (hasUnknownError(answer)) report.bugs.push(`${asked.name} ${asked.version}: ${JSON.stringify(answer)}`);
  });
  client.on('data', (chunk: Buffer) => cutter.push(chunk));
  client.on('error', () => {});
  for (let i = 0; i < FRAMES_OF_CONNECTION && !client.destroyed; i++) {
    const asked = pool(random.pick(NAMES));
    sent.set(i, asked);
    const frame = encodeRequest(asked.name, asked.version, i, asked.value);
    const isLast = i === FRAMES_OF_CONNECTION - 1;
    client.write(isLast && random.chance(0.5) ? broken(random, frame) : frame);
    report.frames++;
    await setImmediate();
  }
  for (let turn = 0; turn < TURNS; turn++) await setImmediate();
  client.destroy();
  socket.destroy();
}
