import type { Command } from 'commander';
import type { SubscriptionRef } from '../core/session.ts';
import { brokerOptions, type BrokerOptions } from './broker.ts';

export interface SubscriptionOptions extends BrokerOptions {
  subscription?: string;
}

/** For verbs that are about a queue, or about a subscription of a topic. */
export function subscriptionOptions(command: Command): Command {
  command.argument('<name>', 'the queue, or the topic of the subscription');
  command.option('-s, --subscription <NAME>', 'the subscription of that topic');
  return brokerOptions(command);
}

/** A queue is a topic with a subscription of the same name. */
export function refOf(name: string, options: SubscriptionOptions): SubscriptionRef {
  return { topic: name, subscription: options.subscription ?? name };
}
