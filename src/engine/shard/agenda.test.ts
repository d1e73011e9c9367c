import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Agenda } from './agenda.ts';

/** One list, sorted when it is looked at. */
class PlainAgenda {
  #all: { key: string; time: number; act: () => void }[] = [];

  get next(): number {
    return Math.min(Infinity, ...this.#all.map(({ time }) => time));
  }

  set(key: string, time: number, act: () => void): void {
    if (this.#all.some((one) => one.key === key && one.time === time)) return;
    this.cancel(key);
    if (time !== Infinity) this.#all.push({ key, time, act });
  }

  atLatest(key: string, time: number, act: () => void): void {
    if (!this.#all.some((one) => one.key === key && one.time <= time)) this.set(key, time, act);
  }

  cancel(key: string): void {
    this.#all = this.#all.filter((one) => one.key !== key);
  }

  run(now: number): void {
    for (let time = this.next; time <= now; time = this.next) {
      const due = this.#all.find((one) => one.time === time);
      if (due === undefined) return;
      this.#all = this.#all.filter((one) => one !== due);
      due.act();
    }
  }
}

test('appointments that are made, put off, brought forward and cancelled are kept as in a plain list', () => {
  const key = fc.constantFrom('a', 'b', 'c', 'd', 'e');
  const time = fc.oneof({ weight: 9, arbitrary: fc.nat(30) }, { weight: 1, arbitrary: fc.constant(Infinity) });
  const step = fc.oneof(
    fc.record({ does: fc.constant('set' as const), key, time, again: fc.boolean() }),
    fc.record({ does: fc.constant('atLatest' as const), key, time: fc.nat(30) }),
    fc.record({ does: fc.constant('cancel' as const), key }),
    fc.record({ does: fc.constant('run' as const), until: fc.nat(30) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const [agenda, plain] = [new Agenda(), new PlainAgenda()];
      const done: [string[], string[]] = [[], []];
      steps.forEach((one, i) => {
        for (const [which, target] of [agenda, plain].entries()) {
          const note = (what: string) => () => void done[which]?.push(`${what} of step ${i}`);
          if (one.does === 'run') target.run(one.until);
          else if (one.does === 'cancel') target.cancel(one.key);
          else if (one.does === 'atLatest') target.atLatest(one.key, one.time, note(one.key));
          else {
            // What is done at its time may make the next appointment, also at once.
            const act = note(one.key);
            const again = (): void => {
              act();
              if (one.again) target.set(one.key, one.time + 5, note(`${one.key}, again`));
            };
            target.set(one.key, one.time, again);
          }
        }
        assert.deepEqual(done[0], done[1]);
        assert.equal(agenda.next, plain.next);
      });
    }),
    { numRuns: 2000 },
  );
});
