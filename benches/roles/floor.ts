/**
 * What the machine takes for the path of a message with no broker in it: three processes, two sockets, one file that is
 * synced. A relay appends what has come, syncs, and passes it on; the receiver's acks are appended and synced too. No
 * queue, no protocol, no state: nothing durable can be faster here.
 */
import { once } from 'node:events';
import { fdatasync, fsyncSync, openSync, writeSync, writevSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { atRate } from '../harness/metronome.ts';
import { now } from '../harness/messages.ts';

const MESSAGE_BYTES = 160;
const ACK_BYTES = 32;
const FILE_BYTES = 64 * 2 ** 20;
/** What a socket says first. */
const PRODUCER = 1;
const RECEIVER = 2;

export async function start({ dir }: { dir: string }) {
  let receiving: Promise<Float64Array> | undefined;
  return {
    relay: (): Promise<number> => relay(dir),
    publishAtRate: ({ port, perSecond, seconds }: { port: number; perSecond: number; seconds: number }) =>
      publishAtRate(port, perSecond, seconds),
    /** Resolves when the relay knows where to send to. */
    receive: async ({ port, messages }: { port: number; messages: number }): Promise<void> => {
      const known = Promise.withResolvers<void>();
      receiving = receiveLatencies(port, messages, known.resolve);
      await known.promise;
    },
    latencies: () => receiving,
  };
}

export type FloorRole = Awaited<ReturnType<typeof start>>;

/** Answers its port. */
async function relay(dir: string): Promise<number> {
  const file = openSync(join(dir, 'floor'), 'w+');
  writeSync(file, Buffer.alloc(FILE_BYTES));
  fsyncSync(file);
  let at = 0;
  let gathered: { bytes: Buffer; kind: number | undefined }[] = [];
  let receiver: Socket | undefined;
  let isSyncing = false;
  const sync = (): void => {
    if (isSyncing || gathered.length === 0) return;
    const batch = gathered;
    gathered = [];
    isSyncing = true;
    const bytes = batch.reduce((sum, piece) => sum + piece.bytes.length, 0);
    if (at + bytes > FILE_BYTES) at = 0;
    at += writevSync(
      file,
      batch.map((piece) => piece.bytes),
      at,
    );
    fdatasync(file, (error) => {
      if (error !== null) throw error;
      isSyncing = false;
      for (const { bytes: piece, kind } of batch) if (kind === PRODUCER) receiver?.write(piece);
      sync();
    });
  };
  const server = createServer({ noDelay: true }, (socket) => {
    socket.once('data', (hello: Buffer) => {
      const [kind] = hello;
      if (kind === RECEIVER) receiver = socket;
      socket.on('data', (bytes: Buffer) => {
        gathered.push({ bytes, kind });
        sync();
      });
      socket.write(hello);
    });
    socket.on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

async function publishAtRate(port: number, perSecond: number, seconds: number): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  socket.write(Buffer.of(PRODUCER));
  await once(socket, 'data');
  await atRate(perSecond, Math.round(perSecond * seconds), (_, dueAt) => {
    const message = Buffer.alloc(MESSAGE_BYTES);
    message.writeDoubleLE(dueAt, 0);
    socket.write(message);
  });
  socket.end();
}

/** `known` is called once the relay has answered; its one byte may come together with the first messages. */
async function receiveLatencies(port: number, messages: number, known: () => void): Promise<Float64Array> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  socket.write(Buffer.of(RECEIVER));
  const latencies = new Float64Array(messages);
  let received = 0;
  let greeted = false;
  let rest: Buffer = Buffer.alloc(0);
  await new Promise<void>((resolve) => {
    socket.on('data', (chunk: Buffer) => {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      if (!greeted) {
        greeted = true;
        rest = rest.subarray(1);
        known();
      }
      for (; rest.length >= MESSAGE_BYTES && received < messages; rest = rest.subarray(MESSAGE_BYTES)) {
        latencies[received++] = now() - rest.readDoubleLE(0);
        socket.write(Buffer.alloc(ACK_BYTES));
      }
      if (received === messages) resolve();
    });
  });
  socket.end();
  return latencies;
}
