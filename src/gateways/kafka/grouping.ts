import { DEFAULT_LIMITS } from '../../engine/limits.ts';
import { allowed } from './access.ts';
import type { Client, Handlers } from './client.ts';
import { ERROR, type ErrorName } from './errors.ts';
import type { RequestOf } from './fields.ts';
import { type JoinAnswer, refusedJoin, refusedSync, type SyncAnswer } from './group.ts';
import type { joinGroup } from './messages/groups.ts';

/** Since version 4 a new member is told its id before it is let in, since 7 a protocol may be null, since 9 a leader may rest. */
const SINCE = { memberIdRequired: 4, nullProtocol: 7, skipAssignment: 9 } as const;

export const grouping: Handlers<'joinGroup' | 'syncGroup' | 'heartbeat' | 'leaveGroup'> = {
  async joinGroup(client, request, version) {
    const answer = await joined(client, request, version);
    const { error, generation, protocolType, protocol, leader, memberId, skipAssignment } = answer;
    return {
      errorCode: ERROR[error],
      generationId: generation,
      protocolType,
      protocolName: version >= SINCE.nullProtocol ? protocol : (protocol ?? ''),
      leader,
      skipAssignment,
      memberId,
      // One that does not know that it may rest must not be told that it is to assign.
      members: answer.members.map((member) => ({
        memberId: member.memberId,
        groupInstanceId: member.instanceId,
        metadata: member.metadata,
      })),
    };
  },

  async syncGroup(
    client,
    { groupId, generationId, memberId, groupInstanceId, protocolType, protocolName, assignments },
  ) {
    const refusal = refusalFor(client, groupId);
    const { groups } = client.shared;
    const group = groups.find(groupId);
    const answer = await new Promise<SyncAnswer>((resolve) => {
      if (refusal !== null || group === undefined) return resolve(refusedSync(refusal ?? 'UNKNOWN_MEMBER_ID'));
      const who = { memberId, instanceId: groupInstanceId, generation: generationId };
      groups.with(groupId, (each, now) =>
        each.sync({ ...who, protocolType, protocol: protocolName, assignments }, now, resolve),
      );
    });
    const { error, protocol, assignment } = answer;
    return { errorCode: ERROR[error], protocolType: answer.protocolType, protocolName: protocol, assignment };
  },

  heartbeat(client, { groupId, generationId, memberId, groupInstanceId: instanceId }) {
    const refusal = refusalFor(client, groupId);
    if (refusal !== null) return { errorCode: ERROR[refusal] };
    if (client.shared.groups.find(groupId) === undefined) return { errorCode: ERROR.UNKNOWN_MEMBER_ID };
    const error = client.shared.groups.with(groupId, (group, now) =>
      group.heartbeat({ memberId, instanceId }, generationId, now),
    );
    return { errorCode: ERROR[error] };
  },

  leaveGroup(client, { groupId, memberId, members }, version) {
    const refusal = refusalFor(client, groupId);
    if (refusal !== null) return { errorCode: ERROR[refusal] };
    const leaving = version >= 3 ? members : [{ memberId, groupInstanceId: null }];
    const left = leaving.map(({ memberId: id, groupInstanceId }) => ({
      memberId: id,
      groupInstanceId,
      errorCode: ERROR[leave(client, groupId, id, groupInstanceId)],
    }));
    return version >= 3 ? { errorCode: ERROR.NONE, members: left } : { errorCode: left[0]?.errorCode ?? ERROR.NONE };
  },
};

function leave({ shared }: Client, groupId: string, memberId: string, instanceId: string | null): ErrorName {
  const who = { memberId, instanceId };
  if (shared.consumerGroups.find(groupId) !== undefined)
    return shared.consumerGroups.with(groupId, (group) => group.leave(who));
  if (shared.groups.find(groupId) === undefined) return 'UNKNOWN_MEMBER_ID';
  return shared.groups.with(groupId, (group, now) => group.leave(who, now));
}

function joined(client: Client, request: RequestOf<typeof joinGroup>, version: number): Promise<JoinAnswer> {
  const { groupId, memberId, sessionTimeoutMs, groupInstanceId: instanceId, protocolType, protocols } = request;
  const { groups, limits } = client.shared;
  const refusal =
    refusalFor(client, groupId) ??
    (sessionTimeoutMs < limits.minSessionTimeoutMs || sessionTimeoutMs > limits.maxSessionTimeoutMs
      ? 'INVALID_SESSION_TIMEOUT'
      : hasOtherMembers(client, groupId)
        ? 'INCONSISTENT_GROUP_PROTOCOL'
        : memberId !== '' && groups.find(groupId) === undefined
          ? 'UNKNOWN_MEMBER_ID'
          : null);
  return new Promise((resolve) => {
    if (refusal !== null) return resolve(refusedJoin(refusal, memberId));
    const join = {
      memberId,
      instanceId,
      clientId: client.clientId,
      host: hostOf(client.address),
      sessionTimeoutMs,
      // Version 0 has one time for both.
      rebalanceTimeoutMs: request.rebalanceTimeoutMs < 0 ? sessionTimeoutMs : request.rebalanceTimeoutMs,
      protocolType,
      protocols,
      needsIdFirst: version >= SINCE.memberIdRequired,
    };
    client.shared.consumerGroups.forget(groupId);
    groups.with(groupId, (group, now) => {
      const { leader } = group;
      group.join(join, now, (answer) =>
        resolve(version >= SINCE.skipAssignment ? answer : withoutRest(answer, leader ?? '')),
      );
    });
  });
}

/** A group is of one protocol as long as somebody is in it. */
function hasOtherMembers({ shared }: Client, groupId: string): boolean {
  return shared.consumerGroups.find(groupId)?.isIdle === false || shared.shareGroups.find(groupId) !== undefined;
}

/** A leader that does not know of resting would assign anew; told of the one whose place it has taken, it follows. */
function withoutRest(answer: JoinAnswer, leader: string): JoinAnswer {
  return answer.skipAssignment ? { ...answer, leader, members: [], skipAssignment: false } : answer;
}

export function hostOf(address: string): string {
  const colon = address.lastIndexOf(':');
  return `/${colon === -1 ? address : address.slice(0, colon)}`;
}

/** A group belongs to whoever may consume under its name. */
export function refusalFor(client: Client, groupId: string): ErrorName | null {
  if (groupId === '' || Buffer.byteLength(groupId) > DEFAULT_LIMITS.maxNameBytes) return 'INVALID_GROUP_ID';
  return allowed(client, 'read', 'group', groupId) ? null : 'GROUP_AUTHORIZATION_FAILED';
}
