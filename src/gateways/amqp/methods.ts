import type { Table } from './fields.ts';

/**
 * Every method of AMQP 0-9-1 as RabbitMQ speaks it, with its fields in the order of the wire. Neighbouring bits share
 * an octet, the first in the lowest bit. Codec and types come from this table.
 */
export const METHODS = {
  connectionStart: method(10, 10, {
    versionMajor: 'octet',
    versionMinor: 'octet',
    serverProperties: 'table',
    mechanisms: 'longstr',
    locales: 'longstr',
  }),
  connectionStartOk: method(10, 11, {
    clientProperties: 'table',
    mechanism: 'shortstr',
    response: 'longstr',
    locale: 'shortstr',
  }),
  connectionSecure: method(10, 20, { challenge: 'longstr' }),
  connectionSecureOk: method(10, 21, { response: 'longstr' }),
  connectionTune: method(10, 30, { channelMax: 'short', frameMax: 'long', heartbeat: 'short' }),
  connectionTuneOk: method(10, 31, { channelMax: 'short', frameMax: 'long', heartbeat: 'short' }),
  connectionOpen: method(10, 40, { virtualHost: 'shortstr', reserved1: 'shortstr', reserved2: 'bit' }),
  connectionOpenOk: method(10, 41, { reserved1: 'shortstr' }),
  connectionClose: method(10, 50, { replyCode: 'short', replyText: 'shortstr', classId: 'short', methodId: 'short' }),
  connectionCloseOk: method(10, 51, {}),
  connectionBlocked: method(10, 60, { reason: 'shortstr' }),
  connectionUnblocked: method(10, 61, {}),
  connectionUpdateSecret: method(10, 70, { newSecret: 'longstr', reason: 'shortstr' }),
  connectionUpdateSecretOk: method(10, 71, {}),

  channelOpen: method(20, 10, { reserved1: 'shortstr' }),
  channelOpenOk: method(20, 11, { reserved1: 'longstr' }),
  channelFlow: method(20, 20, { active: 'bit' }),
  channelFlowOk: method(20, 21, { active: 'bit' }),
  channelClose: method(20, 40, { replyCode: 'short', replyText: 'shortstr', classId: 'short', methodId: 'short' }),
  channelCloseOk: method(20, 41, {}),

  accessRequest: method(30, 10, {
    realm: 'shortstr',
    exclusive: 'bit',
    passive: 'bit',
    active: 'bit',
    write: 'bit',
    read: 'bit',
  }),
  accessRequestOk: method(30, 11, { reserved1: 'short' }),

  exchangeDeclare: method(40, 10, {
    reserved1: 'short',
    exchange: 'shortstr',
    type: 'shortstr',
    passive: 'bit',
    durable: 'bit',
    autoDelete: 'bit',
    internal: 'bit',
    noWait: 'bit',
    arguments: 'table',
  }),
  exchangeDeclareOk: method(40, 11, {}),
  exchangeDelete: method(40, 20, { reserved1: 'short', exchange: 'shortstr', ifUnused: 'bit', noWait: 'bit' }),
  exchangeDeleteOk: method(40, 21, {}),
  exchangeBind: method(40, 30, {
    reserved1: 'short',
    destination: 'shortstr',
    source: 'shortstr',
    routingKey: 'shortstr',
    noWait: 'bit',
    arguments: 'table',
  }),
  exchangeBindOk: method(40, 31, {}),
  exchangeUnbind: method(40, 40, {
    reserved1: 'short',
    destination: 'shortstr',
    source: 'shortstr',
    routingKey: 'shortstr',
    noWait: 'bit',
    arguments: 'table',
  }),
  exchangeUnbindOk: method(40, 51, {}),

  queueDeclare: method(50, 10, {
    reserved1: 'short',
    queue: 'shortstr',
    passive: 'bit',
    durable: 'bit',
    exclusive: 'bit',
    autoDelete: 'bit',
    noWait: 'bit',
    arguments: 'table',
  }),
  queueDeclareOk: method(50, 11, { queue: 'shortstr', messageCount: 'long', consumerCount: 'long' }),
  queueBind: method(50, 20, {
    reserved1: 'short',
    queue: 'shortstr',
    exchange: 'shortstr',
    routingKey: 'shortstr',
    noWait: 'bit',
    arguments: 'table',
  }),
  queueBindOk: method(50, 21, {}),
  queuePurge: method(50, 30, { reserved1: 'short', queue: 'shortstr', noWait: 'bit' }),
  queuePurgeOk: method(50, 31, { messageCount: 'long' }),
  queueDelete: method(50, 40, {
    reserved1: 'short',
    queue: 'shortstr',
    ifUnused: 'bit',
    ifEmpty: 'bit',
    noWait: 'bit',
  }),
  queueDeleteOk: method(50, 41, { messageCount: 'long' }),
  queueUnbind: method(50, 50, {
    reserved1: 'short',
    queue: 'shortstr',
    exchange: 'shortstr',
    routingKey: 'shortstr',
    arguments: 'table',
  }),
  queueUnbindOk: method(50, 51, {}),

  basicQos: method(60, 10, { prefetchSize: 'long', prefetchCount: 'short', global: 'bit' }),
  basicQosOk: method(60, 11, {}),
  basicConsume: method(60, 20, {
    reserved1: 'short',
    queue: 'shortstr',
    consumerTag: 'shortstr',
    noLocal: 'bit',
    noAck: 'bit',
    exclusive: 'bit',
    noWait: 'bit',
    arguments: 'table',
  }),
  basicConsumeOk: method(60, 21, { consumerTag: 'shortstr' }),
  basicCancel: method(60, 30, { consumerTag: 'shortstr', noWait: 'bit' }),
  basicCancelOk: method(60, 31, { consumerTag: 'shortstr' }),
  basicPublish: method(60, 40, {
    reserved1: 'short',
    exchange: 'shortstr',
    routingKey: 'shortstr',
    mandatory: 'bit',
    immediate: 'bit',
  }),
  basicReturn: method(60, 50, {
    replyCode: 'short',
    replyText: 'shortstr',
    exchange: 'shortstr',
    routingKey: 'shortstr',
  }),
  basicDeliver: method(60, 60, {
    consumerTag: 'shortstr',
    deliveryTag: 'longlong',
    redelivered: 'bit',
    exchange: 'shortstr',
    routingKey: 'shortstr',
  }),
  basicGet: method(60, 70, { reserved1: 'short', queue: 'shortstr', noAck: 'bit' }),
  basicGetOk: method(60, 71, {
    deliveryTag: 'longlong',
    redelivered: 'bit',
    exchange: 'shortstr',
    routingKey: 'shortstr',
    messageCount: 'long',
  }),
  basicGetEmpty: method(60, 72, { reserved1: 'shortstr' }),
  basicAck: method(60, 80, { deliveryTag: 'longlong', multiple: 'bit' }),
  basicReject: method(60, 90, { deliveryTag: 'longlong', requeue: 'bit' }),
  basicRecoverAsync: method(60, 100, { requeue: 'bit' }),
  basicRecover: method(60, 110, { requeue: 'bit' }),
  basicRecoverOk: method(60, 111, {}),
  basicNack: method(60, 120, { deliveryTag: 'longlong', multiple: 'bit', requeue: 'bit' }),

  confirmSelect: method(85, 10, { noWait: 'bit' }),
  confirmSelectOk: method(85, 11, {}),

  txSelect: method(90, 10, {}),
  txSelectOk: method(90, 11, {}),
  txCommit: method(90, 20, {}),
  txCommitOk: method(90, 21, {}),
  txRollback: method(90, 30, {}),
  txRollbackOk: method(90, 31, {}),
} as const;

