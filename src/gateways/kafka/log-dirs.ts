import { allowed, maySee } from './access.ts';
import type { Client, Handlers } from './client.ts';
import { ERROR } from './errors.ts';
import type { ResponseOf } from './fields.ts';
import type { describeLogDirs as api } from './messages/admin.ts';

type Topic = ResponseOf<typeof api>['results'][number]['topics'][number];

/** All lies in the broker's journal. Where that is on the host is nobody's business over the network. */
const LOG_DIR = 'railhead';

export const logDirs: Handlers<'describeLogDirs'> = {
  async describeLogDirs(client, { topics: asked }) {
    if (!allowed(client, 'describe', 'cluster')) return { errorCode: ERROR.CLUSTER_AUTHORIZATION_FAILED, results: [] };
    const names = asked?.map(({ topic }) => topic) ?? (await client.shared.topics.all()).map(({ name }) => name);
    const topics: Topic[] = [];
    for (const name of new Set(names)) {
      await client.shared.turns.begin();
      const only = asked?.filter(({ topic }) => topic === name).flatMap(({ partitions }) => partitions);
      const found = await sizesOf(client, name, only);
      if (found !== undefined) topics.push(found);
    }
    return { results: [{ errorCode: ERROR.NONE, logDir: LOG_DIR, topics }] };
  },
};

/** Of a topic that is not there, or not to be seen, nothing is said, as in Kafka. */
async function sizesOf(client: Client, name: string, only: readonly number[] | undefined): Promise<Topic | undefined> {
  if (!maySee(client, name) || (await client.shared.topics.find(name)) === undefined) return undefined;
  const { partitions } = await (await client.shared.own()).request('topicStats', { name });
  const sizes = partitions.map(({ bytes }, partitionIndex) => ({ partitionIndex, partitionSize: bytes }));
  return { name, partitions: sizes.filter(({ partitionIndex }) => only?.includes(partitionIndex) ?? true) };
}
