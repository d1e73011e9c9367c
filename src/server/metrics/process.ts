import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { Histogram } from '../../core/histogram.ts';
import { realTime } from '../../core/real-time.ts';
import type { Exposition } from '../../gateways/metrics/exposition.ts';

/** A pause shorter than this is not seen: Node looks so often. */
const RESOLUTION_MS = 20;
const WINDOW_MS = 1_000;
const PAUSE_BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];

/** What the process itself can tell: memory, processor time, and whether its loop keeps up. */
export class ProcessMeter {
  readonly #delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  /** The longest pause of each second, seconds. */
  readonly #pauses = new Histogram(PAUSE_BOUNDS);
  readonly #timer: NodeJS.Timeout;

  constructor() {
    this.#delay.enable();
    this.#timer = realTime.setInterval(() => this.#look(), WINDOW_MS).unref();
  }

  close(): void {
    realTime.clearInterval(this.#timer);
    this.#delay.disable();
  }

  write(out: Exposition): void {
    const memory = process.memoryUsage();
    const { user, system } = process.cpuUsage();
    const { active, idle } = performance.eventLoopUtilization();
    const gauge = (name: string, help: string, value: number): void => out.add({ name, type: 'gauge', help }, value);
    const counter = (name: string, help: string, value: number): void =>
      out.add({ name, type: 'counter', help }, value);
    gauge('process_resident_memory_bytes', 'Memory of the process.', memory.rss);
    gauge('railhead_heap_used_bytes', 'Memory that JavaScript uses.', memory.heapUsed);
    gauge('railhead_array_buffers_bytes', 'Memory of buffers, where messages are.', memory.arrayBuffers);
    counter('process_cpu_seconds_total', 'Processor time, of all threads.', (user + system) / 1e6);
    counter('railhead_event_loop_active_seconds_total', 'Time that the event loop was at work.', active / 1000);
    counter('railhead_event_loop_idle_seconds_total', 'Time that it waited for something to do.', idle / 1000);
    out.histogram(
      'railhead_event_loop_pause_seconds',
      'The longest pause of the event loop in each second.',
      this.#pauses,
    );
  }

  #look(): void {
    // What Node measures is the time between two looks, of which a part is the rest that was asked for.
    if (this.#delay.count > 0) this.#pauses.observe(Math.max(0, this.#delay.max / 1e6 - RESOLUTION_MS) / 1000);
    this.#delay.reset();
  }
}
