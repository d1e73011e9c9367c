import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { SystemClock } from '../../core/clock.ts';
import { RailheadError } from '../../core/errors.ts';
import { type Load, LoadMeter, suggestConsumers } from '../../core/scaling.ts';
import { type Duration, durationMs } from '../../core/units.ts';
import type { Rail } from '../../sdk/rail.ts';
import { brokerOptions, withRail, type BrokerOptions } from '../broker.ts';
import { Autoscaler } from '../scaling/autoscaler.ts';
import { startWorker } from '../scaling/worker-process.ts';
import { note, printJson, safe } from '../terminal.ts';
import { UsageError, wholeNumber } from '../usage.ts';

interface Options extends BrokerOptions {
  queue: string;
  subscription?: string;
  min: number;
  max: number;
  drain: Duration;
  interval: Duration;
  grace: Duration;
}

export function configure(command: Command): void {
  brokerOptions(
    command
      .argument('<command...>', 'what a worker is: railhead autoscale -q QUEUE -- node worker.js')
      .requiredOption('-q, --queue <NAME>', 'the queue, or the topic of the subscription')
      .option('-s, --subscription <NAME>', 'the subscription of that topic')
      .option('--min <COUNT>', 'never fewer', wholeNumber, 1)
      .option('--max <COUNT>', 'never more', wholeNumber, 10)
      .option('--drain <DURATION>', 'how soon a backlog should be gone', '1m')
      .option('--interval <DURATION>', 'between two looks', '5s')
      .option('--grace <DURATION>', 'how long a worker that is asked to end may take', '30s'),
  ).action(async ([file = '', ...args]: string[], options: Options) => {
    const { min, max } = options;
    if (max < 1 || min > max)
      throw new UsageError(`--min is ${min} and --max is ${max}; write 1 or more, --min not above --max.`);
    await withRail(options, (rail) => scale(rail, file, args, options));
  });
}

async function scale(rail: Rail, command: string, args: readonly string[], options: Options): Promise<void> {
  const { min, max } = options;
  const [drainMs, intervalMs, graceMs] = [
    durationMs(options.drain, '--drain'),
    durationMs(options.interval, '--interval'),
    durationMs(options.grace, '--grace'),
  ];
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort()).once('SIGTERM', () => stop.abort());
  // Half of it: two looks lie a little less than the interval apart at times.
  const meter = new LoadMeter(new SystemClock(), intervalMs / 2);
  const scaler = new Autoscaler({
    fewest: min,
    most: max,
    start: (number) =>
      startWorker({
        command,
        args,
        graceMs,
        onEnd: (how) => note(`Worker ${number} ended by itself (${how}). Another one is started at the next look.`),
      }),
  });
  try {
    while (!stop.signal.aborted) {
      const load = await look(rail, meter, options);
      // Without an answer nothing changes: workers lost their broker too, and connect again by themselves.
      if (load !== undefined) {
        const wanted = suggestConsumers(load, { drainMs, min, max });
        scaler.look(wanted);
        if (options.json) printJson({ at: new Date().toISOString(), ...load, wanted, workers: scaler.workers });
      }
      await sleep(intervalMs, undefined, { signal: stop.signal }).catch(() => undefined);
    }
  } finally {
    await scaler.close();
  }
}

/** Undefined when the broker does not answer. @throws NOT_FOUND */
async function look(rail: Rail, meter: LoadMeter, { queue, subscription = queue }: Options): Promise<Load | undefined> {
  try {
    const topic = await rail.request('topicStats', { name: queue });
    const own = topic.subscriptions.find((each) => each.subscription === subscription);
    if (own === undefined)
      throw new RailheadError(
        'NOT_FOUND',
        `${safe(queue)} has no subscription ${safe(subscription)}. Name one with --subscription.`,
      );
    return meter.look(queue, topic, own);
  } catch (error) {
    if (!(error instanceof RailheadError) || !error.retryable) throw error;
    note(`The broker does not answer: ${safe(error.message)}`);
    return undefined;
  }
}
