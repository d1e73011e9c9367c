import type { Figure } from '../harness/figures.ts';
import { Child } from '../harness/process.ts';
import type { Row } from '../harness/row.ts';
import type { TestBrokerRole } from '../roles/test-broker.ts';

export const testBroker: Row = {
  name: 'test-broker',
  title: 'testBroker() until it is ready',
  async run({ runs }) {
    const first: number[] = [];
    const later: number[] = [];
    const load: number[] = [];
    for (let run = 0; run < Math.max(3, runs); run++) {
      const child = await Child.start<TestBrokerRole>('test-broker', {});
      const times = await child.call('measure');
      load.push(times.loadMs);
      first.push(times.readyMs[0] ?? NaN);
      later.push(...times.readyMs.slice(1));
      await child.stop();
    }
    const figures: Figure[] = [
      { what: 'the first one in a process', unit: 'ms', samples: first, must: { atMost: 50 } },
      { what: 'each later one', unit: 'ms', samples: later, must: { atMost: 50 } },
      { what: "import 'railhead/testing', from source", unit: 'ms', samples: load },
    ];
    return { figures };
  },
};
