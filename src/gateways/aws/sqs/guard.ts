import type { Action } from '../../../core/auth.ts';
import type { Clock } from '../../../core/clock.ts';
import { AwsError } from '../errors.ts';
import type { Input } from '../json.ts';
import { admitted, ParsedPolicies, PolicyGrants } from '../policy/asking.ts';
import type { BadPolicy } from '../policy/parts.ts';
import type { Policy } from '../policy/policy.ts';
import type { Caller } from '../service.ts';
import type { SqsAction } from './inputs.ts';
import { arnOf, placeOf, type Queue, type Queues } from './queues.ts';

/** What the policy of a queue can let somebody do to it, and what the engine is then asked for. */
const RIGHTS: Partial<Readonly<Record<SqsAction, readonly Action[]>>> = {
  AddPermission: ['configure', 'inspect'],
  ChangeMessageVisibility: ['consume'],
  ChangeMessageVisibilityBatch: ['consume'],
  DeleteMessage: ['consume'],
  DeleteMessageBatch: ['consume'],
  DeleteQueue: ['configure'],
  GetQueueAttributes: ['inspect'],
  GetQueueUrl: ['inspect'],
  ListQueueTags: ['inspect'],
  PurgeQueue: ['manage'],
  ReceiveMessage: ['consume'],
  RemovePermission: ['configure', 'inspect'],
  SendMessage: ['publish'],
  SendMessageBatch: ['publish'],
  SetQueueAttributes: ['configure', 'inspect'],
  TagQueue: ['configure', 'inspect'],
  UntagQueue: ['configure', 'inspect'],
};

/** Asks the policy of a queue. */
export class Guard {
  readonly #queues: Queues;
  readonly #clock: Clock;
  readonly #parsed = new ParsedPolicies<Queue>();
  readonly #grants = new PolicyGrants();

  constructor(queues: Queues, clock: Clock) {
    this.#queues = queues;
    this.#clock = clock;
  }

  /** As whom the action is done. @throws AccessDenied */
  async admit(action: SqsAction, input: Input, caller: Caller): Promise<Caller> {
    const rights = RIGHTS[action];
    if (caller.login === 'none' || rights === undefined) return caller;
    const queue = await this.#queueOf(input, caller);
    const policy = queue === undefined ? undefined : this.#policyOf(queue);
    if (queue === undefined || policy === undefined) return caller;
    const { namespace, name } = queue;
    return admitted(policy, {
      caller,
      action: `sqs:${action.replace(/Batch$/, '')}`,
      on: { namespace, name, arn: arnOf(caller, queue) },
      rights,
      grants: this.#grants,
      now: this.#clock.now(),
    });
  }

  #policyOf(queue: Queue): Policy | BadPolicy | undefined {
    const text = queue.settings.of('Policy');
    return text === undefined ? undefined : this.#parsed.of(queue, text);
  }

  /** Undefined: there is none, which the action will say. */
  async #queueOf(input: Input, caller: Caller): Promise<Queue | undefined> {
    const { QueueUrl, QueueName, QueueOwnerAWSAccountId: owner } = input;
    try {
      if (typeof QueueUrl === 'string') return await this.#queues.byUrl(caller, QueueUrl);
      if (typeof QueueName !== 'string') return undefined;
      const { account } = placeOf(`/${typeof owner === 'string' ? owner : caller.account}/queue`, caller);
      return await this.#queues.find(account, QueueName);
    } catch (error) {
      if (error instanceof AwsError) return undefined;
      throw error;
    }
  }
}
