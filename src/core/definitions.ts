import type { Attributes, Declaration, RouterDeclaration, RouterDeclare } from './declaration.ts';
import type { Binding, SubscriptionPolicy, TopicPolicy } from './policy.ts';
import type { Headers } from './records.ts';
import type { StartAt, SubscriptionRef } from './session.ts';

/**
 * What a declare does when the thing exists with another policy. Structural differences are always an error, and fewer
 * partitions are unless what is there is kept. `update` also puts the attributes that come with it in the place of the
 * old ones.
 */
export type IfDifferent = 'error' | 'update' | 'keep';

export interface TopicDefinition extends Declaration {
  name: string;
  topicId: number;
  kind: 'queue' | 'topic';
  policy: TopicPolicy;
  /** Of a queue: its one subscription. */
  subscription?: SubscriptionPolicy;
  createdAt: number;
}

export interface SubscriptionDefinition extends SubscriptionRef {
  policy: SubscriptionPolicy;
  paused: boolean;
  createdAt: number;
}

export interface RouterDefinition extends RouterDeclaration {
  alternate: string | null;
  bindings: BindingDefinition[];
}

export interface RouteTrace {
  /** The topics and queues that it would reach. */
  topics: string[];
  /** Named by a binding, and not there. */
  missing: string[];
  /** The routers that it would go through, the first one first. */
  routers: string[];
}

export interface BindingDefinition extends Binding {
  to: { topic: string } | { router: string };
  /** Part of what tells two bindings apart, as all of it is. */
  attributes?: Attributes;
}

/** What there is, declared, described and deleted: a part of the session port. Of a session, as all `Operations`. */
export interface DefinitionOperations {
  declareTopic: {
    args: Declaration & {
      name: string;
      kind: 'queue' | 'topic';
      policy?: Partial<TopicPolicy>;
      subscription?: Partial<SubscriptionPolicy>;
      ifDifferent?: IfDifferent;
    };
    result: { created: boolean; updated: boolean; definition: TopicDefinition };
  };
  declareSubscription: {
    args: SubscriptionRef & { policy?: Partial<SubscriptionPolicy>; from?: StartAt; ifDifferent?: IfDifferent };
    result: { created: boolean; updated: boolean; definition: SubscriptionDefinition };
  };
  declareRouter: { args: RouterDeclare; result: { created: boolean; updated: boolean } };
  bind: { args: { router: string; binding: BindingDefinition }; result: { created: boolean } };
  unbind: { args: { router: string; binding: BindingDefinition }; result: { removed: boolean } };
  deleteTopic: {
    args: { name: string; ifEmpty?: boolean; ifUnused?: boolean };
    result: { deleted: boolean; messages: number };
  };
  deleteSubscription: { args: SubscriptionRef; result: { deleted: boolean } };
  deleteRouter: { args: { name: string; ifUnused?: boolean }; result: { deleted: boolean } };
  describeTopic: { args: { name: string }; result: TopicDefinition & { subscriptions: SubscriptionDefinition[] } };
  describeRouter: { args: { name: string }; result: RouterDefinition };
  /** Where a message would go that is published to a router now, by what routers look at. Nothing is published. */
  traceRoute: {
    args: { router: string; key: string; headers?: Headers; messageKey?: string; contentType?: string };
    result: RouteTrace;
  };
  listTopics: {
    args: { prefix?: string; after?: string; limit?: number };
    result: { topics: TopicDefinition[]; next: string | null };
  };
  listRouters: { args: Record<string, never>; result: { routers: RouterDefinition[] } };
}
