/** Visibility, redrive, and the rules of FIFO queues, against a plain model that knows nothing of how it is done. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { testBroker } from '../../src/testing/index.ts';
import { type Answer, call } from './call.ts';

const ARN = 'arn:aws:sqs:us-east-1:000000000000';
const VISIBILITY_SECONDS = 10;
const MAX_RECEIVES = 2;
const DEDUPE_SECONDS = 300;

type Kind = 'standard' | 'fifo';
type Step =
  | { does: 'send'; group: string; dedupe: number }
  | { does: 'receive'; max: number }
  /** Of one of the handles that were ever given out, one of the first or one of the last. */
  | { does: 'delete'; handle: number }
  | { does: 'change'; handle: number; seconds: number }
  | { does: 'advance'; seconds: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ does: fc.constant('send'), group: fc.constantFrom('a', 'b', 'c'), dedupe: fc.nat(9) }),
  fc.record({ does: fc.constant('receive'), max: fc.integer({ min: 1, max: 10 }) }),
  fc.record({ does: fc.constant('delete'), handle: fc.integer({ min: -8, max: 8 }) }),
  fc.record({
    does: fc.constant('change'),
    handle: fc.integer({ min: -8, max: 8 }),
    seconds: fc.constantFrom(0, 1, 25),
  }),
  fc.record({ does: fc.constant('advance'), seconds: fc.constantFrom(1, 4, 10, 200) }),
);

interface Message {
  id: string;
  body: string;
  group: string;
  receives: number;
  /** Until then nobody else sees it. */
  hiddenUntil: number;
  where: 'queue' | 'dead' | 'deleted';
}

/** What a queue should have in it. */
class Model {
  readonly kind: Kind;
  readonly messages: Message[] = [];
  readonly handles: { handle: string; message: Message; receive: number }[] = [];
  readonly #sent = new Map<string, { at: number; id: string }>();
  now = 0;

  constructor(kind: Kind) {
    this.kind = kind;
  }

  /** The id that a repeated one is answered with. */
  repeated(dedupe: string): string | undefined {
    const before = this.#sent.get(dedupe);
    return before !== undefined && this.now - before.at < DEDUPE_SECONDS ? before.id : undefined;
  }

  sent(id: string, body: string, group: string, dedupe: string): void {
    this.#sent.set(dedupe, { at: this.now, id });
    this.messages.push({ id, body, group, receives: 0, hiddenUntil: 0, where: 'queue' });
  }

  isOut({ where, hiddenUntil }: Message): boolean {
    return where === 'queue' && hiddenUntil > this.now;
  }

  /** What a receive may give, in the order in which it has to come within its group. */
  deliverable(): Message[] {
    const inQueue = this.messages.filter(({ where }) => where === 'queue');
    const held = new Set(inQueue.filter((message) => this.isOut(message)).map(({ group }) => group));
    return inQueue.filter((message) => (this.kind === 'fifo' ? !held.has(message.group) : !this.isOut(message)));
  }

  /** The time of a receive is over without a deletion. */
  ended(message: Message): void {
    message.hiddenUntil = 0;
    if (message.receives >= MAX_RECEIVES) message.where = 'dead';
  }

  advance(seconds: number): void {
    this.now += seconds;
    for (const message of this.messages)
      if (message.where === 'queue' && message.hiddenUntil > 0 && message.hiddenUntil <= this.now) this.ended(message);
  }
}

interface Got {
  MessageId: string;
  Body: string;
  ReceiptHandle: string;
  Attributes: Record<string, string>;
}

function gotIn({ status, text }: Answer): Got[] {
  assert.equal(status, 200, text);
  return (JSON.parse(text) as { Messages?: Got[] }).Messages ?? [];
}

class Run {
  readonly model: Model;
  readonly #ask: (action: string, input: object) => Promise<Answer>;
  readonly #advance: (seconds: number) => Promise<void>;
  #bodies = 0;

  constructor(
    kind: Kind,
    ask: (action: string, input: object) => Promise<Answer>,
    advance: (seconds: number) => Promise<void>,
  ) {
    this.model = new Model(kind);
    this.#ask = ask;
    this.#advance = advance;
  }

  async step(one: Step): Promise<void> {
    switch (one.does) {
      case 'send':
        return this.#send(one.group, `d${one.dedupe}`);
      case 'receive':
        return this.#receive(one.max);
      case 'delete':
        return this.#delete(one.handle);
      case 'change':
        return this.#change(one.handle, one.seconds);
      case 'advance':
        await this.#advance(one.seconds);
        this.model.advance(one.seconds);
    }
  }

