import { z } from 'zod';
import { SYSTEM_NAMESPACE } from '../../../core/access.ts';
import { alertFields, CONDITIONS, StoredAlerts } from '../../alerts.ts';
import { isoTime } from '../messages.ts';
import { name, route, type Route } from '../route.ts';
import { known } from './server.ts';

const when = z.string().describe(`One of ${Object.keys(CONDITIONS).join(', ')}.`);
const above = z.number().describe('Messages, percent, or milliseconds.');
const subject = z.object({ namespace: z.string(), topic: z.string(), subscription: z.string() });

/** All of them take the right `admin` in every namespace. */
export const alertRoutes: Route[] = [
  route({
    namespace: SYSTEM_NAMESPACE,
    method: 'get',
    path: '/alerts',
    operationId: 'listAlerts',
    summary: 'Alerts that are on or about to be, and the rules: those of the config file and those that are stored.',
    tag: 'alerts',
    params: z.object({}),
    result: z.object({
      active: z.array(
        z.object({
          rule: z.string(),
          when,
          state: z.enum(['pending', 'firing']),
          subject: subject.nullable().describe('Null: the broker.'),
          value: z.number(),
          above,
          since: z.iso.datetime(),
        }),
      ),
      rules: z.array(
        z.object({
          name: z.string(),
          when,
          above,
          queues: z.string(),
          namespace: z.string(),
          forMs: z.number(),
          webhook: z.string().nullable().describe('Without its path, which may be a secret.'),
          topic: z.object({ namespace: z.string(), name: z.string() }).nullable(),
          from: z.enum(['config', 'stored']),
        }),
      ),
    }),
    handle: async ({ facts, principal }) => {
      const { active, rules } = known(facts, principal).alerts();
      return { active: active.map(({ since, ...rest }) => ({ ...rest, since: isoTime(since) })), rules };
    },
  }),
  route({
    namespace: SYSTEM_NAMESPACE,
    method: 'put',
    path: '/alerts/{alert}',
    operationId: 'putAlert',
    summary: 'Stores a rule. Replaces one of the same name, also one of the config file. It counts at once.',
    tag: 'alerts',
    params: z.object({ alert: name }),
    body: z.strictObject(alertFields),
    result: z.object({ created: z.boolean() }),
    handle: ({ session, params, body }) => new StoredAlerts(session).put({ ...body, name: params.alert }),
  }),
  route({
    namespace: SYSTEM_NAMESPACE,
    method: 'delete',
    path: '/alerts/{alert}',
    operationId: 'deleteAlert',
    summary: 'Deletes a stored rule. One of the config file with this name counts again.',
    tag: 'alerts',
    params: z.object({ alert: name }),
    result: z.object({ deleted: z.boolean() }),
    handle: ({ session, params }) => new StoredAlerts(session).delete(params.alert),
  }),
];
