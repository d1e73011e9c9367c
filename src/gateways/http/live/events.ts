import type { Clock } from '../../../core/clock.ts';

/** One server-sent event. `json` has no line ends of its own. */
export function eventText(name: string, json: string): string {
  return `event: ${name}\ndata: ${json}\n\n`;
}

export interface EventStreamOptions {
  clock: Clock;
  /** Who takes nothing for so long is cut off. */
  stuckMs: number;
  /** Called once, when it is over, however it ends. */
  done: () => void;
}

/** An answer that goes on: server-sent events, made as fast as they are read and no faster. */
export class EventStream {
  readonly readable: ReadableStream<Uint8Array>;

  constructor(events: AsyncGenerator<string>, { clock, stuckMs, done }: EventStreamOptions) {
    const encoder = new TextEncoder();
    let over = false;
    let cancelTimer = (): void => {};
    const end = (): void => {
      cancelTimer();
      if (over) return;
      over = true;
      done();
    };
    const watch = (controller: ReadableStreamDefaultController<Uint8Array>): void => {
      cancelTimer = clock.timer(clock.now() + stuckMs, () => {
        end();
        controller.error(new Error('The reader of the events takes nothing.'));
        events.return(undefined).catch(() => undefined);
      });
    };
    this.readable = new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          cancelTimer();
          try {
            const next = await events.next();
            if (over) return;
            if (next.done === true) {
              end();
              controller.close();
              return;
            }
            controller.enqueue(encoder.encode(next.value));
            watch(controller);
          } catch {
            // What went wrong (rights that ended, a broker that stops) is told to whoever asks again.
            end();
            controller.close();
          }
        },
        cancel() {
          end();
          events.return(undefined).catch(() => undefined);
        },
      },
      { highWaterMark: 1 },
    );
  }
}
