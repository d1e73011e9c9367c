import { randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../../../core/clock.ts';
import { AwsError } from '../errors.ts';
import { parseArn } from '../names.ts';
import type { Caller } from '../service.ts';
import type { SnsInputs } from './inputs.ts';
import { type Inbox, isInboxProtocol } from './inbox.ts';
import type { Signer } from './signer.ts';
import { type Confirmation, type Subscription, subscriptionArn, topicArn, type Topics } from './topics.ts';
import { webhookRequest, type Webhooks } from './webhooks.ts';

/** Endpoints of HTTP are asked whether they want to be subscribed, or anybody could have us call anybody. */
export class Confirming {
  readonly #topics: Topics;
  readonly #signer: Signer;
  readonly #webhooks: Webhooks;
  readonly #inbox: Inbox | null;
  readonly #clock: Clock;

  constructor(parts: { topics: Topics; signer: Signer; webhooks: Webhooks; inbox: Inbox | null; clock: Clock }) {
    this.#topics = parts.topics;
    this.#signer = parts.signer;
    this.#webhooks = parts.webhooks;
    this.#inbox = parts.inbox;
    this.#clock = parts.clock;
  }

  /** @throws InvalidParameterException for an endpoint that is no URL of its protocol */
  checkEndpoint(protocol: string, endpoint: string): void {
    const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
    if (url?.protocol !== `${protocol}:` || url.username !== '' || endpoint.length > 2048)
      throw new AwsError(
        'InvalidParameterException',
        `Invalid parameter: Endpoint must be a URL that begins with ${protocol}:// and has no login`,
      );
  }

  /** Of a new subscription. */
  pending(): Confirmation {
    return { state: 'pending', token: randomBytes(64).toString('hex'), askedAt: this.#clock.now() };
  }

  /** From now on it has as much time as the first time. */
  async askAgain(subscription: Subscription, caller: Caller): Promise<void> {
    const { confirmation } = subscription;
    if (confirmation?.state !== 'pending') return;
    const askedAt = this.#clock.now();
    await this.#topics.putSubscription({ ...subscription, confirmation: { ...confirmation, askedAt } });
    await this.ask(subscription, caller);
  }

  /** Has the endpoint told how it can confirm. Kept in the queue of webhooks before this resolves. */
  async ask(subscription: Subscription, caller: Caller): Promise<void> {
    const { account, topic, id, protocol, endpoint, confirmation } = subscription;
    if (confirmation === null || confirmation.state !== 'pending') return;
    const { token } = confirmation;
    const TopicArn = topicArn(caller, { account, name: topic });
    const where = `${caller.origin}/?Action=ConfirmSubscription&Version=2010-03-31`;
    const SubscribeURL = `${where}&TopicArn=${encodeURIComponent(TopicArn)}&Token=${token}`;
    const MessageId = randomUUID();
    const Timestamp = new Date(this.#clock.now()).toISOString();
    const Message = `You have chosen to subscribe to the topic ${TopicArn}.\nTo confirm the subscription, visit the SubscribeURL included in this message.`;
    if (isInboxProtocol(protocol)) {
      const subject = 'AWS Notification - Subscription Confirmation';
      const asked = { protocol, to: endpoint, subject, text: Message, messageId: MessageId, topicArn: TopicArn };
      this.#inbox?.add({ ...asked, token, subscribeUrl: SubscribeURL, at: Timestamp });
      return;
    }
    const signed = [
      ['Message', Message],
      ['MessageId', MessageId],
      ['SubscribeURL', SubscribeURL],
      ['Timestamp', Timestamp],
      ['Token', token],
      ['TopicArn', TopicArn],
      ['Type', 'SubscriptionConfirmation'],
    ] as const;
    const body = JSON.stringify({
      ...Object.fromEntries(signed),
      SignatureVersion: '1',
      Signature: await this.#signer.sign(signed, '1'),
      SigningCertURL: `${caller.origin}${await this.#signer.certificatePath()}`,
    });
    const headers = webhookHeaders({ type: 'SubscriptionConfirmation', messageId: MessageId, topicArn: TopicArn });
    await this.#webhooks.start(account);
    await this.#topics.asBroker(account, (session) =>
      session.publish(webhookRequest({ subscription: id, headers, body })),
    );
  }

  /** Whoever has the token may: nobody else was told it. */
  async confirmSubscription({ TopicArn, Token }: SnsInputs['ConfirmSubscription'], caller: Caller): Promise<object> {
    const parsed = parseArn(TopicArn, 'sns');
    const topic = parsed === undefined ? undefined : await this.#topics.find(parsed.account, parsed.name);
    if (topic === undefined) throw new AwsError('NotFoundException', 'Topic does not exist');
    const given = Buffer.from(Token);
    for (const subscription of await this.#topics.subscriptionsOf(topic)) {
      const { confirmation } = subscription;
      if (confirmation === null) continue;
      const token = Buffer.from(confirmation.token);
      if (token.byteLength !== given.byteLength || !timingSafeEqual(token, given)) continue;
      // A second confirmation is answered as the first.
      if (confirmation.state === 'pending')
        await this.#topics.putSubscription({ ...subscription, confirmation: { ...confirmation, state: 'confirmed' } });
      return { SubscriptionArn: subscriptionArn(caller, subscription) };
    }
    throw new AwsError('InvalidParameterException', 'Invalid parameter: Token');
  }
}

/** By which an endpoint knows what it is sent. */
export function webhookHeaders(of: {
  type: 'SubscriptionConfirmation' | 'Notification';
  messageId: string;
  topicArn: string;
  subscriptionArn?: string;
  delivery?: 'raw';
  /** Default: as SNS has it. */
  contentType?: string;
}): Record<string, string> {
  return {
    'Content-Type': of.contentType ?? 'text/plain; charset=UTF-8',
    'User-Agent': 'Amazon Simple Notification Service Agent',
    'x-amz-sns-message-type': of.type,
    'x-amz-sns-message-id': of.messageId,
    'x-amz-sns-topic-arn': of.topicArn,
    ...(of.subscriptionArn !== undefined && { 'x-amz-sns-subscription-arn': of.subscriptionArn }),
    ...(of.delivery === 'raw' && { 'x-amz-sns-rawdelivery': 'true' }),
  };
}
