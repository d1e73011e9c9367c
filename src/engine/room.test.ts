import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RailheadError } from '../core/errors.ts';
import { EngineBench } from '../../test/engine/bench.ts';
import { records } from '../../test/engine/records.ts';

test('what people and producers ask of a broker does not fill a commit log that cannot grow', async () => {
  const bench = await new EngineBench({}, { segmentBytes: 64 << 10, segments: 8 }).start();
  const { broker, clock, disk, session } = bench;
  await session.request('declareTopic', { name: 'q', kind: 'queue' });
  await session.request('putSchedule', { name: 's', cron: '* * * * * *', topic: 'q', record: records('tick').records });
  const ref = await session.request('claimProducer', { producer: 'p' });
  await broker.settled();
  disk.capacityBytes = disk.usedBytes;
  const outcomes = new Set<string>();
  const note = (done: Promise<unknown>): Promise<unknown> =>
    done.then(
      () => outcomes.add('done'),
      (error: unknown) => outcomes.add(RailheadError.is(error) ? error.code : String(error)),
    );
  const waiting: Promise<unknown>[] = [];
  for (let i = 0; i < 1500; i++) {
    clock.advance(1000);
    await note(session.request('beginTransaction', ref));
    await note(session.request('createSnapshot', { topic: 'q', subscription: 'q', snapshot: `s${i}` }));
    // These wait for room.
    waiting.push(note(session.request('endTransaction', { ...ref, outcome: 'aborted' })));
    waiting.push(note(session.request(i % 2 === 0 ? 'pause' : 'resume', { topic: 'q', subscription: 'q' })));
    waiting.push(
      note(
        session.commit({
          publishes: [],
          settlements: [],
          cursors: [{ cursor: 'c', topic: 'q', partition: 0, offset: i }],
        }),
      ),
    );
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(broker.health().state, 'open');
  assert.ok(outcomes.has('OUT_OF_SPACE') && outcomes.has('done'), [...outcomes].join());
  disk.capacityBytes = Infinity;
  for (let i = 0; i < 100; i++) {
    clock.advance(100);
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(waiting);
  await bench.send('q', 'as new');
});

test('a commit log that cannot grow beyond its first segments refuses publishers before it refuses consumers', async () => {
  // What consumers leave of the full size, an eighth of 32 segments, is more than the two that there is room for.
  const limits = { consumerReservedShare: 1 / 8, reservedShare: 1 / 4 };
  const bench = new EngineBench({ limits }, { segmentBytes: 64 << 10, segments: 32 });
  bench.disk.capacityBytes = 160 << 10;
  const { session } = await bench.start();
  await session.request('declareTopic', { name: 'q', kind: 'queue' });
  let sent = 0;
  let refused: unknown;
  while (refused === undefined && sent < 1000) {
    await session.publish({ to: { topic: 'q' }, ...records('x'.repeat(1000)), waitMs: 0 }).then(
      () => sent++,
      (error: unknown) => (refused = error),
    );
  }
  assert.ok(RailheadError.is(refused, 'OUT_OF_SPACE') && sent > 20, `${sent} sent, then ${String(refused)}`);
  const ref = { topic: 'q', subscription: 'q' };
  await session.settle([{ ...ref, ranges: await bench.receive(ref, sent), action: 'ack' }]);
  assert.equal((await session.request('subscriptionStats', ref)).depth, 0);
});
