/** The clients that Debian has, old enough to send forms: boto3 for Python, and Amazon's command line. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { testBroker } from '../../../src/testing/index.ts';

const run = promisify(execFile);
const PYTHON = '/usr/bin/python3';
const AWS = '/usr/bin/aws';

/** Says in the report why a test did not run. */
const skipped = (path: string, what: string): string | false =>
  existsSync(path) ? false : `NOT RUN: ${what} is not installed (apt install ${what})`;

interface Outcome {
  url: string;
  first: string;
  successful: string[];
  failed: [string, string, boolean][];
  received: { id: string; body: string; count: string; number: string | null; bytes: string | null }[];
  tags: Record<string, string>;
  delay: string;
  left: string;
  listed: string[];
  errors: Record<string, [string, number]>;
}

test(
  'boto3 sends, receives, deletes and manages over forms',
  {
    skip: skipped('/usr/lib/python3/dist-packages/boto3', 'python3-boto3'),
  },
  async () => {
    await using broker = await testBroker();
    const { url } = await broker.endpoint('aws');
    const { stdout } = await run(PYTHON, [join(import.meta.dirname, 'boto3_client.py'), url], { timeout: 60_000 });
    // It is what the script prints.
    const outcome = JSON.parse(stdout) as Outcome;
    assert.equal(outcome.url, `${url}/000000000000/boto`);
    assert.deepEqual(outcome.successful, ['0', '1', '2']);
    assert.deepEqual(outcome.failed, [['late', 'InvalidParameterValue', true]]);
    const first = outcome.received.find(({ id }) => id === outcome.first);
    assert.deepEqual(first, {
      id: outcome.first,
      body: 'Grüße & <Küsse>\r\n',
      count: '1',
      number: '7.50',
      bytes: '00ff',
    });
    assert.deepEqual(outcome.received.map(({ body }) => body).toSorted(), ['Grüße & <Küsse>\r\n', 'm0', 'm1', 'm2']);
    assert.deepEqual(
      [outcome.tags, outcome.delay, outcome.left, outcome.listed],
      [{ a: '1' }, '3', '0', [outcome.url]],
    );
    assert.deepEqual(outcome.errors, {
      'no queue': ['AWS.SimpleQueueService.NonExistentQueue', 400],
      'too many': ['InvalidParameterValue', 400],
      'bad handle': ['ReceiptHandleIsInvalid', 404],
      'empty batch': ['AWS.SimpleQueueService.EmptyBatchRequest', 400],
    });
  },
);

test(
  "Amazon's command line makes a queue, sends to it and receives from it",
  {
    skip: skipped(AWS, 'awscli'),
  },
  async () => {
    await using broker = await testBroker();
    const { url } = await broker.endpoint('aws');
    const aws = async (...args: string[]): Promise<unknown> => {
      const { stdout } = await run(AWS, ['--endpoint-url', url, 'sqs', ...args, '--output', 'json'], {
        timeout: 60_000,
        env: {
          ...process.env,
          AWS_ACCESS_KEY_ID: 'test',
          AWS_SECRET_ACCESS_KEY: 'test',
          AWS_DEFAULT_REGION: 'us-east-1',
        },
      });
      return stdout === '' ? undefined : (JSON.parse(stdout) as unknown);
    };
    const queue = `${url}/000000000000/cli`;
    assert.deepEqual(await aws('create-queue', '--queue-name', 'cli'), { QueueUrl: queue });
    await aws('send-message', '--queue-url', queue, '--message-body', 'from a shell');
    const received = await aws('receive-message', '--queue-url', queue);
    assert.partialDeepStrictEqual(received, { Messages: [{ Body: 'from a shell' }] });
  },
);
