import type { Clock } from '../../../core/clock.ts';
import { RailheadError } from '../../../core/errors.ts';
import type { PublishRequest } from '../../../core/session.ts';
import { AwsError, failure } from '../errors.ts';
import type { ServiceModel } from '../model.ts';
import { type Arn, parseArn } from '../names.ts';
import type { Caller } from '../service.ts';
import { checkBatch, MAX_ATTRIBUTES } from '../message.ts';
import { checkAddress, type Inbox, type InboxMessage, isInboxProtocol } from './inbox.ts';
import type { PublishedInput, SnsInputs } from './inputs.ts';
import { FilterView, type Published, publishedOf } from './message.ts';
import { checkSize, maxBytesOf } from './message-size.ts';
import { type Archive, type Archived, archiveRequest } from './archive.ts';
import { isRaw, Notice, type Stamp } from './notice.ts';
import { type Replay, Replays } from './replaying.ts';
import type { Signer } from './signer.ts';
import type { Webhooks } from './webhooks.ts';
import { deadLetterTarget, type Subscription, type Topic, type Topics } from './topics.ts';

/** Of copies that are stored together: a batch of the journal takes about twice as much. */
const TOGETHER_BYTES = 4 << 20;
const TOGETHER = 250;

const BATCH_WORDS: ReadonlyMap<string, string> = new Map([
  ['EmptyBatchRequest', "The batch request doesn't contain any entries."],
  ['TooManyEntriesInBatchRequest', 'The batch request contains more entries than permissible.'],
  ['BatchEntryIdsNotDistinct', 'Two or more batch entries in the request have the same Id.'],
]);

/** Of a message that goes to a phone: it has the rules of standard topics. */
const NO_TOPIC: Topic = { account: '', name: '', fifo: false, attributes: new Map(), tags: new Map() };

/** One that is published, with what of it was checked. */
interface Publication {
  readonly input: PublishedInput;
  readonly message: Published;
}

/** Where a subscription's copy goes. */
interface Delivery {
  /** Null: it is kept in the archive. */
  readonly subscription: Subscription | null;
  readonly account: string;
  readonly request: PublishRequest;
}

/** Publish and PublishBatch: each subscription that wants it is given its copy before the publisher is told. */
export class Publishing {
  readonly #topics: Topics;
  readonly #signer: Signer;
  readonly #webhooks: Webhooks;
  readonly #inbox: Inbox | null;
  readonly #clock: Clock;
  readonly #errors: ServiceModel['errors'];
  readonly replays: Replays;
  #lastSequence = 0;

  constructor(parts: {
    topics: Topics;
    archive: Archive;
    signer: Signer;
    webhooks: Webhooks;
    inbox: Inbox | null;
    clock: Clock;
    errors: ServiceModel['errors'];
    report: (error: unknown) => void;
  }) {
    this.#topics = parts.topics;
    this.#errors = parts.errors;
    this.#signer = parts.signer;
    this.#webhooks = parts.webhooks;
    this.#inbox = parts.inbox;
    this.#clock = parts.clock;
    this.replays = new Replays({
      topics: parts.topics,
      archive: parts.archive,
      deliver: (archived, subscription, topic, replay) => this.#again(archived, subscription, topic, replay),
      report: parts.report,
    });
  }

