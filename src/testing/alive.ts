import { realTime } from '../core/real-time.ts';

/** The process waits for it: nothing else of a test broker keeps one alive. */
export async function keepAlive<T>(work: Promise<T>): Promise<T> {
  const timer = realTime.setInterval(() => {}, 2 ** 30);
  try {
    return await work;
  } finally {
    realTime.clearInterval(timer);
  }
}
