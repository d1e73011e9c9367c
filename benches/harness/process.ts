/**
 * A bench in several processes: the parent starts a role (`roles/NAME.ts`) in a child and calls its methods by name.
 * A role module exports `start(args)`, which gives an object of async methods.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export type Method = (argument: never) => unknown;
export type Methods = Readonly<Record<string, Method>>;

interface Call {
  id: number;
  method: string;
  argument: unknown;
}

interface Answer {
  id: number;
  result?: unknown;
  error?: string;
}

const PATH = fileURLToPath(new URL('child.ts', import.meta.url));
const running = new Set<ChildProcess>();

export class Child<M extends Methods> {
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  #next = 0;
  #ended = false;
  readonly #exit: Promise<void>;
  /** Of its memory, from the system: what V8 says of itself leaves most of it out. */
  get pid(): number {
    return this.#process.pid ?? 0;
  }

  private constructor(role: string, process: ChildProcess) {
    this.#process = process;
    running.add(process);
    this.#exit = new Promise((resolve) => {
      process.once('exit', (code, signal) => {
        running.delete(process);
        this.#ended = true;
        const error = new Error(`The process of ${role} ended with ${signal ?? code}.`);
        for (const { reject } of this.#waiting.values()) reject(error);
        this.#waiting.clear();
        resolve();
      });
    });
    process.on('message', ({ id, result, error }: Answer) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error !== undefined) waiting?.reject(new Error(`${role}: ${error}`));
      // The type is the one that the role module says.
      else waiting?.resolve(result as never);
    });
  }

  /** @param flags of node, such as `--max-old-space-size` */
  static async start<M extends Methods>(role: string, args: unknown, flags: readonly string[] = []): Promise<Child<M>> {
    const prefix = process.env['BENCH_PROFILE'];
    const profile =
      prefix === undefined ? [] : ['--cpu-prof', `--cpu-prof-name=${prefix}-${role}-${Date.now()}.cpuprofile`];
    const child = new Child<M>(
      role,
      fork(PATH, [role], {
        execArgv: ['--conditions=railhead-source', '--disable-warning=ExperimentalWarning', ...profile, ...flags],
        serialization: 'advanced',
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      }),
    );
    await child.#call('start', args);
    return child;
  }

  call<K extends keyof M & string>(method: K, ...argument: Parameters<M[K]>): Promise<Awaited<ReturnType<M[K]>>> {
    return this.#call(method, argument[0]);
  }

  #call<T>(method: string, argument: unknown): Promise<T> {
    if (this.#ended) return Promise.reject(new Error('The process has ended.'));
    return new Promise((resolve, reject) => {
      const id = this.#next++;
      this.#waiting.set(id, { resolve, reject });
      const call: Call = { id, method, argument };
      this.#process.send(call);
    });
  }

  /** Lets it end by itself. */
  async stop(): Promise<void> {
    if (!this.#ended) this.#process.disconnect();
    await this.#exit;
  }

  async kill(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.#exit;
  }
}

/** After a bench that failed: its processes go too. */
export function killAll(): void {
  for (const child of running) child.kill('SIGKILL');
}

/** The other side, run by `child.ts`. */
export function serve(load: () => Promise<{ start(args: never): Promise<Methods> }>): void {
  let methods: Promise<Methods> | undefined;
  const answer = async ({ method, argument }: Call): Promise<unknown> => {
    if (method === 'start') {
      methods = load().then((role) => role.start(argument as never));
      await methods;
      return undefined;
    }
    return (await methods)?.[method]?.(argument as never);
  };
  process.on('message', (call: Call) => {
    answer(call).then(
      (result) => process.send?.({ id: call.id, result }),
      (error: unknown) =>
        process.send?.({ id: call.id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
    );
  });
  process.on('disconnect', () => process.exit(0));
}
