import type { PublishRequest } from '../../../core/session.ts';
import { traceIn, xrayOf } from '../../../core/trace-context.ts';
import { encodeRecord, FORMAT_SQS, type SqsRecord } from '../content.ts';
import type { Caller } from '../service.ts';
import { webhookHeaders } from './confirming.ts';
import { policyOf } from './delivery-policy.ts';
import type { InboxMessage } from './inbox.ts';
import type { Published } from './message.ts';
import type { Signer } from './signer.ts';
import { type Subscription, subscriptionArn, type Topic, topicArn } from './topics.ts';
import { webhookRequest } from './webhooks.ts';

/** When a message was published, and whether this is the first time that it is given out. */
export interface Stamp {
  at: number;
  sequence: string | undefined;
  replayed?: true;
}

/** For the URLs and ARNs in a notification. */
export type Origin = Pick<Caller, 'origin' | 'region'>;

/** A notification as JSON, around the URL that is each subscription's own. */
interface Envelope {
  before: string;
  after: string;
}

/**
 * What was published once, as each of its subscribers gets it. A topic may have thousands, and a signature takes longer
 * than all else of a publish: what is the same for several is made for the first of them.
 */
export class Notice {
  readonly #message: Published;
  readonly #topic: Topic;
  readonly #origin: Origin;
  readonly #stamp: Stamp;
  readonly #signer: Pick<Signer, 'sign' | 'certificatePath'>;
  readonly #topicArn: string;
  /** By the text: a protocol may have one of its own. */
  readonly #envelopes = new Map<string, Promise<Envelope>>();
  /** By the delivery policy of the subscription. */
  readonly #contentTypes = new Map<string | undefined, string>();
  #record: Omit<SqsRecord, 'body'> | undefined;
  #raw: Buffer | undefined;

  constructor(
    message: Published,
    topic: Topic,
    by: { origin: Origin; stamp: Stamp; signer: Pick<Signer, 'sign' | 'certificatePath'> },
  ) {
    this.#message = message;
    this.#topic = topic;
    this.#origin = by.origin;
    this.#stamp = by.stamp;
    this.#signer = by.signer;
    this.#topicArn = topicArn(by.origin, topic);
  }

  /** For the queue of that name. */
  async toQueue(name: string, subscription: Subscription): Promise<PublishRequest> {
    const text = this.#message.textFor('sqs');
    const records = isRaw(subscription)
      ? (this.#raw ??= encodeRecord({ ...this.#ids(), body: text, attributes: this.#message.attributes }))
      : encodeRecord({ ...this.#around(), body: await this.#envelope(text, subscription) });
    return { to: { topic: name }, format: FORMAT_SQS, records, count: 1 };
  }

  async toWebhook(subscription: Subscription): Promise<PublishRequest> {
    const raw = isRaw(subscription);
    const text = this.#message.textFor(subscription.protocol);
    const headers = webhookHeaders({
      type: 'Notification',
      messageId: this.#message.id,
      topicArn: this.#topicArn,
      subscriptionArn: subscriptionArn(this.#origin, subscription),
      ...(raw && { delivery: 'raw' }),
      contentType: this.#contentTypeFor(subscription),
    });
    const body = raw ? text : await this.#envelope(text, subscription);
    return webhookRequest({ subscription: subscription.id, headers, body });
  }

  async toInbox(protocol: InboxMessage['protocol'], subscription: Subscription): Promise<InboxMessage> {
    const { id: messageId, subject = 'AWS Notification Message' } = this.#message;
    const text = this.#message.textFor(protocol);
    return {
      protocol,
      to: subscription.endpoint,
      ...(protocol !== 'sms' && { subject }),
      text: protocol === 'email-json' ? await this.#envelope(text, subscription) : text,
      messageId,
      topicArn: this.#topicArn,
      at: new Date(this.#stamp.at).toISOString(),
    };
  }

  /** Of every queue alike: it is what makes a repeated publish come once. */
  #ids(): Omit<SqsRecord, 'body'> {
    const { groupId, dedupeId } = this.#message;
    const isByGroup = this.#topic.attributes.get('FifoThroughputScope') === 'MessageGroup';
    return { groupId, dedupeId, dedupeScope: isByGroup ? 'messageGroup' : 'queue' };
  }

  /** What a queue is given beside a notification: the attributes are in that, where nobody looks for a trace. */
  #around(): Omit<SqsRecord, 'body'> {
    if (this.#record === undefined) {
      const trace = traceIn(Object.fromEntries(this.#message.attributes.map(({ name, value }) => [name, value])));
      this.#record = { ...this.#ids(), ...(trace !== undefined && { trace: xrayOf(trace) }) };
    }
    return this.#record;
  }

  #contentTypeFor({ attributes }: Subscription): string {
    const own = attributes.get('DeliveryPolicy');
    let type = this.#contentTypes.get(own);
    if (type === undefined) {
      type = policyOf(this.#topic.attributes.get('DeliveryPolicy'), own).contentType;
      this.#contentTypes.set(own, type);
    }
    return type;
  }

  /** The notification, with a signature that everybody can verify. */
  async #envelope(text: string, subscription: Subscription): Promise<string> {
    let envelope = this.#envelopes.get(text);
    if (envelope === undefined) this.#envelopes.set(text, (envelope = this.#signed(text)));
    const { before, after } = await envelope;
    const arn = subscriptionArn(this.#origin, subscription);
    const url = `${this.#origin.origin}/?Action=Unsubscribe&SubscriptionArn=${arn}`;
    return `${before},"UnsubscribeURL":${JSON.stringify(url)}${after}`;
  }

  /** The signature does not cover what is each subscription's own. */
  async #signed(text: string): Promise<Envelope> {
    const { id, subject, attributes } = this.#message;
    const { at, sequence, replayed } = this.#stamp;
    const Timestamp = new Date(at).toISOString();
    const version = this.#topic.attributes.get('SignatureVersion') === '2' ? '2' : '1';
    const signed = [
      ['Message', text],
      ['MessageId', id],
      ['Subject', subject],
      ['Timestamp', Timestamp],
      ['TopicArn', this.#topicArn],
      ['Type', 'Notification'],
    ] as const;
    const before = JSON.stringify({
      Type: 'Notification',
      MessageId: id,
      ...(sequence !== undefined && { SequenceNumber: sequence }),
      TopicArn: this.#topicArn,
      ...(subject !== undefined && { Subject: subject }),
      Message: text,
      Timestamp,
      SignatureVersion: version,
      Signature: await this.#signer.sign(signed, version),
      SigningCertURL: `${this.#origin.origin}${await this.#signer.certificatePath()}`,
    });
    const shown = attributes.map(({ name, type, value }): [string, object] => [
      name,
      { Type: type, Value: typeof value === 'string' ? value : value.toString('base64') },
    ]);
    const after = JSON.stringify({
      ...(shown.length > 0 && { MessageAttributes: Object.fromEntries(shown) }),
      ...(replayed !== undefined && { Replayed: true }),
    });
    // Two objects become the beginning and the end of one.
    return { before: before.slice(0, -1), after: after === '{}' ? after.slice(1) : `,${after.slice(1)}` };
  }
}

export function isRaw({ attributes }: Subscription): boolean {
  return attributes.get('RawMessageDelivery') === 'true';
}
