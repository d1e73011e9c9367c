import type { Clock } from '../../../core/clock.ts';
import type { SessionCache } from '../../session-cache.ts';
import { AwsError } from '../errors.ts';
import type { Input } from '../json.ts';
import { parseModel } from '../model.ts';
import { SNS_MODEL } from '../model/sns.ts';
import { accountOf } from '../names.ts';
import type { AwsService, Caller } from '../service.ts';
import type { SnsAction, SnsInputs } from './inputs.ts';
import { Confirming } from './confirming.ts';
import { SnsManaging } from './managing.ts';
import { Publishing } from './publishing.ts';
import { Signer } from './signer.ts';
import { Topics } from './topics.ts';
import { Webhooks } from './webhooks.ts';

type Handlers = { readonly [A in SnsAction]: (input: SnsInputs[A], caller: Caller) => Promise<object> };

/** Amazon SNS: which action is done by what. */
export class SnsService implements AwsService {
  readonly name = 'sns';
  readonly model = parseModel(SNS_MODEL);
  readonly version = '2010-03-31';
  readonly xmlns = 'http://sns.amazonaws.com/doc/2010-03-31/';
  readonly target = 'AmazonSimpleNotificationService';
  readonly errorPrefix = 'com.amazonaws.sns#';
  readonly #signer: Signer;
  readonly #webhooks: Webhooks;
  readonly #handlers: Handlers;

  constructor(parts: {
    sessions: SessionCache;
    clock: Clock;
    webhooks: 'public' | 'any';
    onBug: (error: unknown) => void;
  }) {
    const { sessions, clock } = parts;
    const topics = new Topics(sessions);
    this.#signer = new Signer(topics, clock);
    this.#webhooks = new Webhooks(topics, { clock, addresses: parts.webhooks, report: parts.onBug });
    const confirming = new Confirming(topics, this.#signer, this.#webhooks, clock);
    const managing = new SnsManaging(topics, confirming);
    const publishing = new Publishing(topics, this.#signer, this.#webhooks, clock);
    this.#handlers = {
      AddPermission: () => refused('AddPermission'),
      ConfirmSubscription: (input, caller) => confirming.confirmSubscription(input, caller),
      CreateTopic: (input, caller) => managing.createTopic(input, caller),
      DeleteTopic: (input, caller) => managing.deleteTopic(input, caller),
      GetSubscriptionAttributes: (input, caller) => managing.getSubscriptionAttributes(input, caller),
      GetTopicAttributes: (input, caller) => managing.getTopicAttributes(input, caller),
      ListSubscriptions: (input, caller) => managing.listSubscriptions(input, caller),
      ListSubscriptionsByTopic: (input, caller) => managing.listSubscriptionsByTopic(input, caller),
      ListTagsForResource: (input, caller) => managing.listTagsForResource(input, caller),
      ListTopics: (input, caller) => managing.listTopics(input, caller),
      Publish: (input, caller) => publishing.publish(input, caller),
      PublishBatch: (input, caller) => publishing.publishBatch(input, caller),
      RemovePermission: () => refused('RemovePermission'),
      SetSubscriptionAttributes: (input, caller) => managing.setSubscriptionAttributes(input, caller),
      SetTopicAttributes: (input, caller) => managing.setTopicAttributes(input, caller),
      Subscribe: (input, caller) => managing.subscribe(input, caller),
      TagResource: (input, caller) => managing.tagResource(input, caller),
      Unsubscribe: (input, caller) => managing.unsubscribe(input, caller),
      UntagResource: (input, caller) => managing.untagResource(input, caller),
    };
  }

  run(action: string, input: Input, caller: Caller): Promise<object> {
    // The model has no other actions, and what was decoded by it has the shape that the handler wants.
    const handler = this.#handlers[action as SnsAction] as (input: Input, caller: Caller) => Promise<object>;
    return handler(input, caller);
  }

  /** With which its messages are verified. */
  certificateAt(path: string): Promise<string | undefined> {
    return this.#signer.certificateAt(path);
  }

  /** Goes on with the webhooks of these namespaces. */
  async resume(namespaces: Iterable<string>): Promise<void> {
    for (const namespace of namespaces) {
      const account = accountOf(namespace);
      if (account !== undefined) await this.#webhooks.resume(account);
    }
  }

  close(): Promise<void> {
    return this.#webhooks.close();
  }
}

function refused(action: string): Promise<never> {
  return Promise.reject(new AwsError('UnsupportedOperation', `${action} is not supported by this broker.`));
}
