import { z } from 'zod';
import type { SubscriptionRef } from '../../../core/session.ts';
import { name } from '../route.ts';

/**
 * The two ways to name what a route is about. A queue is a topic with one subscription of the same name, so that every
 * route about a topic or a subscription exists for queues as well, under a shorter path.
 */

export interface TopicPath {
  path: string;
  /** Ends the operationId: `publishToQueue`, `publishToTopic`. */
  kind: 'Queue' | 'Topic';
  params: z.ZodType<{ topic: string }>;
}

export const TOPIC_PATHS: readonly TopicPath[] = [
  {
    path: '/queues/{queue}',
    kind: 'Queue',
    params: z.object({ queue: name }).transform(({ queue }) => ({ topic: queue })),
  },
  { path: '/topics/{topic}', kind: 'Topic', params: z.object({ topic: name }) },
];

export interface SubscriptionPath {
  path: string;
  kind: 'Queue' | 'Subscription';
  params: z.ZodType<SubscriptionRef>;
}

export const SUBSCRIPTION_PATHS: readonly SubscriptionPath[] = [
  {
    path: '/queues/{queue}',
    kind: 'Queue',
    params: z.object({ queue: name }).transform(({ queue }) => ({ topic: queue, subscription: queue })),
  },
  {
    path: '/topics/{topic}/subscriptions/{subscription}',
    kind: 'Subscription',
    params: z.object({ topic: name, subscription: name }),
  },
];

/** For a path with one more parameter, such as the id of a message. */
export function withParam<T extends object, K extends string>(
  params: z.ZodType<T>,
  key: K,
): z.ZodType<T & Record<K, string>> {
  return z.unknown().transform((value, context) => {
    const base = params.safeParse(value);
    const own = z.object({ [key]: name }).safeParse(value);
    if (base.success && own.success) return { ...base.data, ...own.data } as T & Record<K, string>;
    context.addIssue({ code: 'custom', message: 'a name is empty or longer than 255 characters' });
    return z.NEVER;
  });
}
