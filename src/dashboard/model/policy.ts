/** A policy as sentences, of what `GET /queues/NAME` shows. Only what differs from silence is said. */

export interface PolicyShown {
  partitions?: number;
  durability?: string;
  maxMessages?: number | null;
  maxBytes?: string | null;
  overflow?: string;
  publishRate?: string | null;
  ttl?: string | null;
  expireUnused?: string | null;
  dedupeWindow?: string | null;
  maxMessageBytes?: string;
  retain?: string | { untilSettled: boolean; age: string | null; bytes: string | null; compact: boolean };
  order?: string;
  priorities?: number;
  lease?: string;
  maxAttempts?: number;
  maxCrashes?: number;
  backoff?: { type: string; min: string; max: string; jitter: boolean };
  deadLetter?: string | { router: string; key: string | null; unrouted: string } | null;
  deadLetterExpired?: boolean;
  consumeRate?: string | null;
  filter?: Record<string, unknown> | null;
  singleActive?: boolean;
  maxInFlight?: number | null;
}

export interface Sentence {
  about: string;
  text: string;
}

const DURABILITY: Record<string, string> = {
  fsync: 'A confirm means that the message is synced to disk and survives a power cut.',
  write: 'A confirm survives a crash of the broker, not a power cut.',
  memory: 'A confirm promises nothing after a restart.',
};

const ORDER: Record<string, string> = {
  fifo: 'First in, first out; consumers compete, and a message that comes back takes its old place.',
  strict: 'Strictly one after the other: the next waits until the one before is settled.',
  key: 'By key: one message of a key at a time, keys side by side.',
  fair: 'Fair: keys take turns, so that a noisy one does not hold up the others.',
};

const OVERFLOW: Record<string, string> = {
  reject: 'new messages are refused',
  block: 'publishers wait',
  'drop-oldest': 'the oldest is dropped',
  'dead-letter-oldest': 'the oldest becomes a dead letter',
  'dead-letter-newest': 'the new one is refused and becomes a dead letter',
};

export function sentences(policy: PolicyShown): Sentence[] {
  return [...ofTopic(policy), ...ofSubscription(policy)];
}

function* ofTopic(policy: PolicyShown): Iterable<Sentence> {
  const { durability, maxMessages, maxBytes, overflow, publishRate, ttl, expireUnused, dedupeWindow, partitions } =
    policy;
  if (durability !== undefined) yield { about: 'Safety', text: DURABILITY[durability] ?? durability };
  if (partitions !== undefined && partitions > 1)
    yield { about: 'Partitions', text: `Spread over ${partitions}, by key.` };
  const limits = [is(maxMessages) && `${maxMessages} messages`, is(maxBytes) && size(maxBytes)].filter(
    (one) => one !== false,
  );
  if (limits.length > 0)
    yield { about: 'Limit', text: `At ${limits.join(' or ')} ${OVERFLOW[overflow ?? ''] ?? overflow ?? ''}.` };
  if (is(publishRate)) yield { about: 'Publishing', text: `At most ${publishRate}.` };
  if (is(ttl)) yield { about: 'Life', text: `A message lives for ${ttl}${gone(policy)}.` };
  if (is(dedupeWindow))
    yield { about: 'Repeats', text: `A second message with the same dedupe id within ${dedupeWindow} is not stored.` };
  if (is(expireUnused)) yield { about: 'Unused', text: `Deleted after ${expireUnused} without anybody.` };
  if (typeof policy.retain === 'object') yield { about: 'Keeps', text: retention(policy.retain) };
}

function gone({ deadLetterExpired }: PolicyShown): string {
  return deadLetterExpired === true ? ', then it is a dead letter' : ', then it is gone';
}

function retention({ untilSettled, age, bytes, compact }: Exclude<PolicyShown['retain'], string | undefined>): string {
  const parts = [
    untilSettled && 'until every subscription has settled it',
    age !== null && `for ${age}`,
    bytes !== null && `up to ${size(bytes)}`,
    compact && 'the newest of each key',
  ].filter((part) => part !== false);
  return parts.length === 0 ? 'Everything, for ever.' : `${capital(parts.join(', '))}.`;
}

function* ofSubscription(policy: PolicyShown): Iterable<Sentence> {
  const { order, priorities, lease, maxAttempts, maxCrashes, backoff, consumeRate, maxInFlight, filter } = policy;
  if (order !== undefined) yield { about: 'Order', text: ORDER[order] ?? order };
  if (priorities !== undefined && priorities > 1)
    yield { about: 'Priorities', text: `0 to ${priorities - 1}; higher goes first.` };
  if (lease !== undefined)
    yield {
      about: 'Lease',
      text: `A consumer has ${lease} to settle a message or ask for more time; then it comes again.`,
    };
  if (maxAttempts !== undefined) yield { about: 'Retries', text: retries(maxAttempts, maxCrashes ?? 0, backoff) };
  yield* deadLetter(policy);
  if (is(consumeRate)) yield { about: 'Consuming', text: `At most ${consumeRate}.` };
  if (is(maxInFlight)) yield { about: 'In flight', text: `At most ${maxInFlight} at a time.` };
  if (policy.singleActive === true)
    yield { about: 'Consumers', text: 'One receives; the next takes over when it goes.' };
  if (is(filter)) yield { about: 'Filter', text: JSON.stringify(filter) };
  if (typeof policy.retain === 'string' && policy.retain !== '0ms' && policy.retain !== '0s')
    yield { about: 'Settled', text: `Stay visible for ${policy.retain}.` };
}

function retries(attempts: number, crashes: number, backoff: PolicyShown['backoff']): string {
  const limit = attempts === 0 ? 'Without end' : `${attempts} attempts, then it is a dead letter`;
  const crash = crashes === 0 ? '' : ` (or after ${crashes} crashes of its consumer)`;
  if (backoff === undefined || backoff.type === 'none') return `${limit}${crash}; without a pause between them.`;
  const pause =
    backoff.type === 'fixed'
      ? `${backoff.min} between them`
      : `${backoff.min} to ${backoff.max} between them, ${backoff.type === 'linear' ? 'longer each time' : 'doubling'}`;
  return `${limit}${crash}; ${pause}${backoff.jitter ? ', with chance' : ''}.`;
}

function* deadLetter({ deadLetter: to, maxAttempts }: PolicyShown): Iterable<Sentence> {
  if (to === undefined) return;
  if (to === null) {
    if (maxAttempts !== undefined)
      yield { about: 'Dead letters', text: 'In the queue of this name with .dead behind it.' };
  } else if (typeof to === 'string') yield { about: 'Dead letters', text: `In the queue ${to}.` };
  else
    yield {
      about: 'Dead letters',
      text: `Through the router ${to.router}; what no binding takes is ${to.unrouted === 'drop' ? 'dropped' : 'kept in .dead'}.`,
    };
}

/** Said, and not that there is none. */
function is<T>(value: T | null | undefined): value is T {
  return value !== undefined && value !== null;
}

/** `1048576B` is how the API says it. */
function size(text: string): string {
  const bytes = Number(/^(\d+)B$/.exec(text)?.[1] ?? Number.NaN);
  if (Number.isNaN(bytes)) return text;
  if (bytes >= 1 << 30) return `${Math.round((bytes / (1 << 30)) * 10) / 10} GiB`;
  if (bytes >= 1 << 20) return `${Math.round((bytes / (1 << 20)) * 10) / 10} MiB`;
  return bytes >= 1024 ? `${Math.round((bytes / 1024) * 10) / 10} KiB` : `${bytes} bytes`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