/** What a field of each type is in memory. */
export interface FieldKinds {
  octet: number;
  short: number;
  long: number;
  longlong: number;
  bit: boolean;
  shortstr: string;
  longstr: Buffer;
  table: Table;
}

export type FieldKind = keyof FieldKinds;

export interface Method<F extends Readonly<Record<string, FieldKind>> = Readonly<Record<string, FieldKind>>> {
  /** Class in the upper 16 bits, method in the lower: the first four bytes of a method frame. */
  readonly id: number;
  readonly fields: F;
}

function method<const F extends Readonly<Record<string, FieldKind>>>(
  classId: number,
  methodId: number,
  fields: F,
): Method<F> {
  return { id: classId * 0x10000 + methodId, fields };
}

export type MethodName = keyof typeof METHODS;

/** The arguments of a method. */
export type Arguments<M extends MethodName> = {
  [F in keyof (typeof METHODS)[M]['fields']]: (typeof METHODS)[M]['fields'][F] extends FieldKind
    ? FieldKinds[(typeof METHODS)[M]['fields'][F]]
    : never;
};

/** A method as it came: its name and what it says. */
export type AnyMethod = { [M in MethodName]: { readonly name: M; readonly args: Arguments<M> } }[MethodName];

const BY_ID = new Map<number, MethodName>(
  // The keys of the table are its names.
  (Object.keys(METHODS) as MethodName[]).map((name) => [METHODS[name].id, name]),
);

export function methodName(id: number): MethodName | undefined {
  return BY_ID.get(id);
}

/** As the specification writes it: `basic.publish`. */
export function wireName(name: MethodName): string {
  return name
    .replace(/[A-Z]/, (letter) => `.${letter.toLowerCase()}`)
    .replaceAll(/[A-Z]/g, (l) => `-${l.toLowerCase()}`);
}
