/** Sends sign-ups over HTTP as fast as asked, or as fast as they are answered, and reports how it went. */
import { connect, type Socket } from 'node:net';
import { z } from 'zod';
import { quantile } from '../numbers.ts';
import { people } from '../parts/people.ts';
import { fail, report, startedWith, untilStopped } from './channel.ts';

const Config = z.object({ port: z.number(), path: z.string(), perSecond: z.number(), seconds: z.number() });
export type BurstConfig = z.infer<typeof Config>;

const CONNECTIONS = 64;
const HEAD_END = '\r\n\r\n';

/**
 * Node's own HTTP client would take more of the machine than the service that it asks: these are bare sockets with one
 * request on each. The answers have no body.
 */
async function burst({ port, path, perSecond, seconds }: BurstConfig): Promise<void> {
  const bodies = people(512).map((person) => JSON.stringify(person));
  const requests = bodies.map((body) => requestFor(path, body));
  const latencies: number[] = [];
  let sent = 0;
  let refused = 0;
  const started = performance.now();
  const due = (): number => Math.min(perSecond * seconds, ((performance.now() - started) / 1000) * perSecond);

  const lane = async (socket: Socket): Promise<void> => {
    let text = '';
    let wake: (() => void) | undefined;
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      text += chunk;
      if (text.includes(HEAD_END)) wake?.();
    });
    socket.on('close', () => wake?.());
    while (performance.now() - started < seconds * 1000 && !socket.destroyed) {
      if (sent >= due()) {
        await new Promise((resolve) => setTimeout(resolve, 1));
        continue;
      }
      const at = performance.now();
      text = '';
      socket.write(requests[sent++ % requests.length] ?? '');
      await new Promise<void>((resolve) => (wake = resolve));
      if (text.startsWith('HTTP/1.1 202')) latencies.push(performance.now() - at);
      else refused++;
    }
    socket.destroy();
  };

  await Promise.all(Array.from({ length: CONNECTIONS }, async () => lane(await open(port))));
  report({
    type: 'burst',
    accepted: latencies.length,
    refused,
    elapsedMs: performance.now() - started,
    medianMs: quantile(latencies, 0.5),
    p99Ms: quantile(latencies, 0.99),
  });
}

function requestFor(path: string, body: string): string {
  return `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

function open(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true }, () => resolve(socket));
    socket.on('error', reject);
  });
}

untilStopped(async () => undefined);
report({ type: 'ready' });
burst(startedWith(Config)).catch(fail);
