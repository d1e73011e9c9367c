import { LOCAL_PRINCIPAL } from '../../src/core/auth.ts';
import { SeededRandom } from '../../src/core/random.ts';
import type { Field, Table } from '../../src/gateways/amqp/fields.ts';
import { type Arguments, METHODS, type MethodName } from '../../src/gateways/amqp/methods.ts';
import { encodeProperties } from '../../src/gateways/amqp/properties.ts';
import { handshake, inProcess, type InProcess } from './in-process.ts';
import { content, frameOf, randomArguments, randomBytes, randomTable, written } from './wire.ts';

export interface FuzzReport {
  frames: number;
  sessions: number;
  /** Sessions that the broker ended before the client did. */
  ended: number;
  /**
   * The most that one chunk of frames, and what else the broker did in its turn of the loop, took of the thread, ms of
   * its own processor time: what else the machine does is not the broker's. Garbage collection on this thread is in it.
   */
  longestChunkMs: number;
  bugs: unknown[];
  /** Connections that are still there at the end. */
  left: number;
}

/** No chunk may take more: so long a peer that sends them keeps all others waiting. */
export const LONGEST_CHUNK_MS = 100;

const CHANNELS = 4;
const NAMES = Object.keys(METHODS) as MethodName[];
/** Those that a client sends once it has a channel: another one ends the connection. */
const SENT_BY_CLIENTS = NAMES.filter(
  (name) => !/Ok$|^connection|^channel|^basic(Deliver|Return|GetEmpty)$|^tx|^basicConsume$/.test(name),
);
/** By channel. */
const reopening = Array.from({ length: CHANNELS + 1 }, (_, channel) =>
  written((out) => {
    out.method(channel, 'channelCloseOk', {});
    out.method(channel, 'channelOpen', { reserved1: '' });
  }),
);
/** Frames are made once and sent in any order: making them takes longer than all the broker does with them. */
const CORPUS = 6_000;
const WIDTH = 8;
/** Single frames and publishes of three. */
const CHUNK_ENTRIES = 64;
/** So that what was declared and published does not grow for as long as the run takes. */
const CLEAN_EVERY = 256;
/** Its class and method. */
const CONNECTION_CLOSE = Buffer.of(0, 10, 0, 50);
const CHANNEL_CLOSE = Buffer.of(0, 20, 0, 40);

/** Sends frames, most of them right and some of them broken, until there were so many. */
export async function fuzz(
  seed: number,
  frames: number,
  onProgress = (_frames: number): void => {},
): Promise<FuzzReport> {
  const random = new SeededRandom(seed);
  const at = await inProcess();
  const corpus = Array.from({ length: CORPUS }, () => frame(random));
  const report: FuzzReport = { frames: 0, sessions: 0, ended: 0, longestChunkMs: 0, bugs: at.bugs, left: 0 };
  const turns = new Turns();
  const lane = async (): Promise<void> => {
    while (report.frames < frames && at.bugs.length === 0) {
      await session(at, corpus, random, report, turns);
      onProgress(report.frames);
      if (report.sessions % CLEAN_EVERY === 0) await clean(at);
    }
  };
  await Promise.all(Array.from({ length: WIDTH }, lane));
  // A peer that behaves is served as if nothing had been.
  const last = at.connect();
  last.push(Buffer.concat([handshake(), written((out) => out.method(1, 'queueDeclare', queue('after', new Map())))]));
  await until(() => last.sent.some((chunk) => chunk.includes('after')));
  await last.leave();
  // What they held is given back after their sockets are gone.
  for (let turns = 0; at.gateway.connections > 0 && turns < 10_000; turns++) await turn();
  report.left = at.gateway.connections;
  await at.close();
  return report;
}

