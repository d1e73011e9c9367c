import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../../src/core/clock.ts';
import {
  DEFAULT_SUBSCRIPTION,
  DEFAULT_TOPIC,
  type Retention,
  type SubscriptionPolicy,
  type TopicPolicy,
} from '../../src/core/policy.ts';
import { FORMAT_NATIVE, RecordBatchWriter } from '../../src/core/records.ts';
import type { MessageHistory } from '../../src/core/session.ts';
import {
  type EndHow,
  type Entry,
  FORMAT_MARKER,
  LEASE_KIND,
  type PublishEntry,
  type SettleEntry,
  type SettleHow,
} from '../../src/engine/entries.ts';
import { EntryWriter } from '../../src/engine/entry-writer.ts';
import { State } from '../../src/engine/machine/state.ts';
import { checkAborted } from './at-rest.ts';
import { Auditor } from './auditor.ts';

const NOW = 1_000_000;
const IDS = { topicId: 1, subscriptionId: 1 };

function records(texts: readonly string[], key?: string): Buffer {
  const writer = new RecordBatchWriter();
  for (const text of texts) writer.append(key === undefined ? {} : { key }, text);
  return Buffer.from(writer.take().bytes);
}

function publish(offset: number, texts: readonly string[], more: Partial<PublishEntry> = {}): Entry {
  const targets = [{ topicId: 1, partition: 0, offset }];
  const body = { format: FORMAT_NATIVE, count: texts.length, publishedAt: NOW, records: records(texts) };
  return { type: 'publish', targets, ...body, ...more };
}

function lease(offset: number, consumer = 7, count = 1): Entry {
  const ranges = [{ partition: 0, offset, count }];
  return { type: 'lease', ...IDS, kind: LEASE_KIND.session, consumer, at: NOW, deadline: NOW + 5000, ranges };
}

function settle(how: SettleHow, offset: number, more: Partial<SettleEntry> = {}): Entry {
  const ranges = [{ partition: 0, offset, count: 1 }];
  return { type: 'settle', ...IDS, how, counted: 0, at: NOW, due: NOW + 1000, ranges, ...more };
}

const NAME = { namespace: 'default', name: 'p' };
const claimed: Entry = { type: 'producer', ...NAME, producerId: 1, epoch: 3, timeoutMs: 1000, at: NOW };
const begun: Entry = { type: 'begun', ...NAME, transaction: 1, at: NOW, deadline: NOW + 1000 };
const opened = [claimed, begun];

function marker(offset: number, how: EndHow, epoch = 3): Entry {
  const records = Buffer.alloc(0);
  return publish(offset, ['marker'], {
    format: FORMAT_MARKER,
    transaction: 1,
    ends: { how, producerId: 1, epoch },
    records,
  });
}

function ended(how: EndHow): Entry {
  return { type: 'ended', ...NAME, transaction: 1, how, at: NOW };
}

function enlisted(what: Partial<Entry & { type: 'enlisted' }>): Entry {
  return { type: 'enlisted', ...NAME, cursors: [], settlements: [], ...what };
}

function retain(retention: Partial<Retention>): Partial<TopicPolicy> {
  return { retain: { untilSettled: false, ageMs: null, bytes: null, compact: false, ...retention } };
}

interface Lie {
  readonly entries: readonly Entry[];
  readonly found: RegExp;
  readonly topic?: Partial<TopicPolicy>;
  readonly subscription?: Partial<SubscriptionPolicy>;
  /** Beside consumer 7, which has priority 0 and credit for one hundred. */
  readonly other?: { priority?: number; exclusive?: boolean };
  /** Then all comes to rest, when it is so late. */
  readonly restsAt?: number;
}

const [a, b] = [publish(0, ['a']), publish(1, ['b'])];
const undecided = publish(0, ['u'], { transaction: 1 });
const keyed = { records: records(['k'], 'k') };
const pit: Entry[] = [
  { type: 'router', namespace: 'default', name: 'pit', routerType: 'direct', alternate: null },
  {
    type: 'bind',
    namespace: 'default',
    router: 'pit',
    binding: { key: 'k', match: null, filter: null, to: { topic: 'pit' } },
  },
];
const dead: MessageHistory = {
  reason: 'rejected',
  topic: 't',
  subscription: 't',
  id: '1.0.0',
  attempts: 1,
  crashes: 0,
  publishedAt: NOW,
  deadAt: NOW,
};
const schedule = { namespace: 'default', name: 's', cron: '* * * * *', timezone: 'UTC', topic: 't' };
const tick: Entry = { type: 'schedule', ...schedule, record: records(['tick']), nextAt: NOW + 1, lastAt: null };

