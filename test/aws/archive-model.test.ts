/** FIFO topics that keep what is published, against a plain model: a list of messages, and who is to have which of them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { testBroker } from '../../src/testing/index.ts';
import { call } from './call.ts';

const ARN = 'arn:aws:sqs:us-east-1:000000000000';
const COLORS = ['red', 'blue'] as const;
type Color = (typeof COLORS)[number];
/** A queue knows a message again for so long; what is replayed sooner would not be stored twice. */
const DEDUPE_SECONDS = 300;
/** Looks that find nothing, before what is missing counts as lost. */
const MAX_EMPTY = 300;

/** Points of a replay, as parts of the time from the beginning until now. */
type Window = { from: number; until: number | null };
type Step =
  | { does: 'publish'; color: Color }
  | { does: 'subscribe'; filter: Color | null; window: Window | null }
  | { does: 'replay'; of: number; window: Window }
  | { does: 'advance'; seconds: number }
  /** The process dies between two steps. */
  | { does: 'crash' };

const part = fc.integer({ min: 0, max: 8 }).map((eighths) => eighths / 8);
const window: fc.Arbitrary<Window> = fc.record({ from: part, until: fc.option(part) });
const color = fc.constantFrom(...COLORS);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ does: fc.constant('publish'), color }) },
  fc.record({ does: fc.constant('subscribe'), filter: fc.option(color), window: fc.option(window) }),
  fc.record({ does: fc.constant('replay'), of: fc.nat(5), window }),
  fc.record({ does: fc.constant('advance'), seconds: fc.constantFrom(1, 60, 3_600) }),
  fc.record({ does: fc.constant('crash') }),
);

interface Published {
  text: string;
  color: Color;
  at: number;
}

interface Subscription {
  queue: string;
  arn: string;
  filter: Color | null;
}

class Run implements AsyncDisposable {
  readonly #broker: Awaited<ReturnType<typeof testBroker>>;
  readonly #url: string;
  readonly #subscriptions: Subscription[] = [];
  readonly #published: Published[] = [];
  #topic = '';
  #began = 0;

  private constructor(broker: Awaited<ReturnType<typeof testBroker>>, url: string) {
    this.#broker = broker;
    this.#url = url;
  }

  static async start(): Promise<Run> {
    const broker = await testBroker({ clock: 'manual' });
    const run = new Run(broker, (await broker.endpoint('aws')).url);
    const ArchivePolicy = '{"MessageRetentionPeriod":"365"}';
    const Attributes = { FifoTopic: 'true', ArchivePolicy };
    run.#topic = run.#field(await run.#sns('CreateTopic', { Name: 'news.fifo', Attributes }), 'TopicArn');
    run.#began = broker.clock.now();
    return run;
  }

  async take(step: Step): Promise<void> {
    switch (step.does) {
      case 'publish':
        return this.#publish(step.color);
      case 'subscribe':
        return this.#subscribe(step.filter, step.window);
      case 'replay': {
        const subscription = this.#subscriptions[step.of % Math.max(1, this.#subscriptions.length)];
        if (subscription !== undefined) await this.#replay(subscription, step.window);
        return;
      }
      case 'advance':
        await this.#broker.clock.advance(`${step.seconds}s`);
        return;
      case 'crash':
        await this.#broker.faults.crashAndRecover();
    }
  }

