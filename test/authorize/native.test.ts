/** Every operation and every frame of the native protocol, as somebody who has no right to it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RailheadError } from '../../src/core/errors.ts';
import type { OperationName, Operations, Session } from '../../src/core/session.ts';
import { connectRemote } from '../../src/sdk/remote/remote-session.ts';
import { FRAME } from '../../src/wire/frames.ts';
import { ARGUMENTS } from '../../src/wire/requests.ts';
import { assertListed, assertRefused, HIDDEN, type Place, place, STRANGERS } from './strangers.ts';

const ref = { topic: HIDDEN, subscription: HIDDEN };
const id = '1.0.0';
const producer = { producer: HIDDEN, producerId: 1, epoch: 1 };
const binding = { key: '', match: null, filter: null, to: { topic: HIDDEN } };
const bytes = new Uint8Array();

/** What each operation is asked for. The type has all of them, and the test compares. */
const OPERATIONS: { readonly [O in OperationName]: Operations[O]['args'] } = {
  declareTopic: { name: HIDDEN, kind: 'queue' },
  declareSubscription: ref,
  declareRouter: { name: HIDDEN, type: 'direct' },
  bind: { router: HIDDEN, binding },
  unbind: { router: HIDDEN, binding },
  describeTopic: { name: HIDDEN },
  describeRouter: { name: HIDDEN },
  traceRoute: { router: HIDDEN, key: '' },
  listTopics: {},
  listRouters: {},
  topicStats: { name: HIDDEN },
  subscriptionStats: ref,
  allStats: {},
  listConsumers: ref,
  peek: ref,
  purge: ref,
  trimTopic: { topic: HIDDEN, partition: 0, before: 0 },
  pause: ref,
  resume: ref,
  cancel: { ...ref, id },
  reschedule: { ...ref, id, delayMs: 1 },
  redrive: ref,
  redriveProgress: { id: 'x' },
  drop: ref,
  seek: { ...ref, to: 'end' },
  createSnapshot: { ...ref, snapshot: HIDDEN },
  listSnapshots: {},
  deleteSnapshot: { topic: HIDDEN, snapshot: HIDDEN },
  read: { topic: HIDDEN, from: 'start' },
  awaitRecords: { places: [{ topic: HIDDEN, partition: 0, offset: 0 }], waitMs: 0 },
  readBody: { topic: HIDDEN, partition: 0, offset: 0, from: 0, maxBytes: 1 },
  fetchCursors: { cursor: HIDDEN },
  listCursors: {},
  deleteCursor: { cursor: HIDDEN },
  claimProducer: { producer: HIDDEN },
  beginTransaction: producer,
  addToTransaction: producer,
  endTransaction: { ...producer, outcome: 'aborted' },
  describeProducer: { producer: HIDDEN },
  listProducers: {},
  putSchedule: { name: HIDDEN, cron: '@daily', topic: HIDDEN, record: bytes },
  deleteSchedule: { name: HIDDEN },
  listSchedules: {},
  putDocument: { kind: 'user', name: HIDDEN, value: '{}' },
  deleteDocument: { kind: 'user', name: HIDDEN },
  listDocuments: { kind: 'user' },
  seal: { purpose: 'x', text: 'x' },
  holdStorage: { forMs: 1 },
  releaseStorage: { hold: 1 },
  info: {},
  shortage: { was: null, waitMs: 0 },
  deleteSubscription: ref,
  deleteRouter: { name: HIDDEN },
  deleteTopic: { name: HIDDEN },
};

const publish = { to: { topic: HIDDEN }, format: 0, records: bytes, count: 0 };
const ack = { ...ref, ranges: [{ partition: 0, offset: 0, count: 1, token: 1 }], action: 'ack' as const };
const sink = { deliver: () => {}, ended: () => {} };
const nothing = { publishes: [], settlements: [], cursors: [] };

const BROKER = 'the broker says it';
const LATER = 'it is about what the same connection has begun, which took the right';

/** What each frame does, or why it takes no right. */
const FRAMES: { readonly [F in keyof typeof FRAME]: string | ((session: Session) => Promise<unknown>)[] } = {
  HELLO: 'it is the login',
  WELCOME: BROKER,
  HEARTBEAT: 'it says that somebody is there',
  GOODBYE: 'whoever is connected may go',
  RENEW: 'it is the login once more, of the same user',
  RENEWED: BROKER,
  PUBLISH: [
    (session) => session.publish(publish),
    (session) => session.publish({ ...publish, to: { router: HIDDEN, key: '' } }),
  ],
  PUBLISHED: BROKER,
  SETTLE: [(session) => session.settle([ack])],
  SETTLED: BROKER,
  COMMIT: [
    (session) => session.commit({ ...nothing, publishes: [publish] }),
    (session) => session.commit({ ...nothing, settlements: [ack] }),
    (session) => session.commit({ ...nothing, cursors: [{ cursor: HIDDEN, topic: HIDDEN, partition: 0, offset: 0 }] }),
  ],
  COMMITTED: BROKER,
  REQUEST: 'it takes what its operation takes',
  RESULT: BROKER,
  CONSUME: [(session) => session.consume({ ...ref, lease: 'session' }, sink)],
  CLOSE_CONSUMER: LATER,
  DONE: BROKER,
  FAILED: BROKER,
  CREDIT: LATER,
  DELIVER: BROKER,
  LOST: BROKER,
  ENDED: BROKER,
  DELIVER_LARGE: BROKER,
  MORE: BROKER,
  BODY: [
    (session) => session.body({ topic: HIDDEN }, 2 << 20),
    (session) => session.body({ router: HIDDEN, key: '' }, 2 << 20),
  ],
  BODY_PIECE: LATER,
  BODY_END: LATER,
};

async function sessions(at: Place): Promise<(user: string) => Session> {
  const open = new Map<string, Session>();
  for (const user of ['root', ...STRANGERS])
    open.set(user, await connectRemote({ url: at.server.url, token: at.tokenOf(user) }));
  at.beforeEnd(async () => {
    for (const session of open.values()) await session.close();
  });
  const root = open.get('root');
  await root?.request('declareTopic', { name: HIDDEN, kind: 'queue' });
  await root?.request('declareRouter', { name: HIDDEN, type: 'direct' });
  return (user) => {
    const session = open.get(user);
    assert.ok(session);
    return session;
  };
}

async function outcome(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'done';
  } catch (error) {
    return RailheadError.is(error, 'FORBIDDEN') ? 'refused' : String(error);
  }
}

test('every operation over a connection is refused to who has no right, and to who has every right elsewhere', async (t) => {
  const at = await place(t);
  const of = await sessions(at);
  assertListed(Object.keys(ARGUMENTS), OPERATIONS);
  await assertRefused(Object.keys(OPERATIONS), (command, user) => {
    const operation = command as OperationName;
    return outcome(of(user).request(operation, OPERATIONS[operation]));
  });
});

test('every frame that does something is refused to who has no right, and to who has every right elsewhere', async (t) => {
  const at = await place(t);
  const of = await sessions(at);
  assertListed(Object.keys(FRAME), FRAMES);
  const doing = Object.entries(FRAMES).flatMap(([frame, does]) =>
    typeof does === 'string' ? [] : does.map((each, i) => ({ frame: `${frame} ${i}`, each })),
  );
  const acts = new Map(doing.map(({ frame, each }) => [frame, each]));
  await assertRefused([...acts.keys()], (command, user) => {
    const act = acts.get(command);
    assert.ok(act);
    return outcome(act(of(user)));
  });
});
