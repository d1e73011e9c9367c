import { closeSync, fdatasyncSync, mkdtempSync, openSync, readFileSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { cpus, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { percentile, spread } from './figures.ts';

export interface Machine {
  cores: number;
  processor: string;
  memoryGiB: number;
  kernel: string;
  node: string;
  fileSystem: string;
  fdatasyncUs: { median: number; p99: number; max: number };
  load: string;
}

export function describeMachine(): Machine {
  const [first] = cpus();
  return {
    cores: cpus().length,
    processor: first?.model.trim() ?? 'unknown',
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    fileSystem: `type 0x${statfsSync(tmpdir()).type.toString(16)} in ${tmpdir()}`,
    fdatasyncUs: fdatasyncTimes(),
    load: readFileSync('/proc/loadavg', 'utf8').split(' ', 3).join(' '),
  };
}

/** 4 KiB written over a file that is there already, as the journal does. */
function fdatasyncTimes(): Machine['fdatasyncUs'] {
  const directory = mkdtempSync(join(tmpdir(), 'railhead-bench-'));
  const file = openSync(join(directory, 'probe'), 'w');
  try {
    const page = Buffer.alloc(4096, 1);
    for (let i = 0; i < 1024; i++) writeSync(file, page, 0, page.length, i * page.length);
    fdatasyncSync(file);
    const times: number[] = [];
    for (let i = 0; i < 1000; i++) {
      writeSync(file, page, 0, page.length, i * page.length);
      const start = performance.now();
      fdatasyncSync(file);
      times.push((performance.now() - start) * 1000);
    }
    return { median: spread(times).median, p99: percentile(times, 0.99), max: spread(times).max };
  } finally {
    closeSync(file);
    rmSync(directory, { recursive: true });
  }
}

/** Resident memory of a process, bytes. Files that the kernel keeps mapped (node itself) count: they do in both sides of a difference. */
export function residentBytes(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(line?.[1] ?? NaN) * 1024;
}

/** Processor time that a process has taken, of all its threads, ms. In ticks of 10 ms. */
export function processorMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // What follows the name, which may have spaces in it; user and system time are fields 14 and 15 of all.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

const REST_LOOK_MS = 200;
/** Of the processes together, in one look. */
const REST_MOST_MS = 20;
const REST_LOOKS = 50;

/**
 * Until none of these processes has something left to do of what came before: a JVM compiles for a second and more after
 * it was busy, on a processor that whoever is measured next would have had. False when one is at work after ten seconds still.
 */
export async function untilAtRest(pids: readonly number[]): Promise<boolean> {
  const taken = (): number => pids.reduce((sum, pid) => sum + processorMs(pid), 0);
  for (let look = 0, before = taken(); look < REST_LOOKS; look++) {
    await sleep(REST_LOOK_MS);
    const after = taken();
    if (after - before <= REST_MOST_MS) return true;
    before = after;
  }
  return false;
}

export function machineLines(machine: Machine): string[] {
  const { fdatasyncUs: sync } = machine;
  return [
    `${machine.cores} × ${machine.processor}, ${machine.memoryGiB} GiB, Linux ${machine.kernel}, Node ${machine.node}`,
    `fdatasync of 4 KiB: median ${sync.median.toFixed(0)} µs, p99 ${sync.p99.toFixed(0)} µs, max ${sync.max.toFixed(0)} µs (file system ${machine.fileSystem})`,
    `load when it began: ${machine.load}`,
  ];
}
