import { RailheadError } from '../../core/errors.ts';
import { type Declaration, declarationOf } from '../../core/declaration.ts';
import type { SubscriptionDefinition, TopicDefinition } from '../../core/definitions.ts';
import type { Limits } from '../limits.ts';
import type { Subscription, Topic } from '../machine/topic.ts';
import type { Definitions } from './definitions.ts';
import type { Routers } from './routers.ts';
import type { Shard } from './shard.ts';

/** What the entry of a topic or router may take, with those of its bindings that go with it. */
const GONE_BYTES = 4096;

/** @throws INVALID */
export function checkName(name: string, what: string, { maxNameBytes }: Limits): void {
  if (typeof name !== 'string' || name.length === 0 || Buffer.byteLength(name) > maxNameBytes || hasControl(name)) {
    throw new RailheadError(
      'INVALID',
      `The ${what} name ${JSON.stringify(name)} cannot be used; allowed are 1 to ${maxNameBytes} bytes of text without control characters.`,
    );
  }
}

function hasControl(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 32 || code === 127) return true;
  }
  return false;
}

/** @throws TOO_LARGE */
export function checkDeclaration(args: Declaration, { maxAttributeBytes }: Limits): Declaration {
  const declaration = declarationOf(args);
  const bytes = Buffer.byteLength(JSON.stringify(declaration.attributes ?? {}));
  if (bytes > maxAttributeBytes) {
    throw new RailheadError(
      'TOO_LARGE',
      `The attributes take ${bytes} bytes; at most ${maxAttributeBytes} are allowed.`,
    );
  }
  return declaration;
}

/** After a start: what was to live only as long as the broker to which it was declared. */
export function dropTransient(shard: Shard, definitions: Definitions, routers: Routers): void {
  const { topics, directory } = shard.state;
  for (const { namespace, name, declaration } of topics.values()) {
    if (declaration.transient !== true) continue;
    shard.beginCommand(GONE_BYTES);
    definitions.deleteTopic(namespace, { name });
  }
  for (const [namespace, named] of directory.routers) {
    for (const { name, declaration } of named.values()) {
      if (declaration.transient !== true) continue;
      shard.beginCommand(GONE_BYTES);
      routers.delete(namespace, { name });
    }
  }
}

// ---- As they are shown ----------------------------------------------------------------------------------------------

export function describe(topic: Topic): TopicDefinition {
  const definition: TopicDefinition = {
    name: topic.name,
    topicId: topic.id,
    kind: topic.kind,
    policy: topic.policy,
    createdAt: topic.createdAt,
    ...topic.declaration,
  };
  const [own] = topic.subscriptions.values();
  if (topic.kind === 'queue' && own !== undefined) definition.subscription = own.policy;
  return definition;
}

export function describeSubscription(subscription: Subscription): SubscriptionDefinition {
  const { topic, name, policy, paused, createdAt } = subscription;
  return { topic: topic.name, subscription: name, policy, paused, createdAt };
}

/** What a declare says otherwise than it is. */
export function differing(have: object, want: object): { name: string; have: string; want: string }[] {
  const differences: { name: string; have: string; want: string }[] = [];
  const before = new Map(Object.entries(have));
  for (const [name, value] of Object.entries(want)) {
    const [a, b] = [JSON.stringify(before.get(name)), JSON.stringify(value)];
    if (a !== b) differences.push({ name, have: a, want: b });
  }
  return differences;
}
