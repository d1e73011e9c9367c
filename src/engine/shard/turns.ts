import type { ConsumerState, Feed } from './feeds.ts';

/** Whose turn it is: highest priority first, equals in turn. Undefined also while one of a higher priority is awaited. */
export function nextConsumer(feed: Feed): ConsumerState | undefined {
  const { consumers } = feed;
  let best: ConsumerState | undefined;
  let bestTurn = 0;
  for (let i = 0; i < consumers.length; i++) {
    const at = (feed.turn + i) % consumers.length;
    const consumer = consumers[at];
    if (consumer === undefined || !isEligible(feed, consumer)) continue;
    if (best === undefined || priorityOf(consumer) > priorityOf(best)) {
      best = consumer;
      bestTurn = at;
    }
  }
  if (best === undefined || isOutranked(feed, priorityOf(best))) return undefined;
  feed.turn = (bestTurn + 1) % consumers.length;
  return best;
}

/** Whether one of a higher priority has only used up the part of its credit that the engine was told of. */
function isOutranked({ consumers }: Feed, priority: number): boolean {
  for (const consumer of consumers) {
    // They are sorted by priority.
    if (priorityOf(consumer) <= priority) return false;
    if (isThirsty(consumer)) return true;
  }
  return false;
}

/** It has no credit and is about to give more. */
export function isThirsty({ credit, isolated, sink }: ConsumerState): boolean {
  return credit <= 0 && !isolated && sink.thirsty?.() === true;
}

function priorityOf({ request }: ConsumerState): number {
  return request.priority ?? 0;
}

/** It has credit and may be given something now; of a subscription with a single active consumer, only that one. */
export function isEligible(feed: Feed, consumer: ConsumerState): boolean {
  if (consumer.credit <= 0 || consumer.isolated) return false;
  if (!feed.subscription.policy.singleActive || consumer.request.beside === true) return true;
  // They are sorted by priority, and of equals the oldest is the first.
  return feed.consumers.find((each) => each.request.beside !== true) === consumer;
}
