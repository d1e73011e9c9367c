import { setImmediate } from 'node:timers/promises';
import { SystemClock } from '../../src/core/clock.ts';
import { SeededRandom } from '../../src/core/random.ts';
import { type ApiName, APIS } from '../../src/gateways/kafka/apis.ts';
import { FRAME_HEADER_BYTES } from '../../src/gateways/kafka/codec.ts';
import { ERROR } from '../../src/gateways/kafka/errors.ts';
import { FrameCutter } from '../../src/wire/frame-cutter.ts';
import { dream, type Dreamt } from './dreamt.ts';
import { attach, inProcess, type InProcess } from './in-process.ts';
import { encodeRequest, FRAMES, readAnswer } from './raw-peer.ts';

export interface FuzzReport {
  frames: number;
  answers: number;
  /** The most that the thread was busy between two turns of the loop, and after what. */
  longest: { cpuMs: number; after: string };
  /** Errors that no client should be able to cause, with the API that did. */
  bugs: string[];
}

/** The last of them is broken half of the time. */
const FRAMES_OF_CONNECTION = 8;
/** So many turns of the loop a connection lives after its last frame. */
const TURNS = 12;
const NAMES = Object.keys(APIS) as ApiName[];
/** What counts and lengths are made of: too much, too little, and the end of what has a sign. */
const WRONG = [0x7fffffff, 0xffffffff, 0x80000000, 0x00ffffff, 0xfffffffe];
/** Ids of members and topics that are known still. */
const MOST_HEARD = 40;
/** One frame in so many has a list that is long. */
const LONG_EVERY = 200;
const LONG = 2_000;

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

/** A frame, now and then with one list that has thousands of elements. */
function asked(random: SeededRandom, heard: readonly string[]): Dreamt {
  const name = random.pick(NAMES);
  let long = random.below(LONG_EVERY) === 0 ? random.below(3) : -1;
  return dream(random, name, { heard, elements: () => (long-- === 0 ? LONG : random.below(3)) });
}

/** Errors of our own in an answer, and in passing the ids that are in it. */
function* look(answer: unknown, heard: string[]): Generator<unknown> {
  if (typeof answer !== 'object' || answer === null || Buffer.isBuffer(answer)) return;
  for (const [key, value] of Object.entries(answer)) {
    if (/errorcode$/i.test(key) && value === ERROR.UNKNOWN_SERVER_ERROR) yield answer;
    if ((key === 'memberId' || key === 'topicId') && typeof value === 'string' && value !== '') heard.push(value);
    yield* look(value, heard);
  }
}

/** Sends frames of every API, right and broken, to a gateway over a broker in memory. */
export async function fuzz(seed: number, frames: number): Promise<FuzzReport> {
  const random = new SeededRandom(seed);
  const clock = new SystemClock();
  const report: FuzzReport = { frames: 0, answers: 0, longest: { cpuMs: 0, after: '' }, bugs: [] };
  const at = await inProcess(clock, (error) =>
    report.bugs.push(`reported: ${error instanceof Error ? error.stack : String(error)}`),
  );
  const heard: string[] = [];
  try {
    while (report.frames < frames) await connection(at, clock, random, report, heard);
  } finally {
    await at.close();
  }
  return report;
}

async function connection(
  at: InProcess,
  clock: SystemClock,
  random: SeededRandom,
  report: FuzzReport,
  heard: string[],
): Promise<void> {
  const client = attach(at.gateway, clock);
  const sent = new Map<number, Dreamt>();
  const cutter = new FrameCutter(FRAMES, (buffer, from, end) => {
    report.answers++;
    const frame = buffer.subarray(from + FRAME_HEADER_BYTES, end);
    const question = sent.get(frame.readInt32BE(0));
    if (question === undefined) return void report.bugs.push('an answer to nothing');
    const { name, version } = question;
    const answer: unknown = readAnswer(name, version, frame);
    for (const wrong of look(answer, heard)) report.bugs.push(`${name} ${version}: ${JSON.stringify(wrong)}`);
    heard.splice(0, heard.length - MOST_HEARD);
  });
  client.on('data', (chunk: Buffer) => {
    try {
      cutter.push(chunk);
    } catch (error) {
      report.bugs.push(String(error));
    }
  });
  for (let i = 0; i < FRAMES_OF_CONNECTION && !client.destroyed; i++) {
    const question = asked(random, heard);
    sent.set(i, question);
    const frame = encodeRequest(question.name, question.version, i, question.value);
    const isLast = i === FRAMES_OF_CONNECTION - 1;
    client.write(isLast && random.chance(0.5) ? broken(random, frame) : frame);
    report.frames++;
    await turn(report, `${question.name} ${question.version} of ${frame.byteLength} bytes`);
  }
  for (let left = TURNS; left > 0; left--) await turn(report, 'the last frame of a connection');
  client.destroy();
}

/** One turn of the loop, and how long it kept the thread: wall time would count what else the machine does. */
async function turn({ longest }: FuzzReport, after: string): Promise<void> {
  const before = process.threadCpuUsage();
  await setImmediate();
  const { user, system } = process.threadCpuUsage(before);
  const cpuMs = (user + system) / 1000;
  if (cpuMs > longest.cpuMs) Object.assign(longest, { cpuMs, after });
}
