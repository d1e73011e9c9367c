/** Railhead as `railhead serve` starts it, with room for many connections. */
import { readFileSync } from 'node:fs';
import { startServer } from '../../src/server/index.ts';
import { fixYoungGeneration } from '../../src/server/young-generation.ts';

export async function start({ dir, connections }: { dir: string; connections: number }) {
  fixYoungGeneration();
  const server = await startServer({
    dir,
    port: 0,
    host: ['127.0.0.1'],
    limits: { connections },
    log: { level: 'error' },
  });
  return {
    url: (): string => server.url,
    port: (): number => server.port,
    /** What the system counts for the process: what V8 says of itself leaves most of it out. */
    residentMiB: (): number => {
      const [, kibibytes] = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
      return Number(kibibytes) / 1024;
    },
  };
}

export type ConnectionsServerRole = Awaited<ReturnType<typeof start>>;
