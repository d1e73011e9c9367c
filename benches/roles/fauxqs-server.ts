/** fauxqs as its documentation starts it in a process of its own, without its log. */
import { loadPeer } from '../peers/load.ts';

interface Fauxqs {
  startFauxqs(options: { port: number; logger: boolean }): Promise<{ address: string }>;
}

export async function start() {
  const peer = await loadPeer<Fauxqs>('fauxqs');
  const server = await peer?.startFauxqs({ port: 0, logger: false });
  return {
    /** Undefined when it is not installed. */
    url: (): string | undefined => server?.address.replace('[::1]', '127.0.0.1'),
  };
}

export type FauxqsServerRole = Awaited<ReturnType<typeof start>>;
