import { z } from 'zod';
import { StoredUsers, SYSTEM_NAMESPACE } from '../../../core/access.ts';
import { ACL_KINDS, ACL_OPERATIONS } from '../../../core/acl.ts';
import { RailheadError } from '../../../core/errors.ts';
import { type Quota, quotaName, StoredQuotas } from '../../../core/quotas.ts';
import { route, type Route } from '../route.ts';

const user = z.string().min(1).max(128);

export const aclSchema = z.strictObject({
  user: user.describe('A stored user, or * for all of them.'),
  kind: z.enum(ACL_KINDS),
  pattern: z.enum(['literal', 'prefixed']).default('literal'),
  name: z.string().min(1).max(255).describe('A literal * is every name. The cluster is named kafka-cluster.'),
  operation: z.enum([...ACL_OPERATIONS, 'all']),
  permission: z.enum(['allow', 'deny']).default('allow'),
});

const who = z.string().min(1).max(255).nullable();
const bytes = z.int().min(1).nullable();

export const quotaSchema = z
  .strictObject({
    user: who.optional().describe('null: everybody who has none of their own. Left out: whoever it is.'),
    clientId: who.optional().describe('The same of what clients call themselves.'),
    producerByteRate: bytes.optional().describe('Bytes a second; null takes the limit away.'),
    consumerByteRate: bytes.optional().describe('Bytes a second; null takes the limit away.'),
  })
  .refine((quota) => quota.user !== undefined || quota.clientId !== undefined, 'write `user`, `clientId` or both');

/** As people write it. */
export function showQuota({ entity, values }: Quota): z.output<typeof quotaSchema> {
  const { producer_byte_rate: produced, consumer_byte_rate: consumed } = values;
  return {
    ...entity,
    ...(produced !== undefined && { producerByteRate: produced }),
    ...(consumed !== undefined && { consumerByteRate: consumed }),
  };
}

/** What is said of somebody, changed where something new is said. Without a limit that is left it is forgotten. */
export async function changeQuota(quotas: StoredQuotas, change: z.output<typeof quotaSchema>): Promise<void> {
  const { user: of, clientId, producerByteRate, consumerByteRate } = change;
  const entity = { ...(of !== undefined && { user: of }), ...(clientId !== undefined && { clientId }) };
  const before = (await quotas.list()).find((each) => quotaName(each.entity) === quotaName(entity))?.values ?? {};
  const now = {
    producer_byte_rate: producerByteRate === undefined ? before.producer_byte_rate : producerByteRate,
    consumer_byte_rate: consumerByteRate === undefined ? before.consumer_byte_rate : consumerByteRate,
  };
  const { producer_byte_rate: produced, consumer_byte_rate: consumed } = now;
  await quotas.put({
    entity,
    values: {
      ...(typeof produced === 'number' && { producer_byte_rate: produced }),
      ...(typeof consumed === 'number' && { consumer_byte_rate: consumed }),
    },
  });
}

/** What Kafka's tools set as well. All of it takes the right `admin` in every namespace. */
export const kafkaRightsRoutes: Route[] = [
  route({
    namespace: SYSTEM_NAMESPACE,
    method: 'get',
    path: '/acls',
    operationId: 'listAcls',
    summary: "Kafka's ACLs. They stand before roles, rules and permissions, and count for no user with the role admin.",
    tag: 'users',
    params: z.object({}),
    query: z.strictObject({ user: user.optional() }),
    result: z.object({ acls: z.array(aclSchema) }),
    handle: async ({ session, query }) => {
      const acls = await new StoredUsers(session).acls();
      return { acls: acls.filter((acl) => query.user === undefined || acl.user === query.user) };
    },
  }),
  route({
    namespace: SYSTEM_NAMESPACE,
    method: 'post',
    path: '/acls',
    operationId: 'addAcl',
    summary: "Adds one of Kafka's ACLs.",
    tag: 'users',
    params: z.object({}),
    body: aclSchema,
    result: z.object({ created: z.boolean() }),
    handle: ({ session, body }) => new StoredUsers(session).addAcl(body),
  }),
  route({
    namespace: SYSTEM_NAMESPACE,
    method: 'post',
    path: '/acls/remove',
    operationId: 'removeAcl',
    summary: "Removes one of Kafka's ACLs.",
    tag: 'users',
    params: z.object({}),
    body: aclSchema,
    result: z.object({ deleted: z.boolean() }),
    handle: async ({ session, body }) => {
      const result = await new StoredUsers(session).removeAcl(body);
      if (result.deleted) return result;
      throw new RailheadError('NOT_FOUND', `${JSON.stringify(body.user)} has no such ACL.`);
    },
  }),
  route({
    namespace: SYSTEM_NAMESPACE,
    method: 'get',
    path: '/quotas',
    operationId: 'listQuotas',
    summary: "Kafka's quotas of users and client ids.",
    tag: 'users',
    params: z.object({}),
    result: z.object({ quotas: z.array(quotaSchema) }),
    handle: async ({ session }) => ({ quotas: (await new StoredQuotas(session).list()).map(showQuota) }),
  }),
  route({
    namespace: SYSTEM_NAMESPACE,
    method: 'put',
    path: '/quotas',
    operationId: 'putQuota',
    summary: 'Sets a quota, or takes a limit away with null. What is left out stays as it is.',
    tag: 'users',
    params: z.object({}),
    body: quotaSchema,
    result: z.object({ set: z.boolean() }),
    handle: async ({ session, body }) => {
      await changeQuota(new StoredQuotas(session), body);
      return { set: true };
    },
  }),
];
