/** The pages for those who come from elsewhere say something of each call that a user of that library makes. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { Kafka, logLevel } from 'kafkajs';
import { SNS, SQS } from './aws/call.ts';

const docs = resolve(import.meta.dirname, '../docs');
const page = (name: string): string => readFileSync(join(docs, name), 'utf8');

/** Of `calls`, those that are nowhere in the code of a page: `call`, `object.call` or `call(…)`. */
function unsaid(text: string, calls: Iterable<string>): string[] {
  const prose = text.replaceAll(/```[\s\S]*?```/g, '');
  const code = [...prose.matchAll(/`([^`]+)`/g)].map(([, inside = '']) => inside).join('\n');
  return [...calls].filter((call) => !new RegExp(`(?<![\\w$])${call}(?![\\w$])`).test(code));
}

/** What an object can be told, whether it has it itself or by its class. */
function methodsOf(value: object): string[] {
  const names = new Set<string>();
  for (let at: unknown = value; typeof at === 'object' && at !== null; at = Object.getPrototypeOf(at)) {
    if (at === Object.prototype || Object.hasOwn(at, 'emit')) break;
    for (const name of Object.getOwnPropertyNames(at)) names.add(name);
  }
  return [...names].filter((name) => typeof Reflect.get(value, name) === 'function');
}

/** Of BullMQ 6.7, what users call or set: without what it says of itself to its own parts. */
const BULLMQ = `
  add addBulk upsertJobScheduler getJobScheduler getJobSchedulers removeJobScheduler pause resume isPaused close
  waitUntilReady drain clean obliterate remove retryJobs promoteJobs getJob getJobs getWaiting getDelayed getActive
  getPrioritized getJobState getFailed getCompleted count getJobCounts getJobCountByTypes getWaitingCount getActiveCount
  getDelayedCount getFailedCount getCompletedCount getPrioritizedCount getCountsPerPriority getWorkers getWorkersCount
  getMetrics exportPrometheusMetrics recordJobCountsMetric setGlobalConcurrency getGlobalConcurrency
  removeGlobalConcurrency setGlobalRateLimit getGlobalRateLimit removeGlobalRateLimit rateLimit isMaxed getRateLimitTtl
  removeRateLimitKey getDeduplicationJobId removeDeduplicationKey getJobLogs addJobLog updateJobProgress getDependencies
  getWaitingChildren getWaitingChildrenCount getVersion getMeta trimEvents getQueueEvents getRanges removeOrphanedJobs
  defaultJobOptions prefix connection
  delay priority jobId deduplication attempts backoff lifo removeOnComplete removeOnFail keepLogs stackTraceLimit
  sizeLimit timestamp parent repeat
  concurrency limiter lockDuration lockRenewTime stalledInterval maxStalledCount maxStartedAttempts autorun run isRunning
  cancelJob cancelAllJobs getNextJob processJob useWorkerThreads skipLockRenewal skipStalledCheck drainDelay
  runRetryDelay telemetry UnrecoverableError DelayedError RateLimitError
  moveToCompleted moveToFailed moveToDelayed moveToWait moveToWaitingChildren changeDelay changePriority promote retry
  updateData updateProgress log clearLogs returnvalue waitUntilFinished getState isActive isCompleted isDelayed isFailed
  isWaiting extendLock getChildrenValues getFailedChildrenValues removeChildDependency
  QueueEvents QueueEventsProducer FlowProducer getFlow
`;

test('docs/from-bullmq.md has every call and option of BullMQ', () => {
  assert.deepEqual(unsaid(page('from-bullmq.md'), BULLMQ.trim().split(/\s+/)), []);
});

test('docs/from-rabbitmq.md has every call of amqplib', () => {
  // What its users get from connect and createConfirmChannel. By its path: the package shows its parts to nobody.
  const file = resolve(import.meta.dirname, '../node_modules/amqplib/lib/channel_model.js');
  const parts = createRequire(import.meta.url)(file) as Record<string, { prototype: object }>;
  const { ChannelModel, Channel, ConfirmChannel } = parts;
  assert.ok(ChannelModel && ConfirmChannel && Channel);
  const own = (of: { prototype: object }): string[] => Object.getOwnPropertyNames(of.prototype);
  const calls = new Set([ChannelModel, Channel, ConfirmChannel].flatMap(own));
  // Its own parts, and another name of prefetch.
  for (const inner of ['constructor', 'rpc', 'open', 'closeWithError', 'qos']) calls.delete(inner);
  assert.ok(calls.size > 25, [...calls].join());
  assert.deepEqual(unsaid(page('from-rabbitmq.md'), calls), []);
});

test('docs/from-kafka.md has every call of kafkajs', () => {
  const kafka = new Kafka({ brokers: ['127.0.0.1:1'], logLevel: logLevel.NOTHING });
  const parts = [kafka.admin(), kafka.producer({ idempotent: true }), kafka.consumer({ groupId: 'g' })];
  const calls = new Set(parts.flatMap(methodsOf));
  // Of all of them, and of no broker.
  for (const local of ['connect', 'disconnect', 'on', 'logger', 'isIdempotent']) calls.delete(local);
  // Old names of others.
  for (const old of ['getTopicMetadata']) calls.delete(old);
  assert.ok(calls.size > 30, [...calls].join());
  assert.deepEqual(unsaid(page('from-kafka.md'), calls), []);
});

test('docs/from-sqs.md, and the pages that it leads to, have every action of Amazon', () => {
  const from = page('from-sqs.md');
  for (const [name, { actions, refused }] of Object.entries({ sqs: SQS, sns: SNS })) {
    assert.ok(from.includes(`protocols/${name}.md`));
    assert.ok(actions.size > 15);
    assert.deepEqual(unsaid(page(`protocols/${name}.md`), actions.keys()), []);
    assert.deepEqual(unsaid(`${from}\n${page(`protocols/${name}.md`)}`, refused), []);
  }
});
