import { RailheadError } from '../../core/errors.ts';
import type { LeaseRange, SubscriptionRef } from '../../core/session.ts';

/** What a delivery id names: one message leased by one delivery of one subscription. */
export interface Delivery {
  ref: SubscriptionRef;
  partition: number;
  offset: number;
  token: number;
}

/**
 * ```
 * base64url( PARTITION.OFFSET.TOKEN.TOPIC-LENGTH.TOPIC SUBSCRIPTION )      numbers in base 36
 * ```
 * It holds no secret: settling still asks whether the principal may consume from the subscription.
 */
export function deliveryId({ ref, partition, offset, token }: Delivery): string {
  const numbers = [partition, offset, token, ref.topic.length].map((number) => number.toString(36)).join('.');
  return Buffer.from(`${numbers}.${ref.topic}${ref.subscription}`, 'utf8').toString('base64url');
}

/** @throws INVALID for anything that `deliveryId` did not make. */
export function parseDeliveryId(id: string): Delivery {
  const text = Buffer.from(id, 'base64url').toString('utf8');
  const match = /^([0-9a-z]{1,11})\.([0-9a-z]{1,11})\.([0-9a-z]{1,11})\.([0-9a-z]{1,3})\.([\s\S]+)$/.exec(text);
  const [partition, offset, token, topicLength] = (match ?? []).slice(1, 5).map((part) => Number.parseInt(part, 36));
  const names = match?.[5] ?? '';
  const delivery = {
    ref: { topic: names.slice(0, topicLength ?? 0), subscription: names.slice(topicLength ?? 0) },
    partition: partition ?? Number.NaN,
    offset: offset ?? Number.NaN,
    token: token ?? Number.NaN,
  };
  if (
    match === null ||
    ![delivery.partition, delivery.offset, delivery.token].every(Number.isSafeInteger) ||
    deliveryId(delivery) !== id
  ) {
    throw new RailheadError(
      'INVALID',
      `${JSON.stringify(id.slice(0, 60))} is not a delivery id. Send the \`delivery\` of a received message as it came.`,
    );
  }
  return delivery;
}

/** Leases that lie side by side become one range. Keeps the order of subscriptions as they came. */
export function groupDeliveries(deliveries: readonly Delivery[]): { ref: SubscriptionRef; ranges: LeaseRange[] }[] {
  const groups = new Map<string, { ref: SubscriptionRef; ranges: LeaseRange[] }>();
  for (const { ref, partition, offset, token } of deliveries) {
    const name = JSON.stringify([ref.topic, ref.subscription]);
    const group = groups.get(name) ?? { ref, ranges: [] };
    groups.set(name, group);
    const last = group.ranges.at(-1);
    if (
      last !== undefined &&
      last.partition === partition &&
      last.token === token &&
      last.offset + last.count === offset
    )
      last.count++;
    else group.ranges.push({ partition, offset, count: 1, token });
  }
  return [...groups.values()];
}
