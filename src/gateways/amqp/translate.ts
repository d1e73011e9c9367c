import type { HeaderValue } from '../../core/records.ts';
import { toVhost } from '../../core/vhosts.ts';
import type { Backoff, Overflow, RouterType, SubscriptionPolicy, TopicPolicy } from '../../core/policy.ts';
import type { Attributes } from '../../core/declaration.ts';
import type { BindingDefinition, RouterDefinition, TopicDefinition } from '../../core/definitions.ts';
import type { QueueType } from '../vhost-facts.ts';
import type { DeadLetterTarget } from './deaths.ts';
import { AmqpError } from './errors.ts';
import {
  type Field,
  flagOf,
  integerOf,
  readTable,
  type Table,
  tableBytes,
  textField,
  textOf,
  TYPE_NAMES,
  writeTable,
} from './fields.ts';
import { QUEUE_MESSAGE_BYTES } from './limits.ts';
import type { Arguments } from './methods.ts';
import { toHeader } from './properties.ts';
import { FIRST_EXCHANGE } from './spoken.ts';
import { argumentsOf, QueueArguments, queueTypeOf, USUAL_TYPE } from './queue-arguments.ts';

/** Between the definitions of AMQP and those of the engine: pure, and nothing else. */

// ---- Names ----------------------------------------------------------------------------------------------------------

/** As RabbitMQ names things in its texts: `queue 'jobs' in vhost '/'`. */
export function named(kind: 'queue' | 'exchange', name: string, namespace: string): string {
  return `${kind} '${name}' in vhost '${toVhost(namespace)}'`;
}

/** Exchanges that are always there. */
interface BuiltIn {
  readonly name: string;
  readonly type: RouterType;
  readonly internal?: true;
}

export const BUILT_IN: readonly [BuiltIn, ...BuiltIn[]] = [
  { name: FIRST_EXCHANGE, type: 'direct' },
  { name: 'amq.fanout', type: 'fanout' },
  { name: 'amq.topic', type: 'topic' },
  { name: 'amq.headers', type: 'headers' },
  { name: 'amq.match', type: 'headers' },
  { name: 'amq.rabbitmq.trace', type: 'topic', internal: true },
];

// ---- What the engine has no word for --------------------------------------------------------------------------------

/** Kept with the definition, as JSON under one name. */
const ATTRIBUTE = 'amqp';

/** What an AMQP client said of a queue or an exchange. */
export interface Declared {
  durable: boolean;
  exclusive: boolean;
  autoDelete: boolean;
  internal: boolean;
  /** Of an exchange, where the router's type is not it. */
  type: string;
  arguments: Table;
}

export function toAttributes(declared: Partial<Declared>): Attributes {
  const { arguments: table = new Map<string, Field>(), ...flags } = declared;
  const bytes = Buffer.alloc(tableBytes(table));
  writeTable(bytes, table, 0);
  return { [ATTRIBUTE]: JSON.stringify({ ...flags, arguments: bytes.toString('base64') }) };
}

/** What was declared; for what was not made by an AMQP client, what such a client would have had to say to make it. */
export function fromAttributes(attributes: Attributes | undefined, type = ''): Declared {
  const plain = { durable: true, exclusive: false, autoDelete: false, internal: false, type, arguments: new Map() };
  const text = attributes?.[ATTRIBUTE];
  if (text === undefined) return plain;
  // Written by `toAttributes`.
  const { arguments: base64, ...flags } = JSON.parse(text) as Partial<Omit<Declared, 'arguments'>> & {
    arguments: string;
  };
  const bytes = Buffer.from(base64, 'base64');
  return { ...plain, ...flags, arguments: readTable(bytes, 0, bytes.byteLength).table };
}