  async #send(group: string, dedupe: string): Promise<void> {
    const { model } = this;
    const MessageBody = `m${this.#bodies++}`;
    const fifo = model.kind === 'fifo' ? { MessageGroupId: group, MessageDeduplicationId: dedupe } : {};
    const { status, text } = await this.#ask('SendMessage', { MessageBody, ...fifo });
    assert.equal(status, 200, text);
    const { MessageId } = JSON.parse(text) as { MessageId: string };
    const before = model.kind === 'fifo' ? model.repeated(dedupe) : undefined;
    if (before !== undefined) assert.equal(MessageId, before, 'a repeated message is answered as the first');
    else model.sent(MessageId, MessageBody, group, model.kind === 'fifo' ? dedupe : MessageBody);
  }

  async #receive(max: number): Promise<void> {
    const { model } = this;
    const deliverable = model.deliverable();
    const got = gotIn(
      await this.#ask('ReceiveMessage', { MaxNumberOfMessages: max, MessageSystemAttributeNames: ['All'] }),
    );
    assert.equal(got.length, Math.min(max, deliverable.length), 'a receive finds what is there');
    const messages = got.map(({ MessageId, Body, Attributes }) => {
      const message = deliverable.find(({ id }) => id === MessageId);
      assert.ok(message, `${Body} may not come now`);
      assert.equal(Body, message.body);
      assert.equal(Attributes['ApproximateReceiveCount'], String(message.receives + 1));
      return message;
    });
    if (model.kind === 'fifo')
      for (const group of new Set(messages.map((message) => message.group))) {
        const came = messages.filter((message) => message.group === group);
        const due = deliverable.filter((message) => message.group === group).slice(0, came.length);
        assert.deepEqual(came, due, `group ${group} comes in order`);
      }
    for (const [i, message] of messages.entries()) {
      message.receives++;
      message.hiddenUntil = model.now + VISIBILITY_SECONDS;
      model.handles.push({ handle: got[i]?.ReceiptHandle ?? '', message, receive: message.receives });
    }
  }

  async #delete(nth: number): Promise<void> {
    const { model } = this;
    const given = model.handles.at(nth);
    if (given === undefined) return;
    const { handle: ReceiptHandle, message, receive } = given;
    const { error } = await this.#ask('DeleteMessage', { ReceiptHandle });
    const isLast = message.where === 'queue' && receive === message.receives;
    if (model.kind === 'fifo') {
      const valid = isLast && model.isOut(message);
      assert.equal(error, valid ? undefined : 'InvalidParameterValue');
      if (valid) message.where = 'deleted';
    } else {
      assert.equal(error, undefined);
      if (isLast) message.where = 'deleted';
    }
  }

  async #change(nth: number, VisibilityTimeout: number): Promise<void> {
    const { model } = this;
    const given = model.handles.at(nth);
    if (given === undefined) return;
    const { handle: ReceiptHandle, message, receive } = given;
    const { error } = await this.#ask('ChangeMessageVisibility', { ReceiptHandle, VisibilityTimeout });
    const valid = receive === message.receives && model.isOut(message);
    assert.equal(error, valid ? undefined : 'MessageNotInflight');
    if (!valid) return;
    if (VisibilityTimeout === 0) model.ended(message);
    else message.hiddenUntil = model.now + VisibilityTimeout;
  }
}

for (const kind of ['standard', 'fifo'] as const) {
  test(`whatever clients do to a ${kind} queue, it has in it what the rules say`, async () => {
    await using broker = await testBroker({ clock: 'manual' });
    const { url } = await broker.endpoint('aws');
    const suffix = kind === 'fifo' ? '.fifo' : '';
    const FifoQueue = kind === 'fifo' ? { FifoQueue: 'true' } : {};
    let runs = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), async (steps) => {
        const [name, dead] = [`q${runs}${suffix}`, `dead${runs++}${suffix}`];
        const of =
          (queue: string) =>
          (action: string, input: object): Promise<Answer> =>
            call(url, 'json', action, { QueueUrl: `${url}/000000000000/${queue}`, ...input });
        await of(dead)('CreateQueue', { QueueName: dead, Attributes: FifoQueue });
        const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: `${ARN}:${dead}`, maxReceiveCount: MAX_RECEIVES });
        const Attributes = { ...FifoQueue, VisibilityTimeout: String(VISIBILITY_SECONDS), RedrivePolicy };
        await of(name)('CreateQueue', { QueueName: name, Attributes });
        const run = new Run(kind, of(name), (seconds) => broker.clock.advance(`${seconds}s`));
        for (const one of steps) await run.step(one);
        const died: string[] = [];
        for (let got = 1; got > 0;) {
          const letters = gotIn(await of(dead)('ReceiveMessage', { MaxNumberOfMessages: 10 }));
          for (const { Body, ReceiptHandle } of letters) {
            died.push(Body);
            await of(dead)('DeleteMessage', { ReceiptHandle });
          }
          got = letters.length;
        }
        const expected = run.model.messages.filter(({ where }) => where === 'dead').map(({ body }) => body);
        assert.deepEqual(died.toSorted(), expected.toSorted(), 'dead letters');
      }),
      { numRuns: 60 },
    );
  });
}
