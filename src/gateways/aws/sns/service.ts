import type { Clock } from '../../../core/clock.ts';
import type { SessionCache } from '../../session-cache.ts';
import type { Input } from '../json.ts';
import { parseModel } from '../model.ts';
import { SNS_MODEL } from '../model/sns.ts';
import { accountOf } from '../names.ts';
import type { AwsService, Caller } from '../service.ts';
import type { SnsAction, SnsInputs } from './inputs.ts';
import { Confirming } from './confirming.ts';
import { SnsManaging } from './managing.ts';
import { Guard, topicNamedBy } from './guard.ts';
import { Inbox } from './inbox.ts';
import { Permissions } from './permissions.ts';
import { Archive } from './archive.ts';
import type { Replays } from './replaying.ts';
import { Publishing } from './publishing.ts';
import { Signer } from './signer.ts';
import { Topics } from './topics.ts';
import { Webhooks } from './webhooks.ts';

type Handlers = { readonly [A in SnsAction]: (input: SnsInputs[A], caller: Caller) => Promise<object> };

/** These read of a topic or its subscriptions what they then write. */
const CHANGES: ReadonlySet<SnsAction> = new Set<SnsAction>([
  'AddPermission',
  'ConfirmSubscription',
  'CreateTopic',
  'DeleteTopic',
  'RemovePermission',
  'SetSubscriptionAttributes',
  'SetTopicAttributes',
  'Subscribe',
  'TagResource',
  'Unsubscribe',
  'UntagResource',
]);

/** Amazon SNS: which action is done by what. */
export class SnsService implements AwsService {
  readonly name = 'sns';
  readonly model = parseModel(SNS_MODEL);
  readonly version = '2010-03-31';
  readonly xmlns = 'http://sns.amazonaws.com/doc/2010-03-31/';
  readonly target = 'AmazonSimpleNotificationService';
  readonly errorPrefix = 'com.amazonaws.sns#';
  readonly #topics: Topics;
  readonly #signer: Signer;
  readonly #webhooks: Webhooks;
  readonly #guard: Guard;
  readonly #inbox: Inbox | null;
  readonly #replays: Replays;
  readonly #handlers: Handlers;

  constructor(parts: {
    sessions: SessionCache;
    clock: Clock;
    webhooks: 'public' | 'any';
    inbox?: 'kept';
    limits: 'strict' | 'relaxed';
    onBug: (error: unknown) => void;
  }) {
    const { sessions, clock, limits } = parts;
    const topics = new Topics(sessions, clock);
    this.#topics = topics;
    this.#signer = new Signer(topics, clock);
    this.#webhooks = new Webhooks(topics, { clock, addresses: parts.webhooks, report: parts.onBug });
    this.#inbox = parts.inbox === 'kept' ? new Inbox() : null;
    const inbox = this.#inbox;
    const confirming = new Confirming({ topics, signer: this.#signer, webhooks: this.#webhooks, inbox, clock });
    const archive = new Archive(topics);
    const permissions = new Permissions(topics);
    this.#guard = new Guard(topics, clock);
    const publishing = new Publishing({
      topics,
      archive,
      signer: this.#signer,
      webhooks: this.#webhooks,
      inbox,
      clock,
      errors: this.model.errors,
      report: parts.onBug,
    });
    this.#replays = publishing.replays;
    const managing = new SnsManaging({
      topics,
      confirming,
      inbox,
      archive,
      replays: publishing.replays,
      clock,
      limits,
    });
    this.#handlers = {
      AddPermission: (input, caller) => permissions.addPermission(input, caller),
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
      RemovePermission: (input, caller) => permissions.removePermission(input, caller),
      SetSubscriptionAttributes: (input, caller) => managing.setSubscriptionAttributes(input, caller),
      SetTopicAttributes: (input, caller) => managing.setTopicAttributes(input, caller),
      Subscribe: (input, caller) => managing.subscribe(input, caller),
      TagResource: (input, caller) => managing.tagResource(input, caller),
      Unsubscribe: (input, caller) => managing.unsubscribe(input, caller),
      UntagResource: (input, caller) => managing.untagResource(input, caller),
    };
  }

  run(name: string, input: Input, caller: Caller): Promise<object> {
    // The model has no other actions, and what was decoded by it has the shape that the handler wants.
    const action = name as SnsAction;
    const handler = this.#handlers[action] as (input: Input, caller: Caller) => Promise<object>;
    if (caller.login === 'none') return this.#inTurn(action, input, caller, () => handler(input, caller));
    return this.#guard
      .admit(action, input, caller)
      .then((admitted) => this.#inTurn(action, input, caller, () => handler(input, admitted)));
  }

  /** What changes a topic, after all that was asked for before. */
  #inTurn(action: SnsAction, input: Input, caller: Caller, work: () => Promise<object>): Promise<object> {
    if (!CHANGES.has(action)) return work();
    const { Name } = input;
    const topic = typeof Name === 'string' ? { account: caller.account, name: Name } : topicNamedBy(input);
    return topic === undefined ? work() : this.#topics.inTurn(topic, work);
  }

  /** With which its messages are verified. */
  certificateAt(path: string): Promise<string | undefined> {
    return this.#signer.certificateAt(path);
  }

  /** Of requests to the inbox; undefined where there is none, and for every other request. */
  inboxAnswer(method: string, url: string): string | undefined {
    return this.#inbox?.answer(method, url);
  }

  /** Goes on with the webhooks of these namespaces. */
  async resume(namespaces: Iterable<string>): Promise<void> {
    for (const namespace of namespaces) {
      const account = accountOf(namespace);
      if (account === undefined) continue;
      await this.#webhooks.resume(account);
      await this.#replays.resume(account);
    }
  }

  /** The broker that was spoken to is gone, and another one has what it had. */
  async recovered(namespaces: Iterable<string>): Promise<void> {
    this.#webhooks.forget();
    await this.resume(namespaces);
  }

  forget(): void {
    this.#topics.forget();
  }

  async close(): Promise<void> {
    await Promise.all([this.#webhooks.close(), this.#replays.close()]);
  }
}
