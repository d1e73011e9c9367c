/** A broker behind the native protocol, in a process of its own. */
import { fixYoungGeneration } from '../../src/server/young-generation.ts';
import { type BrokerOptions, listen, openBroker } from '../harness/broker.ts';

export async function start(options: BrokerOptions) {
  // As `railhead serve` does.
  fixYoungGeneration();
  const { broker, disk } = await openBroker(options);
  const url = await listen(broker);
  return {
    url: (): string => url,
    /** fdatasyncs so far, and messages in one step that made one necessary. */
    counters: (): { fdatasyncs: number; batches: number; entries: number } => {
      const { counters } = broker.info();
      return { fdatasyncs: disk.syncs, batches: counters['batches'] ?? 0, entries: counters['entries'] ?? 0 };
    },
    settled: (): Promise<void> => broker.settled(),
    close: (): Promise<void> => broker.close(),
  };
}

export type BrokerRole = Awaited<ReturnType<typeof start>>;
