import type { ProducerRef } from '../core/open-transactions.ts';
import type { BindingDefinition } from '../core/definitions.ts';
import type {
  ConsumeRequest,
  CursorCommit,
  LeaseRange,
  OperationName,
  Operations,
  PublishRequest,
  Settlement,
  SeekTarget,
  StartAt,
  Transaction,
} from '../core/session.ts';
import { ROUTER_TYPES } from '../core/policy.ts';
import type { RoutedTo } from '../core/publish-target.ts';
import { RailheadError } from '../core/errors.ts';
import { filter, subscriptionPolicy, topicPolicy } from './policies.ts';
import {
  bytes,
  either,
  finite,
  flag,
  isMap,
  list,
  mapOf,
  maybe,
  nullable,
  object,
  oneOf,
  text,
  whole,
  type Check,
} from './shape.ts';

/** The form of the arguments of every operation. The types hold the two together: a missing line does not compile. */

const subscriptionRef = { topic: text, subscription: text };
const ifDifferent = oneOf('error', 'update', 'keep');
const anything: Check<unknown> = (value) => value;

const startAt: Check<StartAt> = either(
  oneOf('start', 'end'),
  either(
    object<{ offset: number }>({ offset: whole }),
    object<{ time: number }>({ time: finite }),
    '{ offset } or { time }',
  ),
  `'start', 'end', { offset } or { time }`,
);

const seekTarget: Check<SeekTarget> = either(
  startAt,
  object<{ snapshot: string }>({ snapshot: text }),
  `'start', 'end', { offset }, { time } or { snapshot }`,
);

const target: Check<BindingDefinition['to']> = either(
  object<{ topic: string }>({ topic: text }),
  object<{ router: string }>({ router: text }),
  '{ topic } or { router }',
);

const headers: Check<NonNullable<BindingDefinition['match']>['headers']> = (value, at) => {
  mapOf(anything)(value, at);
  // Data of a frame without extension types is made of header values only.
  return value as NonNullable<BindingDefinition['match']>['headers'];
};

const binding = object<BindingDefinition>({
  key: text,
  match: nullable(
    object<NonNullable<BindingDefinition['match']>>({
      headers,
      present: maybe(list(text)),
      mode: oneOf('all', 'any'),
    }),
  ),
  filter: nullable(filter),
  to: target,
  attributes: maybe(mapOf(text)),
});

const declaration = { attributes: maybe(mapOf(text)), transient: maybe(flag) };

const nothing = object<Record<string, never>>({});

const settled = {
  ...subscriptionRef,
  ranges: list(object<LeaseRange>({ partition: whole, offset: whole, count: whole, token: whole })),
};
const ack = object<Extract<Settlement, { action: 'ack' }>>({
  ...settled,
  action: oneOf('ack'),
  late: maybe(whole),
});
const release = object<Extract<Settlement, { action: 'release' }>>({
  ...settled,
  action: oneOf('release'),
  delayMs: maybe(whole),
  countAttempt: flag,
  error: maybe(text),
});
const returned = object<Extract<Settlement, { action: 'return' }>>({
  ...settled,
  action: oneOf('return'),
  delayMs: maybe(whole),
});
const reject = object<Extract<Settlement, { action: 'reject' }>>({ ...settled, action: oneOf('reject'), reason: text });
const extend = object<Extract<Settlement, { action: 'extend' }>>({
  ...settled,
  action: oneOf('extend'),
  leaseMs: whole,
});

const settlement: Check<Settlement> = (value, at) => {
  const action = isMap(value) ? value['action'] : undefined;
  if (action === 'release') return release(value, at);
  if (action === 'return') return returned(value, at);
  if (action === 'reject') return reject(value, at);
  if (action === 'extend') return extend(value, at);
  return ack(value, at);
};

const cursorCommit = object<CursorCommit>({
  cursor: text,
  topic: text,
  partition: whole,
  offset: whole,
  metadata: maybe(text),
});

const producerRef = { producer: text, producerId: whole, epoch: whole };
const outcome = oneOf('committed', 'aborted');

