import fc from 'fast-check';
import { commands } from './commands.ts';
import { Model } from './model.ts';
import { rulesOf, System } from './system.ts';

/** Runs `sequences` random sequences of commands on the broker and on the model. Throws the smallest one that differs. */
export async function runModel(sequences: number, seed: number, size: '-1' | '=' | '+1' = '='): Promise<number> {
  let ran = 0;
  await fc.assert(
    fc.asyncProperty(fc.commands(commands, { maxCommands: 40, size }), async (sequence) => {
      const system = await System.open();
      await fc.asyncModelRun(() => ({ model: new Model(system.clock.now(), rulesOf()), real: system }), sequence);
      ran++;
    }),
    { numRuns: sequences, seed },
  );
  return ran;
}
