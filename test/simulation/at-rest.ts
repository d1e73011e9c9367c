import type { AbortedRange } from '../../src/core/open-transactions.ts';
import type { Clock } from '../../src/core/clock.ts';
import type { Broker } from '../../src/engine/broker.ts';
import type { Backlog } from '../../src/engine/machine/backlog.ts';
import type { Topic } from '../../src/engine/machine/topic.ts';
import type { AuditedSubscription, AuditedTopic } from './audited.ts';
import type { Auditor } from './auditor.ts';

/** Some room in the commit log: below this consumers have to wait as well. */
const ENOUGH_ROOM = 1 / 8;
/** Settled messages go in sixteen slices, and somebody looks twenty times in their time. */
const LATEST = 1 + 1 / 16 + 1 / 20;

/**
 * Nothing is under way, and time stands still: what the broker counts is what its entries say, and nothing that could
 * be delivered waits beside somebody who would take it.
 */
export function checkAtRest(broker: Broker, auditor: Auditor, clock: Clock, fail: (problem: string) => void): void {
  const { journalFreeBytes = 0, journalCapacityBytes = 0 } = broker.info().counters;
  const roomy = journalFreeBytes > journalCapacityBytes * ENOUGH_ROOM;
  for (const topic of auditor.topics.values()) {
    const found = broker.state.topicNamed('default', topic.name);
    if (found === undefined) {
      fail(`at rest: ${topic.name} is not there`);
      continue;
    }
    for (const [i, partition] of found.partitions.entries()) {
      const stable = Math.max(auditor.transactions.firstOpen(topic, i) ?? partition.end, partition.start);
      if (partition.stableEnd !== stable)
        fail(`at rest: ${topic.name}/${i} is stable up to ${partition.stableEnd}, its entries say ${stable}`);
    }
    checkAborted(topic, found, fail);
    checkSnapshots(topic, found, clock, fail);
    for (const subscription of topic.subscriptions.values()) {
      const own = found.subscriptionNamed(subscription.name);
      if (own === undefined) {
        fail(`at rest: ${subscription.name} is not there`);
        continue;
      }
      if (own.paused !== subscription.paused)
        fail(`at rest: ${subscription.name} is ${own.paused ? '' : 'not '}paused`);
      checkCounts(subscription, own.backlogs, fail);
      checkRestored(subscription, own.backlogs, fail);
      checkKept(subscription, found, own.backlogs, clock, fail);
      const { consumeRate } = own.policy;
      const deliverable = own.backlogs.some((backlog) => backlog.deliverable && backlog.suspects.size === 0);
      if (deliverable && roomy && !own.paused && consumeRate === null) checkFlow(subscription, auditor, fail);
      for (const backlog of own.backlogs) {
        if (backlog.nextDue() <= clock.now()) fail(`at rest: ${subscription.name} has a delay that is over`);
        if (backlog.nextExpiry() <= clock.now()) fail(`at rest: ${subscription.name} holds what has expired`);
        for (const [offset, { deadline }] of backlog.leases())
          if (deadline <= clock.now()) fail(`at rest: the lease of ${subscription.name} ${offset} is over`);
        if (backlog.dying.size > 0 && roomy) fail(`at rest: ${backlog.dying.size} are dying in ${subscription.name}`);
      }
    }
  }
  auditor.checkSchedules();
  auditor.transactions.checkDeadlines();
  for (const { namespace, name, open } of broker.state.transactions.producers.values())
    if (open !== null && open.deadline <= clock.now())
      fail(`at rest: ${namespace}/${name} is open beyond its deadline`);
}

/** A reader of the log as it lies there is told of each transaction that was aborted, as long as its marker is kept. */
export function checkAborted(topic: AuditedTopic, found: Topic, fail: (problem: string) => void): void {
  for (const [i, { start, end, transactions, removed }] of found.partitions.entries()) {
    const text = ({ producerId, epoch, from, marker }: AbortedRange): string =>
      `${from}-${marker} of ${producerId} with epoch ${epoch}`;
    const own = (transactions?.abortedIn(start, end) ?? []).map(text).join();
    const wanted = topic.aborted.filter(({ partition, marker }) => partition === i && marker >= start);
    const kept = wanted.filter(({ marker }) => removed?.has(marker) !== true);
    const told = kept.map(text).join();
    if (own !== told) fail(`at rest: aborted in ${topic.name}/${i} are ${own}, its entries say ${told}`);
    // Else what was aborted would be read as if it were committed.
    for (const range of wanted)
      if (!kept.includes(range) && range.from >= start && removed?.has(range.from) !== true)
        fail(`at rest: the marker of ${topic.name}/${i} ${text(range)} was compacted away before what it ends`);
  }
}

