import { Writable } from 'node:stream';
import type { SeededRandom } from '../../src/core/random.ts';
import {
  AmqpFrames,
  AmqpOutput,
  BASIC_CLASS,
  CONTENT_PREFIX_BYTES,
  FRAME,
  FRAME_END,
  FRAME_HEADER_BYTES,
} from '../../src/gateways/amqp/codec.ts';
import type { Field, Table } from '../../src/gateways/amqp/fields.ts';
import { type Arguments, type FieldKind, METHODS, type MethodName } from '../../src/gateways/amqp/methods.ts';
import { FrameCutter } from '../../src/wire/frame-cutter.ts';

/** What `write` makes of an output, as bytes. */
export function written(write: (out: AmqpOutput) => void, frameMax = 131_072): Buffer {
  const chunks: Buffer[] = [];
  const out = new AmqpOutput(
    new Writable({
      write(chunk: Buffer, _encoding, done) {
        chunks.push(Buffer.from(chunk));
        done();
      },
    }),
  );
  out.frameMax = frameMax;
  write(out);
  out.flush();
  return Buffer.concat(chunks);
}

/** Frames, without the protocol header, however the bytes are split. */
export function cut(chunks: readonly Buffer[], maxFrameBytes = 131_072): Buffer[] {
  const shape = new AmqpFrames();
  shape.starting = false;
  shape.maxFrameBytes = maxFrameBytes;
  const frames: Buffer[] = [];
  const cutter = new FrameCutter(shape, (buffer, start, end) => frames.push(Buffer.from(buffer.subarray(start, end))));
  for (const chunk of chunks) cutter.push(chunk);
  return frames;
}

export function frameOf(type: number, channel: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(FRAME_HEADER_BYTES);
  header[0] = type;
  header.writeUInt16BE(channel, 1);
  header.writeUInt32BE(payload.byteLength, 3);
  return Buffer.concat([header, payload, Buffer.of(FRAME_END)]);
}

/** What follows a `basic.publish`, with a body that fits into one frame. */
export function content(channel: number, properties: Buffer, body: Buffer): Buffer[] {
  const prefix = Buffer.alloc(CONTENT_PREFIX_BYTES);
  prefix.writeUInt16BE(BASIC_CLASS, 0);
  prefix.writeBigUInt64BE(BigInt(body.byteLength), 4);
  const header = frameOf(FRAME.header, channel, Buffer.concat([prefix, properties]));
  const frames = [header];
  for (let at = 0; at < body.byteLength; at += MOST_BODY_BYTES)
    frames.push(frameOf(FRAME.body, channel, body.subarray(at, at + MOST_BODY_BYTES)));
  return frames;
}

/** Of one frame, when frames of 128 KiB were agreed on. */
const MOST_BODY_BYTES = 131_072 - 8;

const TYPES = 'tbBsuIilLfdDSxTAFV';

export function randomField(random: SeededRandom, depth = 0): Field {
  const type = TYPES[random.below(depth > 3 ? TYPES.indexOf('A') : TYPES.length)] as Field['type'];
  const whole = (bits: number, signed: boolean): number => {
    const value = random.below(2 ** bits);
    return signed ? value - 2 ** (bits - 1) : value;
  };
  switch (type) {
    case 't':
      return { type, value: random.below(2) === 1 };
    case 'b':
    case 'B':
      return { type, value: whole(8, type === 'b') };
    case 's':
    case 'u':
      return { type, value: whole(16, type === 's') };
    case 'I':
    case 'i':
      return { type, value: whole(32, type === 'I') };
    case 'l':
      return { type, value: BigInt.asIntN(64, (BigInt(whole(32, false)) << 32n) | BigInt(whole(32, false))) };
    case 'L':
    case 'T':
      return { type, value: (BigInt(whole(32, false)) << 32n) | BigInt(whole(32, false)) };
    case 'f':
      return { type, value: Math.fround(random.next() * 1000 - 500) };
    case 'd':
      return { type, value: random.next() * 1e9 };
    case 'D':
      return { type, scale: whole(8, false), unscaled: whole(32, true) };
    case 'S':
    case 'x':
      return { type, value: randomBytes(random, random.below(40)) };
    case 'A':
      return { type, value: Array.from({ length: random.below(4) }, () => randomField(random, depth + 1)) };
    case 'F':
      return { type, value: randomTable(random, depth + 1) };
    case 'V':
      return { type };
  }
}

export function randomTable(random: SeededRandom, depth = 0): Table {
  return new Map(
    Array.from({ length: random.below(6) }, (_, i): [string, Field] => [
      ['', 'a', 'x-match', '__proto__', 'ключ', `n${i}`][random.below(6)] ?? '',
      randomField(random, depth),
    ]),
  );
}

export function randomBytes(random: SeededRandom, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => random.below(256)));
}

function randomValue(kind: FieldKind, random: SeededRandom): unknown {
  switch (kind) {
    case 'octet':
      return random.below(256);
    case 'short':
      return random.below(2 ** 16);
    case 'long':
      return random.below(2 ** 32);
    case 'longlong':
      return random.below(2 ** 53);
    case 'bit':
      return random.below(2) === 1;
    case 'shortstr':
      return 'ключ-x'.repeat(random.below(10));
    case 'longstr':
      return randomBytes(random, random.below(300));
    case 'table':
      return randomTable(random);
  }
}

/** Arguments of every kind that the table of methods names. */
export function randomArguments<M extends MethodName>(name: M, random: SeededRandom): Arguments<M> {
  const fields = Object.entries<FieldKind>(METHODS[name].fields);
  // One value of its kind for each field.
  return Object.fromEntries(fields.map(([field, kind]) => [field, randomValue(kind, random)])) as Arguments<M>;
}