  async #publish(color: Color): Promise<void> {
    const message: Published = { text: `m${this.#published.length}`, color, at: this.#broker.clock.now() };
    await this.#sns('Publish', {
      TopicArn: this.#topic,
      Message: message.text,
      MessageAttributes: { color: { DataType: 'String', StringValue: color } },
      MessageGroupId: 'g',
      MessageDeduplicationId: message.text,
    });
    this.#published.push(message);
    for (const subscription of this.#subscriptions) await this.#expect(subscription, [message]);
  }

  async #subscribe(filter: Color | null, given: Window | null): Promise<void> {
    const queue = `q${this.#subscriptions.length}.fifo`;
    await this.#sqs('CreateQueue', { QueueName: queue, Attributes: { FifoQueue: 'true' } });
    const Attributes = {
      RawMessageDelivery: 'true',
      ...(filter !== null && { FilterPolicy: JSON.stringify({ color: [filter] }) }),
      ...(given !== null && { ReplayPolicy: this.#policy(given) }),
    };
    const asked = { TopicArn: this.#topic, Protocol: 'sqs', Endpoint: `${ARN}:${queue}`, Attributes };
    const arn = this.#field(await this.#sns('Subscribe', asked), 'SubscriptionArn');
    const subscription = { queue, arn, filter };
    this.#subscriptions.push(subscription);
    await this.#expect(subscription, given === null ? [] : this.#within(given));
  }

  async #replay(subscription: Subscription, given: Window): Promise<void> {
    await this.#broker.clock.advance(`${DEDUPE_SECONDS}s`);
    const name = { SubscriptionArn: subscription.arn, AttributeName: 'ReplayPolicy' };
    // The same window twice is one replay.
    await this.#sns('SetSubscriptionAttributes', { ...name, AttributeValue: '{}' });
    await this.#sns('SetSubscriptionAttributes', { ...name, AttributeValue: this.#policy(given) });
    await this.#expect(subscription, this.#within(given));
  }

  #points({ from, until }: Window): { from: number; until: number | null } {
    const now = this.#broker.clock.now();
    const at = (share: number): number => Math.floor(this.#began + share * (now - this.#began));
    if (until === null) return { from: at(from), until };
    return { from: at(Math.min(from, until)), until: at(Math.max(from, until)) };
  }

  #policy(given: Window): string {
    const { from, until } = this.#points(given);
    const text = (at: number): string => new Date(at).toISOString();
    return JSON.stringify({
      PointType: 'Timestamp',
      StartingPoint: text(from),
      ...(until !== null && { EndingPoint: text(until) }),
    });
  }

  /** What was published between the points, both of them included. */
  #within(given: Window): Published[] {
    const { from, until } = this.#points(given);
    return this.#published.filter(({ at }) => at >= from && (until === null || at <= until));
  }

  /** That these come to its queue if they pass its filter, in this order, and nothing else. */
  async #expect({ queue, filter }: Subscription, messages: readonly Published[]): Promise<void> {
    const expected = messages.filter((message) => filter === null || message.color === filter).map(({ text }) => text);
    const got: string[] = [];
    const QueueUrl = `${this.#url}/000000000000/${queue}`;
    for (let empty = 0; empty < (got.length < expected.length ? MAX_EMPTY : 1);) {
      const { text } = await this.#sqs('ReceiveMessage', { QueueUrl, MaxNumberOfMessages: 10 });
      // As Amazon's model has it.
      const { Messages = [] } = JSON.parse(text) as { Messages?: { Body: string; ReceiptHandle: string }[] };
      if (Messages.length === 0) {
        empty++;
        continue;
      }
      got.push(...Messages.map(({ Body }) => Body));
      const Entries = Messages.map(({ ReceiptHandle }, i) => ({ Id: `e${i}`, ReceiptHandle }));
      await this.#sqs('DeleteMessageBatch', { QueueUrl, Entries });
    }
    assert.deepEqual(got, expected);
  }

  #sns(action: string, input: object) {
    return this.#ask('sns', action, input);
  }

  #sqs(action: string, input: object) {
    return this.#ask('sqs', action, input);
  }

  async #ask(service: 'sns' | 'sqs', action: string, input: object): Promise<{ text: string }> {
    const answer = await call(this.#url, service === 'sns' ? 'query' : 'json', action, input, service);
    assert.equal(answer.status, 200, answer.text);
    return answer;
  }

  #field({ text }: { text: string }, name: string): string {
    return new RegExp(`<${name}>([^<]*)</${name}>`).exec(text)?.[1] ?? '';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#broker.close();
  }
}

test(
  'every subscription gets what the model says, live and again, in order, through crashes',
  { timeout: 60_000 },
  () =>
    fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 25 }), async (steps) => {
        await using run = await Run.start();
        for (const each of steps) await run.take(each);
      }),
      { numRuns: 30, endOnFailure: true },
    ),
);
