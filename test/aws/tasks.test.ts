/** Message move tasks go on after a restart, and end when they are told to. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ManualClock } from '../../src/core/clock.ts';
import { type RunningServer, startServer } from '../../src/server/index.ts';
import { testBroker } from '../../src/testing/index.ts';
import { call } from './call.ts';

const ARN = 'arn:aws:sqs:us-east-1:000000000000';
const SourceArn = `${ARN}:dead`;

interface Task {
  Status: string;
  TaskHandle?: string;
  ApproximateNumberOfMessagesMoved: number;
  ApproximateNumberOfMessagesToMove: number;
}

async function ask<T>(url: string, action: string, input: object): Promise<T> {
  const { status, text } = await call(url, 'json', action, input);
  assert.equal(status, 200, text);
  return JSON.parse(text === '' ? '{}' : text) as T;
}

/** A queue, its dead-letter queue with so many messages, and a third one. */
async function withDead(url: string, count: number): Promise<void> {
  await ask(url, 'CreateQueue', { QueueName: 'dead' });
  await ask(url, 'CreateQueue', { QueueName: 'target' });
  const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: SourceArn, maxReceiveCount: 1 });
  await ask(url, 'CreateQueue', { QueueName: 'orders', Attributes: { RedrivePolicy } });
  for (let i = 0; i < count; i++)
    await ask(url, 'SendMessage', { QueueUrl: `${url}/000000000000/dead`, MessageBody: `m${i}` });
}

async function taskOf(url: string): Promise<Task> {
  const { Results } = await ask<{ Results: Task[] }>(url, 'ListMessageMoveTasks', { SourceArn });
  assert.ok(Results[0]);
  return Results[0];
}

async function countOf(url: string, name: string): Promise<string | undefined> {
  const { Attributes } = await ask<{ Attributes: Record<string, string> }>(url, 'GetQueueAttributes', {
    QueueUrl: `${url}/000000000000/${name}`,
    AttributeNames: ['ApproximateNumberOfMessages'],
  });
  return Attributes['ApproximateNumberOfMessages'];
}

test('a task that was running when the broker stopped goes on where it was, and is remembered when it is over', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'railhead-tasks-'));
  const clock = new ManualClock(Date.UTC(2026, 0, 1));
  const start = (): Promise<RunningServer> =>
    startServer({ dir, port: 0, amqp: false, kafka: false, log: { level: 'silent' } }, { clock });
  const until = async (url: string, moved: number): Promise<Task> => {
    for (;;) {
      const task = await taskOf(url);
      if (task.ApproximateNumberOfMessagesMoved >= moved) return task;
      clock.advance(100);
    }
  };
  try {
    let server = await start();
    let url = server.awsUrl ?? '';
    await withDead(url, 6);
    const DestinationArn = `${ARN}:target`;
    await ask(url, 'StartMessageMoveTask', { SourceArn, DestinationArn, MaxNumberOfMessagesPerSecond: 2 });
    const { TaskHandle } = await until(url, 2);
    await server.close();

    server = await start();
    url = server.awsUrl ?? '';
    const resumed = await taskOf(url);
    assert.deepEqual([resumed.Status, resumed.TaskHandle], ['RUNNING', TaskHandle]);
    assert.deepEqual(
      await until(url, 6).then(({ Status, ApproximateNumberOfMessagesToMove }) => [
        Status,
        ApproximateNumberOfMessagesToMove,
      ]),
      ['COMPLETED', 6],
    );
    assert.deepEqual([await countOf(url, 'dead'), await countOf(url, 'target')], ['0', '6']);
    await server.close();

    server = await start();
    assert.equal((await taskOf(server.awsUrl ?? '')).Status, 'COMPLETED');
    await server.close();
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

test('a cancelled task moves nothing more, and says what it has moved', async () => {
  await using broker = await testBroker({ clock: 'manual' });
  const { url } = await broker.endpoint('aws');
  await withDead(url, 5);
  const task = { SourceArn, DestinationArn: `${ARN}:target`, MaxNumberOfMessagesPerSecond: 1 };
  const { TaskHandle } = await ask<{ TaskHandle: string }>(url, 'StartMessageMoveTask', task);
  await broker.clock.advance('1s');
  const { ApproximateNumberOfMessagesMoved: moved } = await ask<Task>(url, 'CancelMessageMoveTask', { TaskHandle });
  assert.equal(moved, 2);
  await broker.clock.advance('10s');
  assert.deepEqual([await countOf(url, 'dead'), await countOf(url, 'target')], ['3', '2']);
  assert.equal((await taskOf(url)).Status, 'CANCELLED');
  const again = await call(url, 'json', 'CancelMessageMoveTask', { TaskHandle });
  assert.equal(again.error, 'ResourceNotFoundException');
});

test('what dies again while a task runs is not moved twice by it', async () => {
  await using broker = await testBroker({ clock: 'manual' });
  const { url } = await broker.endpoint('aws');
  await withDead(url, 2);
  const task = { SourceArn, DestinationArn: `${ARN}:target`, MaxNumberOfMessagesPerSecond: 1 };
  await ask(url, 'StartMessageMoveTask', task);
  await ask(url, 'SendMessage', { QueueUrl: `${url}/000000000000/dead`, MessageBody: 'late' });
  await broker.clock.advance('10s');
  const { Status, ApproximateNumberOfMessagesMoved } = await taskOf(url);
  assert.deepEqual([Status, ApproximateNumberOfMessagesMoved], ['COMPLETED', 2]);
  assert.equal(await countOf(url, 'dead'), '1');
});

test('a message that came from nowhere fails a task without a destination, which says so', async () => {
  await using broker = await testBroker({ clock: 'manual' });
  const { url } = await broker.endpoint('aws');
  await withDead(url, 1);
  await ask(url, 'StartMessageMoveTask', { SourceArn });
  await broker.clock.advance('1s');
  const { Status, ...rest } = await taskOf(url);
  assert.equal(Status, 'FAILED');
  assert.match(JSON.stringify(rest), /did not come from another queue/);
});
