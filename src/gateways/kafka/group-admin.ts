import { allowed, authorizedOperations, onceAllowed } from './access.ts';
import type { Client, Handlers } from './client.ts';
import { asKafkaError, ERROR } from './errors.ts';
import type { ResponseOf } from './fields.ts';
import type { Group, GroupState, Member } from './group.ts';
import type { describeGroups } from './messages/groups.ts';
import { SHARE_GROUP_STATES } from './share/share-group.ts';

type Described = ResponseOf<typeof describeGroups>['groups'][number];

const STATE_NAMES: Readonly<Record<GroupState, string>> = {
  empty: 'Empty',
  preparing: 'PreparingRebalance',
  completing: 'CompletingRebalance',
  stable: 'Stable',
};

export const CONSUMER_GROUP_STATES = {
  empty: 'Empty',
  assigning: 'Assigning',
  reconciling: 'Reconciling',
  stable: 'Stable',
} as const;

const DEAD = 'Dead';
const EMPTY = 'Empty';
const CLASSIC = 'classic';
const CONSUMER = 'consumer';
const SHARE = 'share';

export const groupAdmin: Handlers<'describeGroups' | 'listGroups' | 'deleteGroups'> = {
  async describeGroups(client, { groups, includeAuthorizedOperations }) {
    const committed = new Set(await committedGroups(client));
    return {
      groups: groups.map((groupId) => {
        const described = describe(client, groupId, committed);
        const known = includeAuthorizedOperations && described.errorCode === ERROR.NONE;
        return known
          ? { ...described, authorizedOperations: authorizedOperations(client, 'group', groupId) }
          : described;
      }),
    };
  },

  async listGroups(client, { statesFilter, typesFilter }) {
    const live = client.shared.groups.all();
    const listed = live.map(({ id, protocolType, state }) => ({
      groupId: id,
      protocolType: protocolType ?? '',
      groupState: STATE_NAMES[state],
      groupType: CLASSIC,
    }));
    for (const { id: groupId, state } of client.shared.consumerGroups.all())
      listed.push({ groupId, protocolType: CONSUMER, groupState: CONSUMER_GROUP_STATES[state], groupType: CONSUMER });
    for (const groupId of await client.shared.shareSubscriptions.groups()) {
      const state = client.shared.shareGroups.find(groupId)?.state ?? 'empty';
      listed.push({ groupId, protocolType: SHARE, groupState: SHARE_GROUP_STATES[state], groupType: SHARE });
    }
    const known = new Set(listed.map(({ groupId }) => groupId));
    for (const groupId of await committedGroups(client))
      if (!known.has(groupId)) listed.push({ groupId, protocolType: CONSUMER, groupState: EMPTY, groupType: CLASSIC });
    const maySeeAll = allowed(client, 'describe', 'cluster');
    const isWanted = (filter: readonly string[], value: string): boolean =>
      filter.length === 0 || filter.some((each) => each.toLowerCase() === value.toLowerCase());
    return {
      errorCode: ERROR.NONE,
      groups: listed.filter(
        ({ groupId, groupState, groupType }) =>
          isWanted(statesFilter, groupState) &&
          isWanted(typesFilter, groupType) &&
          (maySeeAll || maySee(client, groupId)),
      ),
    };
  },

  async deleteGroups(client, { groupsNames }) {
    return { results: await client.shared.turns.each(groupsNames, (groupId) => deleteOne(client, groupId)) };
  },
};

async function deleteOne(client: Client, groupId: string): Promise<{ groupId: string; errorCode: number }> {
  if (!allowed(client, 'delete', 'group', groupId)) return { groupId, errorCode: ERROR.GROUP_AUTHORIZATION_FAILED };
  const { groups, consumerGroups, shareGroups, shareSubscriptions } = client.shared;
  const remembered = groups.find(groupId) ?? consumerGroups.find(groupId);
  const live = [groups.find(groupId), consumerGroups.find(groupId), shareGroups.find(groupId)];
  if (live.some((one) => (one?.members.size ?? 0) > 0)) return { groupId, errorCode: ERROR.NON_EMPTY_GROUP };
  try {
    const session = await onceAllowed(client, 'delete', 'group', groupId);
    const { deleted } = await session.request('deleteCursor', { cursor: groupId });
    const isKnown = (await shareSubscriptions.delete(groupId)) || deleted > 0 || remembered !== undefined;
    groups.forget(groupId);
    consumerGroups.forget(groupId);
    return { groupId, errorCode: isKnown ? ERROR.NONE : ERROR.GROUP_ID_NOT_FOUND };
  } catch (error) {
    return { groupId, errorCode: asKafkaError(error, 'group').code };
  }
}

export function maySee(client: Client, groupId: string): boolean {
  return allowed(client, 'describe', 'group', groupId);
}

/** Groups that have committed something, with members or without. */
async function committedGroups({ shared }: Client): Promise<string[]> {
  const session = await shared.own();
  const names: string[] = [];
  for (let after: string | null | undefined; after !== null;) {
    const page: { cursors: { cursor: string }[]; next: string | null } = await session.request('listCursors', {
      limit: 1000,
      ...(after !== undefined && { after }),
    });
    for (const { cursor } of page.cursors) names.push(cursor);
    after = page.next;
  }
  return names;
}

function describe(client: Client, groupId: string, committed: ReadonlySet<string>): Described {
  const nothing = { groupId, protocolType: '', protocolData: '', members: [] };
  if (!maySee(client, groupId)) return { ...nothing, errorCode: ERROR.GROUP_AUTHORIZATION_FAILED, groupState: DEAD };
  const group = client.shared.groups.find(groupId);
  if (group !== undefined) return describeLive(group);
  // One of the newer protocol is described by an API of its own.
  const isKnown = committed.has(groupId) && client.shared.consumerGroups.find(groupId) === undefined;
  return {
    ...nothing,
    errorCode: ERROR.NONE,
    protocolType: isKnown ? CONSUMER : '',
    groupState: isKnown ? EMPTY : DEAD,
  };
}

function describeLive({ id, state, protocolType, protocol, members }: Group): Described {
  const isStable = state === 'stable';
  return {
    errorCode: ERROR.NONE,
    groupId: id,
    groupState: STATE_NAMES[state],
    protocolType: protocolType ?? '',
    protocolData: isStable ? (protocol ?? '') : '',
    members: [...members.values()].map((member) => describeMember(member, isStable ? protocol : null)),
  };
}

function describeMember(member: Member, protocol: string | null): Described['members'][number] {
  const metadata = member.protocols.find(({ name }) => name === protocol)?.metadata;
  return {
    memberId: member.id,
    groupInstanceId: member.instanceId,
    clientId: member.clientId,
    clientHost: member.host,
    memberMetadata: metadata ?? Buffer.alloc(0),
    // As long as nobody has shared out anew, it is what it was.
    memberAssignment: member.assignment,
  };
}
