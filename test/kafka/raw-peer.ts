import { once } from 'node:events';
import { createConnection } from 'node:net';
import type { Duplex } from 'node:stream';
import { type ApiName, APIS, type Apis } from '../../src/gateways/kafka/apis.ts';
import { FRAME_HEADER_BYTES, Reader, Writer } from '../../src/gateways/kafka/codec.ts';
import type { Api, Loose } from '../../src/gateways/kafka/fields.ts';
import { FrameCutter } from '../../src/wire/frame-cutter.ts';

export type Answer<A> = A extends Api<infer _, infer R> ? R : never;
export type Question<A> = A extends Api<infer Q> ? Loose<Q> : never;

/** A client that does what a test tells it, right or wrong, with our own tables. */
export class RawPeer {
  readonly socket: Duplex;
  #next = 1;
  readonly #waiting = new Map<number, (frame: Buffer | null) => void>();

  private constructor(socket: Duplex) {
    this.socket = socket;
    const cutter = new FrameCutter(FRAMES, (buffer, from, end) => {
      const frame = Buffer.from(buffer.subarray(from + FRAME_HEADER_BYTES, end));
      const id = frame.readInt32BE(0);
      this.#waiting.get(id)?.(frame);
      this.#waiting.delete(id);
    });
    socket.on('data', (chunk: Buffer) => cutter.push(chunk));
    socket.on('error', () => {});
    socket.on('close', () => {
      for (const resolve of this.#waiting.values()) resolve(null);
    });
  }

  static async dial(port: number): Promise<RawPeer> {
    const socket = createConnection({ port, host: '127.0.0.1' });
    await once(socket, 'connect');
    return new RawPeer(socket);
  }

  /** Over a connection that is there already, of whatever kind. */
  static over(socket: Duplex): RawPeer {
    return new RawPeer(socket);
  }

  /** Asks, in that version. Null when the broker ends the connection instead. */
  async ask<N extends ApiName>(
    name: N,
    version: number,
    request: Question<Apis[N]>,
    readAs = version,
  ): Promise<Answer<Apis[N]> | null> {
    const correlationId = this.#next++;
    const answer = this.answerTo(correlationId);
    this.socket.write(encodeRequest(name, version, correlationId, request));
    const frame = await answer;
    return frame === null ? null : readAnswer(name, readAs, frame);
  }

  answerTo(correlationId: number): Promise<Buffer | null> {
    return new Promise((resolve) => {
      if (this.socket.destroyed) resolve(null);
      this.#waiting.set(correlationId, resolve);
    });
  }
}

/** How answers are told apart in what comes. */
export const FRAMES = {
  headerBytes: FRAME_HEADER_BYTES,
  frameBytes: (buffer: Buffer, at: number): number => FRAME_HEADER_BYTES + buffer.readInt32BE(at),
};

/** What follows the length of a frame: a correlation id and the answer, to its last byte. */
export function readAnswer<N extends ApiName>(name: N, version: number, frame: Buffer): Answer<Apis[N]> {
  const api: Api = APIS[name];
  const flexible = version >= api.flexibleFrom;
  const reader = new Reader(frame, 4, frame.byteLength, version, flexible);
  if (flexible && name !== 'apiVersions') reader.varint();
  const value = api.response.read(reader);
  if (reader.at !== frame.byteLength)
    throw new Error(`${name} ${version}: its answer has ${frame.byteLength - reader.at} bytes too many`);
  // What the table of this API reads.
  return value as Answer<Apis[N]>;
}

export function encodeRequest(name: ApiName, version: number, correlationId: number, request: unknown): Buffer {
  const api: Api = APIS[name];
  const flexible = version >= api.flexibleFrom;
  const writer = new Writer(version, flexible);
  writer.int16(api.key);
  writer.int16(version);
  writer.int32(correlationId);
  writer.int16(3);
  writer.bytes(Buffer.from('raw'));
  if (flexible) writer.varint(0);
  api.request.write(writer, request);
  const pieces = writer.take();
  const size = Buffer.alloc(4);
  size.writeInt32BE(pieces.reduce((sum, piece) => sum + piece.byteLength, 0));
  return Buffer.concat([size, ...pieces]);
}
