import { randomUUID } from 'node:crypto';
import { authorize } from '../../../core/auth.ts';
import type { Clock } from '../../../core/clock.ts';
import { AwsError, invalidValue } from '../errors.ts';
import { parseArn } from '../names.ts';
import type { Caller } from '../service.ts';
import type { SqsInputs } from './inputs.ts';
import type { SqsLimits } from './limits.ts';
import { MAX_REMEMBERED, type MoveTask, type MoveTasks } from './move-tasks.ts';
import { arnOf, type Queue, type Queues } from './queues.ts';

/** Moves dead letters back, in the background: the message move tasks of SQS. */
export class Moving {
  readonly #queues: Queues;
  readonly #clock: Clock;
  readonly #tasks: MoveTasks;
  readonly #limits: SqsLimits;
  /** The queues whose dead letters go there. */
  readonly #sourcesOf: (caller: Caller, dead: Queue) => Promise<Queue[]>;

  constructor(parts: {
    queues: Queues;
    clock: Clock;
    tasks: MoveTasks;
    limits: SqsLimits;
    sourcesOf: (caller: Caller, dead: Queue) => Promise<Queue[]>;
  }) {
    this.#queues = parts.queues;
    this.#clock = parts.clock;
    this.#tasks = parts.tasks;
    this.#limits = parts.limits;
    this.#sourcesOf = parts.sourcesOf;
  }

  async startMessageMoveTask(input: SqsInputs['StartMessageMoveTask'], caller: Caller): Promise<object> {
    const { SourceArn, DestinationArn, MaxNumberOfMessagesPerSecond: rate } = input;
    const { moveRate } = this.#limits;
    if (rate !== undefined && (!Number.isInteger(rate) || rate < 1 || rate > moveRate))
      throw invalidValue(rate, 'MaxNumberOfMessagesPerSecond', `Must be between 1 and ${moveRate}, if provided.`);
    const source = await this.#byArn(caller, SourceArn, 'SourceArn');
    const origins = await this.#sourcesOf(caller, source);
    if (origins.length === 0)
      throw new AwsError('InvalidParameterValue', 'Source queue must be configured as a Dead Letter Queue.');
    const destination =
      DestinationArn === undefined ? undefined : await this.#byArn(caller, DestinationArn, 'DestinationArn');
    if (destination !== undefined && (destination.account !== source.account || destination.kind !== source.kind))
      throw invalidValue(DestinationArn, 'DestinationArn', 'It must be of the same account and kind as the source.');
    const { namespace } = source;
    authorize(caller.principal, 'consume', { namespace, kind: 'topic', name: source.name });
    for (const { name } of destination === undefined ? origins : [destination])
      authorize(caller.principal, 'publish', { namespace, kind: 'topic', name });
    const ref = { topic: source.name, subscription: source.name };
    const { depth } = await this.#queues.use(caller, source.account, (session) =>
      session.request('subscriptionStats', ref),
    );
    if (this.#tasks.of(source).some(({ status }) => status === 'RUNNING'))
      throw new AwsError('UnsupportedOperation', 'There is already a task running.');
    const task: MoveTask = {
      id: randomUUID(),
      sourceArn: arnOf(caller, source),
      destination: destination === undefined ? null : { arn: arnOf(caller, destination), queue: destination.name },
      rate: rate ?? null,
      toMove: depth,
      startedAt: this.#clock.now(),
      moved: 0,
      status: 'RUNNING',
    };
    await this.#tasks.start(source, task);
    return { TaskHandle: handleOf(task) };
  }

  async listMessageMoveTasks(
    { SourceArn, MaxResults = 1 }: SqsInputs['ListMessageMoveTasks'],
    caller: Caller,
  ): Promise<object> {
    if (!Number.isInteger(MaxResults) || MaxResults < 1 || MaxResults > MAX_REMEMBERED)
      throw invalidValue(MaxResults, 'MaxResults', `Must be between 1 and ${MAX_REMEMBERED}, if provided.`);
    const source = await this.#byArn(caller, SourceArn, 'SourceArn');
    const tasks = this.#tasks.of(source).slice(0, MaxResults);
    return {
      Results: tasks.map((task) => ({
        ...(task.status === 'RUNNING' && { TaskHandle: handleOf(task) }),
        Status: task.status,
        SourceArn: task.sourceArn,
        ...(task.destination !== null && { DestinationArn: task.destination.arn }),
        ...(task.rate !== null && { MaxNumberOfMessagesPerSecond: task.rate }),
        ApproximateNumberOfMessagesMoved: task.moved,
        ApproximateNumberOfMessagesToMove: task.toMove,
        ...(task.failure !== undefined && { FailureReason: task.failure }),
        StartedTimestamp: task.startedAt,
      })),
    };
  }

  async cancelMessageMoveTask({ TaskHandle }: SqsInputs['CancelMessageMoveTask'], caller: Caller): Promise<object> {
    const { id, arn } = partsOf(TaskHandle);
    const source = await this.#byArn(caller, arn, 'TaskHandle');
    const { namespace, name } = source;
    authorize(caller.principal, 'consume', { namespace, kind: 'topic', name });
    const task = this.#tasks.of(source).find((each) => each.id === id);
    if (task?.status !== 'RUNNING')
      throw new AwsError('ResourceNotFoundException', 'Task does not exist, or is over.', 404);
    await this.#tasks.cancel(source, task);
    return { ApproximateNumberOfMessagesMoved: task.moved };
  }

  async #byArn(caller: Caller, text: string, parameter: string): Promise<Queue> {
    const arn = parseArn(text, 'sqs');
    if (arn === undefined) throw invalidValue(text, parameter, 'It must be the ARN of a queue.');
    try {
      return await this.#queues.refresh(caller, arn.account, arn.name);
    } catch (error) {
      if (error instanceof AwsError && error.error === 'QueueDoesNotExist')
        throw new AwsError('ResourceNotFoundException', 'The resource that you specified does not exist.', 404);
      throw error;
    }
  }
}

function handleOf({ id, sourceArn }: MoveTask): string {
  return Buffer.from(JSON.stringify({ taskId: id, sourceArn })).toString('base64');
}

function partsOf(handle: string): { id: string; arn: string } {
  let parts: unknown;
  try {
    parts = JSON.parse(Buffer.from(handle, 'base64').toString('utf8'));
  } catch {
    parts = null;
  }
  const fields = new Map<string, unknown>(Object.entries(parts ?? {}));
  const [id, arn] = [fields.get('taskId'), fields.get('sourceArn')];
  if (typeof id !== 'string' || typeof arn !== 'string' || parseArn(arn, 'sqs') === undefined)
    throw invalidValue(handle, 'TaskHandle', 'It is not the handle of a task.');
  return { id, arn };
}
