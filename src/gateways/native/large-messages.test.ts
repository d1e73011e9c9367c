/** Large messages in pieces, seen by a client made of frames. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOCAL_PRINCIPAL } from '../../core/auth.ts';
import { ManualClock } from '../../core/clock.ts';
import { RailheadError } from '../../core/errors.ts';
import type { DeliveryRun } from '../../core/session.ts';
import { packData, readData, writeIdData } from '../../wire/data.ts';
import { readDeliver } from '../../wire/deliver.ts';
import { fromWireError } from '../../wire/errors.ts';
import { FRAME, LARGE_MESSAGE_BYTES, PIECE_BYTES } from '../../wire/frames.ts';
import { writePublish } from '../../wire/publish.ts';
import { RawClient, type RawFrame } from '../../../test/native/raw-client.ts';
import { run, ScriptedSession } from '../../../test/native/scripted-session.ts';
import { NativeGateway } from './server.ts';

async function joined(): Promise<{ client: RawClient; session: ScriptedSession; gateway: NativeGateway }> {
  const session = new ScriptedSession();
  const gateway = new NativeGateway({
    authenticator: { required: false, authenticate: async () => LOCAL_PRINCIPAL },
    connect: () => session,
    broker: { version: '1', journalId: 'j' },
    clock: new ManualClock(),
    report: (error) => assert.fail(String(error)),
  });
  const client = new RawClient(gateway.loopback());
  await client.hello();
  return { client, session, gateway };
}

function ask(client: RawClient, type: number, id: number, body: number, rest: Uint8Array): void {
  client.out.begin(type, 8);
  client.out.u32(id);
  client.out.u32(body);
  client.out.end(rest.byteLength);
  client.out.bytes(rest);
}

const begin = (client: RawClient, id: number, body: number, bytes: number): void =>
  ask(client, FRAME.BODY, id, body, packData({ to: { topic: 'q' }, bytes }));

/** The answer to a request: DONE, or the code of its failure. */
async function answer(client: RawClient, id: number): Promise<string> {
  const frame = await client.next();
  assert.equal(frame?.fields.u32(), id);
  return frame.type === FRAME.FAILED ? fromWireError(readData(frame.fields)).code : 'DONE';
}

/** Starts consumer 1 with credit and answers what was asked of the engine. */
async function consuming(client: RawClient, session: ScriptedSession, over = {}) {
  ask(client, FRAME.CONSUME, 1, 1, packData({ topic: 't', subscription: 's', lease: 'session', ...over }));
  client.out.begin(FRAME.CREDIT, 8);
  client.out.u32(1);
  client.out.u32(1000);
  client.out.end();
  assert.equal(await answer(client, 1), 'DONE');
  await session.until(() => (session.consumers[0]?.credit ?? 0) > 0);
  const [consumer] = session.consumers;
  assert.ok(consumer !== undefined);
  return consumer;
}

function bytesOf(frame: RawFrame | undefined): Buffer {
  assert.ok(frame !== undefined);
  return frame.fields.rest();
}

async function expectLarge(client: RawClient): Promise<{ run: DeliveryRun; more: number }> {
  const frame = await client.next();
  assert.equal(frame?.type, FRAME.DELIVER_LARGE);
  assert.equal(frame.fields.u32(), 1);
  const more = frame.fields.u32();
  const [first] = readDeliver(frame.fields);
  assert.ok(first !== undefined);
  return { run: first, more };
}

async function expectMore(client: RawClient): Promise<Buffer> {
  const frame = await client.next();
  assert.equal(frame?.type, FRAME.MORE);
  assert.equal(frame.fields.u32(), 1);
  return bytesOf(frame);
}

test('a body comes in pieces and is named by a publish or a transaction, once', async () => {
  const { client, session } = await joined();
  begin(client, 1, 70, 10);
  assert.equal(await answer(client, 1), 'DONE');
  ask(client, FRAME.BODY_PIECE, 2, 70, Buffer.from('hello'));
  ask(client, FRAME.BODY_PIECE, 3, 70, Buffer.from('world'));
  ask(client, FRAME.BODY_END, 4, 70, Buffer.from([1]));
  for (const id of [2, 3, 4]) assert.equal(await answer(client, id), 'DONE');
  const [body] = session.bodies;
  assert.deepEqual(
    [body?.bytes, Buffer.concat(body?.pieces ?? []).toString(), body?.state],
    [10, 'helloworld', 'ended'],
  );
  const request = { to: { topic: 'q' }, format: 1, records: Buffer.from('head'), count: 1, body: 70 };
  writePublish(client.out, 5, request);
  assert.equal(await answer(client, 5), 'DONE');
  assert.deepEqual([session.published[0]?.body, session.published[0]?.records.toString()], [1, 'head']);
  writePublish(client.out, 6, request);
  assert.equal(await answer(client, 6), 'NOT_FOUND');

  begin(client, 7, 71, 1);
  assert.equal(await answer(client, 7), 'DONE');
  let named: unknown;
  session.answers.commit = ({ publishes }) => {
    named = publishes[0]?.body;
    throw new RailheadError('LEASE_LOST', 'Gone.');
  };
  writeIdData(client.out, FRAME.COMMIT, 8, { publishes: [{ ...request, body: 71 }], settlements: [], cursors: [] });
  assert.equal(await answer(client, 8), 'LEASE_LOST');
  assert.equal(named, 2);
  await session.until(() => session.bodies[1]?.state === 'aborted');
});

