import type { RouterDefinition, SubscriptionDefinition, TopicDefinition } from '../../core/definitions.ts';
import type { Operations, Session } from '../../core/session.ts';

export type DescribedTopic = TopicDefinition & { subscriptions: SubscriptionDefinition[] };

/** Everything in a namespace that a file of definitions can name. */
export interface Existing {
  topics: Map<string, DescribedTopic>;
  routers: Map<string, RouterDefinition>;
  schedules: Map<string, Operations['listSchedules']['result']['schedules'][number]>;
}

export async function existing(session: Pick<Session, 'request'>): Promise<Existing> {
  const topics = new Map<string, DescribedTopic>();
  for (let after: string | null | undefined; after !== null;) {
    const page: Operations['listTopics']['result'] = await session.request('listTopics', {
      limit: 500,
      ...(after !== undefined && { after }),
    });
    const described = await Promise.all(page.topics.map(({ name }) => session.request('describeTopic', { name })));
    for (const topic of described) topics.set(topic.name, topic);
    after = page.next;
  }
  const { routers } = await session.request('listRouters', {});
  const { schedules } = await session.request('listSchedules', {});
  return {
    topics,
    routers: new Map(routers.map((router) => [router.name, router])),
    schedules: new Map(schedules.map((schedule) => [schedule.name, schedule])),
  };
}
