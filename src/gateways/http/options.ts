import { z } from 'zod';
import {
  DEFAULT_SUBSCRIPTION,
  DELETE_RETENTION_MS,
  type Filter,
  OVERFLOWS,
  type Retention,
  type SubscriptionPolicy,
  type TopicPolicy,
} from '../../core/policy.ts';
import { durationMs, formatDuration, rateLimit, sizeBytes, type RateLimit } from '../../core/units.ts';

/** Policies as people write them (`lease: '30s'`) and as the engine stores them (`leaseMs: 30000`). */

function unit<Text extends string, T>(read: (text: Text) => T, pattern: RegExp, allowed: string): z.ZodType<T, string> {
  return z
    .string()
    .max(32)
    .regex(pattern, `write ${allowed}`)
    .transform((text, context) => {
      try {
        // What the pattern let through; its type cannot say so.
        return read(text as Text);
      } catch {
        context.addIssue({ code: 'custom', message: `write ${allowed}` });
        return z.NEVER;
      }
    });
}

export const duration = unit(
  durationMs,
  /^\d+(\.\d+)?(ms|s|m|h|d|w)$/,
  "a number with ms, s, m, h, d or w, such as '30s'",
);
const size = unit(
  sizeBytes,
  /^\d+(\.\d+)?([KMGT]i?)?B$/,
  "a number with B, KB, MB, GB, KiB, MiB or GiB, such as '10MB'",
);
const rate = unit(rateLimit, /^\d+(\.\d+)?\/[smh]$/, "a number per s, m or h, such as '500/s'");
const count = z.int().min(0);
const positive = z.int().min(1);

const condition = z.union([
  z.string(),
  z.number(),
  z.boolean(),
  z.null(),
  z.strictObject({ prefix: z.string() }),
  z.strictObject({ suffix: z.string() }),
  z.strictObject({ equalsIgnoreCase: z.string() }),
  z.strictObject({ wildcard: z.string() }),
  z.strictObject({
    numeric: z
      .array(z.union([z.string(), z.number()]))
      .min(2)
      .max(4),
  }),
  z.strictObject({ exists: z.boolean() }),
  z.strictObject({
    anythingBut: z.union([
      z.string(),
      z.number(),
      z.array(z.union([z.string(), z.number()])),
      z.strictObject({ prefix: z.string() }),
      z.strictObject({ suffix: z.string() }),
      z.strictObject({ wildcard: z.string() }),
    ]),
  }),
  z.strictObject({ cidr: z.string() }),
]);

/** The shape is checked here, the meaning (an operator, an address) by the engine. */
export const filterSchema = z
  .record(z.string(), z.array(condition).min(1))
  .refine((filter) => !Object.hasOwn(filter, '$or'), 'filters have no "$or"')
  // `Filter` rules out "$or" by its type, which a record cannot say.
  .transform((filter) => filter as unknown as Filter)
  .meta({
    description:
      'Every named header must match one of its conditions; `$key` and `$contentType` name the key and the content type.',
  });

const backoff = z.strictObject({
  type: z.enum(['none', 'fixed', 'linear', 'exponential']).default(DEFAULT_SUBSCRIPTION.backoff.type),
  min: duration.prefault(formatDuration(DEFAULT_SUBSCRIPTION.backoff.minMs)),
  max: duration.prefault(formatDuration(DEFAULT_SUBSCRIPTION.backoff.maxMs)),
  jitter: z.boolean().default(DEFAULT_SUBSCRIPTION.backoff.jitter),
});

const retain = z.strictObject({
  untilSettled: z.boolean().default(false),
  age: duration.nullable().default(null),
  bytes: size.nullable().default(null),
  compact: z.boolean().default(false).describe('Only the newest message of each key stays.'),
  compactLag: duration.optional().describe('With compact: younger messages stay, and what they supersede. Default 0s.'),
  maxCompactLag: duration.nullable().optional().describe('With compact: what is superseded goes at the latest then.'),
  deleteRetention: duration
    .optional()
    .describe('With compact: so long a message without a body outlives the others of its key. Default 1d.'),
});

