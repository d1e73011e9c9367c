/** Very many connections of one process: clients that have logged in and do nothing, and strangers that never will. */
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { constants, setPriority } from 'node:os';
import { RawClient } from '../../test/native/raw-client.ts';
import { UPGRADE_PATH, UPGRADE_PROTOCOL } from '../../src/wire/frames.ts';

const UPGRADE = `GET ${UPGRADE_PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: ${UPGRADE_PROTOCOL}\r\n\r\n`;
const AT_ONCE = 100;
/**
 * On average; what slowloris.py, the tool by whose name such strangers go, waits by default before it opens again what was
 * closed. More often, or all in one moment, would be a flood of new connections, which is something else.
 */
const AGAIN_MS = 15_000;
const BYTE_MS = 1_000;

export async function start({ port }: { port: number }) {
  // Strangers have machines of their own: here they get what the broker and its clients leave of the processors.
  setPriority(constants.priority.PRIORITY_LOW);
  const sockets = new Set<Socket>();
  let over = false;
  let refused = 0;
  const dial = (): Socket => {
    const socket = createConnection({ port, host: '127.0.0.1' });
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    return socket;
  };
  const logIn = async (): Promise<void> => {
    const socket = dial();
    await once(socket, 'connect');
    socket.write(UPGRADE);
    // The answer comes before anything of the protocol is asked.
    await once(socket, 'data');
    await new RawClient(socket).hello();
  };
  /** Says nothing, or half a request and then a byte each second; comes again when it is sent away. */
  const stray = (index: number): void => {
    const socket = dial();
    let timer: NodeJS.Timeout | undefined;
    socket.once('connect', () => {
      if (index % 2 === 0) return;
      socket.write('GET /api/v1/queues HTTP/1.1\r\nHost: localhost\r\nX-Slow: ');
      timer = setInterval(() => socket.write('x'), BYTE_MS);
    });
    socket.once('close', () => {
      clearInterval(timer);
      refused++;
      if (!over) setTimeout(() => stray(index), AGAIN_MS * (0.5 + Math.random()));
    });
  };
  return {
    open: async (count: number): Promise<number> => {
      for (let done = 0; done < count; done += AT_ONCE)
        await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - done) }, logIn));
      return sockets.size;
    },
    stray: async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) {
        stray(i);
        if (i % AT_ONCE === 0) await new Promise((resolve) => setImmediate(resolve));
      }
    },
    /** How often the broker has ended a connection of a stranger. */
    refused: (): number => refused,
    close: (): void => {
      over = true;
      for (const socket of sockets) socket.destroy();
    },
  };
}

export type CrowdRole = Awaited<ReturnType<typeof start>>;
