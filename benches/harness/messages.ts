/** A body that is 100 bytes of JSON. */
export interface Body {
  id: number;
  text: string;
}

const TEXT = 'x'.repeat(100 - '{"id":10000000,"text":""}'.length);

export function bodyOf(i: number): Body {
  return { id: 10_000_000 + i, text: TEXT };
}

/** One clock for all processes of a machine, ms. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Runs `work` until it was started `times` times, at most `width` at once. */
export async function inParallel(times: number, width: number, work: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < times) await work(next++);
  };
  await Promise.all(Array.from({ length: Math.min(width, times) }, lane));
}
