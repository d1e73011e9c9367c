import type { Session } from '../core/session.ts';

const PAGE = 1_000;

/** The topics, queues, routers and schedules of a namespace. */
export async function deleteAll(session: Session): Promise<void> {
  const { schedules } = await session.request('listSchedules', {});
  for (const { name } of schedules) await session.request('deleteSchedule', { name });
  const { routers } = await session.request('listRouters', {});
  for (const { name } of routers) await session.request('deleteRouter', { name });
  for (;;) {
    const { topics } = await session.request('listTopics', { limit: PAGE });
    if (topics.length === 0) return;
    for (const { name } of topics) await session.request('deleteTopic', { name });
  }
}

/** Of one kind, which protocols and the server keep in a namespace. */
export async function deleteDocuments(session: Session, kind: string): Promise<void> {
  const { documents } = await session.request('listDocuments', { kind });
  for (const { name } of documents) await session.request('deleteDocument', { kind, name });
}