/** What the engine must never write, each once: an auditor that takes it without a word looks at nothing. */
const LIES: Readonly<Record<string, Lie>> = {
  'a lease while paused': {
    entries: [a, { type: 'paused', ...IDS, paused: true }, lease(0)],
    found: /while it is paused/,
  },
  'a second lease for one message': { entries: [a, lease(0), lease(0)], found: /which is leased/ },
  'a lease of what was acked': { entries: [a, lease(0), settle('ack', 0), lease(0)], found: /where nothing waits/ },
  'a lease of what is delayed': { entries: [a, settle('delayed', 0), lease(0)], found: /which is delayed/ },
  'a lease of what has expired': {
    entries: [publish(0, ['a'], { expires: Float64Array.of(NOW) }), lease(0)],
    found: /which has expired/,
  },
  'two of one key': {
    entries: [publish(0, ['a', 'b'], { records: records(['a', 'b'], 'k') }), lease(0), lease(1)],
    subscription: { order: 'key' },
    found: /same key/,
  },
  'two at once in strict order': {
    entries: [a, b, lease(0), lease(1)],
    subscription: { order: 'strict' },
    found: /same key/,
  },
  'more in flight than allowed': {
    entries: [a, b, lease(0), lease(1)],
    subscription: { maxInFlight: 1 },
    found: /2 in flight of 1/,
  },
  'more than the consume rate': {
    entries: [publish(0, ['a', 'b', 'c']), lease(0, 7, 3)],
    subscription: { consumeRate: { count: 2, perMs: 1000 } },
    found: /consumeRate/,
  },
  'more than the publish rate': {
    entries: [publish(0, ['a'], { publishedAt: NOW - 1 }), b],
    topic: { publishRate: { count: 1, perMs: 1000 } },
    found: /publishRate/,
  },
  'more than the queue may hold': { entries: [a, b], topic: { maxMessages: 1 }, found: /holds 2 of 1/ },
  'a dedupe id twice': {
    entries: [publish(0, ['a'], { dedupeIds: ['d'] }), publish(1, ['b'], { dedupeIds: ['d'] })],
    found: /dedupe id d twice/,
  },
  'an offset twice': { entries: [a, publish(0, ['b'])], found: /its end is 1/ },
  'a lease for a consumer that is not there': { entries: [a, lease(0, 9)], found: /nobody opened/ },
  'a lease beside an exclusive consumer': { entries: [a, lease(0)], other: { exclusive: true }, found: /exclusive/ },
  'a lease for the second of a single active': {
    entries: [a, lease(0, 8)],
    subscription: { singleActive: true },
    other: {},
    found: /7 is the active one/,
  },
  'a lease for the lower priority': { entries: [a, lease(0)], other: { priority: 1 }, found: /priority 1 has credit/ },
  'an ack of what nobody has': { entries: [a, settle('ack', 0)], found: /though it is ready/ },
  'an expiry before its time': { entries: [a, settle('gone', 0, { reason: 'expired' })], found: /before it expires/ },
  'a purge of what somebody has': {
    entries: [a, lease(0), settle('gone', 0, { reason: 'purged' })],
    found: /while somebody has it/,
  },
  'a burial without a dead letter': { entries: [a, settle('dying', 0), settle('buried', 0)], found: /stored nowhere/ },
  'a return of what is dying': { entries: [a, settle('dying', 0), settle('ready', 0)], found: /though it is dying/ },
  'a compaction of the newest': {
    entries: [
      publish(0, ['a'], { records: records(['a'], 'k') }),
      { type: 'compacted', topicId: 1, partition: 0, ranges: [[0, 1]] },
    ],
    found: /newest of k/,
  },
  'a compaction for the sake of what is too young': {
    entries: [
      publish(0, ['k'], keyed),
      publish(1, ['k'], keyed),
      { type: 'compacted', topicId: 1, partition: 0, ranges: [[0, 1]] },
    ],
    topic: retain({ compact: true, compactLagMs: 1 }),
    found: /newest of k/,
  },
  'a removal that goes before its time': {
    entries: [
      publish(0, [''], { records: records([''], 'k') }),
      { type: 'compacted', topicId: 1, partition: 0, ranges: [[0, 1]] },
    ],
    topic: retain({ compact: true, deleteRetentionMs: 1 }),
    found: /newest of k/,
  },
  'retention before its age': {
    entries: [a, { type: 'trim', topicId: 1, partition: 0, start: 1 }],
    topic: retain({ ageMs: 10 }),
    found: /0 ms old/,
  },
  'a schedule before its time': {
    entries: [tick, publish(0, ['tick']), { ...tick, nextAt: NOW + 2, lastAt: NOW }],
    found: /fires before/,
  },
  'a schedule that sends nothing': {
    entries: [
      { ...tick, nextAt: NOW },
      { ...tick, nextAt: NOW + 2, lastAt: NOW },
    ],
    found: /sends nothing/,
  },
  'a lease of what is undecided': { entries: [...opened, undecided, lease(0)], found: /which is withheld/ },
  'a lease of what was aborted': {
    entries: [...opened, undecided, marker(1, 'aborted'), ended('aborted'), lease(0)],
    found: /where nothing waits/,
  },
  'a burial of what is undecided': {
    entries: [...opened, undecided, settle('dying', 0)],
    found: /though its transaction is open/,
  },
  'an end that leaves a partition out': {
    entries: [...opened, undecided, ended('committed')],
    found: /committed and undecided in t\/0/,
  },
  'an end that is half a commit': {
    entries: [...opened, undecided, marker(1, 'aborted'), ended('committed')],
    found: /committed and aborted in t\/0/,
  },
  'an end under an older epoch': {
    entries: [...opened, undecided, marker(1, 'committed', 2), ended('committed')],
    found: /epoch 2, while 3 owns it/,
  },
  'an end without its cursor': {
    entries: [
      ...opened,
      enlisted({ cursors: [{ cursor: 'c', topicId: 1, partition: 0, offset: 5, metadata: '' }] }),
      ended('committed'),
    ],
    found: /without its cursor c/,
  },
  'an end without its acks': {
    entries: [
      a,
      lease(0),
      ...opened,
      enlisted({
        settlements: [
          { topic: 't', subscription: 't', action: 'ack', ranges: [{ partition: 0, offset: 0, count: 1, token: 1 }] },
        ],
      }),
      ended('committed'),
    ],
    found: /without its ack of t 0/,
  },
  'an end before its deadline': { entries: [...opened, ended('expired')], found: /expired before/ },
  'a transaction that is open beyond its deadline': {
    entries: opened,
    restsAt: NOW + 1000,
    found: /transaction 1 is open beyond/,
  },
  'a schedule that is due and rests': { entries: [{ ...tick, nextAt: NOW + 60 }], restsAt: NOW + 80, found: /was due/ },
  'a settled message that is forgotten too early': {
    entries: [a, lease(0), settle('ack', 0), { type: 'forgotten', ...IDS, before: NOW }],
    topic: retain({ untilSettled: true }),
    subscription: { retainSettledMs: 100 },
    found: /forgets a, settled 0 ms ago/,
  },
  'a dropped dead letter that a binding takes': {
    entries: [...pit, publish(0, ['k'], keyed), settle('dying', 0), settle('buried', 0)],
    subscription: { deadLetter: { router: 'pit', key: null, unrouted: 'drop' } },
    found: /stored nowhere/,
  },
  'a dead letter that nothing takes, and that is stored': {
    entries: [
      ...pit,
      a,
      settle('dying', 0),
      publish(0, ['a'], { history: dead, targets: [{ topicId: 2, partition: 0, offset: 0 }] }),
      settle('buried', 0),
    ],
    subscription: { deadLetter: { router: 'pit', key: null, unrouted: 'drop' } },
    found: /though nothing takes it/,
  },
  'a second end': { entries: [...opened, ended('aborted'), ended('committed')], found: /ends and is not open/ },
  'a publish after the end': { entries: [...opened, ended('aborted'), undecided], found: /which is not open/ },
  'a publish behind the marker': {
    entries: [...opened, undecided, marker(1, 'committed'), publish(2, ['v'], { transaction: 1 }), ended('committed')],
    found: /behind the marker/,
  },
  'a claim that leaves something open': {
    entries: [...opened, { ...claimed, epoch: 4 }],
    found: /claimed while its transaction is open/,
  },
  'a claim without a new epoch': { entries: [claimed, claimed], found: /epoch 3 after 3/ },
  'a second begin': { entries: [...opened, { ...begun, transaction: 2 }], found: /begins while/ },
  'a dedupe id that a commit has taken': {
    entries: [
      ...opened,
      publish(0, ['u'], { transaction: 1, dedupeIds: ['d'] }),
      marker(1, 'committed'),
      ended('committed'),
      publish(2, ['b'], { dedupeIds: ['d'] }),
    ],
    found: /dedupe id d twice/,
  },
  'a return to a snapshot that is not there': {
    entries: [{ type: 'restored', ...IDS, snapshot: 's' }],
    found: /no snapshot s/,
  },
  'a lease of what a snapshot did not hold': {
    entries: [
      a,
      b,
      lease(0),
      settle('ack', 0),
      { type: 'snapshot', ...IDS, name: 's', at: NOW, expiresAt: NOW + 9 },
      { type: 'restored', ...IDS, snapshot: 's' },
      lease(1),
      lease(0),
    ],
    found: /at 0\/0, where nothing waits/,
  },
  'a compaction for the sake of what is undecided': {
    entries: [
      ...opened,
      publish(0, ['k'], keyed),
      publish(1, ['k'], { ...keyed, transaction: 1 }),
      { type: 'compacted', topicId: 1, partition: 0, ranges: [[0, 1]] },
    ],
    found: /newest of k/,
  },
};

