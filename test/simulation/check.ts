import { asBuffer, readRecord, recordEnd } from '../../src/core/records.ts';
import { nextTurn } from '../../src/core/real-time.ts';
import type { DeliveryRun, Session } from '../../src/core/session.ts';
import type { Broker } from '../../src/engine/broker.ts';
import type { Backlog } from '../../src/engine/machine/backlog.ts';
import type { MemoryDisk } from '../../src/storage/memory/memory-disk.ts';
import { textOf } from './drafts.ts';
import { type CopySnapshot, type End, type Snapshot, survives } from './ledger.ts';
import { seeks, type TopicPlan } from './topology.ts';

/** Where a text was found, and how often. */
interface Found {
  origin: number;
  dead: number;
  partition: number;
  offset: number;
  /** Somebody has it: its lease may end with nobody there to be told. */
  leased: boolean;
}

/** What must hold of the counts of a backlog at any time between two commands. */
export function checkBacklog(name: string, backlog: Backlog, fail: (problem: string) => void): void {
  const { pending, leased, delayed, dying, withheld } = backlog;
  const sum = backlog.ready + leased.size + delayed.size + dying.size + withheld.size;
  if (sum !== pending.size)
    fail(
      `${name}: ${backlog.ready} ready + ${leased.size} leased + ${delayed.size} delayed + ${dying.size} dying + ${withheld.size} withheld are not the ${pending.size} pending`,
    );
}

export function checkBacklogs(broker: Broker, fail: (problem: string) => void): void {
  for (const topic of broker.state.topics.values()) {
    for (const subscription of topic.subscriptions.values())
      for (const backlog of subscription.backlogs) checkBacklog(subscription.name, backlog, fail);
  }
}

/** By subscription and text. */
export interface Contents {
  readonly waiting: Map<string, Map<string, Found>>;
  /** What waits for the commit of its transaction. */
  readonly withheld: Map<string, Set<string>>;
}

/** Every message that waits somewhere; all bodies are read. */
async function find(
  broker: Broker,
  session: Session,
  plans: readonly TopicPlan[],
  fail: (problem: string) => void,
): Promise<Contents> {
  const found = new Map<string, Map<string, Found>>();
  const withheld = new Map<string, Set<string>>();
  const bodies = new Map<string, Map<string, string>>();
  for (const plan of plans) {
    for (const { subscription, dead } of plan.feeds) {
      const mine = new Map<string, Found>();
      found.set(subscription, mine);
      const undecided = new Set<string>();
      withheld.set(subscription, undecided);
      for (const [topicName, name, where] of [
        [plan.name, subscription, 'origin'],
        [dead, dead, 'dead'],
      ] as const) {
        const topic = broker.state.topicNamed('default', topicName);
        const own = topic?.subscriptionNamed(name);
        if (topic === undefined || own === undefined) continue;
        let texts = bodies.get(topicName);
        if (texts === undefined)
          bodies.set(topicName, (texts = await readAll(session, topicName, topic.partitions.length)));
        for (const [partition, backlog] of own.backlogs.entries()) {
          checkBacklog(name, backlog, fail);
          for (let at = backlog.pending.first(); at !== undefined; at = backlog.pending.next(at + 1)) {
            const text = texts.get(`${partition}/${at}`);
            if (text === undefined) {
              fail(`${name} waits with a message at ${partition}/${at} that cannot be read`);
              continue;
            }
            if (backlog.withheld.has(at)) {
              undecided.add(text);
              continue;
            }
            const there = mine.get(text) ?? { origin: 0, dead: 0, partition, offset: at, leased: false };
            there[where]++;
            if (where === 'origin') {
              there.partition = partition;
              there.offset = at;
              there.leased = backlog.leased.has(at);
            }
            mine.set(text, there);
          }
        }
      }
    }
  }
  return { waiting: found, withheld };
}

async function readAll(session: Session, topic: string, partitions: number): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  for (let partition = 0; partition < partitions; partition++) {
    let from: { offset: number } | 'start' = 'start';
    for (;;) {
      const { runs, next, end }: { runs: DeliveryRun[]; next: number; end: number } = await session.request('read', {
        topic,
        partition,
        from,
        maxMessages: 10_000,
        isolation: 'uncommitted',
        maxBytes: 1 << 30,
      });
      for (const run of runs) {
        const bytes = asBuffer(run.records);
        let at = 0;
        for (let i = 0; i < run.count; i++, at = recordEnd(bytes, at))
          texts.set(`${partition}/${run.offset + i}`, textOf(readRecord(bytes, at).body));
      }
      if (next >= end) break;
      from = { offset: next };
    }
  }
  return texts;
}

/** Right after a start: each large body that something names has its blob, and no other is left. */
export async function checkBlobs(disk: MemoryDisk, broker: Broker, fail: (problem: string) => void): Promise<void> {
  const isBody = (name: string): boolean => name.startsWith('body-');
  const find = async (): Promise<{ there: Set<string>; strays: string[] }> => {
    const files = (await disk.list()).map(({ name }) => name);
    const there = files.filter((name) => isBody(name) && name.endsWith('.blob')).map((name) => name.slice(0, -5));
    const { counts, empty } = broker.state.blobs;
    return {
      there: new Set(there),
      strays: there.filter((name) => !counts.has(name) && !empty.includes(name)),
    };
  };
  let { there, strays } = await find();
  // What has just expired is on its way out.
  for (let turn = 0; turn < 10 && strays.length > 0; turn++) {
    await nextTurn();
    ({ there, strays } = await find());
  }
  for (const name of strays) fail(`${name} is there and nothing names it`);
  for (const name of broker.state.blobs.counts.keys())
    if (isBody(name) && !there.has(name)) fail(`lost: ${name}, which something names`);
}

