import { once } from 'node:events';
import type { Command } from 'commander';
import type { StartAt } from '../../core/session.ts';
import type { Rail } from '../../sdk/rail.ts';
import { brokerOptions, withRail, type BrokerOptions } from '../broker.ts';
import { messageLine, showRun } from '../messages.ts';
import { print, printJson } from '../terminal.ts';
import { startOf, wholeNumber } from '../usage.ts';

interface Options extends BrokerOptions {
  from: string;
  max?: number;
}

const WAIT_MS = 20_000;

export function configure(command: Command): void {
  brokerOptions(
    command
      .argument('<name>', 'the queue or topic')
      .option('--from <WHERE>', 'start, end, or a time such as 2026-11-01T00:00:00Z', 'end')
      .option('-n, --max <COUNT>', 'stop after so many messages', wholeNumber),
  ).action(async (name: string, options: Options) => {
    const from = startOf(options.from, '--from');
    await withRail(options, async (rail) => {
      const { policy } = await rail.request('describeTopic', { name });
      const tail = new Tail(rail, name, options);
      process.once('SIGINT', () => tail.stop()).once('SIGTERM', () => tail.stop());
      await tail.follow(policy.partitions, from);
    });
  });
}

/** Reads every partition by offset, side by side. Nothing is leased or settled. */
class Tail {
  readonly #rail: Rail;
  readonly #topic: string;
  readonly #options: Options;
  readonly #over = new AbortController();
  #left: number;

  constructor(rail: Rail, topic: string, options: Options) {
    this.#rail = rail;
    this.#topic = topic;
    this.#options = options;
    this.#left = options.max ?? Infinity;
  }

  async follow(partitions: number, from: StartAt): Promise<void> {
    const readers = Array.from({ length: partitions }, (_, partition) => this.#read(partition, from));
    // A reader waits for the broker up to 20 s: nobody waits for that.
    const stopped = once(this.#over.signal, 'abort');
    await Promise.race([Promise.all(readers), stopped]);
  }

  stop(): void {
    this.#over.abort();
  }

  #isOver(): boolean {
    return this.#over.signal.aborted;
  }

  async #read(partition: number, start: StartAt): Promise<void> {
    let from = start;
    while (!this.#isOver()) {
      let result;
      try {
        result = await this.#rail.request('read', {
          topic: this.#topic,
          partition,
          from,
          waitMs: WAIT_MS,
          maxBytes: 1 << 20,
        });
      } catch (error) {
        // The rail is closed while other partitions still wait.
        if (this.#isOver()) return;
        throw error;
      }
      for (const run of result.runs) for (const message of showRun(run)) this.#show(message);
      from = { offset: result.next };
    }
  }

  #show(message: ReturnType<typeof showRun>[number]): void {
    if (this.#left <= 0) return;
    if (this.#options.json) printJson(message);
    else print(messageLine(message));
    if (--this.#left <= 0) this.stop();
  }
}
