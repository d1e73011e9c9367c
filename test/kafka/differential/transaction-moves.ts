import { DraftBatch, Ref } from './drafts.ts';
import { fetch, sending, valuesFor } from './record-moves.ts';
import type { Move } from './script.ts';

export const claim: Move = (m) => {
  const { random } = m;
  const transactionalId = random.chance(0.1) ? '' : m.name(random.pick(['x', 'y']));
  const transactionTimeoutMs = random.pick([60_000, 60_000, 0, -1, 10_000_000]);
  const known = random.chance(0.3)
    ? {
        producerId: new Ref(`pid:${transactionalId}`),
        producerEpoch: random.pick([new Ref(`epoch:${transactionalId}`), 9]),
      }
    : {};
  m.ask('initProducerId', { transactionalId, transactionTimeoutMs, ...known }, { from: 3 });
};

/** A transaction from its beginning to its end, with offsets, by who may and who may not. */
export const transaction: Move = (m) => {
  const { random } = m;
  const id = m.name(random.pick(['x', 'y']));
  m.ask(
    'initProducerId',
    { transactionalId: id, transactionTimeoutMs: 60_000 },
    { learn: { [`pid:${id}`]: 'producerId', [`epoch:${id}`]: 'producerEpoch' }, settle: { transaction: id } },
  );
  const odd = random.chance(0.25);
  const who = {
    producerId: odd && random.chance(0.4) ? 424_242 : new Ref(`pid:${id}`),
    producerEpoch: odd ? random.pick([7, new Ref(`epoch:${id}`)]) : new Ref(`epoch:${id}`),
  };
  const topic = random.pick([m.a, m.b]);
  const adds = random.chance(0.9);
  if (adds)
    m.ask('addPartitionsToTxn', {
      v3AndBelowTransactionalId: id,
      v3AndBelowProducerId: who.producerId,
      v3AndBelowProducerEpoch: who.producerEpoch,
      v3AndBelowTopics: [
        { name: topic, partitions: random.chance(0.05) ? [0, 7] : [0] },
        ...(random.chance(0.1) ? [{ name: m.name('none'), partitions: [0] }] : []),
      ],
    });
  const numbers = { producerId: who.producerId, epoch: who.producerEpoch, sequence: 0, transactional: true };
  // What was added has records, or the ends of the transaction lie elsewhere: see `KNOWN`.
  if (adds || random.chance(0.8))
    m.ask(
      'produce',
      sending(topic, 0, [new DraftBatch(valuesFor(m), numbers)], {
        transactionalId: !adds && random.chance(0.3) ? null : id,
      }),
      { from: 3 },
    );
  if (random.chance(0.3)) fetch(m);
  if (random.chance(0.3)) m.ask('describeTransactions', { transactionalIds: [id, m.name('z')] });
  if (random.chance(0.2)) m.ask('describeProducers', { topics: [{ name: topic, partitionIndexes: [0] }] });
  if (random.chance(0.4)) {
    const groupId = m.name('t');
    m.ask('addOffsetsToTxn', { transactionalId: id, ...who, groupId });
    const partitions = [{ partitionIndex: m.partition(topic), committedOffset: 2, committedMetadata: '' }];
    m.ask('txnOffsetCommit', {
      transactionalId: id,
      groupId,
      ...who,
      memberId: random.chance(0.1) ? 'nobody' : '',
      topics: [{ name: topic, partitions }, ...(random.chance(0.1) ? [{ name: m.name('none'), partitions }] : [])],
    });
    m.ask('offsetFetch', { groups: [{ groupId, topics: null }], requireStable: random.chance(0.5) }, { from: 8 });
  }
  if (random.chance(0.15))
    m.ask('initProducerId', { transactionalId: id, transactionTimeoutMs: 60_000 }, { settle: { transaction: id } });
  m.ask('endTxn', { transactionalId: id, ...who, committed: random.chance(0.6) }, { settle: { transaction: id } });
  if (random.chance(0.2))
    m.ask('endTxn', { transactionalId: id, ...who, committed: random.chance(0.6) }, { settle: { transaction: id } });
  fetch(m);
  if (random.chance(0.4))
    m.ask('offsetFetch', { groups: [{ groupId: m.name('t'), topics: null }], requireStable: true }, { from: 8 });
  if (random.chance(0.3)) m.ask('describeTransactions', { transactionalIds: [id] });
};
