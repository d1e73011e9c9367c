import type { DeliveryRun } from '../../core/session.ts';
import type { OffsetRange } from '../entries.ts';
import type { Topic } from '../machine/topic.ts';
import type { Bodies, BodyRun } from './bodies.ts';
import { type ChosenRange, countOf } from './choice.ts';
import type { Consumers } from './consumers.ts';
import { deliveryRun } from './delivery-run.ts';
import type { ConsumerState } from './feeds.ts';
import type { Outgoing } from './outbox.ts';
import type { Returns } from './returns.ts';
import type { Shard } from './shard.ts';

/** What a consumer was given, as its lease entry says. */
export interface Leased {
  consumer: ConsumerState;
  topic: Topic;
  token: number;
  deadline: number;
  sequence: number;
  ranges: ChosenRange[];
}

/** Takes what was leased to its consumer: loads the bodies, and lets each delivery leave when the gate opens for it. */
export class Sender {
  readonly #shard: Shard;
  readonly #bodies: Bodies;
  readonly #returns: Returns;
  readonly #consumers: Consumers;

  constructor(shard: Shard, bodies: Bodies, returns: Returns, consumers: Consumers) {
    this.#shard = shard;
    this.#bodies = bodies;
    this.#returns = returns;
    this.#consumers = consumers;
  }

  send({ consumer, topic, token, deadline, sequence, ranges }: Leased): void {
    const outgoing = consumer.outbox.push(token, ranges, consumer.request.autoAck === true ? Infinity : deadline);
    const autoAck = consumer.request.autoAck === true;
    // Where the message is settled by its delivery, its body may be gone before somebody asks for it.
    const apart = consumer.request.bodies === 'apart' && !autoAck;
    const loads = ranges.map(({ partition, offset, count }) =>
      apart
        ? this.#bodies.load(topic, partition, offset, offset + count)
        : this.#bodies.loadWhole(topic, partition, offset, offset + count),
    );
    const finish = (loaded: BodyRun[][]): void => {
      const runs: DeliveryRun[] = [];
      loaded.forEach((bodies, i) => {
        for (const body of bodies)
          runs.push(
            deliveryRun(
              topic,
              ranges[i]?.partition ?? 0,
              token,
              ranges[i] ?? { attempt: 1, returned: 0, firstDeliveredAt: undefined },
              autoAck ? 0 : deadline,
              this.#bodies.readable(body, consumer.request.formats),
            ),
          );
      });
      // Settled only now that it can be delivered: what is settled may be gone before it is read.
      if (autoAck && !this.#ackAll(consumer, token, ranges)) {
        runs.length = 0;
        this.#consumers.addCredit(consumer, countOf(ranges));
      }
      if (autoAck) this.#openAt(consumer, outgoing, this.#shard.sequence);
      consumer.outbox.fill(outgoing, runs);
      this.#drain(consumer);
    };
    // A first delivery of what is safe already need not wait for its lease: if that is lost, it is delivered once more.
    // Where order is promised, what it follows must be settled for good, else a crash would bring that back after it.
    const { order, singleActive } = consumer.subscription.policy;
    const ordered = order === 'key' || order === 'strict' || singleActive || consumer.request.exclusive === true;
    const free = !ordered && ranges.every((range) => range.attempt === 1 && this.#isSynced(topic, range));
    if (!autoAck) this.#openAt(consumer, outgoing, free ? 0 : sequence);
    const inMemory = loads.flatMap((load) => (load instanceof Promise ? [] : [load]));
    if (inMemory.length === loads.length) finish(inMemory);
    else {
      Promise.all(loads.map((load) => Promise.resolve(load))).then(finish, (error: unknown) => this.#shard.fail(error));
    }
  }

  /** What came too late to be delivered does not take credit. */
  #drain(consumer: ConsumerState): void {
    const late = consumer.outbox.drain(this.#shard.clock.now());
    if (late > 0) this.#consumers.addCredit(consumer, late);
    if (consumer.drained && consumer.outbox.empty) this.endFetch(consumer);
  }

  /** Lets a delivery leave once `sequence` is durable, and not before those that came before it. */
  #openAt(consumer: ConsumerState, outgoing: Outgoing, sequence: number): void {
    const needed = Math.max(sequence, consumer.outbox.empty ? 0 : consumer.heldUntil);
    consumer.heldUntil = needed;
    const release = (): void => {
      outgoing.open = true;
      this.#drain(consumer);
    };
    const { durability } = consumer.subscription.topic.policy;
    this.#shard.gate.holdApart({ sequence: needed, release, fail: () => {} }, durability);
  }

  /** Settles a delivery to a consumer that acks by receiving. False when it does not hold the messages any more. */
  #ackAll(consumer: ConsumerState, token: number, ranges: OffsetRange[]): boolean {
    const { subscription } = consumer;
    if (consumer.closed || this.#shard.stopped()) return false;
    for (const { partition, offset, count } of ranges) {
      const backlog = subscription.backlogs[partition];
      for (let at = offset; at < offset + count; at++) if (backlog?.leaseOf(at)?.token !== token) return false;
    }
    this.#returns.ack(subscription, ranges);
    return true;
  }

  #isSynced(topic: Topic, range: OffsetRange): boolean {
    const partition = topic.partition(range.partition);
    // What was published long ago may have been committed only now.
    if (partition.decidedAt > this.#shard.gate.synced) return false;
    const place = partition.place(range.offset + range.count - 1);
    return (
      place === undefined ||
      place.kind === 'cold' ||
      (place.position >= 0 && place.position < this.#shard.syncedPosition)
    );
  }

  /** It has all that there was. That there is no more depends on what others have just been given. */
  endFetch(consumer: ConsumerState): void {
    const end = (): void => {
      if (consumer.closed) return;
      this.#consumers.remove(consumer, 'keep');
      consumer.sink.ended('Nothing more is ready.');
    };
    const { durability } = consumer.subscription.topic.policy;
    this.#shard.gate.hold({ sequence: this.#shard.sequence, release: end, fail: () => {} }, durability);
  }
}
