import { randomUUID } from 'node:crypto';
import { type Action, authorize } from '../../../core/auth.ts';
import type { Clock } from '../../../core/clock.ts';
import { AwsError } from '../errors.ts';
import { type Arn, namespaceOf, parseArn } from '../names.ts';
import { BadPolicy } from '../policy/parts.ts';
import { parsePolicy } from '../policy/policy.ts';
import type { Caller } from '../service.ts';
import { type Archive, archiveDaysOf } from './archive.ts';
import type { Confirming } from './confirming.ts';
import { policyOf, shownPolicy, subscriptionPolicyFault, topicPolicyFault } from './delivery-policy.ts';
import { checkFilter } from './filter.ts';
import { checkAddress, type Inbox, isInboxProtocol } from './inbox.ts';
import type { Tag, SnsInputs } from './inputs.ts';
import { checkSubscribers, isMessageSize } from './message-size.ts';
import { policyTextOf } from './permissions.ts';
import { type Replay, type Replays, replayWindow } from './replaying.ts';
import {
  deadLetterTarget,
  scopeOf,
  type Subscription,
  subscriptionArn,
  subscriptionOf,
  type Topic,
  topicArn,
  topicOf,
  type Topics,
} from './topics.ts';

/** Of a topic that keeps what is published: since when. */
const BEGAN = 'BeginningArchiveTime';
const PAGE = 100;
const MAX_TAGS = 50;
/** Of one topic, as Amazon has it. */
const MAX_FILTERS = 200;

interface Setting {
  default?: string;
  fifo?: true;
  fits(value: string): boolean;
  /** What is wrong with it, where more can be said than that it does not fit. */
  fault?(value: string): string | null;
}

const choice =
  (...values: string[]): ((value: string) => boolean) =>
  (value) =>
    values.includes(value);
const nothing = (value: string): boolean => value === '';
/** A policy of a subscription that says nothing is none, also where one was. */
const isNone = (value: string): boolean => /^\s*(?:\{\s*\}\s*)?$/.test(value);

function policyFault(text: string): string | null {
  try {
    parsePolicy(text);
    return null;
  } catch (error) {
    if (error instanceof BadPolicy) return error.message;
    throw error;
  }
}

/** What a topic can be told. What this broker does not do takes no value but none. */
export const TOPIC_SETTINGS: Readonly<Record<string, Setting>> = {
  DisplayName: { default: '', fits: (value) => value.length <= 100 },
  Policy: { fits: (value) => value === '' || policyFault(value) === null, fault: policyFault },
  SignatureVersion: { fits: choice('1', '2') },
  FifoTopic: { fits: choice('true'), fifo: true },
  ContentBasedDeduplication: { default: 'false', fits: choice('true', 'false'), fifo: true },
  FifoThroughputScope: { default: 'Topic', fits: choice('Topic', 'MessageGroup'), fifo: true },
  MaximumMessageSize: { fits: isMessageSize },
  TracingConfig: { fits: choice('PassThrough') },
  DeliveryPolicy: { fits: (value) => value === '' || topicPolicyFault(value) === null, fault: topicPolicyFault },
  KmsMasterKeyId: { fits: nothing },
  ArchivePolicy: { fits: (value) => archiveDaysOf(value) !== undefined, fifo: true },
};

/** What a subscription can be told. */
export const SUBSCRIPTION_SETTINGS: Readonly<Record<string, Setting>> = {
  RawMessageDelivery: { default: 'false', fits: choice('true', 'false') },
  // Compiled, which says what is wrong with it.
  FilterPolicy: { fits: () => true },
  FilterPolicyScope: { fits: choice('MessageAttributes', 'MessageBody') },
  RedrivePolicy: { fits: (value) => isNone(value) || deadLetterTarget(value) !== undefined },
  DeliveryPolicy: {
    fits: (value) => isNone(value) || subscriptionPolicyFault(value) === null,
    fault: subscriptionPolicyFault,
  },
  // Of the topic it depends what it may say.
  ReplayPolicy: { fits: () => true, fifo: true },
  SubscriptionRoleArn: { fits: nothing },
};

