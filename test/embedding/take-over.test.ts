import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defineQueue, open } from 'railhead';
import { eventually } from '../eventually.ts';
import { directory, Member } from './processes.ts';

const jobs = defineQueue<{ n: number }>('jobs', { backoff: { type: 'none' } });

test('a second process joins the owner without being told, and both see the same queue', async (t) => {
  const dir = await directory(t);
  await using rail = await open({ dir });
  const joined = await Member.open(t, { dir });
  await joined.ask('send', 1);
  await rail.queue(jobs).send({ n: 2 });
  assert.equal((await rail.queue(jobs).stats()).depth, 2);
  const theirs = (await joined.ask('info')) as { journalId: string; startedAt: number };
  const ours = await rail.info();
  assert.deepEqual([theirs.journalId, theirs.startedAt], [ours.journalId, ours.startedAt]);
});

for (const how of ['kill -9', 'close'] as const) {
  test(`when the owner ends by ${how}, another process takes over, and its worker and sends go on`, async (t) => {
    const dir = await directory(t);
    const owner = await Member.open(t, { dir });
    await using rail = await open({ dir });
    const queue = rail.queue(jobs);
    const got = new Set<number>();
    const lost: unknown[] = [];
    queue.work(({ body }) => void got.add(body.n), { concurrency: 4, onError: (error) => lost.push(error) });
    const before = await rail.info();
    for (let n = 0; n < 100; n++) await queue.send({ n });
    const sends = Array.from({ length: 100 }, (_, i) => queue.send({ n: 100 + i }));
    if (how === 'close') await owner.ask('close');
    else await owner.kill();
    sends.push(...Array.from({ length: 100 }, (_, i) => queue.send({ n: 200 + i })));
    await Promise.all(sends);
    await eventually('all are worked on', () => got.size === 300);
    await eventually('all are acked', async () => (await queue.stats()).depth === 0);
    const after = await rail.info();
    assert.equal(after.journalId, before.journalId);
    assert.notEqual(after.startedAt, before.startedAt);
    // Sent again under the same producer and sequence: none is there twice.
    assert.equal((await rail.request('topicStats', { name: 'jobs' })).partitions[0]?.end, 300);
  });
}

test('a message that a worker holds when the owner dies is worked on soon, here or elsewhere', async (t) => {
  const dir = await directory(t);
  const owner = await Member.open(t, { dir });
  const worker = await Member.open(t, { dir });
  await using rail = await open({ dir });
  await worker.ask('work', { ms: 300 });
  await rail.queue(jobs).send({ n: 1 });
  await eventually('it has begun', () => worker.begun.length === 1);
  const began = Date.now();
  await owner.kill();
  await eventually('it is acked', async () => (await rail.queue(jobs).stats()).depth === 0);
  assert.ok(Date.now() - began < 5_000, `${Date.now() - began} ms`);
});

test('owners die one after the other: every confirmed message is worked on', async (t) => {
  const dir = await directory(t);
  const got = new Set<number>();
  const confirmed = new Set<number>();
  const members = [await Member.open(t, { dir }), await Member.open(t, { dir }), await Member.open(t, { dir })];
  let next = 0;
  for (let round = 0; round < 4; round++) {
    // The oldest is the owner, or may be: whoever it is, the last two live on.
    const fresh = await Member.open(t, { dir });
    members.push(fresh);
    await fresh.ask('work', { ms: 0 });
    const sender = members[1] ?? fresh;
    void sender.ask('sendOn', { from: next, count: 1_000 }).catch(() => undefined);
    next += 1_000;
    await eventually('some are confirmed', () => sender.confirmed.length > 50);
    const [dead] = members.splice(0, 1);
    await dead?.kill();
    for (const n of dead?.done ?? []) got.add(n);
    for (const n of dead?.confirmed ?? []) confirmed.add(n);
  }
  await using rail = await open({ dir });
  await eventually('all is worked on', async () => {
    const { depth } = await rail.queue(jobs).stats();
    return depth === 0 && members.every(({ confirmed: sent }) => sent.length % 1_000 === 0);
  });
  for (const member of members) {
    for (const n of member.done) got.add(n);
    for (const n of member.confirmed) confirmed.add(n);
  }
  const lost = [...confirmed].filter((n) => !got.has(n));
  assert.ok(confirmed.size > 300);
  assert.deepEqual(lost, []);
});

test('own: false joins, and does not take over', async (t) => {
  const dir = await directory(t);
  const owner = await Member.open(t, { dir });
  const guest = await Member.open(t, { dir, own: false });
  await guest.ask('send', 1);
  await owner.kill();
  const sending = guest.ask('send', 2);
  let sent = false;
  void sending.then(() => (sent = true));
  await new Promise((wake) => setTimeout(wake, 300));
  assert.equal(sent, false);
  await using rail = await open({ dir });
  await sending;
  assert.equal((await rail.queue(jobs).stats()).depth, 2);
});