function audit({ entries, topic, subscription, other, restsAt }: Lie): string[] {
  const problems: string[] = [];
  const clock = new ManualClock(NOW);
  const auditor = new Auditor(clock, (problem) => problems.push(problem));
  const writer = new EntryWriter(1 << 16);
  const at = { namespace: 'default', at: NOW };
  const policy = { ...DEFAULT_TOPIC, ...topic };
  writer.append({ type: 'topic', topicId: 1, name: 't', kind: 'queue', policy, ...at });
  const own = { ...DEFAULT_SUBSCRIPTION, ...subscription };
  writer.append({ type: 'subscription', ...IDS, name: 't', policy: own, at: NOW, start: [0] });
  const base = { subscription: 't', priority: 0, exclusive: false, credit: 100 };
  auditor.consumers.set(7, { id: 7, ...base });
  if (other !== undefined) auditor.consumers.set(8, { id: 8, ...base, ...other });
  for (const entry of entries) writer.append(entry);
  auditor.note(writer.take());
  if (restsAt !== undefined) {
    clock.moveTo(restsAt);
    auditor.transactions.checkDeadlines();
    auditor.checkSchedules();
  }
  return problems;
}

describe('the auditor of the simulation', () => {
  for (const [name, lie] of Object.entries(LIES)) {
    test(`notices ${name}`, () => {
      const problems = audit(lie);
      assert.equal(problems.length, 1, problems.join('\n'));
      assert.match(problems[0] ?? '', lie.found);
    });
  }

  test('notices an aborted transaction that the broker has forgotten', () => {
    const entries = [...opened, undecided, marker(1, 'aborted'), ended('aborted')];
    const found = (lie: readonly Entry[]): string[] => {
      const auditor = new Auditor(new ManualClock(NOW), (problem) => assert.fail(problem));
      const state = new State();
      const note = (told: readonly Entry[], apply: (entry: Entry, at: number) => void): void => {
        const policy = { ...DEFAULT_TOPIC, ...retain({ ageMs: 1000 }) };
        const topic: Entry = {
          type: 'topic',
          topicId: 1,
          namespace: 'default',
          name: 't',
          kind: 'topic',
          policy,
          at: NOW,
        };
        [topic, ...told].forEach((entry, i) => apply(entry, i));
      };
      const writer = new EntryWriter(1 << 16);
      note(entries, (entry) => void writer.append(entry));
      auditor.note(writer.take());
      note(lie, (entry, i) => state.apply(entry, i + 1, i + 1, 1));
      const [audited] = auditor.topics.values();
      const topic = state.topicNamed('default', 't');
      assert.ok(audited !== undefined && topic !== undefined);
      const problems: string[] = [];
      checkAborted(audited, topic, (problem) => problems.push(problem));
      return problems;
    };
    assert.deepEqual(found(entries), []);
    assert.match(
      found([...opened, undecided, marker(1, 'committed'), ended('committed')]).join(),
      /aborted in t\/0 are , its entries say 0-1/,
    );
  });

  test('has nothing to say about what is right', () => {
    assert.deepEqual(
      audit({ entries: [a, b, lease(0), settle('ack', 0), lease(1), settle('ready', 1), lease(1)], found: /$/ }),
      [],
    );
  });

  test('has nothing to say about transactions that commit or abort', () => {
    const first = [
      ...opened,
      publish(0, ['u'], { transaction: 1, dedupeIds: ['d'] }),
      marker(1, 'aborted'),
      ended('aborted'),
    ];
    const again = { transaction: 2, dedupeIds: ['d'] };
    const commit = publish(3, ['marker'], {
      format: FORMAT_MARKER,
      transaction: 2,
      ends: { how: 'committed', producerId: 1, epoch: 3 },
      records: Buffer.alloc(0),
    });
    const second: Entry[] = [
      { ...begun, transaction: 2 },
      publish(2, ['v'], again),
      commit,
      { type: 'ended', ...NAME, transaction: 2, how: 'committed', at: NOW },
    ];
    assert.deepEqual(audit({ entries: [...first, ...second, lease(2), settle('ack', 2)], found: /$/ }), []);
  });
});
