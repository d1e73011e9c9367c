import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { amqpLoop } from './amqp-loop.ts';
import { awsLoop, LINES } from './aws-loop.ts';
import { embeddedLoop, serverLoop } from './loops.ts';
import { TotalQueue, type TotalQueueReport } from './total-queue.ts';

function assertNothingLost(report: TotalQueueReport, least = 300): void {
  assert.deepEqual(
    { lost: report.lost, unexpected: report.unexpected },
    { lost: [], unexpected: [] },
    JSON.stringify(report.where),
  );
  assert.ok(report.confirmed > least, `${report.confirmed} confirmed`);
}

describe('kill -9', { concurrency: 2 }, () => {
  test('of a process that embeds the broker, 22 times: every confirmed message is received', async (t) => {
    const report = await embeddedLoop({ cycles: 22, seed: 1 });
    assertNothingLost(report);
    t.diagnostic(`${report.confirmed} confirmed, ${report.recovered} more recovered, ${report.duplicated} duplicates`);
  });

  test('of a server under clients that go on, 8 times: every confirmed message is received', async (t) => {
    const report = await serverLoop({ cycles: 8, seed: 1 });
    assertNothingLost(report);
    t.diagnostic(`${report.confirmed} confirmed, ${report.recovered} more recovered, ${report.duplicated} duplicates`);
  });

  test('of a server under clients of AMQP that reconnect, 4 times: every confirmed message is received', async (t) => {
    const report = await amqpLoop({ cycles: 4, seed: 1 });
    // They wait for a broker that is away in their own ways, some for long.
    assertNothingLost(report, 60);
    for (const name of ['amqplib', 'amqp-connection-manager', 'rabbitmq-client', '@cloudamqp/amqp-client'])
      assert.ok((report.byClient[name] ?? 0) > 10, `${name}: ${report.byClient[name]} confirmed`);
    t.diagnostic(`${report.confirmed} confirmed, ${report.recovered} more recovered, ${report.duplicated} duplicates`);
  });

  test("of a server under Amazon's clients of SQS and SNS, 4 times: nothing confirmed is lost, and handles stay good", async (t) => {
    const cycles = 4;
    const report = await awsLoop({ cycles, seed: 1 });
    assertNothingLost(report, 100);
    for (const name of LINES) assert.ok((report.byQueue[name] ?? 0) > 10, `${name}: ${report.byQueue[name]} confirmed`);
    // What was out when the broker was killed is out when it is back, and goes by the handle that it came with.
    assert.deepEqual(
      report.held,
      Array.from({ length: cycles }, () => ({ inFlight: '1', left: '0' })),
    );
    t.diagnostic(`${report.confirmed} confirmed, ${report.recovered} more recovered, ${report.duplicated} duplicates`);
  });
});

test('the checker tells a lost, an unexpected and a doubled message', () => {
  const queue = new TotalQueue();
  for (const n of [1, 2, 3]) queue.attempt(n);
  for (const n of [1, 2]) queue.confirm(n);
  for (const n of [2, 2, 3, 4]) queue.receive(n);
  const { lost, unexpected, duplicated, recovered } = queue.report();
  assert.deepEqual(
    { lost, unexpected, duplicated, recovered },
    { lost: [1], unexpected: [4], duplicated: 1, recovered: 1 },
  );
});
