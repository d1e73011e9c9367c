import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import {
  type Channel,
  type ChannelModel,
  connect,
  type ConfirmChannel,
  type ConsumeMessage,
  type GetMessage,
  type Options,
} from 'amqplib';
import { place, type Place } from './broker.ts';

export interface Client extends Place {
  connection: ChannelModel;
  channel: ConfirmChannel;
}

export async function client(t: TestContext, options: Parameters<typeof place>[1] = {}): Promise<Client> {
  const at = await place(t, options);
  const connection = await connect(at.url);
  connection.on('error', () => {});
  t.after(() => connection.close().catch(() => {}));
  const channel = await connection.createConfirmChannel();
  channel.on('error', () => {});
  return { ...at, connection, channel };
}

export async function got(channel: Channel, queue: string, options?: Options.Get): Promise<GetMessage> {
  const message = await channel.get(queue, options);
  assert.ok(message !== false, `nothing in ${queue}`);
  return message;
}

export async function texts(channel: Channel, queue: string): Promise<string[]> {
  const found: string[] = [];
  for (;;) {
    const message = await channel.get(queue, { noAck: true });
    if (message === false) return found;
    found.push(message.content.toString());
  }
}

/** The error that closes a channel. */
export async function closedWith(channel: Channel, what: () => unknown): Promise<{ code: number; message: string }> {
  const failed = once(channel, 'error');
  await Promise.resolve(what()).catch(() => {});
  const [error] = await failed;
  return error as { code: number; message: string };
}

export async function consumed(
  channel: Channel,
  queue: string,
  count: number,
  options?: Options.Consume,
): Promise<ConsumeMessage[]> {
  const messages: ConsumeMessage[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const { consumerTag } = await channel.consume(
    queue,
    (message) => {
      if (message === null) return;
      messages.push(message);
      if (messages.length === count) resolve();
    },
    options,
  );
  await promise;
  await channel.cancel(consumerTag);
  return messages;
}
