import { type Action, isAuthorized, LOCAL_PRINCIPAL, type Principal } from '../../../core/auth.ts';
import type { Clock } from '../../../core/clock.ts';
import { AwsError } from '../errors.ts';
import type { Input } from '../json.ts';
import type { Facts } from '../policy/conditions.ts';
import { BadPolicy } from '../policy/parts.ts';
import { judge, parsePolicy, type Policy, type Verdict } from '../policy/policy.ts';
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

/**
 * Asks the policy of a queue. What it allows is a grant for this queue and this action, on which `authorize` decides as on
 * any other; what it says nothing about is left to the grants of the user.
 */
export class Guard {
  readonly #queues: Queues;
  readonly #clock: Clock;
  readonly #parsed = new WeakMap<Queue, Policy | BadPolicy>();

  constructor(queues: Queues, clock: Clock) {
    this.#queues = queues;
    this.#clock = clock;
  }

  /** As whom the action is done. @throws AccessDenied */
  async admit(action: SqsAction, input: Input, caller: Caller): Promise<Caller> {
    const { principal } = caller;
    const rights = RIGHTS[action];
    if (principal === LOCAL_PRINCIPAL || rights === undefined) return caller;
    const queue = await this.#queueOf(input, caller);
    const policy = queue === undefined ? undefined : this.#policyOf(queue);
    if (queue === undefined || policy === undefined) return caller;
    const verdict = this.#verdict(policy, action, queue, caller);
    // Or one statement could keep everybody out, also from taking it back.
    const { namespace, name } = queue;
    if (verdict === 'denied' && !isAuthorized(principal, 'admin', { namespace, kind: 'broker', name: '' }))
      throw new AwsError(
        'AccessDenied',
        `User ${principal.name} is not authorized to perform: sqs:${action} on resource ${arnOf(caller, queue)}, with an explicit deny in its policy.`,
        403,
      );
    if (verdict !== 'allowed') return caller;
    return { ...caller, principal: granted(principal, namespace, name, rights) };
  }

  #verdict(policy: Policy | BadPolicy, action: SqsAction, queue: Queue, caller: Caller): Verdict {
    // Whoever wrote it past SQS may have meant to keep somebody out.
    if (policy instanceof BadPolicy) return 'denied';
    return judge(policy, {
      principal: caller.principal,
      action: `sqs:${action.replace(/Batch$/, '')}`,
      resource: arnOf(caller, queue),
      facts: this.#facts(caller),
    });
  }

  #facts({ principal, request }: Caller): Facts {
    const { address, secure, headers } = request;
    const now = this.#clock.now();
    return new Map([
      ['aws:sourceip', address],
      ['aws:securetransport', String(secure)],
      ['aws:currenttime', new Date(now).toISOString()],
      ['aws:epochtime', String(Math.floor(now / 1000))],
      ['aws:username', principal.name],
      ['aws:useragent', headers['user-agent'] ?? ''],
    ]);
  }

  #policyOf(queue: Queue): Policy | BadPolicy | undefined {
    const text = queue.settings.of('Policy');
    if (text === undefined) return undefined;
    let policy = this.#parsed.get(queue);
    if (policy === undefined) {
      try {
        policy = parsePolicy(text);
      } catch (error) {
        if (!(error instanceof BadPolicy)) throw error;
        policy = error;
      }
      this.#parsed.set(queue, policy);
    }
    return policy;
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

function granted(principal: Principal, namespace: string, resource: string, actions: readonly Action[]): Principal {
  // Sessions go by the name: what one action is granted is not another's.
  const name = `${principal.name} by the policy of ${resource} (${actions.join(', ')})`;
  return { name, grants: [{ namespace, resource, actions }] };
}
