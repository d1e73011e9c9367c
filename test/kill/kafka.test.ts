import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KafkaHistory, type Seen, type Transaction } from './kafka-history.ts';
import { kafkaLoop } from './kafka-loop.ts';

test('kill -9 of a server under kafkajs, 4 times: no acknowledged record is lost, doubled or out of order, transactions are whole, and no offset goes back', async (t) => {
  const report = await kafkaLoop({ cycles: 4, seed: 1 });
  assert.deepEqual(report.problems, []);
  assert.ok(report.acknowledged > 100, `${report.acknowledged} acknowledged`);
  assert.ok(report.commits > 10, `${report.commits} commits`);
  assert.ok(report.transactions.committed > 4 && report.transactions.dead > 0, JSON.stringify(report.transactions));
  t.diagnostic(JSON.stringify(report.transactions));
  t.diagnostic(`${report.acknowledged} acknowledged, ${report.unconfirmed} more stored, ${report.consumed} consumed`);
});

test('the checker of Kafka tells each promise that is broken', () => {
  const problemsOf = (break_: (history: KafkaHistory) => void, values = ['p:0', 'p:1', 'p:2']): string[] => {
    const history = new KafkaHistory();
    history.attempt(['p:0', 'p:1', 'p:2']);
    history.acknowledge({ partition: 0, baseOffset: 0, values: ['p:0', 'p:1'] });
    const log = values.map((value, offset) => ({ partition: 0, offset, value }));
    for (const seen of log) history.consume(seen);
    break_(history);
    return history.report(log).problems;
  };
  const nothing = (): void => {};
  assert.deepEqual(problemsOf(nothing), []);
  const lost = ['p:1 was acknowledged at 0/1, where nothing lies', 'the group never got p:1'];
  assert.deepEqual(problemsOf(nothing, ['p:0']), lost);
  assert.deepEqual(problemsOf(nothing, ['p:0', 'p:1', 'p:1']), ['p:1 lies at 0/1 and at 0/2']);
  assert.deepEqual(problemsOf(nothing, ['p:0', 'p:1', 'q:7']), ['q:7 at 0/2 was sent by nobody']);
  assert.ok(problemsOf(nothing, ['p:1', 'p:0']).includes('p:0 at 0/1 comes after p:1'));
  assert.deepEqual(
    problemsOf((history) => history.consume({ partition: 0, offset: 1, value: 'p:2' })),
    ['the group got p:2 at 0/1, where p:1 lies'],
  );
  assert.deepEqual(
    problemsOf((history) => {
      history.answered('committed', history.floor('committed'), new Map([[1, -1]]));
      history.commit(0, 3);
      history.answered(
        'committed',
        history.floor('committed'),
        new Map([
          [0, 2],
          [1, -1],
        ]),
      );
      history.answered('end', history.floor('end'), new Map([[0, 1]]));
    }),
    ['committed of partition 0 went back from 3 to 2', 'end of partition 0 went back from 2 to 1'],
  );
});

test('the checker of Kafka tells what readers of what is committed must not see, and what they miss', () => {
  const problemsOf = (outcome: Transaction['outcome'], visible: string[], got: string[] = visible): string[] => {
    const history = new KafkaHistory();
    const log = ['p:0', 'p:1', 'q:0'].map((value, offset) => ({ partition: 0, offset, value }));
    const transaction = history.begin();
    history.attempt(['p:0', 'p:1'], transaction);
    history.attempt(['q:0']);
    history.acknowledge({ partition: 0, baseOffset: 0, values: ['p:0', 'p:1'] });
    history.acknowledge({ partition: 0, baseOffset: 2, values: ['q:0'] });
    transaction.outcome = outcome;
    const seen = (values: string[]): Seen[] => log.filter(({ value }) => values.includes(value));
    for (const each of seen(got)) history.consume(each, 'committed');
    return history.report(log, seen(visible)).problems;
  };
  const all = ['p:0', 'p:1', 'q:0'];
  assert.deepEqual(problemsOf('committed', all), []);
  assert.deepEqual(problemsOf('asked', all), []);
  for (const outcome of ['asked', 'dead', 'open'] as const) assert.deepEqual(problemsOf(outcome, ['q:0']), []);
  assert.deepEqual(problemsOf('committed', ['p:0', 'q:0'], all), ['p:1 was committed and cannot be read']);
  assert.deepEqual(problemsOf('asked', ['p:0', 'q:0']), ['p:0 can be read and p:1 of the same transaction cannot']);
  assert.deepEqual(problemsOf('dead', all, ['q:0']), ['p:0 can be read, though its transaction is dead']);
  assert.deepEqual(problemsOf('open', ['q:0'], ['p:0', 'q:0']), [
    'a reader of what is committed got p:0 of a transaction that is open',
  ]);
  assert.deepEqual(problemsOf('dead', [], ['q:0']), ['q:0 is hidden from those who read what is committed']);
});
