import type { Action } from '../../../core/auth.ts';
import type { Clock } from '../../../core/clock.ts';
import type { Input } from '../json.ts';
import { namespaceOf, parseArn } from '../names.ts';
import { admitted, ParsedPolicies, PolicyGrants } from '../policy/asking.ts';
import type { Caller } from '../service.ts';
import type { SnsAction } from './inputs.ts';
import { type Topic, topicArn, type Topics } from './topics.ts';

/** What the policy of a topic can let somebody do to it, and what `authorize` is then asked for. */
const RIGHTS: Partial<Readonly<Record<SnsAction, readonly Action[]>>> = {
  AddPermission: ['configure'],
  DeleteTopic: ['configure'],
  GetSubscriptionAttributes: ['inspect'],
  GetTopicAttributes: ['inspect'],
  ListSubscriptionsByTopic: ['inspect'],
  ListTagsForResource: ['inspect'],
  Publish: ['publish'],
  PublishBatch: ['publish'],
  RemovePermission: ['configure'],
  SetSubscriptionAttributes: ['configure'],
  SetTopicAttributes: ['configure'],
  Subscribe: ['configure'],
  TagResource: ['configure'],
  Unsubscribe: ['configure'],
  UntagResource: ['configure'],
};

/** Asks the policy of a topic, as that of a queue is asked. */
export class Guard {
  readonly #topics: Topics;
  readonly #clock: Clock;
  readonly #parsed = new ParsedPolicies<Topic>();
  readonly #grants = new PolicyGrants();

  constructor(topics: Topics, clock: Clock) {
    this.#topics = topics;
    this.#clock = clock;
  }

  /** As whom the action is done. @throws AccessDenied */
  async admit(action: SnsAction, input: Input, caller: Caller): Promise<Caller> {
    const rights = RIGHTS[action];
    if (caller.login === 'none' || rights === undefined) return caller;
    const topic = await this.#topicOf(input);
    const text = topic?.attributes.get('Policy') ?? '';
    if (topic === undefined || text === '') return caller;
    return admitted(this.#parsed.of(topic, text), {
      caller,
      action: `sns:${action.replace(/Batch$/, '')}`,
      on: { namespace: namespaceOf(topic.account), name: topic.name, arn: topicArn(caller, topic) },
      rights,
      grants: this.#grants,
      now: this.#clock.now(),
    });
  }

  /** Undefined: there is none, which the action will say. */
  async #topicOf(input: Input): Promise<Topic | undefined> {
    const named = topicNamedBy(input);
    return named && this.#topics.find(named.account, named.name);
  }
}

/** The topic that an action is about: of a subscription, its topic. Undefined where no ARN says it. */
export function topicNamedBy(input: Input): Pick<Topic, 'account' | 'name'> | undefined {
  const { TopicArn, TargetArn, ResourceArn, SubscriptionArn } = input;
  const arn = TopicArn ?? TargetArn ?? ResourceArn ?? SubscriptionArn;
  const parsed = typeof arn === 'string' ? parseArn(arn, 'sns') : undefined;
  return parsed && { account: parsed.account, name: parsed.name.split(':', 1)[0] ?? '' };
}
