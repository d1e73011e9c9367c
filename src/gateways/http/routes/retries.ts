import { z } from 'zod';
import { ACL_NAMESPACE } from '../../../core/auth.ts';
import { failRecord, Retries, type RetryPolicy, retryPlaces } from '../../../core/retries.ts';
import { formatDuration } from '../../../core/units.ts';
import { subscriptionOptions } from '../options.ts';
import { name, route, type Route } from '../route.ts';

const params = z.object({ topic: name, group: name });
const attempts = z.int().min(1).max(100).describe('How often a record is given to the group, the first time included.');

export const retryPolicyBody = z.strictObject({
  attempts: attempts.default(5),
  backoff: subscriptionOptions.backoff.prefault({}).describe('How long a record waits after each failure.'),
});

/** As the engine has it. */
export function toRetryPolicy(
  of: Pick<RetryPolicy, 'topic' | 'group'>,
  { attempts: most, backoff: { type, min, max, jitter } }: z.output<typeof retryPolicyBody>,
): RetryPolicy {
  return { ...of, attempts: most, backoff: { type, minMs: min, maxMs: max, jitter } };
}

/** As people write it. */
export function showRetryPolicy(policy: RetryPolicy) {
  const { topic, group, backoff } = policy;
  const { retry: retryTopic, waiting: waitingQueue, dead: deadLetterQueue } = retryPlaces(policy);
  const { type, minMs, maxMs, jitter } = backoff;
  return {
    topic,
    group,
    attempts: policy.attempts,
    backoff: { type, min: formatDuration(minMs), max: formatDuration(maxMs), jitter },
    retryTopic,
    waitingQueue,
    deadLetterQueue,
  };
}

/**
 * For readers that count offsets: consumer groups of Kafka, which are in one namespace alone. Subscriptions and queues have
 * retries of their own.
 */
export const retryRoutes: Route[] = [
  route({
    namespace: ACL_NAMESPACE,
    method: 'get',
    path: '/retries',
    operationId: 'listRetryPolicies',
    summary: 'The retry policies of consumer groups of Kafka, with the topic that each reads for its retries.',
    tag: 'retries',
    params: z.object({}),
    result: z.object({
      policies: z.array(
        z.object({
          topic: z.string(),
          group: z.string(),
          attempts: z.int(),
          backoff: z.object({ type: z.string(), min: z.string(), max: z.string(), jitter: z.boolean() }),
          retryTopic: z.string(),
          waitingQueue: z.string(),
          deadLetterQueue: z.string(),
        }),
      ),
    }),
    handle: async ({ session }) => ({ policies: (await new Retries(session).list()).map(showRetryPolicy) }),
  }),
  route({
    namespace: ACL_NAMESPACE,
    method: 'put',
    path: '/topics/{topic}/groups/{group}/retry',
    operationId: 'putRetryPolicy',
    summary:
      'Gives a consumer group of Kafka retries and dead letters for a topic, in place of what it had. Makes the retry topic.',
    tag: 'retries',
    params,
    bodyOptional: true,
    body: retryPolicyBody,
    result: z.object({ created: z.boolean(), retryTopic: z.string(), deadLetterQueue: z.string() }),
    handle: async ({ session, params: of, body }) => {
      const { created } = await new Retries(session).put(toRetryPolicy(of, body));
      const { retry: retryTopic, dead: deadLetterQueue } = retryPlaces(of);
      return { created, retryTopic, deadLetterQueue };
    },
  }),
  route({
    namespace: ACL_NAMESPACE,
    method: 'delete',
    path: '/topics/{topic}/groups/{group}/retry',
    operationId: 'deleteRetryPolicy',
    summary: 'Takes the policy and its retry topic away, unless something waits for its retry. Dead letters stay.',
    tag: 'retries',
    params,
    result: z.object({ deleted: z.boolean() }),
    handle: async ({ session, params: of }) => {
      await new Retries(session).delete(of);
      return { deleted: true };
    },
  }),
  route({
    namespace: ACL_NAMESPACE,
    method: 'post',
    path: '/groups/{group}/failed',
    operationId: 'failRecord',
    summary:
      'Hands back a record that a consumer group of Kafka could not work on: it comes again in the retry topic, or is a dead letter.',
    tag: 'retries',
    params: z.object({ group: name }),
    body: z.strictObject({
      topic: name.describe('Where the record lies: the topic, or its retry topic.'),
      partition: z.int().min(0),
      offset: z.int().min(0),
      reason: z.string().max(2_000).default(''),
      last: z.boolean().default(false).describe('It is no use to try again: a dead letter at once.'),
    }),
    result: z.object({ handedBack: z.boolean() }),
    handle: async ({ session, params: { group }, body }) => {
      await failRecord(session, group, body);
      return { handedBack: true };
    },
  }),
];