export interface CheckOptions {
  /** How the life before this start ended. */
  end: End;
  /** Groups of copies that were asked for together; all or none. */
  ties: readonly {
    acked: readonly { subscription: string; text: string }[];
    sent: readonly { subscription: string; text: string }[];
  }[];
}

/**
 * The broker as it was found after a crash, against what its clients had been told: the total-queue checker at rest.
 * Returns what was found.
 */
export async function checkRecovered(
  broker: Broker,
  session: Session,
  plans: readonly TopicPlan[],
  snapshot: Snapshot,
  options: CheckOptions,
  fail: (problem: string) => void,
): Promise<Contents> {
  // What was dying at the crash is being buried: it is in the one queue or the other, once that is done.
  await broker.settled();
  for (const name of snapshot.topics)
    if (broker.state.topicNamed('default', name) === undefined) fail(`lost: the confirmed declaration of ${name}`);
  for (const [key, offset] of snapshot.cursors) {
    const [topic = '', cursor = ''] = key.split('/');
    const { partitions } = await session.request('fetchCursors', { cursor, topic });
    if ((partitions[0]?.offset ?? -1) < offset) fail(`lost: ${key} was committed at ${offset}`);
  }
  for (const [key, offset] of snapshot.asked) {
    const [topic = '', cursor = ''] = key.split('/');
    if (broker.state.topicNamed('default', topic) === undefined) continue;
    const { partitions } = await session.request('fetchCursors', { cursor, topic });
    const [at] = partitions;
    if (at !== undefined && at.offset > offset)
      fail(`${key} is at ${at.offset}, and nobody has committed more than ${offset}`);
  }
  const contents = await find(broker, session, plans, fail);
  const { waiting: found, withheld } = contents;
  const groups = new Map<number, Map<'present' | 'absent', string>>();
  for (const copy of snapshot.copies) {
    const there = found.get(copy.subscription)?.get(copy.text);
    checkCopy(copy, there, snapshot.now, options, fail);
    const open = withheld.get(copy.subscription)?.has(copy.text) === true;
    if (open && copy.sent === 'never' && survives(copy.level, options.end))
      fail(`lost: the end of the transaction of ${copy.text}, which is refused or aborted`);
    if (copy.group > 0 && !copy.mayBeGone && copy.sent !== 'never' && copy.lastsUntil > snapshot.now) {
      let fates = groups.get(copy.group);
      if (fates === undefined) groups.set(copy.group, (fates = new Map()));
      fates.set(there === undefined ? 'absent' : 'present', `${copy.text} of ${copy.subscription}`);
    }
  }
  for (const fates of groups.values())
    if (fates.size > 1) fail(`half a batch: ${fates.get('present')} is there, ${fates.get('absent')} is not`);
  const known = new Map<string, Set<string>>();
  for (const { subscription, text } of snapshot.copies) {
    let texts = known.get(subscription);
    if (texts === undefined) known.set(subscription, (texts = new Set()));
    texts.add(text);
  }
  for (const [subscription, texts] of [...found, ...withheld])
    for (const text of texts.keys())
      if (known.get(subscription)?.has(text) !== true) fail(`unexpected: ${text} in ${subscription}`);
  checkTies(snapshot, found, options, fail);
  return contents;
}

function checkCopy(
  copy: CopySnapshot,
  found: Found | undefined,
  now: number,
  { end }: CheckOptions,
  fail: (problem: string) => void,
): void {
  const { text, subscription, sent } = copy;
  const name = `${text} of ${subscription}`;
  const binding = survives(copy.level, end);
  if (found === undefined) {
    if (sent === 'sure' && binding && !copy.mayBeGone && copy.lastsUntil > now)
      fail(`lost: ${name} (confirmed at ${copy.partition}/${copy.offset})`);
    return;
  }
  if (sent === 'never') fail(`refused or aborted, yet there: ${name}`);
  if (copy.undecided) fail(`undecided, yet there for consumers: ${name}`);
  const goneForGood = copy.gone === 'durable' || (copy.gone === 'written' && end !== 'cut');
  if (goneForGood && binding && !copy.mayReturn) fail(`settled for good, yet there: ${name}`);
  const times = found.origin + found.dead;
  if (times > 1 && !(seeks(copy) && copy.mayReturn))
    fail(`${times} times there: ${name} (${found.origin} in the queue, ${found.dead} dead)`);
  if (found.dead > 0 && copy.unburied) fail(`dead and kept, though nothing takes it: ${name}`);
  if (found.dead > 0 && !copy.mayBeDead && copy.deliveries === 0) fail(`dead without a delivery: ${name}`);
  const atHome = found.origin === 1 && sent === 'sure' && binding && !copy.mayReturn && !copy.mayBeDead;
  if (atHome && copy.offset !== undefined && (found.offset !== copy.offset || found.partition !== copy.partition))
    fail(`${name} was confirmed at ${copy.partition}/${copy.offset} and is at ${found.partition}/${found.offset}`);
}

function checkTies(
  snapshot: Snapshot,
  found: Map<string, Map<string, Found>>,
  { ties }: CheckOptions,
  fail: (problem: string) => void,
): void {
  if (ties.length === 0) return;
  const copies = new Map(snapshot.copies.map((copy) => [`${copy.subscription} ${copy.text}`, copy]));
  const there = ({ subscription, text }: { subscription: string; text: string }): boolean =>
    found.get(subscription)?.has(text) === true;
  for (const { acked, sent } of ties) {
    const done = sent.find(there);
    if (done === undefined) continue;
    for (const one of acked) {
      const copy = copies.get(`${one.subscription} ${one.text}`);
      if (copy !== undefined && !copy.mayReturn && there(one))
        fail(`half a transaction: ${done.text} was sent, ${one.text} was not acked`);
    }
  }
}
