import { deadLetterQueue } from '../../core/policy.ts';
import type { Session } from '../../core/session.ts';
import type { DescribedTopic, Existing } from './existing.ts';
import type { Definitions } from './file.ts';
import { bindingText, isNamed, isSame, type Step } from './plan.ts';

/** Of AMQP, and in every namespace that it is used in. */
const RESERVED = 'amq.';

/**
 * What it takes for nothing to be there but what the file names, each with the messages that would go. What stays all the
 * same: queues of dead letters of what the file names, what is gone with the next start, and what AMQP always has.
 */
export async function deletions(
  session: Pick<Session, 'request'>,
  wanted: Definitions,
  found: Existing,
): Promise<Step[]> {
  const dead = deadLetterQueues(wanted, found);
  const steps = [...bindings(wanted, found), ...routers(wanted, found), ...schedules(wanted, found)];
  for (const topic of found.topics.values()) {
    const { name, kind } = topic;
    if (topic.transient === true) continue;
    if (!isNamed(wanted.queues, name) && !isNamed(wanted.topics, name)) {
      if (dead.has(name)) continue;
      const { messages } = await session.request('topicStats', { name });
      steps.push({
        how: 'delete',
        what: `${kind} ${name}`,
        changes: messages > 0 ? [`with ${messages === 1 ? '1 message' : `${messages} messages`}`] : [],
        run: (own) => own.request('deleteTopic', { name }),
      });
    } else if (kind === 'topic') steps.push(...(await subscriptions(session, wanted, topic)));
  }
  return steps;
}

async function subscriptions(
  session: Pick<Session, 'request'>,
  wanted: Definitions,
  { name: topic, subscriptions: all }: DescribedTopic,
): Promise<Step[]> {
  const named = wanted.topics?.[topic]?.subscriptions ?? {};
  const steps: Step[] = [];
  for (const { subscription } of all) {
    if (Object.hasOwn(named, subscription)) continue;
    const { depth } = await session.request('subscriptionStats', { topic, subscription });
    steps.push({
      how: 'delete',
      what: `subscription ${topic}/${subscription}`,
      changes: depth > 0 ? [`that has not settled ${depth}`] : [],
      run: (own) => own.request('deleteSubscription', { topic, subscription }),
    });
  }
  return steps;
}

function bindings(wanted: Definitions, found: Existing): Step[] {
  return Object.entries(wanted.routers ?? {}).flatMap(([router, { bindings: named = [] }]) =>
    (found.routers.get(router)?.bindings ?? [])
      .filter((binding) => !named.some((each) => isSame(each, binding)))
      .map((binding): Step => ({
        how: 'delete',
        what: bindingText(router, binding),
        changes: [],
        run: (session) => session.request('unbind', { router, binding }),
      })),
  );
}

function routers(wanted: Definitions, found: Existing): Step[] {
  return [...found.routers.values()]
    .filter(({ name, transient }) => transient !== true && !name.startsWith(RESERVED))
    .filter(({ name }) => !isNamed(wanted.routers, name))
    .map(({ name }): Step => ({
      how: 'delete',
      what: `router ${name}`,
      changes: [],
      run: (session) => session.request('deleteRouter', { name }),
    }));
}

function schedules(wanted: Definitions, found: Existing): Step[] {
  return [...found.schedules.keys()]
    .filter((name) => !isNamed(wanted.schedules, name))
    .map((name): Step => ({
      how: 'delete',
      what: `schedule ${name}`,
      changes: [],
      run: (session) => session.request('deleteSchedule', { name }),
    }));
}

/** Of what the file names: as they are now, and as the file says that they will be. */
function deadLetterQueues(wanted: Definitions, { topics }: Existing): Set<string> {
  const found = new Set<string>();
  const add = (...of: Parameters<typeof deadLetterQueue>): void => void found.add(deadLetterQueue(...of));
  for (const [name, fields] of Object.entries(wanted.queues ?? {})) {
    add(topics.get(name)?.subscription?.deadLetter ?? null, 'queue', name, name);
    if (typeof fields?.deadLetter === 'string') found.add(fields.deadLetter);
  }
  for (const [name, fields] of Object.entries(wanted.topics ?? {}))
    for (const [subscription, own] of Object.entries(fields?.subscriptions ?? {})) {
      const there = topics.get(name)?.subscriptions.find((each) => each.subscription === subscription);
      add(there?.policy.deadLetter ?? null, 'topic', name, subscription);
      if (typeof own?.deadLetter === 'string') found.add(own.deadLetter);
    }
  return found;
}
