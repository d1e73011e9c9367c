/** Every method of AMQP, as somebody who has no right to it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import type { PermissionPatterns } from '../../src/core/access.ts';
import { storedPassword } from '../../src/core/passwords.ts';
import {
  type AnyMethod,
  type Arguments,
  type FieldKind,
  METHODS,
  type MethodName,
} from '../../src/gateways/amqp/methods.ts';
import { RawPeer } from '../amqp/raw-peer.ts';
import { content } from '../amqp/wire.ts';
import { assertListed, ELSEWHERE, HIDDEN, type Place, place } from './strangers.ts';

/** Methods that take a right, with what they are about. All else of their arguments is empty. */
const ROWS = {
  exchangeDeclare: { exchange: `new-${HIDDEN}`, type: 'direct' },
  exchangeBind: { destination: HIDDEN, source: `other-${HIDDEN}` },
  exchangeUnbind: { destination: HIDDEN, source: `other-${HIDDEN}` },
  queueDeclare: { queue: `new-${HIDDEN}` },
  queueBind: { queue: HIDDEN, exchange: HIDDEN },
  queueUnbind: { queue: HIDDEN, exchange: HIDDEN },
  queuePurge: { queue: HIDDEN },
  basicConsume: { queue: HIDDEN },
  basicGet: { queue: HIDDEN },
  basicPublish: { exchange: HIDDEN },
  queueDelete: { queue: HIDDEN },
  exchangeDelete: { exchange: HIDDEN },
} as const satisfies { readonly [M in MethodName]?: Partial<Arguments<M>> };

const LOGIN = 'it is a part of the login';
const OWN = 'it is about the connection or channel itself';
const HELD = 'it is about what this channel was given, and the broker asks again for the right to consume';
const GATHERED = 'it is about what the channel has published and settled, which took the right';
const BROKER = 'the broker says it';

/** Methods that take none. Those whose name ends in `Ok` are answers. */
const FREE: { readonly [M in MethodName]?: string } = {
  connectionStart: BROKER,
  connectionSecure: BROKER,
  connectionTune: BROKER,
  connectionOpen: 'it takes a right in the virtual host: see below',
  connectionClose: OWN,
  connectionBlocked: BROKER,
  connectionUnblocked: BROKER,
  connectionUpdateSecret: LOGIN,
  channelOpen: OWN,
  channelFlow: OWN,
  channelClose: OWN,
  accessRequest: 'it gives nothing: a word of AMQP 0-8',
  basicQos: OWN,
  basicCancel: OWN,
  basicReturn: BROKER,
  basicDeliver: BROKER,
  basicGetEmpty: BROKER,
  basicAck: HELD,
  basicReject: HELD,
  basicNack: HELD,
  basicRecover: HELD,
  basicRecoverAsync: HELD,
  confirmSelect: OWN,
  txSelect: OWN,
  txCommit: GATHERED,
  txRollback: GATHERED,
};

const EMPTY: { readonly [K in FieldKind]: unknown } = {
  octet: 0,
  short: 0,
  long: 0,
  longlong: 0,
  bit: false,
  shortstr: '',
  longstr: Buffer.alloc(0),
  table: new Map(),
};

function argumentsOf<M extends MethodName>(name: M, given: object): Arguments<M> {
  const fields = Object.entries<FieldKind>(METHODS[name].fields);
  const empty = Object.fromEntries(fields.map(([field, kind]) => [field, EMPTY[kind]]));
  // A value of its kind for each field, and in their place what the table has, whose type is checked.
  return { ...empty, ...given } as Arguments<M>;
}