/** Topics and subscriptions: made, changed, listed and deleted. */
export class SnsManaging {
  readonly #topics: Topics;
  readonly #confirming: Confirming;
  readonly #inbox: Inbox | null;
  readonly #archive: Archive;
  readonly #replays: Replays;
  readonly #clock: Clock;
  readonly #limits: 'strict' | 'relaxed';

  /** @param parts.inbox null: nothing is sent to phones and by mail */
  constructor(parts: {
    topics: Topics;
    confirming: Confirming;
    inbox: Inbox | null;
    archive: Archive;
    replays: Replays;
    clock: Clock;
    limits: 'strict' | 'relaxed';
  }) {
    this.#topics = parts.topics;
    this.#confirming = parts.confirming;
    this.#inbox = parts.inbox;
    this.#archive = parts.archive;
    this.#replays = parts.replays;
    this.#clock = parts.clock;
    this.#limits = parts.limits;
  }

  // ---- Topics -----------------------------------------------------------------------------------------------------

  async createTopic(input: SnsInputs['CreateTopic'], caller: Caller): Promise<object> {
    const { Name, Attributes: given = new Map<string, string>(), Tags = [], DataProtectionPolicy = '' } = input;
    if (DataProtectionPolicy !== '')
      throw invalid('DataProtectionPolicy Reason: this broker looks for no personal data');
    const fifo = given.get('FifoTopic') === 'true';
    const base = fifo && Name.endsWith('.fifo') ? Name.slice(0, -'.fifo'.length) : Name;
    if (Name.length > 256 || !/^[\w-]+$/.test(base) || fifo !== Name.endsWith('.fifo'))
      throw invalid(fifo ? 'Topic Name: FIFO topic names must end with .fifo' : 'Topic Name');
    check(
      TOPIC_SETTINGS,
      new Map([...given].filter(([name, value]) => name !== 'FifoTopic' || value !== 'false')),
      fifo,
    );
    this.#topics.authorize(caller, 'configure', caller.account, Name);
    const existing = await this.#topics.find(caller.account, Name);
    const tags = tagsOf(Tags);
    if (existing === undefined) {
      const topic = topicOf(caller.account, Name, Object.fromEntries(given), Object.fromEntries(tags));
      checkTags(topic.tags);
      await this.#topics.putTopic(await this.#archived(topic));
      return { TopicArn: topicArn(caller, topic) };
    }
    for (const [name, value] of given)
      if (existing.attributes.get(name) !== value && TOPIC_SETTINGS[name]?.default !== value)
        throw invalid('Attributes Reason: Topic already exists with different attributes');
    for (const [name, value] of tags)
      if (existing.tags.get(name) !== value) throw invalid('Tags Reason: Topic already exists with different tags');
    return { TopicArn: topicArn(caller, existing) };
  }

  /** Also for one that is not there. */
  async deleteTopic({ TopicArn }: SnsInputs['DeleteTopic'], caller: Caller): Promise<object> {
    try {
      const topic = await this.#topics.topic(caller, TopicArn, 'configure');
      if (topic.attributes.has(BEGAN))
        throw new AwsError(
          'InvalidStateException',
          'Topic has an ArchivePolicy. Empty it before the topic is deleted.',
        );
      await this.#topics.deleteTopic(topic);
    } catch (error) {
      if (!(error instanceof AwsError && error.error === 'NotFoundException')) throw error;
    }
    return {};
  }

  async getTopicAttributes({ TopicArn }: SnsInputs['GetTopicAttributes'], caller: Caller): Promise<object> {
    const topic = await this.#topics.topic(caller, TopicArn, 'inspect');
    const subscriptions = await this.#topics.subscriptionsOf(topic);
    const pending = subscriptions.filter(isPending).length;
    const Attributes: [string, string][] = [
      ['TopicArn', topicArn(caller, topic)],
      ['Owner', topic.account],
      ['SubscriptionsConfirmed', String(subscriptions.length - pending)],
      ['SubscriptionsPending', String(pending)],
      ['SubscriptionsDeleted', '0'],
      ['EffectiveDeliveryPolicy', shownPolicy(policyOf(topic.attributes.get('DeliveryPolicy'), undefined), 'topic')],
      ...[...topic.attributes].filter(([name]) => name === BEGAN),
      ...shown(TOPIC_SETTINGS, topic.attributes, topic.fifo),
      ['Policy', policyTextOf(caller, topic)],
    ];
    return { Attributes: Object.fromEntries(Attributes) };
  }

