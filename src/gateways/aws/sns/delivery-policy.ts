/**
 * How SNS posts to an endpoint of HTTP: how often it tries again and when, how many posts a second it makes, and what it
 * calls them. A topic has a policy for all of its subscriptions, each of which may have its own instead.
 */
export interface DeliveryPolicy {
  readonly retry: RetryPolicy;
  /** Null: as fast as the endpoint takes them. */
  readonly perSecond: number | null;
  readonly contentType: string;
  /** Whether subscriptions may have their own. */
  readonly overrides: 'allowed' | 'disabled';
}

/** In seconds, as Amazon's words have it. */
export interface RetryPolicy {
  readonly minDelayTarget: number;
  readonly maxDelayTarget: number;
  readonly numRetries: number;
  /** Of these, the first are made at once, the next after the shortest delay, and the last after the longest. */
  readonly numNoDelayRetries: number;
  readonly numMinDelayRetries: number;
  readonly numMaxDelayRetries: number;
  readonly backoffFunction: BackoffFunction;
}

type BackoffFunction = keyof typeof BACKOFF;

/**
 * The share of the way from the shortest to the longest delay, for a share of the retries between them. Amazon publishes
 * these four as a drawing, in this order from the highest to the lowest.
 */
const BACKOFF = {
  linear: (share: number): number => share,
  arithmetic: (share: number): number => (share * (1 + share)) / 2,
  geometric: (share: number): number => share ** 2,
  exponential: (share: number): number => (2 ** (10 * share) - 1) / (2 ** 10 - 1),
} as const;

const DEFAULT_RETRY: RetryPolicy = {
  minDelayTarget: 20,
  maxDelayTarget: 20,
  numRetries: 3,
  numMaxDelayRetries: 0,
  numNoDelayRetries: 0,
  numMinDelayRetries: 0,
  backoffFunction: 'linear',
};
const DEFAULT_CONTENT_TYPE = 'text/plain; charset=UTF-8';
const MAX_DELAY_SECONDS = 3_600;
const MAX_RETRIES = 100;
const CONTENT_TYPES: readonly string[] = [
  'text/css',
  'text/csv',
  'text/html',
  'text/plain',
  'text/xml',
  'application/atom+xml',
  'application/json',
  'application/octet-stream',
  'application/soap+xml',
  'application/x-www-form-urlencoded',
  'application/xhtml+xml',
  'application/xml',
];

type Fields = ReadonlyMap<string, unknown>;

/** How long to wait before a retry, 1 for the first; undefined when there is none. */
export function retryDelayMs(policy: RetryPolicy, retry: number): number | undefined {
  const { minDelayTarget: min, maxDelayTarget: max, numRetries, numNoDelayRetries, numMinDelayRetries } = policy;
  if (retry > numRetries) return undefined;
  if (retry <= numNoDelayRetries) return 0;
  const between = numRetries - numNoDelayRetries - numMinDelayRetries - policy.numMaxDelayRetries;
  const index = retry - numNoDelayRetries - numMinDelayRetries;
  if (index <= 0) return min * 1000;
  if (index > between) return max * 1000;
  const share = between === 1 ? 0 : (index - 1) / (between - 1);
  return Math.round((min + (max - min) * BACKOFF[policy.backoffFunction](share)) * 1000);
}

/** Null for what a topic can be told, else why not. */
export function topicPolicyFault(text: string): string | null {
  const fields = fieldsOf(text);
  const http = fields && mapOf(fields.get('http'));
  if (fields === undefined || http === undefined) return 'it must be a JSON object with http';
  const overrides = http.get('disableSubscriptionOverrides');
  return (
    unknownFault(fields, ['http']) ??
    unknownFault(http, [...TOPIC_NAMES, 'disableSubscriptionOverrides']) ??
    (overrides === undefined || typeof overrides === 'boolean'
      ? null
      : 'disableSubscriptionOverrides must be true or false') ??
    partsFault(http, TOPIC_NAMES)
  );
}

/** The same of a subscription. */
export function subscriptionPolicyFault(text: string): string | null {
  const fields = fieldsOf(text);
  if (fields === undefined) return 'it must be a JSON object';
  return unknownFault(fields, SUBSCRIPTION_NAMES) ?? partsFault(fields, SUBSCRIPTION_NAMES);
}

/** What each of the parts is called: retries, throttle, request. */
const TOPIC_NAMES = ['defaultHealthyRetryPolicy', 'defaultThrottlePolicy', 'defaultRequestPolicy'] as const;
const SUBSCRIPTION_NAMES = ['healthyRetryPolicy', 'throttlePolicy', 'requestPolicy'] as const;
type Names = typeof TOPIC_NAMES | typeof SUBSCRIPTION_NAMES;

