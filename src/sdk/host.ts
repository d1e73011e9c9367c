import type { DeadLetters } from './dead-letters.ts';
import type { QueueDefinition, TopicDefinition } from './define.ts';
import type { Source } from './feed.ts';
import type { Queue } from './queue.ts';
import type { Target } from './target.ts';
import type { Topic } from './topic.ts';

/** Names a queue: its definition, a handle, or the name of one that is there. */
export type QueueLike<In> = QueueDefinition<In, unknown> | Queue<In, unknown> | string;
/** Names a topic: its definition, a handle, or the name of one that is there. */
export type TopicLike<In> = TopicDefinition<In, unknown> | Topic<In, unknown> | string;

/** What handles ask of the rail they belong to. */
export interface Host {
  queueTarget<In>(queue: QueueLike<In>): Target<In>;
  topicTarget<In>(topic: TopicLike<In>): Target<In>;
  deadLetters(source: Source<unknown>): DeadLetters;
}
