import type { ProducerDescription } from '../../core/open-transactions.ts';
import { allowed } from './access.ts';
import type { Client, Handlers } from './client.ts';
import { asKafkaError, ERROR, KafkaError } from './errors.ts';
import type { RequestOf } from './fields.ts';
import type { writeTxnMarkers as api } from './messages/transactions.ts';
import { producers } from './transaction-admin.ts';

type Marker = RequestOf<typeof api>['markers'][number];

/** With which an operator ends a transaction that hangs. Brokers tell each other so what became of one: there is one here. */
export const transactionMarkers: Handlers<'writeTxnMarkers'> = {
  async writeTxnMarkers(client, { markers }) {
    const mayWrite = allowed(client, 'alter', 'cluster') || allowed(client, 'clusterAction', 'cluster');
    const open = mayWrite ? await producers(client, 'open') : [];
    const answers = [];
    for (const marker of markers) {
      const errorCode = mayWrite ? await abort(client, marker, open) : ERROR.CLUSTER_AUTHORIZATION_FAILED;
      const topics = marker.topics.map(({ name, partitionIndexes }) => ({
        name,
        partitions: partitionIndexes.map((partitionIndex) => ({ partitionIndex, errorCode })),
      }));
      answers.push({ producerId: marker.producerId, topics });
    }
    return { markers: answers };
  },
};

/** The transaction as a whole, in all of its partitions: no part of one is decided apart. */
async function abort(
  { shared }: Client,
  { producerId, producerEpoch, transactionResult, topics }: Marker,
  open: readonly ProducerDescription[],
): Promise<number> {
  try {
    if (transactionResult) throw new KafkaError('INVALID_REQUEST', 'A transaction is committed by its producer alone.');
    const found = open.find((each) => each.producerId === producerId);
    const isHere = topics.every(({ name, partitionIndexes }) =>
      partitionIndexes.every((index) =>
        found?.open?.partitions.some(({ topic, partition }) => topic === name && partition === index),
      ),
    );
    if (found === undefined || !isHere)
      throw new KafkaError('INVALID_TXN_STATE', `The producer ${producerId} has no transaction open there.`);
    const { producer, epoch } = found;
    if (producerEpoch !== epoch)
      throw new KafkaError('INVALID_PRODUCER_EPOCH', `The producer ${producerId} is at epoch ${epoch}.`);
    await (await shared.own()).request('endTransaction', { producer, producerId, epoch, outcome: 'aborted' });
    return ERROR.NONE;
  } catch (error) {
    return asKafkaError(error, 'transactional id').code;
  }
}
