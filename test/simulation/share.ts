import { parentPort, Worker, workerData } from 'node:worker_threads';
import { crashEverywhere, type CrashOptions } from './crash-points.ts';
import { manyLives } from './lives.ts';

/** What one thread does: every `step`-th seed from `from` on, until it has looked at so many states. */
export interface Share {
  kind: 'crash-points' | 'lives';
  from: number;
  step: number;
  states: number;
}

export interface ShareReport {
  states: number;
  seeds: number;
  delivered: number;
  problems: string[];
}

/** Short scripts see the start of a journal often, long ones see segments roll and messages move to cold blocks. */
export function crashOptions(seed: number): CrashOptions {
  return seed % 24 === 5 ? { seed, steps: 500, variants: 2, part: 0.2 } : { seed, steps: 40, variants: 12, part: 1 };
}

export async function run(
  share: Share,
  onSeed: (seed: number, report: ShareReport) => void = () => {},
): Promise<ShareReport> {
  const report: ShareReport = { states: 0, seeds: 0, delivered: 0, problems: [] };
  for (let seed = share.from; report.states < share.states && report.problems.length === 0; seed += share.step) {
    try {
      if (share.kind === 'crash-points') {
        const { states, problems } = await crashEverywhere(crashOptions(seed));
        report.states += states;
        report.problems.push(...problems.map((problem) => `seed ${seed}: ${problem}`));
      } else {
        const { crashes, delivered, problems } = await manyLives({ seed, lives: 6, steps: 200 });
        report.states += crashes;
        report.delivered += delivered;
        report.problems.push(...problems.map((problem) => `seed ${seed}: ${problem}`));
      }
    } catch (error) {
      report.problems.push(`seed ${seed}: ${error instanceof Error ? error.stack : String(error)}`);
    }
    report.seeds++;
    onSeed(seed, report);
  }
  return report;
}

/** In a thread: tells of each seed how far it has come, and ends with the whole report. */
export type ShareMessage = { readonly kind: 'progress' | 'done'; readonly report: ShareReport };

if (parentPort !== null) {
  const port = parentPort;
  const tell = (kind: ShareMessage['kind'], report: ShareReport): void =>
    port.postMessage({ kind, report } satisfies ShareMessage);
  tell('done', await run(workerData as Share, (_, report) => tell('progress', report)));
}

/** Runs a share in a thread of its own. `onSeed` is told what was done so far after each seed. */
export function inThread(share: Share, onSeed: (report: ShareReport) => void = () => {}): Promise<ShareReport> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), {
      workerData: share,
      // What a look at one disk leaves behind would be collected too often.
      resourceLimits: { maxYoungGenerationSizeMb: 192 },
    });
    worker.on('message', ({ kind, report }: ShareMessage) => (kind === 'done' ? resolve(report) : onSeed(report)));
    worker.once('error', reject);
  });
}
