import type { Clock } from '../../../core/clock.ts';
import { AwsError, invalidValue } from '../errors.ts';
import { parseArn } from '../names.ts';
import type { Caller } from '../service.ts';
import type { SqsInputs } from './inputs.ts';
import { arnOf, type Queue, type Queues } from './queues.ts';

const MAX_RATE = 500;
/** Of one queue. */
const REMEMBERED = 10;

interface Task {
  /** Of the engine's redrive. */
  readonly id: string;
  readonly account: string;
  readonly sourceArn: string;
  readonly destinationArn: string | undefined;
  readonly rate: number | undefined;
  readonly toMove: number;
  readonly startedAt: number;
  cancelled: boolean;
}

/** Moves dead letters back, in the background: the message move tasks of SQS. */
export class Moving {
  readonly #queues: Queues;
  readonly #clock: Clock;
  readonly #isDeadLetterQueue: (caller: Caller, queue: Queue) => Promise<boolean>;
  /** By account and name of the source, the newest first. */
  readonly #tasks = new Map<string, Task[]>();

  constructor(queues: Queues, clock: Clock, isDeadLetterQueue: (caller: Caller, queue: Queue) => Promise<boolean>) {
    this.#queues = queues;
    this.#clock = clock;
    this.#isDeadLetterQueue = isDeadLetterQueue;
  }

  async startMessageMoveTask(input: SqsInputs['StartMessageMoveTask'], caller: Caller): Promise<object> {
    const { SourceArn, DestinationArn, MaxNumberOfMessagesPerSecond: rate } = input;
    if (rate !== undefined && (!Number.isInteger(rate) || rate < 1 || rate > MAX_RATE))
      throw invalidValue(rate, 'MaxNumberOfMessagesPerSecond', `Must be between 1 and ${MAX_RATE}, if provided.`);
    const source = await this.#byArn(caller, SourceArn);
    if (!(await this.#isDeadLetterQueue(caller, source)))
      throw new AwsError('InvalidParameterValue', 'Source queue must be configured as a Dead Letter Queue.');
    const destination = DestinationArn === undefined ? undefined : await this.#byArn(caller, DestinationArn);
    if (destination !== undefined && (destination.account !== source.account || destination.kind !== source.kind))
      throw invalidValue(DestinationArn, 'DestinationArn', 'It must be of the same account and kind as the source.');
    const tasks = this.#tasksOf(source);
    for (const task of tasks) {
      if ((await this.#stateOf(caller, task)).state === 'running')
        throw new AwsError('UnsupportedOperation', 'There is already a task running.');
    }
    const ref = { topic: source.name, subscription: source.name };
    const { id, toMove } = await this.#queues.use(caller, source.account, async (session) => {
      const { depth } = await session.request('subscriptionStats', ref);
      // With a rate it goes on by itself.
      const to = destination === undefined ? {} : { to: destination.name };
      const progress = await session.request('redrive', { ...ref, ...to, ratePerSecond: rate ?? MAX_RATE });
      return { id: progress.id, toMove: depth };
    });
    tasks.unshift({
      id,
      account: source.account,
      sourceArn: arnOf(caller, source),
      destinationArn: DestinationArn,
      rate,
      toMove,
      startedAt: this.#clock.now(),
      cancelled: false,
    });
    tasks.length = Math.min(tasks.length, REMEMBERED);
    return { TaskHandle: handleOf(id, SourceArn) };
  }

  async listMessageMoveTasks(
    { SourceArn, MaxResults = 1 }: SqsInputs['ListMessageMoveTasks'],
    caller: Caller,
  ): Promise<object> {
    if (!Number.isInteger(MaxResults) || MaxResults < 1 || MaxResults > REMEMBERED)
      throw invalidValue(MaxResults, 'MaxResults', `Must be between 1 and ${REMEMBERED}, if provided.`);
    const source = await this.#byArn(caller, SourceArn);
    const tasks = this.#tasksOf(source).slice(0, MaxResults);
    const Results = await Promise.all(
      tasks.map(async (task) => {
        const { state, moved, error } = await this.#stateOf(caller, task);
        const status = STATUS[state];
        return {
          ...(status === 'RUNNING' && { TaskHandle: handleOf(task.id, task.sourceArn) }),
          Status: status === 'RUNNING' && task.cancelled ? 'CANCELLING' : status,
          SourceArn: task.sourceArn,
          ...(task.destinationArn !== undefined && { DestinationArn: task.destinationArn }),
          ...(task.rate !== undefined && { MaxNumberOfMessagesPerSecond: task.rate }),
          ApproximateNumberOfMessagesMoved: moved,
          ApproximateNumberOfMessagesToMove: task.toMove,
          ...(error !== undefined && { FailureReason: error }),
          StartedTimestamp: task.startedAt,
        };
      }),
    );
    return { Results };
  }

  async cancelMessageMoveTask({ TaskHandle }: SqsInputs['CancelMessageMoveTask'], caller: Caller): Promise<object> {
    const { id, arn } = partsOf(TaskHandle);
    const source = await this.#byArn(caller, arn);
    const task = this.#tasksOf(source).find((each) => each.id === id);
    if (task === undefined || (await this.#stateOf(caller, task)).state !== 'running')
      throw new AwsError('ResourceNotFoundException', 'Task does not exist, or is over.', 404);
    task.cancelled = true;
    const { moved } = await this.#queues.use(caller, task.account, (session) =>
      session.request('redriveProgress', { id, cancel: true }),
    );
    return { ApproximateNumberOfMessagesMoved: moved };
  }

  #stateOf(
    caller: Caller,
    { id, account }: Task,
  ): Promise<{ state: keyof typeof STATUS; moved: number; error?: string }> {
    return this.#queues.use(caller, account, (session) => session.request('redriveProgress', { id }));
  }

  #tasksOf({ account, name }: Queue): Task[] {
    const key = `${account} ${name}`;
    let tasks = this.#tasks.get(key);
    if (tasks === undefined) this.#tasks.set(key, (tasks = []));
    return tasks;
  }

  async #byArn(caller: Caller, text: string): Promise<Queue> {
    const arn = parseArn(text, 'sqs');
    if (arn === undefined) throw invalidValue(text, 'SourceArn', 'It must be the ARN of a queue.');
    try {
      return await this.#queues.refresh(caller, arn.account, arn.name);
    } catch (error) {
      if (error instanceof AwsError && error.error === 'QueueDoesNotExist')
        throw new AwsError('ResourceNotFoundException', 'The resource that you specified does not exist.', 404);
      throw error;
    }
  }
}

const STATUS = { running: 'RUNNING', done: 'COMPLETED', cancelled: 'CANCELLED', failed: 'FAILED' } as const;

function handleOf(id: string, arn: string): string {
  return Buffer.from(`${id} ${arn}`).toString('base64');
}

function partsOf(handle: string): { id: string; arn: string } {
  const [id = '', arn = ''] = Buffer.from(handle, 'base64').toString('utf8').split(' ');
  if (!/^redrive-\d+$/.test(id) || parseArn(arn, 'sqs') === undefined)
    throw invalidValue(handle, 'TaskHandle', 'It is not the handle of a task.');
  return { id, arn };
}