/** Settled messages are there for as long as they are to stay visible, and not much longer. */
function checkKept(
  { name, kept, keepMs }: AuditedSubscription,
  found: Topic,
  backlogs: readonly Backlog[],
  clock: Clock,
  fail: (problem: string) => void,
): void {
  const now = clock.now();
  for (const [at, { message, since }] of kept) {
    const { text, partition: index, offset } = message;
    const partition = found.partition(index);
    if (since + keepMs > now) {
      if (partition.place(offset) === undefined || partition.removed?.has(offset) === true)
        fail(`at rest: ${name} has lost ${text} at ${at}, which was settled ${now - since} ms ago`);
    } else if (since + keepMs * LATEST < now) {
      if (backlogs[index]?.retained.next(offset) === offset)
        fail(`at rest: ${name} keeps ${text} at ${at}, which was settled ${now - since} ms ago`);
      kept.delete(at);
    }
  }
}

/** What it had not settled is all there until it expires, wherever retention does not go first. */
function checkSnapshots(topic: AuditedTopic, found: Topic, clock: Clock, fail: (problem: string) => void): void {
  for (const [name, snapshot] of topic.snapshots) {
    const own = found.snapshots.get(name);
    if (own === undefined) fail(`at rest: the snapshot ${name} of ${topic.name} is not there`);
    else if (own.expiresAt <= clock.now()) fail(`at rest: the snapshot ${name} of ${topic.name} stays`);
    if (own === undefined || !snapshot.exact) continue;
    for (const message of topic.messages.values()) {
      const { text, partition: index, offset } = message;
      if (!snapshot.has(message)) continue;
      const partition = found.partition(index);
      const there = partition.place(offset) !== undefined && partition.removed?.has(offset) !== true;
      if (own.partitions[index]?.has(offset) !== true || !there)
        fail(`at rest: the snapshot ${name} of ${topic.name} has lost ${text} at ${index}/${offset}`);
    }
  }
}

/** After it was put back to a snapshot: exactly what that had not settled, and what came after, less what was settled. */
function checkRestored(
  { name, exact, exactSet, waiting }: AuditedSubscription,
  backlogs: readonly Backlog[],
  fail: (problem: string) => void,
): void {
  if (exact || !exactSet || backlogs.some(({ fillFrom }) => fillFrom !== null)) return;
  const has = backlogs.flatMap(({ pending }, partition) =>
    [...pending.runs()].flatMap(({ from, to }) =>
      Array.from({ length: to - from }, (_, i) => `${partition}/${from + i}`),
    ),
  );
  const missing = [...waiting.keys()].filter((at) => !has.includes(at));
  const more = has.filter((at) => !waiting.has(at));
  if (missing.length + more.length > 0)
    fail(`at rest: ${name} was put back to a snapshot; missing ${missing.join()}, too much ${more.join()}`);
}

function checkCounts(
  subscription: AuditedSubscription,
  backlogs: readonly {
    ready: number;
    delayed: { size: number };
    leased: { size: number };
    dying: { size: number };
    withheld: { size: number };
    pending: { size: number };
  }[],
  fail: (problem: string) => void,
): void {
  const has = { ready: 0, delayed: 0, leased: 0, withheld: 0, depth: 0 };
  for (const { ready, delayed, leased, dying, withheld, pending } of backlogs) {
    has.ready += ready;
    has.delayed += delayed.size;
    has.leased += leased.size + dying.size;
    has.withheld += withheld.size;
    has.depth += pending.size;
  }
  const { counts } = subscription;
  if (!subscription.exact) return;
  if (JSON.stringify(has) !== JSON.stringify(counts))
    fail(`at rest: ${subscription.name} has ${JSON.stringify(has)}, its entries give ${JSON.stringify(counts)}`);
}

/** Something can be delivered: then everybody who could take it has no credit left. */
function checkFlow(subscription: AuditedSubscription, auditor: Auditor, fail: (problem: string) => void): void {
  const { maxInFlight, singleActive } = subscription.policy;
  if (subscription.suspected) return;
  if (maxInFlight !== null && subscription.leased.size >= maxInFlight) return;
  const consumers = [...auditor.consumers.values()]
    .filter((one) => one.subscription === subscription.name)
    .sort((a, b) => b.priority - a.priority || a.id - b.id);
  const able = singleActive ? consumers.slice(0, 1) : consumers;
  const idle = able.find(({ credit }) => credit > 0);
  if (idle !== undefined)
    fail(`at rest: ${subscription.name} stands still, consumer ${idle.id} has credit ${idle.credit}`);
}
