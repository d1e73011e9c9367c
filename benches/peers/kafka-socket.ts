import { createConnection, type Socket } from 'node:net';
import { FRAME_HEADER_BYTES } from '../../src/gateways/kafka/codec.ts';
import { FrameCutter } from '../../src/wire/frame-cutter.ts';

/** Receives one answer: `buffer[from, end)`, from its correlation id on. */
export type FrameSink = (buffer: Buffer, from: number, end: number) => void;

/** Writes requests that are made already, and cuts what comes back into answers. */
export class KafkaSocket {
  readonly #socket: Socket;

  constructor(port: number, onFrame: FrameSink, onFailed: (error: Error) => void) {
    const frameBytes = (buffer: Buffer, at: number): number => FRAME_HEADER_BYTES + buffer.readInt32BE(at);
    const cutter = new FrameCutter({ headerBytes: FRAME_HEADER_BYTES, frameBytes }, (buffer, from, end) =>
      onFrame(buffer, from + FRAME_HEADER_BYTES, end),
    );
    this.#socket = createConnection({ port, host: '127.0.0.1', noDelay: true });
    this.#socket.on('data', (chunk: Buffer) => {
      try {
        cutter.push(chunk);
      } catch (error) {
        onFailed(error instanceof Error ? error : new Error(String(error)));
      }
    });
    this.#socket.on('error', onFailed);
    this.#socket.on('close', () => onFailed(new Error('The broker ended the connection.')));
  }

  write(request: Buffer): void {
    this.#socket.write(request);
  }

  end(): void {
    this.#socket.removeAllListeners('close');
    this.#socket.destroy();
  }
}