test('pieces for nothing, a refused body, and one that is given up end nothing else', async () => {
  const { client, session } = await joined();
  ask(client, FRAME.BODY_PIECE, 1, 9, Buffer.from('x'));
  assert.equal(await answer(client, 1), 'NOT_FOUND');
  begin(client, 2, 9, 10);
  assert.equal(await answer(client, 2), 'DONE');
  ask(client, FRAME.BODY_END, 3, 9, Buffer.from([0]));
  assert.equal(await answer(client, 3), 'DONE');
  assert.equal(session.bodies[0]?.state, 'aborted');
  ask(client, FRAME.BODY, 4, 10, packData({ to: { topic: 'q' }, bytes: -1 }));
  assert.equal(await answer(client, 4), 'INVALID');
});

test('a large message goes out in pieces as the socket takes them, and others have their turn between them', async () => {
  const { client, session } = await joined();
  const consumer = await consuming(client, session);
  assert.equal(consumer.request.bodies, 'apart');
  const total = 20 * PIECE_BYTES + 7;
  let reads = 0;
  session.answers.request = (operation, args) => {
    assert.equal(operation, 'readBody');
    const { from, maxBytes, topic, offset } = args as { from: number; maxBytes: number; topic: string; offset: number };
    assert.deepEqual([topic, offset], ['t', 3]);
    reads++;
    return { bytes: Buffer.alloc(Math.min(maxBytes, total - from), reads), total };
  };
  client.socket.pause();
  consumer.sink.deliver([run(2), run(3, { records: Buffer.from('head'), bodyBytes: total }), run(4)]);
  for (let i = 0; i < 200; i++) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(reads >= 2 && reads <= 6, `${reads} pieces were read for a client that does not read`);
  // A publish of this client: its answer does not wait for the large message.
  writePublish(client.out, 9, { to: { topic: 'q' }, format: 1, records: Buffer.from('abc'), count: 1 });
  await session.until(() => session.published.length === 1);
  client.socket.resume();
  const seen: string[] = [];
  let received = 0;
  let offset = 0;
  while (offset !== 4) {
    const frame = await client.next();
    assert.ok(frame !== undefined);
    const id = frame.fields.u32();
    if (frame.type === FRAME.PUBLISHED) seen.push(`answer ${id} after ${received < total ? 'a part' : 'all'}`);
    else if (frame.type === FRAME.MORE) received += frame.fields.left;
    else {
      if (frame.type === FRAME.DELIVER_LARGE) assert.equal(frame.fields.u32(), total);
      offset = readDeliver(frame.fields)[0]?.offset ?? -1;
      seen.push(`${offset}`);
    }
  }
  assert.equal(received, total);
  assert.deepEqual(seen, ['2', '3', 'answer 9 after a part', '4']);
});

test('what is whole in memory and does not fit a frame is cut too', async () => {
  const { client, session } = await joined();
  const consumer = await consuming(client, session, { autoAck: true });
  const records = Buffer.alloc(LARGE_MESSAGE_BYTES + 5, 7);
  consumer.sink.deliver([run(1, { records })]);
  const { run: first, more } = await expectLarge(client);
  const parts: Buffer[] = [Buffer.from(first.records)];
  for (let left = more; left > 0; left -= parts.at(-1)?.byteLength ?? 0) parts.push(await expectMore(client));
  assert.ok(Buffer.concat(parts).equals(records));
});

test('a large message that goes while it is sent ends with an empty piece, and the next one comes', async () => {
  const { client, session } = await joined();
  const consumer = await consuming(client, session);
  let reads = 0;
  session.answers.request = () => {
    if (++reads === 3) throw new RailheadError('NOT_FOUND', 'Settled.');
    return { bytes: Buffer.alloc(PIECE_BYTES), total: 0 };
  };
  consumer.sink.deliver([run(1, { bodyBytes: 8 * PIECE_BYTES }), run(2)]);
  await expectLarge(client);
  assert.equal((await expectMore(client)).byteLength, PIECE_BYTES);
  assert.equal((await expectMore(client)).byteLength, PIECE_BYTES);
  assert.equal((await expectMore(client)).byteLength, 0);
  const next = await client.next();
  assert.equal(next?.type, FRAME.DELIVER);
});

test('a client that reads bodies itself gets none with its deliveries', async () => {
  const { client, session } = await joined();
  const consumer = await consuming(client, session, { bodies: 'apart' });
  consumer.sink.deliver([run(1, { bodyBytes: 5_000_000 })]);
  const frame = await client.next();
  assert.equal(frame?.type, FRAME.DELIVER);
  frame.fields.u32();
  assert.equal(readDeliver(frame.fields)[0]?.bodyBytes, 5_000_000);
});

test('a connection that ends in the middle of a large message leaves nothing that runs on', async () => {
  const { client, session, gateway } = await joined();
  const consumer = await consuming(client, session);
  let reads = 0;
  session.answers.request = () => ({ bytes: Buffer.alloc(PIECE_BYTES), total: reads++ });
  consumer.sink.deliver([run(1, { bodyBytes: 1000 * PIECE_BYTES })]);
  await expectLarge(client);
  client.socket.destroy();
  await session.until(() => session.closed);
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
  const before = reads;
  for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(reads, before);
  assert.equal(gateway.connections, 0);
});