/** Numbers look the same whatever their size. */
function valueOf(field: Field | undefined): string | undefined {
  if (field === undefined) return undefined;
  const value = toHeader(field);
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Whole numbers of every size are one class; a text of digits and a broken number are others. */
function classOf(field: Field | undefined): string | undefined {
  return integerOf(field) === undefined ? field?.type : 'whole';
}

/** With its type where the other has none to compare it with. */
function shown(field: Field | undefined, other: Field | undefined): string {
  if (field === undefined) return 'none';
  if (other !== undefined) return `'${valueOf(field)}'`;
  return `the value '${valueOf(field)}' of type '${TYPE_NAMES[field.type]}'`;
}

function inequivalent(what: string, name: string, received: string, current: string): AmqpError {
  return new AmqpError(
    'PRECONDITION_FAILED',
    `inequivalent arg '${name}' for ${what}: received ${received} but current is ${current}`,
  );
}

/** Refuses a declare of what exists otherwise, naming what differs. Numbers are the same whatever their size. */
function assertEquivalent(what: string, want: Declared, have: Declared, compared: ReadonlySet<string>): void {
  if (want.type !== have.type) throw inequivalent(what, 'type', `'${want.type}'`, `'${have.type}'`);
  for (const [flag, name] of [
    ['durable', 'durable'],
    ['autoDelete', 'auto_delete'],
    ['internal', 'internal'],
  ] as const) {
    if (want[flag] !== have[flag]) throw inequivalent(what, name, `'${want[flag]}'`, `'${have[flag]}'`);
  }
  for (const name of compared) {
    const [a, b] = [want.arguments.get(name), have.arguments.get(name)];
    if (valueOf(a) !== valueOf(b) || classOf(a) !== classOf(b))
      throw inequivalent(what, name, shown(a, b), shown(b, a));
  }
}

/** @throws PRECONDITION_FAILED where a declare differs from the queue that there is */
export function assertSameQueue(what: string, want: Declared, have: Declared): void {
  assertEquivalent(what, typed(want), typed(have), argumentsOf(queueTypeOf(have.arguments)));
}

/** With the type that a queue has that names none: as RabbitMQ, which writes it down since 4.0. */
function typed(declared: Declared): Declared {
  if (declared.arguments.has('x-queue-type')) return declared;
  return { ...declared, arguments: new Map([...declared.arguments, ['x-queue-type', textField(USUAL_TYPE)]]) };
}

/** @throws PRECONDITION_FAILED where a declare differs from the exchange that there is */
export function assertSameExchange(what: string, want: Declared, have: Declared): void {
  assertEquivalent(what, want, have, EXCHANGE_ARGUMENTS);
}

// ---- Queues ---------------------------------------------------------------------------------------------------------

/** 30 minutes, as RabbitMQ's consumer timeout of quorum queues. */
export const CONSUMER_TIMEOUT_MS = 30 * 60_000;
export const CONSUMER_TIMEOUT = 'x-consumer-timeout';
const DEFAULT_DELIVERY_LIMIT = 20;
/** From 0 to 31, without being asked for. */
const QUORUM_PRIORITIES = { priorities: 32, defaultPriority: 4 };
const DEAD_LETTER_EXCHANGE = 'x-dead-letter-exchange';
const DEAD_LETTER_KEY = 'x-dead-letter-routing-key';

/** What `basic.reject` gives back, or a channel that went, is `failed`; what `basic.nack` gives back `returned`. */
const RETRY_TYPES = ['disabled', 'all', 'failed', 'returned'];

export interface QueueSettings {
  policy: Partial<TopicPolicy>;
  subscription: Partial<SubscriptionPolicy>;
}

type QueueDeclare = Arguments<'queueDeclare'>;

/** The policy that the arguments of a queue ask for. @throws PRECONDITION_FAILED */
export function queueSettings(
  declare: Pick<QueueDeclare, 'durable' | 'exclusive' | 'autoDelete' | 'arguments'>,
  name: string,
  namespace: string,
): QueueSettings {
  const args = new QueueArguments(declare.arguments, named('queue', name, namespace));
  const type = args.type();
  const volatile = !declare.durable || declare.exclusive;
  const policy: Partial<TopicPolicy> = {
    durability: volatile ? 'memory' : 'fsync',
    maxMessageBytes: QUEUE_MESSAGE_BYTES,
  };
  const subscription: Partial<SubscriptionPolicy> = {
    leaseMs: CONSUMER_TIMEOUT_MS,
    maxAttempts: 0,
    maxCrashes: 0,
    backoff: { type: 'none', minMs: 0, maxMs: 0, jitter: false },
  };
  const ttl = args.life('x-message-ttl', 0);
  if (ttl !== undefined) policy.ttlMs = ttl;
  const expires = args.life('x-expires', 1);
  if (expires !== undefined) policy.expireUnusedMs = expires;
  const deadLetter = args.exchange(DEAD_LETTER_EXCHANGE);
  if (deadLetter !== undefined) {
    // What no binding takes is gone, as it is with RabbitMQ.
    subscription.deadLetter = { router: deadLetter, key: args.text(DEAD_LETTER_KEY) ?? null, unrouted: 'drop' };
    subscription.deadLetterExpired = true;
  } else if (args.has(DEAD_LETTER_KEY)) throw args.invalid(DEAD_LETTER_KEY, 'routing_key_but_no_dlx_defined');
  limits(args, policy, deadLetter === undefined ? 'plain' : 'buries');
  const priorities = args.whole('x-max-priority', 0, 255);
  if (type === 'quorum') Object.assign(subscription, QUORUM_PRIORITIES);
  else if (priorities !== undefined) subscription.priorities = priorities + 1;
  const backoff = retryBackoff(args);
  if (backoff !== undefined) subscription.backoff = backoff;
  args.whole(CONSUMER_TIMEOUT, 0);
  if (args.flag('x-single-active-consumer') === true) subscription.singleActive = true;
  const limit = args.integer('x-delivery-limit');
  if (type === 'quorum') {
    subscription.maxAttempts = (limit ?? DEFAULT_DELIVERY_LIMIT) < 0 ? 0 : (limit ?? DEFAULT_DELIVERY_LIMIT) + 1;
    args.assertLasting(declare);
  }
  return { policy, subscription };
}

/** Of a quorum queue: how long what is given back waits, by the number of its failures. */
function retryBackoff(args: QueueArguments): Backoff | undefined {
  const kind = args.oneOf('x-delayed-retry-type', RETRY_TYPES, (value) => `invalid_value '${value}'`) ?? 'disabled';
  const minMs = args.whole('x-delayed-retry-min', 1);
  const most = args.whole('x-delayed-retry-max', 1);
  if (kind === 'disabled') return undefined;
  if (minMs === undefined) throw args.invalid('x-delayed-retry-type', "it needs 'x-delayed-retry-min'");
  // Without one every wait is as long as the first, as in RabbitMQ.
  const maxMs = most ?? minMs;
  if (maxMs < minMs) throw args.invalid('x-delayed-retry-max', "less than 'x-delayed-retry-min'");
  return { type: 'linear', minMs, maxMs, jitter: false };
}

/** Whether what comes back to a queue with these arguments waits for a while. */
export function delaysRetry(args: Table, how: 'failed' | 'returned'): boolean {
  const kind = textOf(args.get('x-delayed-retry-type'));
  return kind === 'all' || kind === how;
}

/** Where dead letters of a queue go, as far as its policy says it in words of AMQP. */
export function deadLetterTarget(policy: SubscriptionPolicy | undefined): DeadLetterTarget | undefined {
  const deadLetter = policy?.deadLetter ?? null;
  if (deadLetter === null) return undefined;
  if (typeof deadLetter === 'string') return { exchange: '', key: deadLetter };
  return { exchange: deadLetter.router, key: deadLetter.key };
}

const OVERFLOW: ReadonlyMap<string, { plain: Overflow; buries: Overflow }> = new Map([
  ['drop-head', { plain: 'drop-oldest', buries: 'dead-letter-oldest' }],
  ['reject-publish', { plain: 'reject', buries: 'reject' }],
  ['reject-publish-dlx', { plain: 'reject', buries: 'dead-letter-newest' }],
]);

function limits(args: QueueArguments, policy: Partial<TopicPolicy>, deadLetters: 'plain' | 'buries'): void {
  const messages = args.whole('x-max-length', 0);
  const bytes = args.whole('x-max-length-bytes', 0);
  const overflow = OVERFLOW.get(
    args.oneOf('x-overflow', [...OVERFLOW.keys()], () => 'invalid_overflow') ?? 'drop-head',
  );
  if (messages !== undefined) policy.maxMessages = messages;
  if (bytes !== undefined) policy.maxBytes = bytes;
  if (overflow !== undefined && (messages ?? bytes) !== undefined) policy.overflow = overflow[deadLetters];
}

/** With the type that queues of its virtual host have, where the client names none and the queue can be of it. */
export function withDefaultType(declare: QueueDeclare, type: QueueType): QueueDeclare {
  const { durable, exclusive, autoDelete, arguments: args } = declare;
  const canBe = durable && !exclusive && !autoDelete;
  if (type === 'classic' || !canBe || args.has('x-queue-type')) return declare;
  return { ...declare, arguments: new Map([...args, ['x-queue-type', textField(type)]]) };
}

/** What a declare of a queue says, to be kept and compared. */
export function declaredQueue(declare: QueueDeclare): Declared {
  const { durable, exclusive, autoDelete } = declare;
  // An exclusive queue goes with its connection: that it was called durable makes no difference.
  const kept = durable && !exclusive;
  return { durable: kept, exclusive, autoDelete, internal: false, type: '', arguments: declare.arguments };
}

export function existingQueue(definition: TopicDefinition): Declared {
  const declared = fromAttributes(definition.attributes);
  if (definition.kind === 'queue' || isStream(declared)) return declared;
  // A topic that was not made by an AMQP client.
  return { ...declared, arguments: new Map([['x-queue-type', textField('stream')]]) };
}

/** A log that is read by offset, and of which nothing is taken. */
export function isStream({ arguments: args }: Pick<Declared, 'arguments'>): boolean {
  return textOf(args.get('x-queue-type')) === 'stream';
}

/** A queue of the engine, or what AMQP calls one: a stream is a topic. */
export function isQueue(definition: TopicDefinition): boolean {
  return definition.kind === 'queue' || isStream(existingQueue(definition));
}

/** How long consumers of a quorum queue may keep a delivery, if it says so itself. */
export function consumerTimeoutMs({ arguments: args }: Declared): number | undefined {
  return integerOf(args.get(CONSUMER_TIMEOUT));
}

export function isQuorum({ arguments: args }: Pick<Declared, 'arguments'>): boolean {
  return textOf(args.get('x-queue-type')) === 'quorum';
}

export function hasSingleActive({ arguments: args }: Declared): boolean {
  return flagOf(args.get('x-single-active-consumer')) === true;
}

// ---- Exchanges ------------------------------------------------------------------------------------------------------

export const DELAYED_TYPE = 'x-delayed-message';
const DELAYED_TYPE_ARGUMENT = 'x-delayed-type';
export const ALTERNATE_ARGUMENT = 'alternate-exchange';
const HASH_HEADER_ARGUMENT = 'hash-header';
const HASH_PROPERTY_ARGUMENT = 'hash-property';

/** Arguments of an exchange that two declares must agree on. */
const EXCHANGE_ARGUMENTS: ReadonlySet<string> = new Set([
  ALTERNATE_ARGUMENT,
  DELAYED_TYPE_ARGUMENT,
  HASH_HEADER_ARGUMENT,
  HASH_PROPERTY_ARGUMENT,
]);

const ROUTER_TYPES: ReadonlyMap<string, RouterType> = new Map([
  ['direct', 'direct'],
  ['fanout', 'fanout'],
  ['topic', 'topic'],
  ['headers', 'headers'],
  ['x-consistent-hash', 'hash'],
]);

/** Properties that a message may be spread by, and the header that each is in the envelope. */
const HASH_PROPERTIES: ReadonlyMap<string, string> = new Map([
  ['correlation_id', 'amqp-correlation-id'],
  ['message_id', 'amqp-message-id'],
  ['timestamp', 'amqp-timestamp'],
]);

/** @throws PRECONDITION_FAILED for a type of exchange that nobody knows; up to RabbitMQ 3.12 that was 503 */
export function assertExchangeType(type: string): void {
  if (type !== DELAYED_TYPE && !ROUTER_TYPES.has(type))
    throw new AmqpError('PRECONDITION_FAILED', `unknown exchange type '${type}'`);
}

/** The router that an exchange of a known type is. @throws PRECONDITION_FAILED */
export function exchangeSettings(
  declare: Arguments<'exchangeDeclare'>,
  namespace: string,
): { type: RouterType; alternate: string | null; hashHeader: string | null } {
  const { type: name, arguments: args } = declare;
  const type = ROUTER_TYPES.get(name === DELAYED_TYPE ? (textOf(args.get(DELAYED_TYPE_ARGUMENT)) ?? '') : name);
  if (type === undefined)
    throw new AmqpError(
      'PRECONDITION_FAILED',
      `Invalid argument, '${DELAYED_TYPE_ARGUMENT}' must be an existing exchange type`,
    );
  const hashHeader = type === 'hash' ? hashedBy(args) : null;
  const alternate = args.get(ALTERNATE_ARGUMENT);
  if (alternate === undefined) return { type, alternate: null, hashHeader };
  const target = textOf(alternate);
  if (target === undefined) {
    throw new AmqpError(
      'PRECONDITION_FAILED',
      `invalid type '${TYPE_NAMES[alternate.type]}' for arg '${ALTERNATE_ARGUMENT}' in ${named('exchange', declare.exchange, namespace)}`,
    );
  }
  return { type, alternate: target, hashHeader };
}

function hashedBy(args: Table): string | null {
  const [header, property] = [args.get(HASH_HEADER_ARGUMENT), args.get(HASH_PROPERTY_ARGUMENT)];
  if (header !== undefined && property !== undefined)
    throw new AmqpError('PRECONDITION_FAILED', 'hash-header and hash-property are mutually exclusive');
  if (property === undefined) return valueOf(header) ?? null;
  const found = HASH_PROPERTIES.get(textOf(property) ?? '');
  if (found === undefined) throw new AmqpError('PRECONDITION_FAILED', `Unsupported property: ${valueOf(property)}`);
  return found;
}

export function declaredExchange(declare: Arguments<'exchangeDeclare'>): Declared {
  const { durable, autoDelete, internal, type } = declare;
  return { durable, exclusive: false, autoDelete, internal, type, arguments: declare.arguments };
}

export function existingExchange(definition: RouterDefinition): Declared {
  const declared = fromAttributes(definition.attributes, definition.type);
  // One of an AMQP client may have its alternate from a policy, and says itself what it was declared with.
  if (definition.alternate === null || definition.attributes !== undefined) return declared;
  const alternate: Field = { type: 'S', value: Buffer.from(definition.alternate) };
  return { ...declared, arguments: new Map([...declared.arguments, [ALTERNATE_ARGUMENT, alternate]]) };
}

// ---- Bindings -------------------------------------------------------------------------------------------------------

const MATCH_MODES = new Map<string, { mode: 'all' | 'any'; own: boolean }>([
  ['all', { mode: 'all', own: false }],
  ['any', { mode: 'any', own: false }],
  ['all-with-x', { mode: 'all', own: true }],
  ['any-with-x', { mode: 'any', own: true }],
]);

/** With its arguments, whatever they mean: two bindings that differ in them are two. @throws PRECONDITION_FAILED */
export function toBinding(
  type: RouterType,
  to: BindingDefinition['to'],
  routingKey: string,
  args: Table,
): BindingDefinition {
  const plain: BindingDefinition = { to, key: routingKey, match: null, filter: null };
  // Their order makes no difference.
  const sorted = new Map([...args].sort(([a], [b]) => (a < b ? -1 : 1)));
  if (args.size > 0) plain.attributes = toAttributes({ arguments: sorted });
  if (type === 'hash') return { ...plain, key: weight(routingKey) };
  if (type !== 'headers') return plain;
  const given = args.get('x-match');
  const match = MATCH_MODES.get(textOf(given) ?? (given === undefined ? 'all' : ''));
  if (match === undefined) {
    const why =
      given?.type === 'S'
        ? `value <<"${textOf(given)}">>; expected all, any, all-with-x, or any-with-x`
        : `type ${TYPE_NAMES[given?.type ?? 'V']} (value ${valueOf(given)}); expected longstr`;
    throw new AmqpError('PRECONDITION_FAILED', `Invalid x-match field ${why}`);
  }
  const named = [...args].filter(([name]) => name !== 'x-match' && (match.own || !name.startsWith('x-')));
  const present = named.filter(([, field]) => field.type === 'V');
  const equal = named.filter(([, field]) => field.type !== 'V');
  const headers = Object.fromEntries(equal.map(([name, field]): [string, HeaderValue] => [name, toHeader(field)]));
  const names = present.map(([name]) => name);
  return { ...plain, match: { mode: match.mode, headers, ...(names.length > 0 && { present: names }) } };
}

/** Of a binding, in place of its routing key. @throws PRECONDITION_FAILED */
function weight(routingKey: string): string {
  if (!/^[+-]?[0-9]{1,15}$/.test(routingKey))
    throw new AmqpError('PRECONDITION_FAILED', `The binding key must be an integer: <<"${routingKey}">>`);
  const value = Number(routingKey);
  if (value < 1) throw new AmqpError('PRECONDITION_FAILED', 'The binding key must be greater than 0');
  return String(value);
}
