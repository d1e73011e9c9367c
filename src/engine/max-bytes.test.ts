import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EngineBench } from '../../test/engine/bench.ts';
import { records } from '../../test/engine/records.ts';

const ref = { topic: 'q', subscription: 'q' };

class Bench extends EngineBench {
  static async open(): Promise<Bench> {
    const bench = new Bench({ limits: { coldBlockBytes: 4 << 10 } }, { segmentBytes: 64 << 10, segments: 8 });
    await bench.start();
    await bench.session.request('declareTopic', { name: 'q', kind: 'queue', policy: { maxBytes: 12_000 } });
    return bench;
  }

  /** All of them or none, and without waiting for room. */
  publish(count: number, size: number): Promise<unknown> {
    const texts = Array.from({ length: count }, () => 'x'.repeat(size));
    return this.session.publish({ to: { topic: 'q' }, ...records(...texts), atomic: true, waitMs: 0 });
  }
}

test('of a batch that is settled in part only the rest counts for maxBytes', async () => {
  const bench = await Bench.open();
  await bench.publish(10, 1000);
  await assert.rejects(bench.publish(2, 1000), { code: 'QUEUE_FULL' });
  const [run] = await bench.receive(ref, 10);
  assert.ok(run !== undefined);
  const { partition, offset, token } = run;
  // All but the first: the entry has to stay.
  await bench.session.settle([{ ...ref, action: 'ack', ranges: [{ partition, offset: offset + 1, count: 9, token }] }]);
  await bench.publish(10, 1000);
  await assert.rejects(bench.publish(1, 1000), { code: 'QUEUE_FULL' });
});

test('one message that stays for long does not fill the queue with what was settled behind it', async () => {
  const bench = await Bench.open();
  await bench.publish(1, 1000);
  await bench.receive(ref, 1);
  for (let i = 0; i < 100; i++) {
    if (i === 70) await bench.restart('checkpoint');
    await bench.publish(5, 1000);
    await bench.session.settle([{ ...ref, action: 'ack', ranges: await bench.receive(ref, 5) }]);
  }
  assert.ok(bench.broker.state.blobs.counts.size > 0, 'nothing was reclaimed');
  await bench.publish(10, 1000);
  await assert.rejects(bench.publish(2, 1000), { code: 'QUEUE_FULL' });
});
