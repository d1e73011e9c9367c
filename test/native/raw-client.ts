import type { Duplex } from 'node:stream';
import type { RailheadError } from '../../src/core/errors.ts';
import { ByteReader } from '../../src/wire/byte-reader.ts';
import { readData, writeFrameData } from '../../src/wire/data.ts';
import { fromWireError } from '../../src/wire/errors.ts';
import { FrameReader } from '../../src/wire/frame-reader.ts';
import { FRAME } from '../../src/wire/frames.ts';
import { checkWelcome, type Welcome } from '../../src/wire/handshake.ts';
import { Output } from '../../src/wire/output.ts';

export const HELLO = { protocol: { min: 1, max: 1 }, client: { name: 'raw', version: '0' }, namespace: 'default' };

export interface RawFrame {
  type: number;
  fields: ByteReader;
}

/** A client made of the codec alone, which does what a test says and nothing of its own. */
export class RawClient {
  readonly socket: Duplex;
  readonly out: Output;
  readonly frames: RawFrame[] = [];
  readonly closed: Promise<void>;
  #waiting: ((frame: RawFrame | undefined) => void)[] = [];
  #over = false;

  constructor(socket: Duplex) {
    this.socket = socket;
    this.out = new Output(socket);
    const reader = new FrameReader((type, buffer, start, end) => {
      const fields = new ByteReader();
      fields.set(Buffer.from(buffer.subarray(start, end)), 0, end - start);
      const waiting = this.#waiting.shift();
      if (waiting === undefined) this.frames.push({ type, fields });
      else waiting({ type, fields });
    }, 1 << 30);
    socket.on('data', (chunk: Buffer) => reader.push(chunk));
    socket.on('error', () => socket.destroy());
    const over = (): void => {
      this.#over = true;
      for (const waiting of this.#waiting) waiting(undefined);
      this.#waiting = [];
    };
    socket.on('end', () => {
      over();
      socket.end();
    });
    this.closed = new Promise((resolve) =>
      socket.on('close', () => {
        over();
        resolve();
      }),
    );
  }

  /** The next frame, or undefined when the connection is over. */
  next(): Promise<RawFrame | undefined> {
    const frame = this.frames.shift();
    if (frame !== undefined || this.#over) return Promise.resolve(frame);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  async hello(over: object = {}): Promise<Welcome> {
    writeFrameData(this.out, FRAME.HELLO, { ...HELLO, ...over });
    this.out.flush();
    const frame = await this.next();
    if (frame?.type === FRAME.GOODBYE) throw fromWireError(readData(frame.fields));
    if (frame?.type !== FRAME.WELCOME) throw new Error(`no WELCOME but ${frame?.type}`);
    return checkWelcome(readData(frame.fields));
  }

  /** What the broker says before it closes. */
  async goodbye(): Promise<RailheadError | undefined> {
    for (let frame = await this.next(); frame !== undefined; frame = await this.next()) {
      if (frame.type === FRAME.GOODBYE) return fromWireError(readData(frame.fields));
    }
    return undefined;
  }
}