export const topicOptions = {
  partitions: positive.max(1_024).describe('Can grow, not shrink.'),
  durability: z
    .enum(['fsync', 'write', 'memory'])
    .describe('What a confirm survives: power loss, a crash of the process, neither.'),
  maxMessages: positive.nullable(),
  maxBytes: size.nullable(),
  overflow: z.enum(OVERFLOWS).describe('What happens at maxMessages or maxBytes.'),
  publishRate: rate.nullable(),
  ttl: duration.nullable().describe('Default expiry of a message.'),
  expireUnused: duration.nullable().describe('Deleted after so long without a consumer.'),
  dedupeWindow: duration.nullable().describe('How long a dedupeId is remembered.'),
  maxMessageBytes: size,
};

export const subscriptionOptions = {
  order: z.enum(['fifo', 'strict', 'key', 'fair']).describe('Structural: cannot change.'),
  priorities: z.int().min(1).max(256).describe('Structural: cannot change. 1 means none.'),
  defaultPriority: z.int().min(0).max(255).describe('Structural, of queues: what a message counts as that names none.'),
  lease: duration,
  maxAttempts: count.describe('Then dead letter. 0: no limit.'),
  maxCrashes: count.describe('Crashes of a consumer with the message in flight. 0: no limit.'),
  backoff,
  deadLetter: z
    .union([
      z.string().min(1).max(255),
      z.strictObject({
        router: z.string().min(1).max(255),
        key: z.string().max(1024).nullable().default(null).describe('Routing key. Default: the key of the message.'),
        unrouted: z
          .enum(['queue', 'drop'])
          .default('queue')
          .describe('What no binding takes: to NAME.dead, or dropped.'),
      }),
    ])
    .nullable()
    .describe('Name of the queue for dead letters, or the router they go through; null: NAME.dead.'),
  deadLetterExpired: z.boolean().describe('Messages whose ttl is over become dead letters; else they are gone.'),
  consumeRate: rate.nullable(),
  filter: filterSchema.nullable(),
  singleActive: z.boolean(),
  maxInFlight: positive.nullable(),
  retain: duration.describe('Messages stay visible so long after they were settled.'),
};

export const queueSchema = z.strictObject({ ...topicOptions, ...subscriptionOptions }).partial();
export const topicSchema = z.strictObject({ ...topicOptions, retain }).partial();
export const subscriptionSchema = z.strictObject(subscriptionOptions).partial();

type TopicOptions = z.output<typeof topicSchema>;
type SubscriptionOptions = z.output<typeof subscriptionSchema>;

/** Leaves out what is undefined: `exactOptionalPropertyTypes`, and an absent field means "as it is" to the engine. */
function defined<T extends object>(fields: { [K in keyof T]: T[K] | undefined }): Partial<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<T>;
}

function retention(kept: z.output<typeof retain>): Retention {
  const { untilSettled, age, bytes, compact } = kept;
  // Of a topic that is compacted, what is not said is as by default.
  const { compactLag, maxCompactLag, deleteRetention } = {
    ...(compact && { compactLag: 0, maxCompactLag: null, deleteRetention: DELETE_RETENTION_MS }),
    ...defined(kept),
  };
  return {
    untilSettled,
    ageMs: age,
    bytes,
    compact,
    ...(compactLag !== undefined && { compactLagMs: compactLag }),
    ...(maxCompactLag !== undefined && { maxCompactLagMs: maxCompactLag }),
    ...(deleteRetention !== undefined && { deleteRetentionMs: deleteRetention }),
  };
}

export function topicPolicy(options: TopicOptions): Partial<TopicPolicy> {
  const { retain: kept } = options;
  return defined<TopicPolicy>({
    partitions: options.partitions,
    retain: kept && retention(kept),
    durability: options.durability,
    maxMessages: options.maxMessages,
    maxBytes: options.maxBytes,
    overflow: options.overflow,
    publishRate: options.publishRate,
    ttlMs: options.ttl,
    expireUnusedMs: options.expireUnused,
    dedupeWindowMs: options.dedupeWindow,
    maxMessageBytes: options.maxMessageBytes,
  });
}