export const ARGUMENTS: { readonly [O in OperationName]: Check<Operations[O]['args']> } = {
  declareTopic: object<Operations['declareTopic']['args']>({
    name: text,
    kind: oneOf('queue', 'topic'),
    policy: maybe(topicPolicy),
    subscription: maybe(subscriptionPolicy),
    ifDifferent: maybe(ifDifferent),
    ...declaration,
  }),
  declareSubscription: object<Operations['declareSubscription']['args']>({
    ...subscriptionRef,
    policy: maybe(subscriptionPolicy),
    from: maybe(startAt),
    ifDifferent: maybe(ifDifferent),
  }),
  declareRouter: object<Operations['declareRouter']['args']>({
    name: text,
    type: oneOf(...ROUTER_TYPES),
    alternate: maybe(nullable(text)),
    hashHeader: maybe(nullable(text)),
    ifDifferent: maybe(oneOf('error', 'update')),
    ...declaration,
  }),
  bind: object<Operations['bind']['args']>({ router: text, binding }),
  unbind: object<Operations['unbind']['args']>({ router: text, binding }),
  deleteTopic: object<Operations['deleteTopic']['args']>({ name: text, ifEmpty: maybe(flag), ifUnused: maybe(flag) }),
  deleteSubscription: object<Operations['deleteSubscription']['args']>(subscriptionRef),
  deleteRouter: object<Operations['deleteRouter']['args']>({ name: text, ifUnused: maybe(flag) }),
  describeTopic: object<Operations['describeTopic']['args']>({ name: text }),
  describeRouter: object<Operations['describeRouter']['args']>({ name: text }),
  traceRoute: object<Operations['traceRoute']['args']>({
    router: text,
    key: text,
    headers: maybe(headers),
    messageKey: maybe(text),
    contentType: maybe(text),
  }),
  listTopics: object<Operations['listTopics']['args']>({
    prefix: maybe(text),
    after: maybe(text),
    limit: maybe(whole),
  }),
  listRouters: nothing,
  topicStats: object<Operations['topicStats']['args']>({ name: text }),
  subscriptionStats: object<Operations['subscriptionStats']['args']>(subscriptionRef),
  allStats: object<Operations['allStats']['args']>({
    prefix: maybe(text),
    after: maybe(whole),
    limit: maybe(whole),
  }),
  listConsumers: object<Operations['listConsumers']['args']>(subscriptionRef),
  peek: object<Operations['peek']['args']>({
    ...subscriptionRef,
    limit: maybe(whole),
    state: maybe(oneOf('ready', 'delayed', 'leased', 'settled')),
    after: maybe(text),
    schemas: maybe(flag),
  }),
  purge: object<Operations['purge']['args']>(subscriptionRef),
  trimTopic: object<Operations['trimTopic']['args']>({ topic: text, partition: whole, before: whole }),
  pause: object<Operations['pause']['args']>(subscriptionRef),
  resume: object<Operations['resume']['args']>(subscriptionRef),
  cancel: object<Operations['cancel']['args']>({ ...subscriptionRef, id: text }),
  reschedule: object<Operations['reschedule']['args']>({
    ...subscriptionRef,
    id: text,
    at: maybe(finite),
    delayMs: maybe(finite),
  }),
  redrive: object<Operations['redrive']['args']>({
    ...subscriptionRef,
    ids: maybe(list(text)),
    filter: maybe(filter),
    to: maybe(text),
    limit: maybe(whole),
    ratePerSecond: maybe(finite),
    edits: maybe(list(object<{ id: string; record: Uint8Array }>({ id: text, record: bytes }))),
  }),
  redriveProgress: object<Operations['redriveProgress']['args']>({ id: text, cancel: maybe(flag) }),
  drop: object<Operations['drop']['args']>({
    ...subscriptionRef,
    ids: maybe(list(text)),
    filter: maybe(filter),
    limit: maybe(whole),
  }),
  seek: object<Operations['seek']['args']>({ ...subscriptionRef, to: seekTarget }),
  createSnapshot: object<Operations['createSnapshot']['args']>({
    ...subscriptionRef,
    snapshot: text,
    expiresAfterMs: maybe(whole),
  }),
  listSnapshots: object<Operations['listSnapshots']['args']>({ topic: maybe(text) }),
  deleteSnapshot: object<Operations['deleteSnapshot']['args']>({ topic: text, snapshot: text }),
  read: object<Operations['read']['args']>({
    topic: text,
    partition: maybe(whole),
    from: startAt,
    maxMessages: maybe(whole),
    maxBytes: maybe(whole),
    waitMs: maybe(whole),
    isolation: maybe(oneOf('committed', 'uncommitted')),
    verbatim: maybe(flag),
    bodies: maybe(oneOf('whole', 'apart')),
    formats: maybe(list(whole)),
  }),
  awaitRecords: object<Operations['awaitRecords']['args']>({
    places: list(
      object<{ topic: string; partition: number; offset: number }>({ topic: text, partition: whole, offset: whole }),
    ),
    isolation: maybe(oneOf('committed', 'uncommitted')),
    waitMs: whole,
  }),
  readBody: object<Operations['readBody']['args']>({
    topic: text,
    partition: whole,
    offset: whole,
    from: whole,
    maxBytes: whole,
  }),
  fetchCursors: object<Operations['fetchCursors']['args']>({ cursor: text, topic: maybe(text) }),
  listCursors: object<Operations['listCursors']['args']>({
    prefix: maybe(text),
    after: maybe(text),
    limit: maybe(whole),
  }),
  deleteCursor: object<Operations['deleteCursor']['args']>({
    cursor: text,
    topic: maybe(text),
    partition: maybe(whole),
  }),
  claimProducer: object<Operations['claimProducer']['args']>({
    producer: text,
    timeoutMs: maybe(whole),
    after: maybe(object<ProducerRef>(producerRef)),
  }),
  beginTransaction: object<Operations['beginTransaction']['args']>({ ...producerRef, timeoutMs: maybe(whole) }),
  addToTransaction: object<Operations['addToTransaction']['args']>({
    ...producerRef,
    cursors: maybe(list(cursorCommit)),
    settlements: maybe(list(settlement)),
  }),
  endTransaction: object<Operations['endTransaction']['args']>({
    ...producerRef,
    outcome,
    transaction: maybe(whole),
  }),
  describeProducer: object<Operations['describeProducer']['args']>({ producer: text }),
  listProducers: object<Operations['listProducers']['args']>({
    prefix: maybe(text),
    after: maybe(text),
    limit: maybe(whole),
    open: maybe(flag),
  }),
  putSchedule: object<Operations['putSchedule']['args']>({
    name: text,
    cron: text,
    timezone: maybe(text),
    topic: text,
    record: bytes,
  }),
  deleteSchedule: object<Operations['deleteSchedule']['args']>({ name: text }),
  listSchedules: nothing,
  putDocument: object<Operations['putDocument']['args']>({ kind: text, name: text, value: text }),
  deleteDocument: object<Operations['deleteDocument']['args']>({ kind: text, name: text }),
  listDocuments: object<Operations['listDocuments']['args']>({ kind: text }),
  seal: object<Operations['seal']['args']>({ purpose: text, text }),
  holdStorage: object<Operations['holdStorage']['args']>({ forMs: whole }),
  releaseStorage: object<Operations['releaseStorage']['args']>({ hold: whole }),
  info: nothing,
  shortage: object<Operations['shortage']['args']>({ was: nullable(oneOf('memory', 'disk')), waitMs: whole }),
};