async function session(
  at: InProcess,
  corpus: Buffer[],
  random: SeededRandom,
  report: FuzzReport,
  turns: Turns,
): Promise<void> {
  const wire = at.connect();
  const told = { toClose: false };
  wire.onSent = (chunk) => {
    told.toClose ||= chunk.includes(CONNECTION_CLOSE);
    // A channel that was closed by an exception is opened again.
    for (let at = chunk.indexOf(CHANNEL_CLOSE); at >= 6; at = chunk.indexOf(CHANNEL_CLOSE, at + 1)) {
      const reopen = reopening[chunk.readUInt16BE(at - 6)];
      if (reopen !== undefined) setImmediate(() => !isOver() && wire.push(reopen));
    }
  };
  const isOver = (): boolean => told.toClose || wire.writableEnded || wire.destroyed;
  // Some read nothing for a while.
  const stalls = random.chance(0.1);
  if (stalls) wire.stall();
  wire.push(handshake(CHANNELS));
  await turn();
  const chunks = 1 + random.below(40);
  for (let i = 0; i < chunks && !isOver(); i++) {
    const picked = Array.from({ length: CHUNK_ENTRIES }, () => corpus[random.below(corpus.length)] ?? Buffer.alloc(0));
    const bytes = Buffer.concat(picked);
    if (random.chance(0.03)) for (let flips = random.below(4); flips >= 0; flips--) flip(bytes, random);
    for (const entry of picked) report.frames += framesIn(entry);
    const cut = random.chance(0.3) ? random.below(bytes.byteLength) : bytes.byteLength;
    for (const part of [...asRead(bytes.subarray(0, cut)), ...asRead(bytes.subarray(cut))]) {
      await turns.alone(async () => {
        if (isOver()) return;
        const before = process.threadCpuUsage();
        wire.push(part);
        await turn();
        const { user, system } = process.threadCpuUsage(before);
        report.longestChunkMs = Math.max(report.longestChunkMs, (user + system) / 1000);
      });
    }
  }
  report.sessions++;
  if (isOver()) report.ended++;
  if (stalls) wire.readOn();
  if (random.chance(0.2)) wire.destroy();
  await wire.leave();
}

/** Sessions go on beside each other, but no two have a chunk in one turn of the loop: what it took would be of both. */
class Turns {
  #last: Promise<void> = Promise.resolve();

  alone(run: () => Promise<void>): Promise<void> {
    this.#last = this.#last.then(run);
    return this.#last;
  }
}

/** A socket gives no more at once. */
const READ_BYTES = 65_536;

function asRead(bytes: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.byteLength; at += READ_BYTES) parts.push(bytes.subarray(at, at + READ_BYTES));
  return parts;
}

function framesIn(entry: Buffer): number {
  let frames = 0;
  for (let at = 0; at + 8 <= entry.byteLength; at += entry.readUInt32BE(at + 3) + 8) frames++;
  return frames;
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turn();
}

async function clean({ broker }: InProcess): Promise<void> {
  const session = broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  const { topics } = await session.request('allStats', {});
  for (const { name } of topics) await session.request('deleteTopic', { name }).catch(() => {});
  await session.close();
}

function flip(bytes: Buffer, random: SeededRandom): void {
  bytes[random.below(bytes.byteLength)] = random.below(256);
}

// ---- Frames -----------------------------------------------------------------------------------------------------------

/** One frame, or a publish with its content: as sensible as it must be to get past the first check. */
function frame(random: SeededRandom): Buffer {
  const channel = 1 + random.below(CHANNELS);
  if (random.chance(0.4)) return publish(channel, random);
  if (random.chance(0.004)) return garbage(channel, random);
  if (random.chance(0.005)) return hostile(channel, random);
  if (random.chance(0.05)) return consume(channel, random);
  if (random.chance(0.2)) return settlement(channel, random);
  // Nearly always: a session is to live for some hundred frames.
  const name = random.pick(random.chance(0.999) ? SENT_BY_CLIENTS : NAMES);
  return written((out) => out.method(channel, name, sensible(name, random)));
}

const NAMES_OF_THINGS = ['q0', 'q1', 'q2', 'q3', '', 'amq.topic', 'amq.fanout', 'e0', 'e1'];

/** Arguments of the right kind, with names that exist. */
function sensible<M extends MethodName>(name: M, random: SeededRandom): Arguments<M> {
  if (random.chance(0.002)) return randomArguments(name, random);
  const fields = Object.entries(METHODS[name].fields).map(([field, kind]): [string, unknown] => {
    if (kind === 'shortstr')
      return [
        field,
        field === 'type' ? random.pick(['direct', 'topic', 'fanout', 'headers']) : random.pick(NAMES_OF_THINGS),
      ];
    if (kind === 'table') return [field, table(random)];
    if (kind === 'bit') return [field, field === 'requeue' || (field !== 'immediate' && random.chance(0.3))];
    if (kind === 'longlong') return [field, 1 + random.below(60)];
    if (kind === 'short') return [field, random.below(20)];
    if (kind === 'long') return [field, 0];
    return [field, kind === 'longstr' ? randomBytes(random, random.below(30)) : 0];
  });
  // One value of its kind for each field.
  return Object.fromEntries(fields) as Arguments<M>;
}

