import type { Command } from 'commander';
import type { Duration } from '../../core/units.ts';
import { DEFAULT_CONTENT_TYPE } from '../../core/records.ts';
import type { Message } from '../../sdk/message.ts';
import type { Rail } from '../../sdk/rail.ts';
import type { Subscription } from '../../sdk/subscription.ts';
import { withRail } from '../broker.ts';
import { messageLine, type ShownMessage } from '../messages.ts';
import { subscriptionOptions, type SubscriptionOptions } from '../subscription.ts';
import { note, print, printJson } from '../terminal.ts';
import { UsageError, wholeNumber } from '../usage.ts';

interface Options extends SubscriptionOptions {
  max: number;
  wait: string;
  lease?: string;
  ack: boolean;
  reject?: string;
  follow?: boolean;
  body?: boolean;
}

export function configure(command: Command): void {
  subscriptionOptions(command)
    .option('-n, --max <COUNT>', 'at most so many messages', wholeNumber, 1)
    .option('-w, --wait <DURATION>', 'how long to wait for the first one', '0s')
    .option('-f, --follow', 'go on until interrupted')
    .option('--lease <DURATION>', "how long they are held (default: the queue's)")
    .option('--no-ack', 'give them back instead of acknowledging; counts no attempt')
    .option('--reject <REASON>', 'send them to the dead-letter queue instead')
    .option('--body', 'print nothing but the bodies')
    .action(async (name: string, options: Options) => {
      await withRail(options, async (rail) => {
        const from = await sourceOf(rail, name, options.subscription);
        const received = options.follow ? await follow(from, options) : await receiveOnce(from, options);
        if (received === 0) {
          note('No messages.');
          process.exitCode = options.follow ? 0 : 1;
        }
      });
    });
}

/** @throws NOT_FOUND, and UsageError when a topic is named without a subscription. */
async function sourceOf(rail: Rail, name: string, subscription: string | undefined): Promise<Subscription<unknown>> {
  const { kind, subscriptions } = await rail.request('describeTopic', { name });
  if (kind === 'queue') return rail.queue(name);
  const names = subscriptions.map((one) => one.subscription);
  if (subscription === undefined || !names.includes(subscription)) {
    const known =
      names.length === 0
        ? 'It has none yet: railhead declare TOPIC --subscription NAME.'
        : `It has ${names.join(', ')}.`;
    throw new UsageError(`${name} is a topic: name one of its subscriptions with --subscription. ${known}`);
  }
  return rail.topic(name).subscription(subscription);
}

async function receiveOnce(from: Subscription<unknown>, options: Options): Promise<number> {
  const { max, wait, lease } = options;
  const messages = await from.fetch({
    max,
    wait: wait as Duration,
    ...(lease !== undefined && { lease: lease as Duration }),
  });
  for (const message of messages) await take(message, options);
  return messages.length;
}

async function follow(from: Subscription<unknown>, options: Options): Promise<number> {
  const stop = new AbortController();
  const onSignal = (): void => stop.abort();
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  let received = 0;
  for await (const message of from.messages({ prefetch: 10, signal: stop.signal })) {
    await take(message, options);
    received++;
  }
  return received;
}

/** Shown first, settled then: what was not printed is not lost. */
async function take(message: Message<unknown>, options: Options): Promise<void> {
  show(message, options);
  if (options.reject !== undefined) await message.reject(options.reject);
  else if (options.ack) await message.ack();
  else await message.release({ after: '0s', count: false });
}

function show(message: Message<unknown>, options: Options): void {
  const { id, key, headers, priority, attempt, publishedAt, contentType, history, body } = message;
  if (options.body) {
    if (body instanceof Uint8Array) process.stdout.write(body);
    else print(typeof body === 'string' ? body : String(JSON.stringify(body)));
    return;
  }
  const shown: ShownMessage = {
    id,
    publishedAt: publishedAt.toISOString(),
    attempt,
    ...(key !== undefined && { key }),
    ...(priority > 0 && { priority }),
    ...(contentType !== DEFAULT_CONTENT_TYPE && { contentType }),
    ...(Object.keys(headers).length > 0 && { headers }),
    ...(body instanceof Uint8Array ? { base64: Buffer.from(body).toString('base64') } : { body }),
    ...(history !== undefined && { history }),
  };
  if (options.json) printJson(shown);
  else print(messageLine(shown));
}
