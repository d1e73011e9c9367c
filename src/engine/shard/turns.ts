import type { ConsumerState, Feed } from './feeds.ts';

/** Whose turn it is: highest priority first, equals in turn. */
export function nextConsumer(feed: Feed): ConsumerState | undefined {
  const { consumers } = feed;
  let best: ConsumerState | undefined;
  let bestTurn = 0;
  for (let i = 0; i < consumers.length; i++) {
    const at = (feed.turn + i) % consumers.length;
    const consumer = consumers[at];
    if (consumer === undefined || !isEligible(feed, consumer)) continue;
    if (best === undefined || (consumer.request.priority ?? 0) > (best.request.priority ?? 0)) {
      best = consumer;
      bestTurn = at;
    }
  }
  if (best !== undefined) feed.turn = (bestTurn + 1) % consumers.length;
  return best;
}

/** It has credit and may be given something now; of a subscription with a single active consumer, only that one. */
export function isEligible(feed: Feed, consumer: ConsumerState): boolean {
  if (consumer.credit <= 0 || consumer.isolated) return false;
  if (!feed.subscription.policy.singleActive || consumer.request.beside === true) return true;
  // They are sorted by priority, and of equals the oldest is the first.
  return feed.consumers.find((each) => each.request.beside !== true) === consumer;
}
