import type { FloorRole } from '../roles/floor.ts';
import type { Calm } from './calm.ts';
import { Child } from './process.ts';
import { inTempDir } from './row.ts';

export interface FloorOptions {
  perSecond: number;
  seconds: number;
  warmUps: number;
  runs: number;
  calm: Calm;
}

/**
 * What this machine takes for the path of a message with no broker on it: the bytes go through sockets of three processes
 * and a file that is synced (`roles/floor.ts`). Latencies of each run, ms.
 */
export function floorLatencies({ perSecond, seconds, warmUps, runs, calm }: FloorOptions): Promise<Float64Array[]> {
  return inTempDir(async (dir) => {
    const start = (): Promise<Child<FloorRole>> => Child.start<FloorRole>('floor', { dir });
    const [relay, producer, receiver] = [await start(), await start(), await start()];
    try {
      const port = await relay.call('relay');
      const measure = async (): Promise<Float64Array> => {
        await receiver.call('receive', { port, messages: perSecond * seconds });
        await producer.call('publishAtRate', { port, perSecond, seconds });
        return (await receiver.call('latencies')) ?? new Float64Array();
      };
      const all: Float64Array[] = [];
      for (let run = 0; run < warmUps; run++) await measure();
      for (let run = 0; run < runs; run++) all.push(await calm.measure(measure));
      return all;
    } finally {
      for (const child of [producer, receiver, relay]) await child.stop();
    }
  });
}
