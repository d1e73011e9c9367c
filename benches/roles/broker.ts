/** A broker behind the native protocol, in a process of its own. */
import { LOCAL_PRINCIPAL } from '../../src/core/auth.ts';
import { Metrics } from '../../src/server/metrics/metrics.ts';
import { fixYoungGeneration } from '../../src/server/young-generation.ts';
import { type BrokerOptions, listen, openBroker } from '../harness/broker.ts';

export interface BrokerRoleOptions extends BrokerOptions {
  /** With OpenTelemetry set up, and that share of the traces recorded. */
  traced?: number;
  /** With `/metrics`, for `scrapeEvery`. */
  scraped?: boolean;
}

export async function start(options: BrokerRoleOptions) {
  // As `railhead serve` does.
  fixYoungGeneration();
  const { broker, disk } = await openBroker(options);
  const { traced, scraped = false } = options;
  if (traced !== undefined) (await import('../harness/tracing.ts')).setUpTracing(traced);
  const url = await listen(broker);
  const metrics = scraped ? new Metrics({ broker, protocols: () => [], limit: 1_000 }) : undefined;
  let scraping: NodeJS.Timeout | undefined;
  return {
    url: (): string => url,
    /** fdatasyncs so far, and messages in one step that made one necessary. */
    counters: (): { fdatasyncs: number; batches: number; entries: number } => {
      const { counters } = broker.info();
      return { fdatasyncs: disk.syncs, batches: counters['batches'] ?? 0, entries: counters['entries'] ?? 0 };
    },
    /** As Prometheus does; null to stop it. Nothing where there is nothing to scrape. */
    scrapeEvery: (ms: number | null): void => {
      clearInterval(scraping);
      if (ms === null || metrics === undefined) return;
      scraping = setInterval(() => {
        void metrics.scrape(LOCAL_PRINCIPAL).then((out) => [...out.pieces()].length);
      }, ms);
    },
    settled: (): Promise<void> => broker.settled(),
    close: (): Promise<void> => broker.close(),
  };
}

export type BrokerRole = Awaited<ReturnType<typeof start>>;