  async setTopicAttributes(input: SnsInputs['SetTopicAttributes'], caller: Caller): Promise<object> {
    const { TopicArn, AttributeName, AttributeValue = '' } = input;
    const topic = await this.#topics.topic(caller, TopicArn, 'configure');
    if (AttributeName === 'FifoTopic') throw invalid('AttributeName');
    check(TOPIC_SETTINGS, new Map([[AttributeName, AttributeValue]]), topic.fifo);
    const changed = { ...topic, attributes: new Map([...topic.attributes, [AttributeName, AttributeValue]]) };
    if (AttributeName === 'MaximumMessageSize')
      checkSubscribers(changed, await this.#topics.subscriptionsOf(topic), this.#limits);
    await this.#topics.putTopic(AttributeName === 'ArchivePolicy' ? await this.#archived(changed) : changed);
    return {};
  }

  /** With or without an archive, as its policy says. */
  async #archived(topic: Topic): Promise<Topic> {
    const days = archiveDaysOf(topic.attributes.get('ArchivePolicy') ?? '') ?? 0;
    const attributes = new Map(topic.attributes);
    if (days > 0 || attributes.has(BEGAN)) await this.#archive.keep(topic, days);
    if (days === 0) attributes.delete(BEGAN);
    else if (!attributes.has(BEGAN)) attributes.set(BEGAN, new Date(this.#clock.now()).toISOString());
    return { ...topic, attributes };
  }

  async listTopics({ NextToken }: SnsInputs['ListTopics'], caller: Caller): Promise<object> {
    this.#topics.authorize(caller, 'inspect', caller.account, '');
    const { topics } = await this.#topics.all(caller.account);
    const { page, next } = pageOf(topics, NextToken);
    return { Topics: page.map((topic) => ({ TopicArn: topicArn(caller, topic) })), ...next };
  }

  // ---- Tags -------------------------------------------------------------------------------------------------------

  async listTagsForResource({ ResourceArn }: SnsInputs['ListTagsForResource'], caller: Caller): Promise<object> {
    const { tags } = await this.#tagged(caller, ResourceArn, 'inspect');
    return { Tags: Array.from(tags, ([Key, Value]) => ({ Key, Value })) };
  }

  async tagResource({ ResourceArn, Tags }: SnsInputs['TagResource'], caller: Caller): Promise<object> {
    const topic = await this.#tagged(caller, ResourceArn, 'configure');
    const tags = new Map([...topic.tags, ...tagsOf(Tags)]);
    checkTags(tags);
    await this.#topics.putTopic({ ...topic, tags });
    return {};
  }

  async untagResource({ ResourceArn, TagKeys }: SnsInputs['UntagResource'], caller: Caller): Promise<object> {
    const topic = await this.#tagged(caller, ResourceArn, 'configure');
    const tags = new Map([...topic.tags].filter(([key]) => !TagKeys.includes(key)));
    await this.#topics.putTopic({ ...topic, tags });
    return {};
  }

  /** These actions have an error of their own for what is not there. @throws ResourceNotFoundException */
  async #tagged(caller: Caller, arn: string, action: Action): Promise<Topic> {
    try {
      return await this.#topics.topic(caller, arn, action);
    } catch (error) {
      if (!(error instanceof AwsError && error.error === 'NotFoundException')) throw error;
      throw new AwsError('ResourceNotFoundException', 'Resource does not exist');
    }
  }

  // ---- Subscriptions ----------------------------------------------------------------------------------------------

  async subscribe(input: SnsInputs['Subscribe'], caller: Caller): Promise<object> {
    const { TopicArn, Protocol, Endpoint = '', Attributes = new Map<string, string>() } = input;
    const topic = await this.#topics.topic(caller, TopicArn, 'configure');
    const isWeb = Protocol === 'http' || Protocol === 'https';
    const isInbox = this.#inbox !== null && isInboxProtocol(Protocol);
    if ((isWeb || isInbox) && topic.fifo) throw invalid('Protocol Reason: a FIFO topic delivers to sqs alone');
    if (isWeb) this.#confirming.checkEndpoint(Protocol, Endpoint);
    else if (isInbox) checkAddress(Protocol, Endpoint);
    else checkQueue(Protocol, Endpoint, topic);
    check(SUBSCRIPTION_SETTINGS, Attributes, topic.fifo);
    const given = new Map([...Attributes].filter(([, value]) => !isNone(value)));
    checkPosts(Protocol, given);
    const queue = isWeb || isInbox ? undefined : parseArn(Endpoint, 'sqs');
    assertReaches(caller, topic.account, [queue, deadLetterTarget(given.get('RedrivePolicy'))]);
    const others = await this.#topics.subscriptionsOf(topic);
    const same = others.find(({ endpoint }) => endpoint === Endpoint);
    if (same !== undefined) {
      for (const [name, value] of given)
        if (same.attributes.get(name) !== value)
          throw invalid('Attributes Reason: Subscription already exists with different attributes');
      await this.#confirming.askAgain(same, caller);
      return { SubscriptionArn: answeredArn(same, caller, input.ReturnSubscriptionArn) };
    }
    checkSubscribers(topic, [...others, { protocol: Protocol }], this.#limits);
    await this.#checkFilter(given, topic);
    const subscription = subscriptionOf({
      account: topic.account,
      topic: topic.name,
      id: randomUUID(),
      protocol: Protocol,
      endpoint: Endpoint,
      attributes: given,
      confirmation: isWeb || (isInbox && Protocol !== 'sms') ? this.#confirming.pending() : null,
      replay: this.#replayOf(given.get('ReplayPolicy'), topic, caller),
    });
    await this.#topics.putSubscription(subscription);
    if (subscription.replay !== null) this.#replays.start(subscription);
    await this.#confirming.ask(subscription, caller);
    return { SubscriptionArn: answeredArn(subscription, caller, input.ReturnSubscriptionArn) };
  }

  async unsubscribe({ SubscriptionArn }: SnsInputs['Unsubscribe'], caller: Caller): Promise<object> {
    try {
      await this.#topics.unsubscribe(await this.#topics.subscription(caller, SubscriptionArn, 'configure'));
    } catch (error) {
      if (!(error instanceof AwsError && error.error === 'NotFoundException')) throw error;
    }
    return {};
  }

  async getSubscriptionAttributes(
    { SubscriptionArn }: SnsInputs['GetSubscriptionAttributes'],
    caller: Caller,
  ): Promise<object> {
    const subscription = await this.#topics.subscription(caller, SubscriptionArn, 'inspect');
    const { account, topic, protocol, endpoint, attributes } = subscription;
    const scope = attributes.has('FilterPolicy') ? 'MessageAttributes' : undefined;
    const ofTopic = (await this.#topics.find(account, topic))?.attributes.get('DeliveryPolicy');
    const effective = shownPolicy(policyOf(ofTopic, attributes.get('DeliveryPolicy')), 'subscription');
    const Attributes: [string, string][] = [
      ['SubscriptionArn', subscriptionArn(caller, subscription)],
      ['TopicArn', topicArn(caller, { account, name: topic })],
      ['Owner', account],
      ['Protocol', protocol],
      ['Endpoint', endpoint],
      ['PendingConfirmation', String(isPending(subscription))],
      ['ConfirmationWasAuthenticated', 'true'],
      ...(scope === undefined ? [] : [['FilterPolicyScope', scope] as [string, string]]),
      ['SubscriptionPrincipal', `arn:aws:iam::${account}:root`],
      ...(subscription.replay === null
        ? []
        : [['ReplayStatus', subscription.replay.state === 'done' ? 'Completed' : 'In progress'] as [string, string]]),
      ...(protocol.startsWith('http') ? [['EffectiveDeliveryPolicy', effective] as [string, string]] : []),
      ...shown(SUBSCRIPTION_SETTINGS, attributes, true),
    ];
    return { Attributes: Object.fromEntries(Attributes) };
  }

  async setSubscriptionAttributes(input: SnsInputs['SetSubscriptionAttributes'], caller: Caller): Promise<object> {
    const { SubscriptionArn, AttributeName, AttributeValue = '' } = input;
    const subscription = await this.#topics.subscription(caller, SubscriptionArn, 'configure');
    const given = new Map([[AttributeName, AttributeValue]]);
    check(SUBSCRIPTION_SETTINGS, given, true);
    checkPosts(subscription.protocol, given);
    assertReaches(caller, subscription.account, [deadLetterTarget(given.get('RedrivePolicy'))]);
    const attributes = new Map([...subscription.attributes, [AttributeName, AttributeValue]]);
    if (isNone(AttributeValue)) attributes.delete(AttributeName);
    if (AttributeName.startsWith('FilterPolicy')) await this.#checkFilter(attributes, subscription);
    const changed = subscriptionOf({ ...subscription, attributes });
    if (AttributeName !== 'ReplayPolicy') {
      await this.#topics.putSubscription(changed);
      return {};
    }
    const topic = await this.#topics.find(subscription.account, subscription.topic);
    if (topic === undefined) throw new AwsError('NotFoundException', 'Topic does not exist');
    const replay = this.#replayOf(AttributeValue, topic, caller);
    await this.#topics.putSubscription({ ...changed, replay });
    if (replay !== null) this.#replays.start(changed);
    return {};
  }

  /**
   * @param of the subscription that it is for, or the topic, when it is a new one
   * @throws InvalidParameterException, FilterPolicyLimitExceededException
   */
  async #checkFilter(attributes: ReadonlyMap<string, string>, of: Subscription | Topic): Promise<void> {
    const policy = attributes.get('FilterPolicy') ?? '';
    if (policy === '') return;
    checkFilter(policy, scopeOf(attributes));
    const isNew = 'topic' in of ? of.wants === null : true;
    const topic = 'topic' in of ? await this.#topics.find(of.account, of.topic) : of;
    if (this.#limits === 'relaxed' || !isNew || topic === undefined) return;
    const filters = (await this.#topics.subscriptionsOf(topic)).filter(({ wants }) => wants !== null).length;
    if (filters >= MAX_FILTERS)
      throw new AwsError(
        'FilterPolicyLimitExceededException',
        `A topic has at most ${MAX_FILTERS} filter policies. \`--aws-limits relaxed\` allows more.`,
      );
  }

  #replayOf(policy: string | undefined, topic: Topic, { origin, region }: Caller): Replay | null {
    const window = replayWindow(policy ?? '', { topic, now: this.#clock.now() });
    return window && { ...window, state: 'running', next: null, origin, region };
  }

  async listSubscriptions({ NextToken }: SnsInputs['ListSubscriptions'], caller: Caller): Promise<object> {
    this.#topics.authorize(caller, 'inspect', caller.account, '');
    const { subscriptions } = await this.#topics.all(caller.account);
    return listed(subscriptions, NextToken, caller);
  }

  async listSubscriptionsByTopic(
    { TopicArn, NextToken }: SnsInputs['ListSubscriptionsByTopic'],
    caller: Caller,
  ): Promise<object> {
    const topic = await this.#topics.topic(caller, TopicArn, 'inspect');
    return listed(await this.#topics.subscriptionsOf(topic), NextToken, caller);
  }
}

/** Nobody is asked at a delivery, so who brings a topic into a queue of another account may send there. @throws FORBIDDEN */
function assertReaches(caller: Caller, account: string, queues: readonly (Arn | undefined)[]): void {
  for (const queue of queues) {
    if (queue === undefined || queue.account === account) continue;
    const resource = { namespace: namespaceOf(queue.account), kind: 'topic', name: queue.name } as const;
    authorize(caller.asker ?? caller.principal, 'publish', resource);
  }
}

/** How posts are made matters to those alone that are posted to. @throws InvalidParameterException */
function checkPosts(protocol: string, given: ReadonlyMap<string, string>): void {
  if (!isNone(given.get('DeliveryPolicy') ?? '') && !protocol.startsWith('http'))
    throw invalid(`DeliveryPolicy Reason: a subscription of ${protocol} is not posted to`);
}

function isPending({ confirmation }: Subscription): boolean {
  return confirmation?.state === 'pending';
}

/** @throws InvalidParameterException */
function checkQueue(protocol: string, endpoint: string, topic: Topic): void {
  if (protocol !== 'sqs')
    throw invalid(`Protocol Reason: this broker delivers to sqs, http and https, not to ${protocol.slice(0, 50)}`);
  const queue = parseArn(endpoint, 'sqs');
  if (queue === undefined) throw invalid('SQS endpoint ARN');
  if (queue.name.endsWith('.fifo') && !topic.fifo)
    throw invalid('Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics');
}

function answeredArn(subscription: Subscription, caller: Caller, returnArn: boolean | undefined): string {
  return isPending(subscription) && returnArn !== true ? 'pending confirmation' : subscriptionArn(caller, subscription);
}

function invalid(what: string): AwsError {
  return new AwsError('InvalidParameterException', `Invalid parameter: ${what}`);
}

/** @throws InvalidParameterException */
function check(settings: Readonly<Record<string, Setting>>, given: ReadonlyMap<string, string>, fifo: boolean): void {
  for (const [name, value] of given) {
    const setting = Object.hasOwn(settings, name) ? settings[name] : undefined;
    if (setting === undefined || (setting.fifo === true && !fifo))
      throw invalid(`AttributeName: ${name.slice(0, 100)}`);
    if (!setting.fits(value))
      throw invalid(
        `${name} Reason: ${setting.fault?.(value) ?? `this broker does not support ${JSON.stringify(value.slice(0, 100))}`}`,
      );
  }
}

/** What was set, and what is so when nothing is set. */
function shown(
  settings: Readonly<Record<string, Setting>>,
  given: ReadonlyMap<string, string>,
  fifo: boolean,
): [string, string][] {
  return Object.entries(settings).flatMap(([name, setting]): [string, string][] => {
    const value = given.get(name) ?? (setting.fifo === true && !fifo ? undefined : setting.default);
    return value === undefined ? [] : [[name, value]];
  });
}

function tagsOf(tags: readonly Tag[]): Map<string, string> {
  return new Map(tags.map(({ Key, Value }) => [Key, Value]));
}

function checkTags(tags: ReadonlyMap<string, string>): void {
  if (tags.size > MAX_TAGS)
    throw new AwsError('TagLimitExceededException', `Could not complete request: tag quota of ${MAX_TAGS} reached`);
  for (const [key, value] of tags)
    if (key.length < 1 || key.length > 128 || value.length > 256 || /^aws:/i.test(key)) throw invalid('Tags');
}

function pageOf<T>(all: readonly T[], token: string | undefined): { page: readonly T[]; next: { NextToken?: string } } {
  const text = token === undefined ? '0' : Buffer.from(token, 'base64url').toString();
  if (!/^\d{1,9}$/.test(text)) throw invalid('NextToken');
  const from = Number(text);
  const page = all.slice(from, from + PAGE);
  const next = from + PAGE < all.length ? { NextToken: Buffer.from(String(from + PAGE)).toString('base64url') } : {};
  return { page, next };
}

function listed(subscriptions: readonly Subscription[], token: string | undefined, caller: Caller): object {
  const { page, next } = pageOf(subscriptions, token);
  const topicOfOne = ({ account, topic }: Subscription): Pick<Topic, 'account' | 'name'> => ({ account, name: topic });
  const Subscriptions = page.map((subscription) => ({
    SubscriptionArn: isPending(subscription) ? 'PendingConfirmation' : subscriptionArn(caller, subscription),
    Owner: subscription.account,
    Protocol: subscription.protocol,
    Endpoint: subscription.endpoint,
    TopicArn: topicArn(caller, topicOfOne(subscription)),
  }));
  return { Subscriptions, ...next };
}