/** What a channel says to a method: nothing before it answers another one, or that it is closed. */
async function answerOn(peer: RawPeer, channel: number, name: MethodName, args: object): Promise<AnyMethod> {
  await peer.ask(channel, 'channelOpen', { reserved1: '' }, 'channelOpenOk');
  peer.out.method(channel, name, argumentsOf(name, args));
  peer.out.flush();
  if (name === 'basicPublish') peer.raw(...content(channel, Buffer.alloc(2), Buffer.from('x')));
  peer.out.method(channel, 'channelFlow', { active: true });
  peer.out.flush();
  for (;;) {
    const found = peer.came.find(
      (each) =>
        (each.channel === channel && ['channelClose', 'channelFlowOk'].includes(each.method.name)) ||
        each.method.name === 'connectionClose',
    );
    if (found !== undefined) return found.method;
    await once(peer.socket, 'data');
  }
}

/** By name: `done`, `refused`, or what else the channel was closed with. */
async function outcomes(port: number): Promise<Record<string, string>> {
  const peer = await RawPeer.open(port);
  const found: Record<string, string> = {};
  let channel = 1;
  for (const [name, args] of Object.entries(ROWS)) {
    const answer = await answerOn(peer, ++channel, name as keyof typeof ROWS, args);
    if (answer.name !== 'channelClose') found[name] = answer.name === 'channelFlowOk' ? 'done' : answer.name;
    else {
      const { replyCode, replyText } = answer.args;
      const isRight = /^ACCESS_REFUSED - (configure|write|read) access to /.test(replyText);
      found[name] = replyCode === 403 && isRight ? 'refused' : `${replyCode} ${replyText}`;
    }
  }
  peer.socket.destroy();
  return found;
}

const every = (what: string): Record<string, string> =>
  Object.fromEntries(Object.keys(ROWS).map((name) => [name, what]));

const ALL: PermissionPatterns = { configure: '.*', write: '.*', read: '.*' };
const NONE: PermissionPatterns = { configure: '', write: '', read: '' };

/** Whom the scripted peer logs in as. */
const GUEST = 'guest';

async function withGuest(at: Place): Promise<number> {
  await at.users.put({ name: GUEST, password: await storedPassword(GUEST) });
  return Number(new URL(at.server.amqpUrl ?? '').port);
}

test('every method of AMQP takes a right, or says why not', () => {
  const answers = Object.keys(METHODS).filter((name) => name.endsWith('Ok'));
  assertListed(Object.keys(METHODS), ROWS, FREE, Object.fromEntries(answers.map((name) => [name, 'an answer'])));
});

test('every method of AMQP that takes a right is refused with 403 to who has none in the virtual host', async (t) => {
  const at = await place(t);
  const port = await withGuest(at);
  await at.users.setPermission(GUEST, 'default', ALL);
  const root = await RawPeer.open(port);
  for (const exchange of [HIDDEN, `other-${HIDDEN}`])
    await root.ask(
      1,
      'exchangeDeclare',
      argumentsOf('exchangeDeclare', { exchange, type: 'direct' }),
      'exchangeDeclareOk',
    );
  await root.ask(1, 'queueDeclare', argumentsOf('queueDeclare', { queue: HIDDEN }), 'queueDeclareOk');
  root.socket.destroy();
  await at.users.setPermission(GUEST, 'default', NONE);
  await at.users.setPermission(GUEST, ELSEWHERE, ALL);
  assert.deepEqual(await outcomes(port), every('refused'));
  await at.users.setPermission(GUEST, 'default', ALL);
  assert.deepEqual(await outcomes(port), every('done'));
});

test('a virtual host is opened to nobody who has no right in it', async (t) => {
  const at = await place(t);
  const port = await withGuest(at);
  for (const rights of ['none', 'elsewhere']) {
    if (rights === 'elsewhere') await at.users.setPermission(GUEST, ELSEWHERE, ALL);
    const peer = await RawPeer.dial(port);
    await peer.login();
    peer.out.method(0, 'connectionTuneOk', { channelMax: 2047, frameMax: 131_072, heartbeat: 0 });
    peer.out.method(0, 'connectionOpen', { virtualHost: '/', reserved1: '', reserved2: false });
    const { replyCode, replyText } = await peer.wait('connectionClose');
    assert.deepEqual([replyCode, /^NOT_ALLOWED - .*refused/.test(replyText)], [530, true], replyText);
    peer.socket.destroy();
  }
});
