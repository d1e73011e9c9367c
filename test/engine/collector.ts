import type { DeliveryRun, DeliverySink } from '../../src/core/session.ts';
import { textsOf } from './records.ts';

/** Keeps what a consumer is given, and settles none of it. */
export class Collector implements DeliverySink {
  readonly runs: DeliveryRun[] = [];

  deliver(runs: readonly DeliveryRun[]): void {
    this.runs.push(...runs);
  }

  ended(): void {}

  /** How many messages. */
  get count(): number {
    return this.runs.reduce((sum, { count }) => sum + count, 0);
  }

  get texts(): string[] {
    return this.runs.flatMap(textsOf);
  }
}
