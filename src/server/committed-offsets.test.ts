/** How many places of readers a server keeps: `limits.cursors`, over the native protocol and Kafka's. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RawPeer } from '../../test/kafka/raw-peer.ts';
import { ERROR } from '../gateways/kafka/errors.ts';
import { connectRemote } from '../sdk/remote/remote-session.ts';
import { startServer } from './index.ts';

test('over limits.cursors Kafka tells of each new offset INVALID_COMMIT_OFFSET_SIZE, takes the others, and has room again', async (t) => {
  const server = await startServer({ memory: true, port: 0, log: { level: 'silent' }, limits: { cursors: 2 } });
  t.after(() => server.close());
  const session = await connectRemote({ url: server.url });
  t.after(() => session.close());
  await session.request('declareTopic', { name: 't', kind: 'topic', policy: { partitions: 5 } });
  const peer = await RawPeer.dial(Number(server.kafkaAddress?.split(':').at(-1)));
  t.after(() => peer.socket.destroy());

  const offsetsOf = (partitions: readonly number[], committedOffset: number) => [
    {
      name: 't',
      partitions: partitions.map((partitionIndex) => ({ partitionIndex, committedOffset, committedMetadata: '' })),
    },
  ];
  const commit = async (groupId: string, partitions: readonly number[], offset: number): Promise<unknown> => {
    const topics = offsetsOf(partitions, offset);
    const answer = await peer.ask('offsetCommit', 8, { groupId, generationIdOrMemberEpoch: -1, memberId: '', topics });
    return answer?.topics[0]?.partitions.map(({ errorCode }) => errorCode);
  };
  const committed = async (groupId: string): Promise<string> => {
    const { partitions } = await session.request('fetchCursors', { cursor: groupId });
    return partitions.map(({ partition, offset }) => `${partition}=${offset}`).join(' ');
  };
  const { NONE, INVALID_COMMIT_OFFSET_SIZE, INVALID_GROUP_ID } = ERROR;
  assert.deepEqual(await commit('g', [0, 1], 1), [NONE, NONE]);
  assert.deepEqual(await commit('other', [0], 1), [INVALID_COMMIT_OFFSET_SIZE]);
  assert.deepEqual(await commit('g', [0, 2, 1], 2), [NONE, INVALID_COMMIT_OFFSET_SIZE, NONE]);
  assert.deepEqual([await committed('g'), await committed('other')], ['0=2 1=2', '']);
  const cursors = [{ cursor: 'ours', topic: 't', partition: 0, offset: 1 }];
  await assert.rejects(session.commit({ publishes: [], settlements: [], cursors }), {
    code: 'TOO_LARGE',
    message: /"default" has 2 committed offsets; allowed are 2\. Delete .*limits\.cursors/,
  });

  const { producerId = -1, producerEpoch = -1 } =
    (await peer.ask('initProducerId', 4, { transactionalId: 'tx', transactionTimeoutMs: 60_000 })) ?? {};
  const who = { transactionalId: 'tx', producerId, producerEpoch };
  assert.equal((await peer.ask('addOffsetsToTxn', 3, { ...who, groupId: 'g' }))?.errorCode, NONE);
  const asked = { ...who, groupId: 'g', generationId: -1, memberId: '', topics: offsetsOf([0, 3], 9) };
  const told = await peer.ask('txnOffsetCommit', 3, asked);
  assert.deepEqual(
    told?.topics[0]?.partitions.map(({ errorCode }) => errorCode),
    [NONE, INVALID_COMMIT_OFFSET_SIZE],
  );
  assert.equal((await peer.ask('endTxn', 3, { ...who, committed: true }))?.errorCode, NONE);
  assert.equal(await committed('g'), '0=9 1=2');

  const gone = await peer.ask('deleteGroups', 2, { groupsNames: ['g'] });
  assert.equal(gone?.results[0]?.errorCode, NONE);
  assert.deepEqual(await commit('other', [0, 1], 1), [NONE, NONE]);
  assert.deepEqual(await commit('x'.repeat(256), [0], 1), [INVALID_GROUP_ID]);
});
