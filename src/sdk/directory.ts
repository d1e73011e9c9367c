import { RailheadError } from '../core/errors.ts';
import type { Operations } from '../core/session.ts';
import { BodyType } from './body.ts';
import type { Client } from './client.ts';
import { DeadLetters, DeadSource } from './dead-letters.ts';
import { checkName } from './define.ts';
import type { QueueDefinition, TopicDefinition } from './define.ts';
import { factsOf } from './feed.ts';
import type { Source, SubscriptionFacts } from './feed.ts';
import { Once } from './once.ts';
import type { Host, QueueLike, TopicLike } from './host.ts';
import { Queue } from './queue.ts';
import { isNotFound } from './subscription.ts';
import { Target } from './target.ts';
import { Topic } from './topic.ts';
import type { TopicFacts } from './topic.ts';

type Described = Operations['describeTopic']['result'];

/** Makes handles, and remembers what was declared, so that each definition is declared once. */
export class Directory implements Host {
  readonly #client: Client;
  readonly #queues = new WeakMap<object, Once<SubscriptionFacts>>();
  readonly #topics = new WeakMap<object, Once<TopicFacts>>();
  readonly #named = new Map<string, Once<Described>>();

  constructor(client: Client) {
    this.#client = client;
  }

  queue<In, Out>(name: string, type: BodyType<In, Out>, declared: Once<SubscriptionFacts>): Queue<In, Out> {
    const client = this.#client;
    const ref = { topic: name, subscription: name };
    const source = { client, ref, type, settler: client.settler(ref), declared };
    return new Queue(this.#target(name, type, declared), source, this);
  }

  topic<In, Out>(name: string, type: BodyType<In, Out>, declared: Once<TopicFacts>): Topic<In, Out> {
    return new Topic(this.#client, this.#target(name, type, declared), type, declared, this);
  }

  queueTarget<In>(queue: QueueLike<In>): Target<In> {
    if (queue instanceof Queue) return Queue.targetOf(queue);
    if (typeof queue === 'string')
      return this.#target(queue, new BodyType<In, unknown>(queue), this.existingQueue(queue));
    return this.#target(queue.name, queue.body, this.declaredQueue(queue));
  }

  topicTarget<In>(topic: TopicLike<In>): Target<In> {
    if (topic instanceof Topic) return Topic.targetOf(topic);
    if (typeof topic === 'string')
      return this.#target(topic, new BodyType<In, unknown>(topic), this.existingTopic(topic));
    return this.#target(topic.name, topic.body, this.declaredTopic(topic));
  }

  /** Where either may be named; a string is whatever is there. */
  anyTarget<In>(to: QueueLike<In> | TopicLike<In>): Target<In> {
    if (typeof to === 'string') return this.#target(to, new BodyType<In, unknown>(to), this.#described(to));
    if (to instanceof Queue || (!(to instanceof Topic) && to.kind === 'queue')) return this.queueTarget(to);
    return this.topicTarget(to);
  }

  deadLetters(source: Source<unknown>): DeadLetters {
    return new DeadLetters(new DeadSource(source), this);
  }

  declaredQueue(definition: Pick<QueueDefinition, 'name' | 'policy' | 'subscription'>): Once<SubscriptionFacts> {
    return remembered(this.#queues, definition, async () => {
      const { name, policy, subscription } = definition;
      const answer = await this.#client.request('declareTopic', {
        name,
        kind: 'queue',
        policy,
        subscription,
        ifDifferent: this.#client.definitions,
      });
      return factsOf(name, answer.definition.subscription);
    });
  }

  declaredTopic(definition: Pick<TopicDefinition, 'name' | 'policy'>): Once<TopicFacts> {
    return remembered(this.#topics, definition, async () => {
      const { name, policy } = definition;
      const answer = await this.#client.request('declareTopic', {
        name,
        kind: 'topic',
        policy,
        ifDifferent: this.#client.definitions,
      });
      return { partitions: answer.definition.policy.partitions };
    });
  }

  existingQueue(name: string): Once<SubscriptionFacts> {
    checkName('queue', name);
    return new Once(async () => {
      const described = await this.#described(name).get();
      if (described.kind === 'queue') return factsOf(name, described.subscription);
      throw new RailheadError(
        'INVALID',
        `${JSON.stringify(name)} is a topic, not a queue. Use rail.topic(${JSON.stringify(name)}), and a subscription of it to consume.`,
      );
    });
  }

  existingTopic(name: string): Once<TopicFacts> {
    checkName('topic', name);
    return new Once(async () => {
      const described = await this.#described(name).get();
      if (described.kind === 'topic') return { partitions: described.policy.partitions };
      throw new RailheadError(
        'INVALID',
        `${JSON.stringify(name)} is a queue, not a topic. Use rail.queue(${JSON.stringify(name)}).`,
      );
    });
  }

  #target<In>(name: string, type: BodyType<In, unknown>, declared: Once<unknown>): Target<In> {
    return new Target(name, type, declared, this.#client.producer('topic', name));
  }

  #described(name: string): Once<Described> {
    let described = this.#named.get(name);
    if (described === undefined) {
      described = new Once(async () => {
        try {
          return await this.#client.request('describeTopic', { name });
        } catch (error) {
          if (!isNotFound(error)) throw error;
          const quoted = JSON.stringify(name);
          throw new RailheadError(
            'NOT_FOUND',
            `There is no queue or topic ${quoted}. Declare it: pass defineQueue(${quoted}, { … }) instead of the name, or run "railhead declare ${name}".`,
            { cause: error },
          );
        }
      });
      this.#named.set(name, described);
    }
    return described;
  }
}

function remembered<T>(known: WeakMap<object, Once<T>>, definition: object, declare: () => Promise<T>): Once<T> {
  let declared = known.get(definition);
  if (declared === undefined) {
    declared = new Once(declare);
    known.set(definition, declared);
  }
  return declared;
}