/** What is in force. Both were checked when they were set; empty or undefined is none. */
export function policyOf(topic: string | undefined, subscription: string | undefined): DeliveryPolicy {
  const http = mapOf(fieldsOf(topic ?? '')?.get('http'));
  const overrides = http?.get('disableSubscriptionOverrides') === true ? 'disabled' : 'allowed';
  const own = overrides === 'disabled' ? undefined : fieldsOf(subscription ?? '');
  const part = (index: 0 | 1 | 2): Fields | undefined =>
    mapOf(own?.get(SUBSCRIPTION_NAMES[index])) ?? mapOf(http?.get(TOPIC_NAMES[index]));
  const perSecond = part(1)?.get('maxReceivesPerSecond');
  const contentType = part(2)?.get('headerContentType');
  return {
    retry: retryOf(part(0)),
    perSecond: typeof perSecond === 'number' ? perSecond : null,
    contentType: typeof contentType === 'string' ? contentType : DEFAULT_CONTENT_TYPE,
    overrides,
  };
}

/** As `EffectiveDeliveryPolicy` shows it, of a subscription or of a topic. */
export function shownPolicy(policy: DeliveryPolicy, of: 'subscription' | 'topic'): string {
  const [retry, throttle, request] = of === 'topic' ? TOPIC_NAMES : SUBSCRIPTION_NAMES;
  const parts = {
    [retry]: policy.retry,
    ...(policy.perSecond !== null && { [throttle]: { maxReceivesPerSecond: policy.perSecond } }),
    ...(of === 'topic' && { disableSubscriptionOverrides: policy.overrides === 'disabled' }),
    ...(policy.contentType !== DEFAULT_CONTENT_TYPE && { [request]: { headerContentType: policy.contentType } }),
  };
  return JSON.stringify(of === 'topic' ? { http: parts } : parts);
}

function retryOf(given: Fields | undefined): RetryPolicy {
  // It was checked: each has the type of the default.
  return { ...DEFAULT_RETRY, ...(given && (Object.fromEntries(given) as Partial<RetryPolicy>)) };
}

function partsFault(fields: Fields, [retry, throttle, request]: Names): string | null {
  for (const name of [retry, throttle, request])
    if (fields.has(name) && mapOf(fields.get(name)) === undefined) return `${name} must be an object`;
  return (
    retryFault(mapOf(fields.get(retry)) ?? new Map()) ??
    throttleFault(mapOf(fields.get(throttle)) ?? new Map()) ??
    requestFault(mapOf(fields.get(request)) ?? new Map())
  );
}

function retryFault(given: Fields): string | null {
  const unknown = unknownFault(given, Object.keys(DEFAULT_RETRY));
  if (unknown !== null) return unknown;
  for (const [name, value] of given) {
    if (name === 'backoffFunction') {
      if (typeof value !== 'string' || !Object.hasOwn(BACKOFF, value))
        return `backoffFunction must be one of ${Object.keys(BACKOFF).join(', ')}`;
      continue;
    }
    const [min, max] = name.endsWith('DelayTarget') ? [1, MAX_DELAY_SECONDS] : [0, MAX_RETRIES];
    if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max)
      return `${name} must be a whole number from ${min} to ${max}`;
  }
  const retry = retryOf(given);
  if (retry.minDelayTarget > retry.maxDelayTarget) return 'minDelayTarget must not be above maxDelayTarget';
  if (retry.numNoDelayRetries + retry.numMinDelayRetries + retry.numMaxDelayRetries > retry.numRetries)
    return 'the retries without, with the shortest and with the longest delay must not be more than numRetries';
  let totalMs = 0;
  for (let i = 1; i <= retry.numRetries; i++) totalMs += retryDelayMs(retry, i) ?? 0;
  return totalMs <= MAX_DELAY_SECONDS * 1000
    ? null
    : `the delays must not be above ${MAX_DELAY_SECONDS} seconds in all`;
}

function throttleFault(given: Fields): string | null {
  const value = given.get('maxReceivesPerSecond');
  if (value !== undefined && !(typeof value === 'number' && Number.isInteger(value) && value >= 1))
    return 'maxReceivesPerSecond must be a whole number above 0';
  return unknownFault(given, ['maxReceivesPerSecond']);
}

function requestFault(given: Fields): string | null {
  const value = given.get('headerContentType');
  const text = typeof value === 'string' && /^[\x20-\x7e]{1,200}$/.test(value) ? value : '';
  const [type = ''] = text.split(';', 1);
  if (value !== undefined && !CONTENT_TYPES.includes(type.trim().toLowerCase()))
    return `headerContentType must be one of ${CONTENT_TYPES.join(', ')}`;
  return unknownFault(given, ['headerContentType']);
}

function unknownFault(given: Fields, known: readonly string[]): string | null {
  for (const name of given.keys())
    if (!known.includes(name))
      return `${JSON.stringify(name.slice(0, 50))} is not known; there are ${known.join(', ')}`;
  return null;
}

function fieldsOf(text: string): Fields | undefined {
  try {
    return mapOf(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function mapOf(value: unknown): Fields | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  return new Map(Object.entries(value));
}
