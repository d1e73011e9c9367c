import type { Clock } from '../../../core/clock.ts';
import type { RecordFormat } from '../../../engine/formats.ts';
import type { SessionCache } from '../../session-cache.ts';
import { Deadlines } from '../deadlines.ts';
import type { Input } from '../json.ts';
import { parseModel } from '../model.ts';
import { SQS_MODEL } from '../model/sqs.ts';
import type { AwsService, Caller } from '../service.ts';
import { Attempts } from './attempts.ts';
import { Guard } from './guard.ts';
import { Ids } from './ids.ts';
import type { SqsAction, SqsInputs } from './inputs.ts';
import { RELAXED_LIMITS, STRICT_LIMITS } from './limits.ts';
import { Managing } from './managing.ts';
import { MoveTasks } from './move-tasks.ts';
import { Moving } from './moving.ts';
import { type Queue, Queues } from './queues.ts';
import { Permissions } from './permissions.ts';
import { Receiving } from './receiving.ts';
import { Sending } from './sending.ts';
import { Settling } from './settling.ts';

type Handlers = { readonly [A in SqsAction]: (input: SqsInputs[A], caller: Caller) => Promise<object> };

/** Amazon SQS: which action is done by what. */
export class SqsService implements AwsService {
  readonly name = 'sqs';
  readonly model = parseModel(SQS_MODEL);
  readonly version = '2012-11-05';
  readonly xmlns = 'http://queue.amazonaws.com/doc/2012-11-05/';
  readonly target = 'AmazonSQS';
  readonly errorPrefix = 'com.amazonaws.sqs#';
  readonly #queues: Queues;
  readonly #attempts: Attempts;
  readonly #receiving: Receiving;
  readonly #tasks: MoveTasks;
  readonly #guard: Guard;
  readonly #handlers: Handlers;

  constructor(options: {
    sessions: SessionCache;
    clock: Clock;
    journalId: string;
    formats: readonly RecordFormat[];
    limits: 'strict' | 'relaxed';
  }) {
    const { sessions, clock, journalId, formats } = options;
    const limits = options.limits === 'strict' ? STRICT_LIMITS : RELAXED_LIMITS;
    const queues = new Queues(sessions);
    const ids = new Ids(journalId);
    const tasks = new MoveTasks(sessions, clock);
    const managing = new Managing({ queues, clock, limits, tasks });
    const sourcesOf = (caller: Caller, dead: Queue): Promise<Queue[]> => managing.sourcesOf(caller, dead);
    const moving = new Moving({ queues, clock, tasks, limits, sourcesOf });
    const sending = new Sending(queues, ids, limits);
    const attempts = new Attempts(clock);
    const settling = new Settling({ queues, ids, clock, limits, attempts });
    const deadlines = new Deadlines(clock);
    const receiving = new Receiving({ queues, ids, clock, limits, deadlines, attempts, formats });
    this.#queues = queues;
    this.#attempts = attempts;
    this.#receiving = receiving;
    this.#tasks = tasks;
    this.#guard = new Guard(queues, clock);
    const permissions = new Permissions(managing);
    this.#handlers = {
      AddPermission: (input, caller) => permissions.addPermission(input, caller),
      CancelMessageMoveTask: (input, caller) => moving.cancelMessageMoveTask(input, caller),
      ChangeMessageVisibility: (input, caller) => settling.changeMessageVisibility(input, caller),
      ChangeMessageVisibilityBatch: (input, caller) => settling.changeMessageVisibilityBatch(input, caller),
      CreateQueue: (input, caller) => managing.createQueue(input, caller),
      DeleteMessage: (input, caller) => settling.deleteMessage(input, caller),
      DeleteMessageBatch: (input, caller) => settling.deleteMessageBatch(input, caller),
      DeleteQueue: (input, caller) => managing.deleteQueue(input, caller),
      GetQueueAttributes: (input, caller) => managing.getQueueAttributes(input, caller),
      GetQueueUrl: (input, caller) => managing.getQueueUrl(input, caller),
      ListDeadLetterSourceQueues: (input, caller) => managing.listDeadLetterSourceQueues(input, caller),
      ListMessageMoveTasks: (input, caller) => moving.listMessageMoveTasks(input, caller),
      ListQueueTags: (input, caller) => managing.listQueueTags(input, caller),
      ListQueues: (input, caller) => managing.listQueues(input, caller),
      PurgeQueue: (input, caller) => managing.purgeQueue(input, caller),
      ReceiveMessage: (input, caller) => receiving.receiveMessage(input, caller),
      RemovePermission: (input, caller) => permissions.removePermission(input, caller),
      SendMessage: (input, caller) => sending.sendMessage(input, caller),
      SendMessageBatch: (input, caller) => sending.sendMessageBatch(input, caller),
      SetQueueAttributes: (input, caller) => managing.setQueueAttributes(input, caller),
      StartMessageMoveTask: (input, caller) => moving.startMessageMoveTask(input, caller),
      TagQueue: (input, caller) => managing.tagQueue(input, caller),
      UntagQueue: (input, caller) => managing.untagQueue(input, caller),
    };
  }

  run(name: string, input: Input, caller: Caller): Promise<object> {
    // The model has no other actions, and what was decoded by it has the shape that the handler wants.
    const action = name as SqsAction;
    const handler = this.#handlers[action] as (input: Input, caller: Caller) => Promise<object>;
    if (caller.login === 'none') return handler(input, caller);
    return this.#guard.admit(action, input, caller).then((admitted) => handler(input, admitted));
  }

  resume(namespaces: readonly string[]): Promise<void> {
    return this.#tasks.resume(namespaces);
  }

  forget(): void {
    this.#queues.forgetAll();
    this.#attempts.forgetAll();
    this.#tasks.forgetAll();
  }

  close(): Promise<void> {
    this.#receiving.close();
    return this.#tasks.close();
  }
}
