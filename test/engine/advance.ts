import type { ManualClock } from '../../src/core/clock.ts';
import type { Broker } from '../../src/engine/broker.ts';

/** Timer by timer, so that what one of them starts is done before the next. */
export async function advance(broker: Broker, clock: ManualClock, ms: number): Promise<void> {
  const end = clock.now() + ms;
  for (;;) {
    await broker.settled();
    const next = clock.nextTimer();
    if (next === undefined || next > end) break;
    clock.moveTo(next);
  }
  clock.moveTo(end);
  await broker.settled();
}
