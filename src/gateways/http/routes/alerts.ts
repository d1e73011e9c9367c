import { z } from 'zod';
import { SYSTEM_NAMESPACE } from '../../../core/access.ts';
import { isAuthorized, type Principal } from '../../../core/auth.ts';
import { type ActiveAlert, alertFields, type Condition, CONDITIONS, StoredAlerts } from '../../alerts.ts';
import { isoTime } from '../messages.ts';
import { name, route, type Route } from '../route.ts';
import { mayKnowServer, there } from './server.ts';

const when = z.string().describe(`One of ${Object.keys(CONDITIONS).join(', ')}.`);
const above = z.number().describe('Messages, percent, or milliseconds.');
const subject = z.object({ namespace: z.string(), topic: z.string(), subscription: z.string() });
const said = {
  rule: z.string(),
  when,
  says: z.string().describe('What the value is, in words.'),
  unit: z
    .enum(['messages', 'duration', 'percent', 'none'])
    .describe('Of the value and the limit; a duration is in milliseconds.'),
  subject: subject.nullable().describe('Null: the broker.'),
  value: z.number(),
  above,
  since: z.iso.datetime(),
};

function wordsOf(condition: Condition): Pick<(typeof CONDITIONS)[Condition], 'says' | 'unit' | 'of'> {
  const { says, unit, of } = CONDITIONS[condition];
  return { says, unit, of };
}

function inWords({ rule, when: condition, subject: of, value, above: limit, since }: Omit<ActiveAlert, 'state'>) {
  const { says, unit } = CONDITIONS[condition];
  return { rule, when: condition, says, unit, subject: of, value, above: limit, since: isoTime(since) };
}

/** Of what is on somebody sees what it may inspect, and of the broker only who may do everything with it. */
function mayKnow(principal: Principal, of: ActiveAlert['subject']): boolean {
  if (mayKnowServer(principal)) return true;
  return of !== null && isAuthorized(principal, 'inspect', { namespace: of.namespace, kind: 'topic', name: of.topic });
}

/** All but the first take the right `admin` in every namespace. */
export const alertRoutes: Route[] = [
  route({
    method: 'get',
    path: '/alerts',
    operationId: 'listAlerts',
    summary:
      'Alerts that are on or about to be, and the last hundred that are over, of what you may inspect in any namespace. To who has `admin` in every namespace also those of the broker, and the rules: of the config file and stored.',
    tag: 'alerts',
    params: z.object({}),
    result: z.object({
      active: z.array(
        z.object({
          ...said,
          state: z.enum(['pending', 'firing']),
          todo: z.string().describe('What to do.'),
        }),
      ),
      ended: z
        .array(
          z.object({
            ...said,
            until: z.iso.datetime(),
            end: z.enum(['over', 'rule']).describe('`rule`: its rule was changed or deleted.'),
          }),
        )
        .describe('Since the start of the broker, the last first.'),
      rules: z
        .array(
          z.object({
            name: z.string(),
            when,
            says: said.says,
            unit: said.unit,
            of: z.enum(['subscription', 'broker']),
            above,
            queues: z.string(),
            namespace: z.string(),
            forMs: z.number(),
            webhook: z.string().nullable().describe('Without its path, which may be a secret.'),
            topic: z.object({ namespace: z.string(), name: z.string() }).nullable(),
            from: z.enum(['config', 'stored']),
          }),
        )
        .nullable()
        .describe('Null: not shown to you.'),
    }),
    handle: async ({ facts, principal }) => {
      const { active, ended, rules } = there(facts).alerts();
      return {
        active: active
          .filter(({ subject: of }) => mayKnow(principal, of))
          .map((alert) => ({ ...inWords(alert), state: alert.state, todo: CONDITIONS[alert.when].todo })),
        ended: ended
          .filter(({ subject: of }) => mayKnow(principal, of))
          .map((alert) => ({ ...inWords(alert), until: isoTime(alert.until), end: alert.end })),
        rules: mayKnowServer(principal) ? rules.map((rule) => ({ ...rule, ...wordsOf(rule.when) })) : null,
      };
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