/**
 * Asking twice changes nothing that asking once did not: these are asked again when the connection broke before the
 * answer came.
 */
export const REPEATABLE: ReadonlySet<OperationName> = new Set<OperationName>([
  'declareTopic',
  'declareSubscription',
  'declareRouter',
  'describeTopic',
  'describeRouter',
  'traceRoute',
  'listTopics',
  'listRouters',
  'topicStats',
  'subscriptionStats',
  'allStats',
  'listConsumers',
  'peek',
  'redriveProgress',
  'read',
  'awaitRecords',
  'readBody',
  'fetchCursors',
  'listCursors',
  'beginTransaction',
  'endTransaction',
  'describeProducer',
  'listProducers',
  'listSchedules',
  'listSnapshots',
  'listDocuments',
  'seal',
  'info',
  'shortage',
]);

export function isOperation(name: string): name is OperationName {
  return Object.hasOwn(ARGUMENTS, name);
}

export const consumeRequest = object<ConsumeRequest>({
  ...subscriptionRef,
  lease: oneOf('session', 'connection', 'timed'),
  leaseMs: maybe(whole),
  priority: maybe(finite),
  exclusive: maybe(flag),
  autoAck: maybe(flag),
  name: maybe(text),
  maxBytes: maybe(whole),
  bodies: maybe(oneOf('whole', 'apart')),
  formats: maybe(list(whole)),
  pool: maybe(text),
  perKey: maybe(oneOf('one', 'several')),
  beside: maybe(flag),
  until: maybe(oneOf('empty')),
});

const publishTarget = either(
  object<{ topic: string }>({ topic: text }),
  object<RoutedTo>({ router: text, key: text, also: maybe(list(text)) }),
  '{ topic } or { router, key }',
);

export const bodyRequest = object<{ to: PublishRequest['to']; bytes: number }>({ to: publishTarget, bytes: whole });

const publishRequest = object<PublishRequest>({
  to: publishTarget,
  format: whole,
  records: bytes,
  count: whole,
  body: maybe(whole),
  partition: maybe(whole),
  atomic: maybe(flag),
  producer: maybe(object<{ id: string; sequence: number }>({ id: text, sequence: whole })),
  transaction: maybe(object<ProducerRef>(producerRef)),
  waitMs: maybe(whole),
});

export const transaction = object<Transaction>({
  publishes: list(publishRequest),
  settlements: list(settlement),
  cursors: list(cursorCommit),
});

/** @throws NOT_SUPPORTED for an operation that only a newer broker has, INVALID for arguments of another form. */
export function checkArguments<O extends OperationName>(operation: O, value: unknown): Operations[O]['args'] {
  return ARGUMENTS[operation](value, operation);
}

export function unknownOperation(name: string): RailheadError {
  return new RailheadError(
    'NOT_SUPPORTED',
    `This broker has no operation ${JSON.stringify(name.slice(0, 100))}. It may be older than the client.`,
  );
}
