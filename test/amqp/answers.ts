import assert from 'node:assert/strict';
import type { InProcess } from './in-process.ts';
import { cut } from './wire.ts';

/** The frames that a client gets for these pieces, but for confirms: how many one says depends on what came together. */
async function answers(at: InProcess, pieces: readonly Buffer[]): Promise<string[]> {
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

/** Wherever its bytes are split in two, a session gets what it gets in one piece. That is returned. */
export async function answersWhereverSplit(at: InProcess, session: Buffer): Promise<string[]> {
  const whole = await answers(at, [session]);
  for (let split = 1; split < session.byteLength; split++)
    assert.deepEqual(
      await answers(at, [session.subarray(0, split), session.subarray(split)]),
      whole,
      `split at ${split} of ${session.byteLength}`,
    );
  assert.deepEqual(at.bugs, []);
  return whole;
}
