import { spawn } from 'node:child_process';
import { realpathSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { z } from 'zod';
import { Child } from './child.ts';
import type { BurstConfig } from './processes/burst.ts';
import type { OrdersConfig } from './processes/orders.ts';
import type { ServiceConfig } from './processes/service.ts';
import type { WorkerConfig } from './processes/worker.ts';
import { until } from './wait.ts';

/** The scripts of the lab, and what each is started with. */
interface Scripts {
  service: ServiceConfig;
  worker: WorkerConfig;
  burst: BurstConfig;
  orders: OrdersConfig;
}

const START_MS = 20_000;
const BROKER = 'broker';

/** What `railhead serve --json` prints when it is ready. */
const Ready = z.object({ url: z.string() });

/**
 * A broker would outlive a lab that was killed, since nobody tells it. Loaded before its own code, this ends it with
 * the channel to the lab.
 */
const ENDS_WITH_THE_LAB = `data:text/javascript,${encodeURIComponent(
  'process.on("disconnect", () => process.exit(1)); process.channel?.unref();',
)}`;

/** Starts the processes of the lab, and ends every one of them, by its id. */
export class Fleet {
  readonly #children = new Set<Child>();
  readonly #root: string;
  readonly #extension: string;

  constructor() {
    // The program is src/lab/main.ts or src/cli/main.ts, or the same in dist/: the scripts are found from there.
    const program = realpathSync(process.argv[1] ?? '.');
    this.#root = dirname(dirname(program));
    this.#extension = extname(program);
  }

  /** Resolves when it works. @throws Error with what the process said, when it does not. */
  async start<S extends keyof Scripts>(script: S, config: Scripts[S]): Promise<Child> {
    const name = 'name' in config ? config.name : script;
    const file = join(this.#root, 'lab', 'processes', `${script}${this.#extension}`);
    const child = this.#spawn(name, [file, JSON.stringify(config)]);
    await until(`"${name}" is ready`, () => this.#alive(child) && child.told('ready').length > 0, {
      timeoutMs: START_MS,
    });
    return child;
  }

  /** A broker as a user would start it: `railhead serve --dir DIR`. Port 0 takes a free one. */
  async startBroker(dir: string, port = 0): Promise<{ child: Child; url: string }> {
    const file = join(this.#root, 'cli', `main${this.#extension}`);
    const flags = ['--dir', dir, '--host', '127.0.0.1', '--port', String(port), '--log-level', 'error', '--json'];
    let output = '';
    const child = this.#spawn(BROKER, ['--import', ENDS_WITH_THE_LAB, file, 'serve', ...flags], (text) => {
      output += text;
    });
    await until('the broker is ready', () => this.#alive(child) && output.includes('\n'), { timeoutMs: START_MS });
    return { child, url: Ready.parse(JSON.parse(output)).url };
  }

  /** What a process said that ended though nobody ended it. */
  get trouble(): string | undefined {
    for (const { trouble } of this.#children) if (trouble !== undefined) return trouble;
    return undefined;
  }

  /** Ends all of them, the broker after those that talk to it. */
  async end(): Promise<void> {
    const isBroker = (child: Child): boolean => child.name === BROKER;
    const children = [...this.#children];
    await Promise.all(children.filter((child) => !isBroker(child)).map((child) => child.stop()));
    await Promise.all(children.filter(isBroker).map((child) => child.stop()));
    this.#children.clear();
  }

  /** For a lab that has no time left. */
  killNow(): void {
    for (const child of this.#children) child.killNow();
  }

  #alive(child: Child): boolean {
    if (child.trouble !== undefined) throw new Error(child.trouble);
    return true;
  }

  #spawn(name: string, args: readonly string[], onOutput?: (text: string) => void): Child {
    const spawned = spawn(process.execPath, args, {
      stdio: ['ignore', onOutput === undefined ? 'ignore' : 'pipe', 'pipe', 'ipc'],
      env: ownEnvironment(),
    });
    if (onOutput !== undefined) spawned.stdout?.setEncoding('utf8').on('data', onOutput);
    const child = new Child(name, spawned);
    this.#children.add(child);
    return child;
  }
}

/** Settings of the user's own brokers are not for the lab's. */
function ownEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('RAILHEAD_')));
}
