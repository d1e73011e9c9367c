import type { InProcess } from './in-process.ts';
import { cut } from './wire.ts';

/** The frames that a client gets for these pieces, but for confirms: how many one says depends on what came together. */
export async function answers(at: InProcess, pieces: readonly Buffer[]): Promise<string[]> {
  const wire = at.connect();
  for (const piece of pieces) {
    wire.push(piece);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const isDone = (): boolean => wire.sent.some((chunk) => chunk.includes(Buffer.of(0, 10, 0, 51)));
  while (!isDone()) await new Promise((resolve) => setImmediate(resolve));
  await wire.leave();
  const frames = cut([Buffer.concat(wire.sent)]).map((frame) => frame.toString('hex'));
  return frames.filter((frame) => !frame.includes('003c0050')).toSorted();
}
