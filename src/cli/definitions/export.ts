import { DEFAULT_SUBSCRIPTION, DEFAULT_TOPIC } from '../../core/policy.ts';
import type { Declaration } from '../../core/declaration.ts';
import type { BindingDefinition } from '../../core/definitions.ts';
import { showSubscriptionPolicy, showTopicPolicy } from '../../gateways/http/options.ts';
import type { DescribedTopic, Existing } from './existing.ts';
import type { DefinitionsText } from './file.ts';

type Of<K extends keyof DefinitionsText> = NonNullable<DefinitionsText[K]>;

/** What differs from the defaults, so that a person can read it. What is gone with the next start is left out. */
export function exported({ topics, routers, schedules }: Existing): DefinitionsText {
  const kept = [...topics.values()].filter(({ transient }) => transient !== true);
  const queues: Of<'queues'> = {};
  const others: Of<'topics'> = {};
  for (const topic of kept) {
    if (topic.kind === 'queue') queues[topic.name] = queueText(topic);
    else others[topic.name] = topicText(topic);
  }
  const shownRouters: Of<'routers'> = {};
  for (const { name, type, alternate, hashHeader, bindings, ...declared } of routers.values()) {
    if (declared.transient === true) continue;
    shownRouters[name] = {
      type,
      ...(alternate !== null && { alternate }),
      ...(hashHeader !== undefined && hashHeader !== null && { hashHeader }),
      ...attributesOf(declared),
      ...(bindings.length > 0 && { bindings: bindings.map(bindingText) }),
    };
  }
  const shownSchedules: Of<'schedules'> = {};
  for (const { name, cron, timezone, topic, record } of schedules.values())
    shownSchedules[name] = { cron, timezone, topic, record: Buffer.from(record).toString('base64') };
  return {
    ...(Object.keys(queues).length > 0 && { queues }),
    ...(Object.keys(others).length > 0 && { topics: others }),
    ...(Object.keys(shownRouters).length > 0 && { routers: shownRouters }),
    ...(Object.keys(shownSchedules).length > 0 && { schedules: shownSchedules }),
  };
}

function queueText(topic: DescribedTopic): Of<'queues'>[string] {
  const { retain: _, ...own } = different(showTopicPolicy(topic.policy), showTopicPolicy(DEFAULT_TOPIC));
  const subscription = topic.subscription ?? DEFAULT_SUBSCRIPTION;
  const paused = topic.subscriptions.some((each) => each.paused);
  return {
    ...own,
    ...different(showSubscriptionPolicy(subscription), showSubscriptionPolicy(DEFAULT_SUBSCRIPTION)),
    ...(paused && { paused }),
    ...attributesOf(topic),
  };
}

function topicText(topic: DescribedTopic): Of<'topics'>[string] {
  const subscriptions = topic.subscriptions.map(
    ({ subscription, policy, paused }) =>
      [
        subscription,
        {
          ...different(showSubscriptionPolicy(policy), showSubscriptionPolicy(DEFAULT_SUBSCRIPTION)),
          ...(paused && { paused }),
        },
      ] as const,
  );
  return {
    ...different(showTopicPolicy(topic.policy), showTopicPolicy(DEFAULT_TOPIC)),
    ...attributesOf(topic),
    ...(subscriptions.length > 0 && { subscriptions: Object.fromEntries(subscriptions) }),
  };
}

function bindingText({
  to,
  key,
  match,
  filter,
  ...declared
}: BindingDefinition): NonNullable<Of<'routers'>[string]['bindings']>[number] {
  return {
    to,
    ...(key !== '' && { key }),
    // The mutable copies that zod's input types ask for.
    ...(match !== null && { match: structuredClone(match) as never }),
    ...(filter !== null && { filter: structuredClone(filter) as never }),
    ...attributesOf(declared),
  };
}

function attributesOf({ attributes }: Declaration): { attributes?: Record<string, string> } {
  return attributes === undefined || Object.keys(attributes).length === 0 ? {} : { attributes: { ...attributes } };
}

/** The fields of `shown` that `usual` has not. */
export function different<T extends object>(shown: T, usual: T): Partial<T> {
  const others = new Map(Object.entries(usual));
  const own = Object.entries(shown).filter(
    ([field, value]) => JSON.stringify(value) !== JSON.stringify(others.get(field)),
  );
  // Some of its own fields.
  return Object.fromEntries(own) as Partial<T>;
}