function table(random: SeededRandom): Table {
  if (random.chance(0.6)) return new Map();
  if (random.chance(0.1)) return randomTable(random);
  const known: [string, Field][] = [
    ['x-max-length', { type: 'I', value: 1 + random.below(50) }],
    ['x-message-ttl', { type: 'I', value: random.below(20) }],
    ['x-max-priority', { type: 'I', value: 1 + random.below(9) }],
    ['x-dead-letter-exchange', { type: 'S', value: Buffer.from('amq.fanout') }],
    ['x-match', { type: 'S', value: Buffer.from(random.pick(['all', 'any'])) }],
    ['a', { type: 'I', value: random.below(3) }],
  ];
  return new Map(known.filter(() => random.chance(0.3)));
}

function queue(name: string, args: Table): Arguments<'queueDeclare'> {
  const flags = { passive: false, durable: true, exclusive: false, autoDelete: false, noWait: false };
  return { reserved1: 0, queue: name, ...flags, arguments: args };
}

function publish(channel: number, random: SeededRandom): Buffer {
  const exchange = random.pick(['', '', 'amq.topic', 'amq.fanout', 'amq.headers']);
  const routingKey = random.pick(['q0', 'q1', 'q2', 'q3', 'a.b']);
  const mandatory = random.chance(0.1);
  const method = written((out) =>
    out.method(channel, 'basicPublish', { reserved1: 0, exchange, routingKey, mandatory, immediate: false }),
  );
  const body = randomBytes(random, random.below(200));
  const properties = encodeProperties({
    ...(random.chance(0.5) && { deliveryMode: 2 }),
    ...(random.chance(0.3) && { headers: randomTable(random) }),
    ...(random.chance(0.1) && { expiration: String(random.below(50)) }),
    ...(random.chance(0.1) && { priority: random.below(12) }),
  });
  return Buffer.concat([method, ...content(channel, properties, body)]);
}

function consume(channel: number, random: SeededRandom): Buffer {
  const consumerTag = `c${random.below(1_000_000)}`;
  const flags = { noLocal: false, noAck: random.chance(0.3), exclusive: false, noWait: random.chance(0.5) };
  const queue = random.pick(['q0', 'q1', 'q2', 'q3']);
  return written((out) =>
    out.method(channel, 'basicConsume', { reserved1: 0, queue, consumerTag, ...flags, arguments: new Map() }),
  );
}

function settlement(channel: number, random: SeededRandom): Buffer {
  const deliveryTag = 1 + random.below(60);
  const multiple = random.chance(0.3);
  return written((out) => out.method(channel, 'basicNack', { deliveryTag, multiple, requeue: random.chance(0.5) }));
}

/** As large as a frame may be, and of what takes the most to read for its bytes. */
function hostile(channel: number, random: SeededRandom): Buffer {
  const headers = random.pick([wide, long, deep])(random);
  const things = { reserved1: 0, queue: random.pick(['q0', 'q1', 'q2', 'q3']), noWait: false };
  return written((out) => {
    switch (random.below(4)) {
      case 0:
        return out.method(channel, 'queueDeclare', queue(things.queue, headers));
      case 1:
        return out.method(channel, 'queueBind', {
          ...things,
          exchange: 'amq.headers',
          routingKey: '',
          arguments: headers,
        });
      case 2:
        return out.method(channel, 'basicConsume', {
          ...things,
          consumerTag: '',
          noLocal: false,
          noAck: false,
          exclusive: false,
          arguments: headers,
        });
      default:
        out.method(channel, 'basicPublish', {
          reserved1: 0,
          exchange: 'amq.headers',
          routingKey: '',
          mandatory: false,
          immediate: false,
        });
        for (const frame of content(channel, encodeProperties({ headers }), Buffer.alloc(0))) out.bytes(frame);
    }
  });
}

const NOTHING: Field = { type: 'V' };

function wide(random: SeededRandom): Table {
  return new Map(Array.from({ length: random.below(15_000) }, (_, i) => [`n${i}`, NOTHING]));
}

function long(random: SeededRandom): Table {
  return new Map([['a', { type: 'A', value: Array.from({ length: random.below(130_000) }, () => NOTHING) }]]);
}

/** To a depth that is allowed, or beyond. */
function deep(random: SeededRandom): Table {
  let value: Field = NOTHING;
  for (let depth = 20 + random.below(16); depth > 0; depth--) value = { type: 'A', value: [value] };
  return new Map([['a', value]]);
}

function garbage(channel: number, random: SeededRandom): Buffer {
  return frameOf(random.pick([0, 1, 2, 3, 4, 8, 9]), channel, randomBytes(random, random.below(40)));
}
