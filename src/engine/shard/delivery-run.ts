import type { DeliveryRun } from '../../core/session.ts';
import type { Topic } from '../machine/topic.ts';
import type { BodyRun } from './bodies.ts';
import type { Deliveries } from './choice.ts';

/** What a consumer gets of messages that lie side by side. */
export function deliveryRun(
  topic: Topic,
  partition: number,
  token: number,
  { attempt, returned, firstDeliveredAt }: Deliveries,
  deadline: number,
  body: BodyRun,
): DeliveryRun {
  const run: DeliveryRun = {
    topicId: topic.id,
    partition,
    offset: body.offset,
    count: body.count,
    token,
    attempt,
    publishedAt: body.publishedAt,
    deadline,
    format: body.format,
    records: body.records,
  };
  if (returned > 0) run.returned = returned;
  if (firstDeliveredAt !== undefined) run.firstDeliveredAt = firstDeliveredAt;
  if (body.history !== undefined) run.history = body.history;
  if (body.body !== undefined) run.bodyBytes = body.body.bytes;
  return run;
}
