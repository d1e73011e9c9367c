import type { Clock } from '../../../core/clock.ts';
import { RailheadError } from '../../../core/errors.ts';
import type { PublishRequest } from '../../../core/session.ts';
import { traceIn, xrayOf } from '../../../core/trace-context.ts';
import { AwsError, failure } from '../errors.ts';
import type { ServiceModel } from '../model.ts';
import { parseArn } from '../names.ts';
import type { Caller } from '../service.ts';
import { encodeRecord, FORMAT_SQS } from '../content.ts';
import { checkBatch } from '../message.ts';
import { checkAddress, type Inbox, type InboxMessage, isInboxProtocol } from './inbox.ts';
import type { PublishedInput, SnsInputs } from './inputs.ts';
import { FilterView, type Published, publishedOf } from './message.ts';
import { type Archive, type Archived, archiveRequest } from './archive.ts';
import { policyOf } from './delivery-policy.ts';
import { type Replay, Replays } from './replaying.ts';
import type { Signer } from './signer.ts';
import { webhookHeaders } from './confirming.ts';
import { webhookRequest, type Webhooks } from './webhooks.ts';
import { deadLetterTarget, type Subscription, subscriptionArn, type Topic, topicArn, type Topics } from './topics.ts';

const MAX_BATCH_BYTES = 256 * 1024;

const BATCH_WORDS: ReadonlyMap<string, string> = new Map([
  ['EmptyBatchRequest', "The batch request doesn't contain any entries."],
  ['TooManyEntriesInBatchRequest', 'The batch request contains more entries than permissible.'],
  ['BatchEntryIdsNotDistinct', 'Two or more batch entries in the request have the same Id.'],
]);

/** Of a message that goes to a phone: it has the rules of standard topics. */
const NO_TOPIC: Topic = { account: '', name: '', fifo: false, attributes: new Map(), tags: new Map() };

/** When a message was published, and whether this is the first time that it is given out. */
interface Stamp {
  at: number;
  sequence: string | undefined;
  replayed?: true;
}

