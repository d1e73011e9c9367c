import { LOCAL_PRINCIPAL } from '../../../core/auth.ts';
import type { Clock } from '../../../core/clock.ts';
import { RailheadError } from '../../../core/errors.ts';
import type { Session } from '../../../core/session.ts';
import type { SessionCache } from '../../session-cache.ts';
import { accountOf, namespaceOf } from '../names.ts';

/** Where a task takes messages from. The id tells one queue from a later one of the same name. */
export interface TaskSource {
  readonly account: string;
  readonly name: string;
  readonly topicId: number;
}

/** A task as it is kept. */
export interface MoveTask {
  readonly id: string;
  readonly sourceArn: string;
  /** Null: each message goes back to where it came from. */
  readonly destination: { readonly arn: string; readonly queue: string } | null;
  /** Messages a second; null: as fast as it goes. */
  readonly rate: number | null;
  readonly toMove: number;
  readonly startedAt: number;
  moved: number;
  status: 'RUNNING' | 'COMPLETED' | 'CANCELLED' | 'FAILED';
  failure?: string;
}

interface Source {
  readonly topicId: number;
  /** The newest first. */
  readonly tasks: MoveTask[];
}

interface Running {
  /** Cuts short what it waits for. */
  wake: () => void;
  readonly over: Promise<void>;
}

const DOCUMENT = 'sqs-move-tasks';
/** Of one queue. */
export const MAX_REMEMBERED = 10;
/** Moved at one go where no rate says how many. */
const PIECE = 500;
const SECOND_MS = 1_000;

/**
 * Runs tasks piece by piece, and keeps where each is in a document of its queue: so that they go on after a restart. A
 * piece that was moved right before a crash may then be missing in the count, never a message.
 */
export class MoveTasks {
  readonly #sessions: SessionCache;
  readonly #clock: Clock;
  /** By account and name. */
  readonly #sources = new Map<string, Source>();
  readonly #running = new Map<MoveTask, Running>();
  #closed = false;

  constructor(sessions: SessionCache, clock: Clock) {
    this.#sessions = sessions;
    this.#clock = clock;
  }

  of({ account, name, topicId }: TaskSource): readonly MoveTask[] {
    const source = this.#sources.get(keyOf(account, name));
    return source?.topicId === topicId ? source.tasks : [];
  }

  /** Resolves when it is kept. It runs on. */
  async start(source: TaskSource, task: MoveTask): Promise<void> {
    const { account, name, topicId } = source;
    const tasks = [task, ...this.of(source)].slice(0, MAX_REMEMBERED);
    this.#sources.set(keyOf(account, name), { topicId, tasks });
    await this.#save(account, name);
    this.#begin(source, task);
  }

  /** Resolves when it moves nothing more. */
  async cancel({ account, name }: TaskSource, task: MoveTask): Promise<void> {
    task.status = 'CANCELLED';
    const running = this.#running.get(task);
    running?.wake();
    await running?.over;
    await this.#save(account, name);
  }

  /** The queue is gone. */
  async forget({ account, name }: Pick<TaskSource, 'account' | 'name'>): Promise<void> {
    const key = keyOf(account, name);
    const source = this.#sources.get(key);
    if (source === undefined) return;
    this.#sources.delete(key);
    for (const task of source.tasks) this.#stop(task);
    await this.#asBroker(account, (session) => session.request('deleteDocument', { kind: DOCUMENT, name }));
  }

  /** All of them were deleted. */
  forgetAll(): void {
    for (const { tasks } of this.#sources.values()) for (const task of tasks) this.#stop(task);
    this.#sources.clear();
  }

  #stop(task: MoveTask): void {
    if (task.status === 'RUNNING') task.status = 'CANCELLED';
    this.#running.get(task)?.wake();
  }

  /** Goes on with what ran when the broker stopped. */
  async resume(namespaces: Iterable<string>): Promise<void> {
    for (const namespace of namespaces) {
      const account = accountOf(namespace);
      if (account === undefined) continue;
      const { documents } = await this.#asBroker(account, (session) =>
        session.request('listDocuments', { kind: DOCUMENT }),
      );
      for (const { name, value } of documents) {
        // Written by `#save`.
        const kept = JSON.parse(value) as Source;
        this.#sources.set(keyOf(account, name), kept);
        for (const task of kept.tasks)
          if (task.status === 'RUNNING') this.#begin({ account, name, topicId: kept.topicId }, task);
      }
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const running = [...this.#running.values()];
    for (const { wake } of running) wake();
    await Promise.all(running.map(({ over }) => over));
  }

  #begin(source: TaskSource, task: MoveTask): void {
    const running: Running = {
      wake: () => {},
      over: this.#run(source, task).finally(() => this.#running.delete(task)),
    };
    this.#running.set(task, running);
  }

  /** Never fails: what goes wrong is the task's. */
  async #run(source: TaskSource, task: MoveTask): Promise<void> {
    const { account, name } = source;
    try {
      while (task.status === 'RUNNING' && !this.#closed) {
        const at = this.#clock.now();
        const limit = Math.min(task.rate ?? PIECE, task.toMove - task.moved);
        const moved = limit > 0 ? await this.#move(source, task, limit) : 0;
        task.moved += moved;
        // Also when some were taken by others meanwhile. What has come since it began stays.
        if (moved < limit || task.moved >= task.toMove) task.status = 'COMPLETED';
        await this.#save(account, name);
        if (task.status === 'RUNNING' && task.rate !== null) await this.#until(at + SECOND_MS, task);
      }
    } catch (error) {
      // The broker stops: it goes on with the next start.
      if (RailheadError.is(error) && ['CLOSED', 'CONNECTION_LOST', 'STORAGE_FAILED'].includes(error.code)) return;
      task.status = 'FAILED';
      task.failure = error instanceof Error ? error.message : String(error);
      await this.#save(account, name).catch(() => undefined);
    }
  }

  #move({ account, name, topicId }: TaskSource, { destination }: MoveTask, limit: number): Promise<number> {
    return this.#asBroker(account, async (session) => {
      const queue = await session.request('describeTopic', { name });
      if (queue.topicId !== topicId) throw new RailheadError('NOT_FOUND', 'The queue was deleted.');
      const to = destination === null ? {} : { to: destination.queue };
      return (await session.request('redrive', { topic: name, subscription: name, limit, ...to })).moved;
    });
  }

  #until(at: number, task: MoveTask): Promise<void> {
    return new Promise((resolve) => {
      const running = this.#running.get(task);
      if (running === undefined || this.#closed) {
        resolve();
        return;
      }
      const cancel = this.#clock.timer(at, resolve);
      running.wake = () => {
        cancel();
        resolve();
      };
    });
  }

  async #save(account: string, name: string): Promise<void> {
    const source = this.#sources.get(keyOf(account, name));
    if (source === undefined) return;
    const document = { kind: DOCUMENT, name, value: JSON.stringify(source) };
    await this.#asBroker(account, (session) => session.request('putDocument', document));
  }

  /** Whoever began a task was asked for the right to; who that was is not kept. */
  #asBroker<T>(account: string, work: (session: Session) => Promise<T>): Promise<T> {
    return this.#sessions.use(LOCAL_PRINCIPAL, namespaceOf(account), work);
  }
}

function keyOf(account: string, name: string): string {
  return `${account} ${name}`;
}
