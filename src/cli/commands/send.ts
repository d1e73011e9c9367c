import { isUtf8 } from 'node:buffer';
import { open, readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import { DEFAULT_CONTENT_TYPE, asBuffer, textOf } from '../../core/records.ts';
import type { Duration } from '../../core/units.ts';
import type { Codec } from '../../sdk/codec.ts';
import { defineQueue, defineTopic } from '../../sdk/define.ts';
import type { SendOptions } from '../../sdk/envelope.ts';
import type { Rail } from '../../sdk/rail.ts';
import type { Sent } from '../../sdk/sent.ts';
import { brokerOptions, withRail, type BrokerOptions } from '../broker.ts';
import { count, print, printJson, Progress } from '../terminal.ts';
import { collect, pairs, UsageError, wholeNumber } from '../usage.ts';

interface Options extends BrokerOptions {
  key?: string;
  priority?: number;
  delay?: string;
  ttl?: string;
  dedupeId?: string;
  header: string[];
  contentType?: string;
  count: number;
  lines?: boolean;
}

const BATCH = 100;
const MAX_BATCH_BYTES = 1024 * 1024;

export function configure(command: Command): void {
  brokerOptions(
    command
      .argument('<name>', 'the queue or topic')
      .argument('[body]', 'the body; @FILE reads a file, - (default) standard input', '-')
      .option('-k, --key <KEY>', 'the key')
      .option('-p, --priority <NUMBER>', 'the priority', wholeNumber)
      .option('--delay <WHEN>', 'not delivered before: a duration (10m) or a time (2026-12-24T18:00:00Z)')
      .option('--ttl <DURATION>', 'expires after so long')
      .option('--dedupe-id <ID>', "not stored again within the queue's dedupe window")
      .option('-H, --header <NAME=VALUE>', 'a header; may be given several times', collect, [])
      .option('--content-type <TYPE>', 'default: JSON if it is, else text or bytes')
      .option('-n, --count <COUNT>', 'send it so many times', wholeNumber, 1)
      .option('--lines', 'every line is a message'),
  ).action(async (name: string, body: string, options: Options) => {
    await withRail(options, async (rail) => {
      const target = await targetOf(rail, name, options.contentType);
      if (options.lines) await sendLines(target, body, options);
      else await sendOne(target, body, options);
    });
  });
}

interface Target {
  send: (bytes: Uint8Array, options: SendOptions) => Promise<Sent>;
  sendMany: (bodies: Uint8Array[], options: SendOptions) => Promise<Sent[]>;
}

/** Bytes with the content type that fits them, to whatever has that name. @throws NOT_FOUND */
async function targetOf(rail: Rail, name: string, contentType: string | undefined): Promise<Target> {
  const { kind } = await rail.request('describeTopic', { name });
  const handles = new Map<string, Target>();
  const handle = (type: string): Target => {
    const known = handles.get(type);
    if (known !== undefined) return known;
    const made = targetFor(rail, name, kind, type);
    handles.set(type, made);
    return made;
  };
  const typeOf = (bytes: Uint8Array): string => contentType ?? detect(bytes);
  return {
    send: (bytes, options) => handle(typeOf(bytes)).send(bytes, options),
    sendMany: (bodies, options) => handle(typeOf(bodies[0] ?? new Uint8Array())).sendMany(bodies, options),
  };
}

function targetFor(rail: Rail, name: string, kind: 'queue' | 'topic', contentType: string): Target {
  const codec: Codec<Uint8Array> = { contentType, encode: (bytes) => bytes, decode: (bytes) => bytes };
  if (kind === 'queue') {
    const queue = rail.queue(defineQueue(name, { codec }));
    return {
      send: (bytes, options) => queue.send(bytes, options),
      sendMany: (bodies, options) => queue.sendMany(bodies, options),
    };
  }
  const topic = rail.topic(defineTopic(name, { codec }));
  return {
    send: (bytes, options) => topic.publish(bytes, options),
    sendMany: (bodies, options) => topic.publishMany(bodies, options),
  };
}

function detect(bytes: Uint8Array): string {
  if (!isUtf8(bytes)) return 'application/octet-stream';
  try {
    JSON.parse(textOf(bytes));
    return DEFAULT_CONTENT_TYPE;
  } catch {
    return 'text/plain; charset=utf-8';
  }
}

function sendOptions(options: Options): SendOptions {
  const { key, priority, delay, ttl, dedupeId, header } = options;
  return {
    ...(key !== undefined && { key }),
    ...(priority !== undefined && { priority }),
    ...(delay !== undefined && { delay: delayOf(delay) }),
    // The SDK checks it and says what is allowed.
    ...(ttl !== undefined && { ttl: ttl as Duration }),
    ...(dedupeId !== undefined && { dedupeId }),
    ...(header.length > 0 && { headers: pairs(header, '--header') }),
  };
}

function delayOf(text: string): Duration | Date {
  if (/^\d{4}-/.test(text) && !Number.isNaN(Date.parse(text))) return new Date(text);
  return text as Duration;
}

async function sendOne(target: Target, body: string, options: Options): Promise<void> {
  const bytes = await bytesOf(body);
  const send = sendOptions(options);
  if (options.count === 1) {
    const { id, duplicate } = await target.send(bytes, send);
    if (options.json) printJson({ id, duplicate });
    else print(duplicate ? `${id} (stored before)` : id);
    return;
  }
  const total = new Total(options);
  for (let sent = 0; sent < options.count; sent += BATCH) {
    total.add(
      await target.sendMany(
        Array.from({ length: Math.min(BATCH, options.count - sent) }, () => bytes),
        send,
      ),
    );
  }
  total.end();
}

async function sendLines(target: Target, body: string, options: Options): Promise<void> {
  if (options.count !== 1) throw new UsageError('Both --lines and --count are given. Give one of them.');
  const send = sendOptions(options);
  const total = new Total(options);
  let batch: Uint8Array[] = [];
  let bytes = 0;
  let type = '';
  const flush = async (): Promise<void> => {
    if (batch.length > 0) total.add(await target.sendMany(batch, send));
    batch = [];
    bytes = 0;
  };
  for await (const line of createInterface({ input: await streamOf(body), crlfDelay: Infinity })) {
    if (line === '') continue;
    const encoded = Buffer.from(line, 'utf8');
    const own = options.contentType ?? detect(encoded);
    // One batch has one content type.
    if (batch.length >= BATCH || bytes > MAX_BATCH_BYTES || own !== type) await flush();
    type = own;
    batch.push(encoded);
    bytes += encoded.byteLength;
  }
  await flush();
  total.end();
}

class Total {
  readonly #json: boolean;
  readonly #progress = new Progress();
  #sent = 0;
  #duplicates = 0;

  constructor({ json }: Options) {
    this.#json = json === true;
  }

  add(sent: readonly Sent[]): void {
    this.#sent += sent.length;
    this.#duplicates += sent.filter(({ duplicate }) => duplicate).length;
    this.#progress.update(`${count(this.#sent)} sent`);
  }

  end(): void {
    this.#progress.end();
    if (this.#json) printJson({ sent: this.#sent, duplicates: this.#duplicates });
    else
      print(
        `Sent ${count(this.#sent)} messages${this.#duplicates > 0 ? `, ${count(this.#duplicates)} of them stored before` : ''}.`,
      );
  }
}

async function bytesOf(body: string): Promise<Uint8Array> {
  if (body !== '-' && !body.startsWith('@')) return Buffer.from(body, 'utf8');
  if (body !== '-') return readFile(body.slice(1)).catch(() => refuseFile(body.slice(1)));
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(asBuffer(chunk as Uint8Array));
  return Buffer.concat(chunks);
}

async function streamOf(body: string): Promise<NodeJS.ReadableStream> {
  if (body === '-') return process.stdin;
  if (!body.startsWith('@')) throw new UsageError('--lines reads standard input or @FILE.');
  const file = await open(body.slice(1)).catch(() => refuseFile(body.slice(1)));
  return file.createReadStream();
}

function refuseFile(file: string): never {
  throw new UsageError(`The file ${file} cannot be read. Check the path after @.`);
}
