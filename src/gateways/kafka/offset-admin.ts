import { allowed, onceAllowed } from './access.ts';
import type { Client, Handlers } from './client.ts';
import { asKafkaError, ERROR, type ErrorName } from './errors.ts';
import type { Group } from './group.ts';
import { subscribedTopics, topicsSubscribedBy } from './subscription.ts';

export const offsetAdmin: Handlers<'offsetDelete'> = {
  async offsetDelete(client, { groupId, topics }) {
    const group = client.shared.groups.find(groupId);
    const refusal = await refusalOf(client, groupId, group);
    if (refusal !== null) return { errorCode: ERROR[refusal], topics: [] };
    const modern = client.shared.consumerGroups.find(groupId);
    const subscribed = new Set([
      ...(group === undefined ? [] : topicsOf(group)),
      ...(modern === undefined ? [] : topicsSubscribedBy(modern)),
    ]);
    return {
      topics: await client.shared.turns.each(topics, async ({ name, partitions }) => ({
        name,
        partitions: await client.shared.turns.each(partitions, async ({ partitionIndex }) => ({
          partitionIndex,
          errorCode: ERROR[await deleteOne(client, groupId, name, partitionIndex, subscribed)],
        })),
      })),
    };
  },
};

async function refusalOf(client: Client, cursor: string, group: Group | undefined): Promise<ErrorName | null> {
  if (cursor === '') return 'INVALID_GROUP_ID';
  if (!allowed(client, 'delete', 'group', cursor)) return 'GROUP_AUTHORIZATION_FAILED';
  if (group !== undefined && group.members.size > 0)
    return group.protocolType === 'consumer' ? null : 'NON_EMPTY_GROUP';
  try {
    const { partitions } = await (await client.shared.own()).request('fetchCursors', { cursor });
    const isKnown =
      partitions.length > 0 || group !== undefined || client.shared.consumerGroups.find(cursor) !== undefined;
    return isKnown ? null : 'GROUP_ID_NOT_FOUND';
  } catch (error) {
    return asKafkaError(error, 'group').error;
  }
}

function topicsOf(group: Group): Set<string> {
  const metadata = [...group.members.values()].flatMap(({ protocols }) => protocols.map((each) => each.metadata));
  return new Set(metadata.flatMap((each) => subscribedTopics(each) ?? []));
}

async function deleteOne(
  client: Client,
  cursor: string,
  topic: string,
  partition: number,
  subscribed: ReadonlySet<string>,
): Promise<ErrorName> {
  if (!allowed(client, 'read', 'topic', topic)) return 'TOPIC_AUTHORIZATION_FAILED';
  if (subscribed.has(topic)) return 'GROUP_SUBSCRIBED_TO_TOPIC';
  const known = await client.shared.topics.find(topic);
  if (known === undefined || partition < 0 || partition >= known.partitions) return 'UNKNOWN_TOPIC_OR_PARTITION';
  try {
    const session = await onceAllowed(client, 'delete', 'group', cursor);
    await session.request('deleteCursor', { cursor, topic, partition });
    return 'NONE';
  } catch (error) {
    return asKafkaError(error, 'group').error;
  }
}
