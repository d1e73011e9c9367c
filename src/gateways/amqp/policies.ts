import { DEFAULT_SUBSCRIPTION, DEFAULT_TOPIC, type TopicPolicy } from '../../core/policy.ts';
import type { RouterDefinition, TopicDefinition } from '../../core/definitions.ts';
import { type PolicyTarget, type Ruling, stricter } from '../policies.ts';
import { AmqpError } from './errors.ts';
import { type Field, integerOf, numberField, type Table, textField, textOf } from './fields.ts';
import { argumentsOf, LONGEST_LIFE_MS, queueTypeOf } from './queue-arguments.ts';
import { streamPolicy } from './streams.ts';
import {
  ALTERNATE_ARGUMENT,
  consumerTimeoutMs,
  type Declared,
  existingExchange,
  existingQueue,
  type QueueSettings,
  queueSettings,
} from './translate.ts';

/** What policies change about queues and exchanges: pure, and nothing else. */

type Says = Pick<Ruling, 'definition'>;

export function queueTarget(name: string, { arguments: args }: Pick<Declared, 'arguments'>): PolicyTarget {
  return { kind: 'queue', name, type: queueTypeOf(args) };
}

export function exchangeTarget(name: string): PolicyTarget {
  return { kind: 'exchange', name };
}

/** Of two numbers, one of the queue itself and one of its policy, the stricter one counts. */
const NUMBERS = [
  'message-ttl',
  'expires',
  'max-length',
  'max-length-bytes',
  'delivery-limit',
  'consumer-timeout',
  'delayed-retry-min',
  'delayed-retry-max',
];
const LIVES = ['message-ttl', 'expires'];
/** Of these a quorum queue has what its policy says, whatever it asked for itself. */
const QUORUM_OBEYS = ['overflow', 'delayed-retry-type'];
/** What a policy says of streams: there it wins over what the stream itself asked for. */
const OF_STREAMS = ['max-age', 'max-length-bytes'];

/** The arguments of a queue as if its client had asked for what the policy adds. */
export function withPolicy(own: Table, policy: Says | undefined): Table {
  if (policy === undefined) return own;
  const type = queueTypeOf(own);
  const possible = argumentsOf(type);
  const quorum = type === 'quorum';
  const merged = new Map<string, Field>(own);
  for (const [key, said] of Object.entries(policy.definition)) {
    const value = LIVES.includes(key) ? Math.min(Number(said), LONGEST_LIFE_MS) : said;
    const argument = `x-${key}`;
    // What queues of this type do not have says nothing of them.
    if (!possible.has(argument)) continue;
    const had = own.get(argument);
    const number = had === undefined ? undefined : integerOf(had);
    if (NUMBERS.includes(key) && number !== undefined)
      merged.set(argument, numberField(stricter(key, number, Number(value))));
    else if (had === undefined || (quorum && QUORUM_OBEYS.includes(key))) merged.set(argument, fieldOf(value));
  }
  if (!merged.has('x-dead-letter-exchange')) merged.delete('x-dead-letter-routing-key');
  dropHalfRetry(merged);
  return merged;
}

/** Waits that a policy says half of, or that the queue contradicts, are none: RabbitMQ heeds them as far as they make sense. */
function dropHalfRetry(merged: Map<string, Field>): void {
  const [min, max] = ['x-delayed-retry-min', 'x-delayed-retry-max'].map((name) => integerOf(merged.get(name)));
  if (min === undefined) merged.delete('x-delayed-retry-type');
  else if (max !== undefined && max < min) merged.set('x-delayed-retry-min', numberField(max));
}

function fieldOf(value: string | number): Field {
  return typeof value === 'number' ? numberField(value) : textField(value);
}

/** What a declared stream is to be, when its policy says this. */
export function effectiveStream(
  name: string,
  namespace: string,
  declared: Parameters<typeof streamPolicy>[0],
  policy: Says | undefined,
): Partial<TopicPolicy> {
  const ruled = Object.entries(policy?.definition ?? {}).filter(([key]) => OF_STREAMS.includes(key));
  const merged = new Map([
    ...declared.arguments,
    ...ruled.map(([key, value]) => [`x-${key}`, fieldOf(value)] as const),
  ]);
  return streamPolicy({ ...declared, arguments: merged }, name, namespace);
}

/** What a declared queue is to be, when its policy says this. */
export function effectiveQueue(
  name: string,
  namespace: string,
  declared: Pick<Declared, 'durable' | 'exclusive' | 'autoDelete' | 'arguments'>,
  policy: Says | undefined,
): QueueSettings {
  return queueSettings({ ...declared, arguments: withPolicy(declared.arguments, policy) }, name, namespace);
}

/** How long consumers of a queue may keep a delivery, as far as it or its policy says so. */
export function effectiveTimeoutMs(declared: Declared, policy: Says | undefined): number | undefined {
  return consumerTimeoutMs({ ...declared, arguments: withPolicy(declared.arguments, policy) });
}

/** How a queue or stream that exists has to change; undefined when it is as it should be. */
export function changeOf(
  definition: TopicDefinition,
  namespace: string,
  policy: Says | undefined,
): Partial<QueueSettings> | undefined {
  try {
    return definition.kind === 'queue'
      ? changeOfQueue(definition, namespace, policy)
      : changeOfStream(definition, namespace, policy);
  } catch (error) {
    // An older version let it be declared so: it stays as it is, and nobody else's waits for it.
    if (error instanceof AmqpError) return undefined;
    throw error;
  }
}

function changeOfStream(
  definition: TopicDefinition,
  namespace: string,
  policy: Says | undefined,
): Partial<QueueSettings> | undefined {
  const wanted = effectiveStream(definition.name, namespace, existingQueue(definition), policy);
  return isPartOf(wanted, definition.policy) ? undefined : { policy: wanted };
}

function changeOfQueue(
  definition: TopicDefinition,
  namespace: string,
  policy: Says | undefined,
): QueueSettings | undefined {
  const { ttlMs, expireUnusedMs, maxMessages, maxBytes, overflow } = DEFAULT_TOPIC;
  const { deadLetter, deadLetterExpired } = DEFAULT_SUBSCRIPTION;
  const wanted = effectiveQueue(definition.name, namespace, existingQueue(definition), policy);
  const settings: QueueSettings = {
    policy: { ttlMs, expireUnusedMs, maxMessages, maxBytes, overflow, ...wanted.policy },
    subscription: { deadLetter, deadLetterExpired, ...wanted.subscription },
  };
  const same =
    isPartOf(settings.policy, definition.policy) && isPartOf(settings.subscription, definition.subscription ?? {});
  return same ? undefined : settings;
}

function isPartOf(partial: object, whole: object): boolean {
  const values = new Map<string, unknown>(Object.entries(whole));
  return Object.entries(partial).every(([name, value]) => JSON.stringify(values.get(name)) === JSON.stringify(value));
}

/** The alternate exchange, when the policy says this. */
export function effectiveAlternate(own: string | undefined, policy: Says | undefined): string | null {
  const value = own ?? policy?.definition['alternate-exchange'];
  return typeof value === 'string' ? value : null;
}

export function alternateOf(definition: RouterDefinition, policy: Says | undefined): string | null {
  return effectiveAlternate(textOf(existingExchange(definition).arguments.get(ALTERNATE_ARGUMENT)), policy);
}
