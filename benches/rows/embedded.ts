import type { Figure } from '../harness/figures.ts';
import { Child } from '../harness/process.ts';
import { delayed, inTempDir, type Row } from '../harness/row.ts';
import type { WaitingRole } from '../roles/waiting.ts';

export const embedded: Row = {
  name: 'embedded',
  title:
    'Publish with the broker in the same process, SDK included: sendMany of 100 messages of 100 B, confirmed after fdatasync',
  async run({ scale, runs, delays, log }) {
    const figures: Figure[] = [];
    const messages = Math.round(1_000_000 * scale);
    for (const syncMs of delays) {
      await inTempDir(async (dir) => {
        const child = await Child.start<WaitingRole>('waiting', { dir, syncMs });
        const samples: number[] = [];
        for (let run = -1; run < runs; run++) {
          const queue = `q${run}`;
          const ms = await child.call('sendMany', { queue, messages: run < 0 ? messages / 4 : messages, batch: 100 });
          if (run >= 0) samples.push((messages * 1000) / ms);
          await child.call('remove', queue);
        }
        const must = syncMs === 0 ? { must: { atLeast: 500_000 } } : {};
        figures.push({ what: `sendMany of 100, embedded${delayed(syncMs)}`, unit: '/s', samples, ...must });
        await child.stop();
        log(`embedded${delayed(syncMs)}: done`);
      });
    }
    return { figures };
  },
};