export function subscriptionPolicy(options: SubscriptionOptions): Partial<SubscriptionPolicy> {
  const { backoff: wait } = options;
  return defined<SubscriptionPolicy>({
    order: options.order,
    priorities: options.priorities,
    defaultPriority: options.defaultPriority,
    leaseMs: options.lease,
    maxAttempts: options.maxAttempts,
    maxCrashes: options.maxCrashes,
    backoff: wait && { type: wait.type, minMs: wait.min, maxMs: wait.max, jitter: wait.jitter },
    deadLetter: options.deadLetter,
    deadLetterExpired: options.deadLetterExpired,
    consumeRate: options.consumeRate,
    filter: options.filter,
    singleActive: options.singleActive,
    maxInFlight: options.maxInFlight,
    retainSettledMs: options.retain,
  });
}

/** The inverse of `topicPolicy`: what `GET` shows can be sent back with `PUT`. */
export function showTopicPolicy(policy: TopicPolicy): z.input<typeof topicSchema> {
  return {
    partitions: policy.partitions,
    retain: {
      untilSettled: policy.retain.untilSettled,
      age: showDuration(policy.retain.ageMs),
      bytes: showSize(policy.retain.bytes),
      compact: policy.retain.compact,
      ...showCompaction(policy.retain),
    },
    durability: policy.durability,
    maxMessages: policy.maxMessages,
    maxBytes: showSize(policy.maxBytes),
    overflow: policy.overflow,
    publishRate: showRate(policy.publishRate),
    ttl: showDuration(policy.ttlMs),
    expireUnused: showDuration(policy.expireUnusedMs),
    dedupeWindow: showDuration(policy.dedupeWindowMs),
    maxMessageBytes: `${policy.maxMessageBytes}B`,
  };
}

/** Where it matters, or is not as by default. */
function showCompaction(kept: Retention): Partial<z.input<typeof retain>> {
  const { compact, compactLagMs, maxCompactLagMs, deleteRetentionMs } = kept;
  return {
    ...((compact || compactLagMs !== undefined) && { compactLag: formatDuration(compactLagMs ?? 0) }),
    ...((compact || maxCompactLagMs !== undefined) && { maxCompactLag: showDuration(maxCompactLagMs ?? null) }),
    ...((compact || deleteRetentionMs !== undefined) && {
      deleteRetention: formatDuration(deleteRetentionMs ?? DELETE_RETENTION_MS),
    }),
  };
}

/** The inverse of `subscriptionPolicy`. */
export function showSubscriptionPolicy(policy: SubscriptionPolicy): z.input<typeof subscriptionSchema> {
  return {
    order: policy.order,
    priorities: policy.priorities,
    defaultPriority: policy.defaultPriority,
    lease: formatDuration(policy.leaseMs),
    maxAttempts: policy.maxAttempts,
    maxCrashes: policy.maxCrashes,
    backoff: {
      type: policy.backoff.type,
      min: formatDuration(policy.backoff.minMs),
      max: formatDuration(policy.backoff.maxMs),
      jitter: policy.backoff.jitter,
    },
    deadLetter: policy.deadLetter,
    deadLetterExpired: policy.deadLetterExpired,
    consumeRate: showRate(policy.consumeRate),
    // The mutable copy that zod's input type asks for.
    filter: policy.filter === null ? null : (policy.filter as unknown as z.input<typeof filterSchema>),
    singleActive: policy.singleActive,
    maxInFlight: policy.maxInFlight,
    retain: formatDuration(policy.retainSettledMs),
  };
}

function showDuration(ms: number | null): string | null {
  return ms === null ? null : formatDuration(ms);
}

function showSize(bytes: number | null): string | null {
  return bytes === null ? null : `${bytes}B`;
}

function showRate(limit: RateLimit | null): string | null {
  if (limit === null) return null;
  const per = limit.perMs === 1_000 ? 's' : limit.perMs === 60_000 ? 'm' : 'h';
  return `${limit.count}/${per}`;
}