  /** Out of the archive, to one subscription. */
  async #again({ input, at, sequence }: Archived, subscription: Subscription, topic: Topic, to: Replay): Promise<void> {
    const message = publishedOf(input, topic);
    const { wants, attributes } = subscription;
    const target = queueFor(subscription, message);
    if (
      target === undefined ||
      (wants !== null && !wants(new FilterView(message).of(attributes.get('FilterPolicyScope'))))
    )
      return;
    const stamp: Stamp = { at, sequence, replayed: true };
    const notice = new Notice(message, topic, { origin: to, stamp, signer: this.#signer });
    const request = await notice.toQueue(target.name, subscription);
    await this.#deliverAlone({ subscription, account: target.account, request });
  }

  async publish(input: SnsInputs['Publish'], caller: Caller): Promise<object> {
    if (input.PhoneNumber !== undefined) return this.#textTo(input.PhoneNumber, input);
    const arn = input.TopicArn ?? input.TargetArn;
    if (arn === undefined) throw new AwsError('InvalidParameterException', 'Invalid parameter: TopicArn or TargetArn');
    const topic = await this.#topics.topic(caller, arn, 'publish');
    const [published] = await this.#publishAll([{ input, message: checkedOf(input, topic) }], topic, caller);
    return published ?? {};
  }

  /** A message to one phone, without a topic. */
  #textTo(to: string, input: SnsInputs['Publish']): object {
    if (this.#inbox === null)
      throw new AwsError('UnsupportedOperation', 'This broker sends no text messages to phones.');
    checkAddress('sms', to);
    const message = checkedOf(input, NO_TOPIC);
    const at = new Date(this.#clock.now()).toISOString();
    this.#inbox.add({ protocol: 'sms', to, text: message.textFor('sms'), messageId: message.id, at });
    return { MessageId: message.id };
  }

  async publishBatch(input: SnsInputs['PublishBatch'], caller: Caller): Promise<object> {
    const { TopicArn, PublishBatchRequestEntries: entries } = input;
    const topic = await this.#topics.topic(caller, TopicArn, 'publish');
    try {
      checkBatch(entries, 'PublishBatchRequestEntries');
    } catch (error) {
      // The same rules, and words of its own.
      if (!(error instanceof AwsError)) throw error;
      throw new AwsError(`${error.error}Exception`, BATCH_WORDS.get(error.error) ?? error.message);
    }
    const good: (Publication & { id: string })[] = [];
    const Failed: object[] = [];
    for (const entry of entries) {
      try {
        good.push({ id: entry.Id, input: entry, message: checkedOf(entry, topic) });
      } catch (error) {
        Failed.push(failure(entry.Id, error, this.#errors));
      }
    }
    if (good.reduce((sum, { message }) => sum + message.bytes, 0) > maxBytesOf(topic))
      throw new AwsError(
        'BatchRequestTooLongException',
        'The length of all the messages put together is more than the limit.',
      );
    const published = await this.#publishAll(good, topic, caller);
    return { Successful: good.map(({ id }, i) => ({ Id: id, ...published[i] })), Failed };
  }

  /** In their order: a FIFO topic keeps it. Returns what is answered of each. */
  #publishAll(all: readonly Publication[], topic: Topic, caller: Caller): Promise<object[]> {
    return this.replays.publishing(topic, async () => {
      const answers: object[] = [];
      const deliveries: Delivery[] = [];
      const mail: InboxMessage[] = [];
      for (const one of all) {
        const sequence = topic.fifo ? this.#nextSequence() : undefined;
        const stamp: Stamp = { at: this.#clock.now(), sequence };
        await this.#address(one, topic, { caller, stamp, deliveries, mail });
        answers.push({ MessageId: one.message.id, ...(sequence !== undefined && { SequenceNumber: sequence }) });
      }
      for (const [account, group] of Map.groupBy(deliveries, (each) => each.account))
        for (const some of together(group)) await this.#deliver(account, some);
      for (const each of mail) this.#inbox?.add(each);
      return answers;
    });
  }

  /** Finds out who gets it, and makes each what it gets. */
  async #address(
    { input, message }: Publication,
    topic: Topic,
    to: { caller: Caller; stamp: Stamp; deliveries: Delivery[]; mail: InboxMessage[] },
  ): Promise<void> {
    const { stamp, deliveries, mail } = to;
    const { account } = topic;
    const view = new FilterView(message);
    const notice = new Notice(message, topic, { origin: to.caller, stamp, signer: this.#signer });
    const isKept = topic.attributes.has('BeginningArchiveTime');
    if (isKept) {
      const kept = { input, at: stamp.at, sequence: stamp.sequence ?? '' };
      deliveries.push({ subscription: null, account, request: archiveRequest(topic, kept, message.dedupeId ?? '') });
    }
    for (const subscription of await this.#topics.subscriptionsOf(topic)) {
      const { wants, attributes, confirmation, protocol } = subscription;
      if (confirmation?.state === 'pending') continue;
      // It comes to this one by itself, from what is kept.
      if (isKept && subscription.replay?.state === 'running' && subscription.replay.until === null) continue;
      if (wants !== null && !wants(view.of(attributes.get('FilterPolicyScope')))) continue;
      if (isInboxProtocol(protocol)) mail.push(await notice.toInbox(protocol, subscription));
      else if (confirmation !== null) {
        await this.#webhooks.start(account);
        deliveries.push({ subscription, account, request: await notice.toWebhook(subscription) });
      } else {
        const target = queueFor(subscription, message);
        if (target === undefined) continue;
        const request = await notice.toQueue(target.name, subscription);
        deliveries.push({ subscription, account: target.account, request });
      }
    }
  }

  /** To all of them at once, or, when one of the queues is in the way, to each by itself. */
  async #deliver(account: string, deliveries: readonly Delivery[]): Promise<void> {
    await this.#topics.asBroker(account, async (session) => {
      try {
        await session.commit({ publishes: deliveries.map(({ request }) => request), settlements: [], cursors: [] });
      } catch (error) {
        if (!isOfOne(error)) throw error;
        // One sync does for all of them; begun in order, what goes to one queue stays in order.
        await Promise.all(deliveries.map((delivery) => this.#deliverAlone(delivery)));
      }
    });
  }

  /** What a queue does not take goes to the dead-letter queue of the subscription; without one it is gone, as with Amazon. */
  async #deliverAlone(delivery: Delivery): Promise<void> {
    try {
      await this.#topics.asBroker(delivery.account, (session) => session.publish(delivery.request));
    } catch (error) {
      if (!isOfOne(error)) throw error;
      // What is to be kept and cannot be is not published without being kept.
      if (delivery.subscription === null) throw error;
      const dead = deadLetterTarget(delivery.subscription.attributes.get('RedrivePolicy'));
      if (dead === undefined) return;
      await this.#topics.asBroker(dead.account, (session) =>
        session.publish({ ...delivery.request, to: { topic: dead.name } }).catch((failed: unknown) => {
          if (!isOfOne(failed)) throw failed;
        }),
      );
    }
  }

  /** Twenty digits, higher for what was published later, also after a restart. */
  #nextSequence(): string {
    this.#lastSequence = Math.max(this.#lastSequence + 1, this.#clock.now() * 1000);
    return (10_000_000_000_000_000_000n + BigInt(this.#lastSequence)).toString();
  }
}

/** A message of a queue has ten attributes: one with more cannot be delivered as it is, and is a dead letter, as with Amazon. */
function queueFor(subscription: Subscription, { attributes }: Published): Arn | undefined {
  const fits = attributes.length <= MAX_ATTRIBUTES || !isRaw(subscription);
  return fits ? parseArn(subscription.endpoint, 'sqs') : deadLetterTarget(subscription.attributes.get('RedrivePolicy'));
}

/** @throws InvalidParameterException, InvalidParameterValueException */
function checkedOf(input: PublishedInput, topic: Topic): Published {
  const message = publishedOf(input, topic);
  checkSize(message, topic);
  return message;
}

/** In order, as many at a time as one batch of the journal takes. */
function together(deliveries: readonly Delivery[]): Delivery[][] {
  const groups: Delivery[][] = [];
  let bytes = 0;
  for (const delivery of deliveries) {
    const more = delivery.request.records.byteLength;
    let group = groups.at(-1);
    if (group === undefined || group.length === TOGETHER || bytes + more > TOGETHER_BYTES) {
      groups.push((group = []));
      bytes = 0;
    }
    group.push(delivery);
    bytes += more;
  }
  return groups;
}

/** Something is the matter with one queue, and not with the broker. */
function isOfOne(error: unknown): boolean {
  return ['NOT_FOUND', 'QUEUE_FULL', 'TOO_LARGE', 'INVALID', 'NOT_SUPPORTED'].some(
    (code) => RailheadError.is(error) && error.code === code,
  );
}