/** For the URLs and ARNs in a notification. */
type Origin = Pick<Caller, 'origin' | 'region'>;

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
    const target = parseArn(subscription.endpoint, 'sqs');
    if (
      target === undefined ||
      (wants !== null && !wants(new FilterView(message).of(attributes.get('FilterPolicyScope'))))
    )
      return;
    const records = await this.#recordFor(message, subscription, topic, to, { at, sequence, replayed: true });
    const request = { to: { topic: target.name }, format: FORMAT_SQS, records, count: 1 };
    await this.#deliverAlone({ subscription, account: target.account, request });
  }

  async publish(input: SnsInputs['Publish'], caller: Caller): Promise<object> {
    if (input.PhoneNumber !== undefined) return this.#textTo(input.PhoneNumber, input);
    const arn = input.TopicArn ?? input.TargetArn;
    if (arn === undefined) throw new AwsError('InvalidParameterException', 'Invalid parameter: TopicArn or TargetArn');
    const topic = await this.#topics.topic(caller, arn, 'publish');
    return this.#publishOne({ input, message: publishedOf(input, topic) }, topic, caller);
  }

  /** A message to one phone, without a topic. */
  #textTo(to: string, input: SnsInputs['Publish']): object {
    if (this.#inbox === null)
      throw new AwsError('UnsupportedOperation', 'This broker sends no text messages to phones.');
    checkAddress('sms', to);
    const message = publishedOf(input, NO_TOPIC);
    this.#inbox.add({ protocol: 'sms', to, text: message.textFor('sms'), messageId: message.id, at: this.#now() });
    return { MessageId: message.id };
  }

  #now(): string {
    return new Date(this.#clock.now()).toISOString();
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
    const good: { id: string; input: PublishedInput; message: Published }[] = [];
    const Failed: object[] = [];
    for (const entry of entries) {
      try {
        good.push({ id: entry.Id, input: entry, message: publishedOf(entry, topic) });
      } catch (error) {
        Failed.push(failure(entry.Id, error, this.#errors));
      }
    }
    if (good.reduce((sum, { message }) => sum + message.bytes, 0) > MAX_BATCH_BYTES)
      throw new AwsError(
        'BatchRequestTooLongException',
        'The length of all the messages put together is more than the limit.',
      );
    const Successful: object[] = [];
    // One after the other: a FIFO topic keeps their order.
    for (const { id, ...one } of good) Successful.push({ Id: id, ...(await this.#publishOne(one, topic, caller)) });
    return { Successful, Failed };
  }

  #publishOne(one: { input: PublishedInput; message: Published }, topic: Topic, caller: Caller): Promise<object> {
    return this.replays.publishing(topic, () => this.#publishNow(one, topic, caller));
  }

  async #publishNow(
    { input, message }: { input: PublishedInput; message: Published },
    topic: Topic,
    caller: Caller,
  ): Promise<object> {
    const view = new FilterView(message);
    const stamp: Stamp = { at: this.#clock.now(), sequence: topic.fifo ? this.#nextSequence() : undefined };
    const { sequence } = stamp;
    const isKept = topic.attributes.has('BeginningArchiveTime');
    const deliveries: Delivery[] = [];
    if (isKept) {
      const request = archiveRequest(topic, { input, at: stamp.at, sequence: sequence ?? '' }, message.dedupeId ?? '');
      deliveries.push({ subscription: null, account: topic.account, request });
    }
    const mail: InboxMessage[] = [];
    for (const subscription of await this.#topics.subscriptionsOf(topic)) {
      const { wants, attributes, confirmation } = subscription;
      if (confirmation?.state === 'pending') continue;
      // It comes to this one by itself, from what is kept.
      if (isKept && subscription.replay?.state === 'running' && subscription.replay.until === null) continue;
      if (wants !== null && !wants(view.of(attributes.get('FilterPolicyScope')))) continue;
      if (isInboxProtocol(subscription.protocol)) {
        mail.push(await this.#mailFor(message, subscription, topic, caller, subscription.protocol));
        continue;
      }
      if (confirmation !== null) {
        await this.#webhooks.start(topic.account);
        const request = await this.#webhookFor(message, subscription, topic, caller);
        deliveries.push({ subscription, account: topic.account, request });
        continue;
      }
      const target = parseArn(subscription.endpoint, 'sqs');
      if (target === undefined) continue;
      const records = await this.#recordFor(message, subscription, topic, caller, stamp);
      const request = { to: { topic: target.name }, format: FORMAT_SQS, records, count: 1 };
      deliveries.push({ subscription, account: target.account, request });
    }
    for (const [account, group] of Map.groupBy(deliveries, (each) => each.account)) await this.#deliver(account, group);
    for (const each of mail) this.#inbox?.add(each);
    return { MessageId: message.id, ...(sequence !== undefined && { SequenceNumber: sequence }) };
  }

  /** To all of them at once, or, when one of the queues is in the way, to each by itself. */
  async #deliver(account: string, deliveries: readonly Delivery[]): Promise<void> {
    await this.#topics.asBroker(account, async (session) => {
      try {
        await session.commit({ publishes: deliveries.map(({ request }) => request), settlements: [], cursors: [] });
      } catch (error) {
        if (!isOfOne(error)) throw error;
        for (const delivery of deliveries) await this.#deliverAlone(delivery);
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

  async #mailFor(
    message: Published,
    subscription: Subscription,
    topic: Topic,
    caller: Caller,
    protocol: InboxMessage['protocol'],
  ): Promise<InboxMessage> {
    const text = message.textFor(protocol);
    return {
      protocol,
      to: subscription.endpoint,
      ...(protocol !== 'sms' && { subject: message.subject ?? 'AWS Notification Message' }),
      text:
        protocol === 'email-json'
          ? await this.#envelope(message, text, subscription, topic, caller, {
              at: this.#clock.now(),
              sequence: undefined,
            })
          : text,
      messageId: message.id,
      topicArn: topicArn(caller, topic),
      at: this.#now(),
    };
  }

  async #webhookFor(
    message: Published,
    subscription: Subscription,
    topic: Topic,
    caller: Caller,
  ): Promise<PublishRequest> {
    const { id, protocol, attributes } = subscription;
    const isRaw = attributes.get('RawMessageDelivery') === 'true';
    const text = message.textFor(protocol);
    const headers = webhookHeaders({
      type: 'Notification',
      messageId: message.id,
      topicArn: topicArn(caller, topic),
      subscriptionArn: subscriptionArn(caller, subscription),
      ...(isRaw && { delivery: 'raw' }),
      contentType: policyOf(topic.attributes.get('DeliveryPolicy'), attributes.get('DeliveryPolicy')).contentType,
    });
    const body = isRaw
      ? text
      : await this.#envelope(message, text, subscription, topic, caller, {
          at: this.#clock.now(),
          sequence: undefined,
        });
    return webhookRequest({ subscription: id, headers, body });
  }

  async #recordFor(
    message: Published,
    subscription: Subscription,
    topic: Topic,
    caller: Origin,
    stamp: Stamp,
  ): Promise<Buffer> {
    const { groupId, dedupeId } = message;
    // Of every queue alike: it is what makes a repeated publish come once.
    const ids = {
      groupId,
      dedupeId,
      dedupeScope: topic.attributes.get('FifoThroughputScope') === 'MessageGroup' ? 'messageGroup' : 'queue',
    } as const;
    const text = message.textFor('sqs');
    if (subscription.attributes.get('RawMessageDelivery') === 'true')
      return encodeRecord({ body: text, attributes: message.attributes, ...ids });
    const body = await this.#envelope(message, text, subscription, topic, caller, stamp);
    // The attributes are in the body now, where nobody looks for a trace.
    const trace = traceIn(Object.fromEntries(message.attributes.map(({ name, value }) => [name, value])));
    return encodeRecord({ body, ...ids, ...(trace !== undefined && { trace: xrayOf(trace) }) });
  }

  /** The notification, with a signature that everybody can verify. */
  async #envelope(
    message: Published,
    text: string,
    subscription: Subscription,
    topic: Topic,
    caller: Origin,
    { at, sequence, replayed }: Stamp,
  ): Promise<string> {
    const Timestamp = new Date(at).toISOString();
    const TopicArn = topicArn(caller, topic);
    const version = topic.attributes.get('SignatureVersion') === '2' ? '2' : '1';
    const signed = [
      ['Message', text],
      ['MessageId', message.id],
      ['Subject', message.subject],
      ['Timestamp', Timestamp],
      ['TopicArn', TopicArn],
      ['Type', 'Notification'],
    ] as const;
    const attributes = message.attributes.map(({ name, type, value }): [string, object] => [
      name,
      { Type: type, Value: typeof value === 'string' ? value : value.toString('base64') },
    ]);
    return JSON.stringify({
      Type: 'Notification',
      MessageId: message.id,
      ...(sequence !== undefined && { SequenceNumber: sequence }),
      TopicArn,
      ...(message.subject !== undefined && { Subject: message.subject }),
      Message: text,
      Timestamp,
      SignatureVersion: version,
      Signature: await this.#signer.sign(signed, version),
      SigningCertURL: `${caller.origin}${await this.#signer.certificatePath()}`,
      UnsubscribeURL: `${caller.origin}/?Action=Unsubscribe&SubscriptionArn=${subscriptionArn(caller, subscription)}`,
      ...(attributes.length > 0 && { MessageAttributes: Object.fromEntries(attributes) }),
      ...(replayed !== undefined && { Replayed: true }),
    });
  }

  /** Twenty digits, higher for what was published later, also after a restart. */
  #nextSequence(): string {
    this.#lastSequence = Math.max(this.#lastSequence + 1, this.#clock.now() * 1000);
    return (10_000_000_000_000_000_000n + BigInt(this.#lastSequence)).toString();
  }
}

/** Something is the matter with one queue, and not with the broker. */
function isOfOne(error: unknown): boolean {
  return ['NOT_FOUND', 'QUEUE_FULL', 'TOO_LARGE', 'INVALID', 'NOT_SUPPORTED'].some(
    (code) => RailheadError.is(error) && error.code === code,
  );
}
