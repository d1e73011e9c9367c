import assert from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import { ManualClock } from '../../src/core/clock.ts';
import { SeededRandom } from '../../src/core/random.ts';
import { ERROR } from '../../src/gateways/kafka/errors.ts';
import { NO_UUID } from '../../src/gateways/kafka/fields.ts';
import { writeBatch } from '../../src/gateways/kafka/record-batch.ts';
import { attach, inProcess } from './in-process.ts';
import { RawPeer } from './raw-peer.ts';
import { recordsOf } from './reading.ts';

const [GROUP, TOPIC] = ['g', 't'];
const DEAD_LETTERS = `${TOPIC}.${GROUP}.dead`;
const PARTITIONS = 2;
const MOST_MEMBERS = 4;
const LOCK_MS = 10_000;
const SESSION_MS = 45_000;
const MOST_DELIVERIES = 4;
const GROUP_RESOURCE = 32;
const [JOIN, LEAVE] = [0, -1];
const [FIRST, LAST] = [0, -1];
const [ACCEPT, RELEASE, REJECT, RENEW] = [1, 2, 3, 4] as const;
const VERDICTS = [ACCEPT, ACCEPT, ACCEPT, RELEASE, REJECT, RENEW] as const;
type Verdict = (typeof VERDICTS)[number];

export interface ShareModelReport {
  beats: number;
  published: number;
  delivered: number;
  again: number;
  accepted: number;
  rejected: number;
  renewed: number;
  /** Connections that were gone when the answer came: to a fetch, to an acknowledgement, to a heartbeat. */
  lostFetches: number;
  lostAcknowledgements: number;
  lostBeats: number;
  /** What came too late for a record that others may have by now. */
  tooLate: number;
  dead: number;
}

export const NOTHING_SHARED: ShareModelReport = {
  beats: 0,
  published: 0,
  delivered: 0,
  again: 0,
  accepted: 0,
  rejected: 0,
  renewed: 0,
  lostFetches: 0,
  lostAcknowledgements: 0,
  lostBeats: 0,
  tooLate: 0,
  dead: 0,
};

/** A process that takes records, as it knows itself: `held` is what it works on, by place, and until when it may. */
interface Member {
  readonly id: string;
  /** Of heartbeats, and of records: as clients do, over two connections. */
  coordinator: RawPeer;
  reader: RawPeer;
  epoch: number;
  heardAt: number;
  session: number;
  readonly held: Map<string, number>;
}

/** What is known of one record. */
interface Fate {
  readonly value: string;
  deliveries: number;
  /** `done` and `rejected`: the broker said so. `perhaps`: it was asked, and its answer was lost. */
  outcome: 'open' | 'done' | 'rejected';
  perhaps: Set<Verdict>;
}

/**
 * A share group over the wire: members come and go, take records and say what becomes of them, answers are lost with their
 * connection after the broker has decided, locks expire. Whatever happens: no record is with two members, none comes again
 * once it is done, a delivery counts once, and in the end each record is done or a dead letter, and none is both.
 */
export async function runShareModel(seed: number, steps: number): Promise<ShareModelReport> {
  const clock = new ManualClock();
  const bugs: unknown[] = [];
  const at = await inProcess(clock, (error) => bugs.push(error));
  const model = new ShareModel(seed, clock, () => RawPeer.over(attach(at.gateway, clock)));
  try {
    await model.start();
    for (let step = 1; step <= steps; step++) await model.step();
    await model.settle();
    assert.deepEqual(bugs, []);
    return model.report;
  } finally {
    model.close();
    await at.close();
  }
}

class ShareModel {
  readonly report: ShareModelReport = { ...NOTHING_SHARED };
  readonly #random: SeededRandom;
  readonly #clock: ManualClock;
  readonly #dial: () => RawPeer;
  readonly #admin: RawPeer;
  #members: Member[] = [];
  #born = 0;
  #topicId = '';
  readonly #fates = new Map<string, Fate>();

  constructor(seed: number, clock: ManualClock, dial: () => RawPeer) {
    this.#random = new SeededRandom(seed);
    this.#clock = clock;
    this.#dial = dial;
    this.#admin = dial();
  }

  async start(): Promise<void> {
    const shape = { name: TOPIC, numPartitions: PARTITIONS, replicationFactor: 1, assignments: [], configs: [] };
    const made = await this.#admin.ask('createTopics', 7, { topics: [shape] });
    this.#topicId = made?.topics[0]?.topicId ?? '';
    const configs = Object.entries({
      'share.auto.offset.reset': 'earliest',
      'share.record.lock.duration.ms': String(LOCK_MS),
      'share.delivery.count.limit': String(MOST_DELIVERIES),
    }).map(([name, value]) => ({ name, value, configOperation: 0 }));
    const resources = [{ resourceType: GROUP_RESOURCE, resourceName: GROUP, configs }];
    const set = await this.#admin.ask('incrementalAlterConfigs', 1, { resources, validateOnly: false });
    assert.equal(set?.responses[0]?.errorCode, ERROR.NONE);
  }

  async step(): Promise<void> {
    const random = this.#random;
    const one = this.#members.length === 0 ? undefined : random.pick(this.#members);
    const roll = random.next();
    if (one === undefined || (roll < 0.05 && this.#members.length < MOST_MEMBERS)) await this.#beat(this.#newMember());
    else if (roll < 0.15) await this.#publish();
    else if (roll < 0.25) await this.#beat(one);
    else if (roll < 0.6) await this.#fetch(one);
    else if (roll < 0.87) await this.#acknowledge(one);
    else if (roll < 0.91) await this.#endSession(one);
    else if (roll < 0.94) await this.#leave(one);
    else await this.#pass(random.below(LOCK_MS));
  }

  /** Who is left says of all that comes that it is done, until nothing comes any more. */
  async settle(): Promise<void> {
    for (const one of this.#members) this.#hangUp(one);
    this.#members = [];
    await this.#pass(SESSION_MS + LOCK_MS);
    const last = this.#newMember();
    await this.#beat(last, 'heard');
    for (let empty = 0; empty < 3;) {
      await this.#fetch(last, 'heard');
      empty = last.held.size === 0 ? empty + 1 : 0;
      await this.#acknowledge(last, 'heard', ACCEPT);
      await this.#pass(1_000);
      await this.#beat(last, 'heard');
    }
    const dead = await this.#deadLetters();
    assert.equal(new Set(dead).size, dead.length, `two dead letters of one record: ${dead.join(' ')}`);
    for (const [place, { value, outcome, perhaps, deliveries }] of this.#fates) {
      const isDead = dead.includes(value);
      const what = `${place}: ${outcome}, delivered ${deliveries} times, and perhaps ${[...perhaps].join(' ')}`;
      if (outcome === 'done') assert.ok(!isDead, `${what}; and a dead letter`);
      else if (outcome === 'rejected') assert.ok(isDead, `${what}; and no dead letter`);
      else assert.ok(isDead || perhaps.has(ACCEPT), `${what}: it is nowhere`);
      if (isDead) this.report.dead++;
    }
    assert.equal(dead.length, this.report.dead);
  }

  close(): void {
    for (const one of this.#members) this.#hangUp(one);
    this.#admin.socket.destroy();
  }

  // ---- Members ----------------------------------------------------------------------------------------------------

  #newMember(): Member {
    const one: Member = {
      id: `m${++this.#born}`,
      coordinator: this.#dial(),
      reader: this.#dial(),
      epoch: JOIN,
      heardAt: this.#clock.now(),
      session: FIRST,
      held: new Map(),
    };
    this.#members.push(one);
    return one;
  }

  async #beat(one: Member, answer: 'heard' | 'may be lost' = 'may be lost'): Promise<void> {
    const before = one.epoch;
    const told = await one.coordinator.ask('shareGroupHeartbeat', 1, {
      groupId: GROUP,
      memberId: one.id,
      memberEpoch: before,
      subscribedTopicNames: before === JOIN ? [TOPIC] : null,
    });
    assert.ok(told);
    this.report.beats++;
    if (told.errorCode === ERROR.UNKNOWN_MEMBER_ID && this.#clock.now() - one.heardAt >= SESSION_MS) {
      one.epoch = JOIN;
      return;
    }
    assert.equal(told.errorCode, ERROR.NONE, `${one.id} at ${before}: ${told.errorMessage}`);
    one.heardAt = this.#clock.now();
    // Of answers in a row one that is lost is forgiven.
    if (answer === 'may be lost' && this.#random.chance(0.2)) {
      this.report.lostBeats++;
      one.coordinator.socket.destroy();
      one.coordinator = this.#dial();
      return this.#beat(one, 'heard');
    }
    assert.ok(told.memberEpoch >= before, `the epoch of ${one.id} went from ${before} to ${told.memberEpoch}`);
    const partitions = told.assignment?.topicPartitions.map((each) => each.partitions);
    if (before === JOIN) assert.deepEqual(partitions, [Array.from({ length: PARTITIONS }, (_, i) => i)]);
    one.epoch = told.memberEpoch;
  }

  async #leave(one: Member): Promise<void> {
    const memberEpoch = LEAVE;
    await one.coordinator.ask('shareGroupHeartbeat', 1, { groupId: GROUP, memberId: one.id, memberEpoch });
    this.#hangUp(one);
    this.#members = this.#members.filter((each) => each !== one);
    await this.#pass(0);
  }

  #hangUp(one: Member): void {
    one.coordinator.socket.destroy();
    one.reader.socket.destroy();
    one.held.clear();
  }

  /** Its session is over with its connection: it works on nothing any more. */
  async #cutOff(one: Member): Promise<void> {
    one.reader.socket.destroy();
    one.reader = this.#dial();
    one.session = FIRST;
    one.held.clear();
    await this.#pass(0);
  }

  async #pass(ms: number): Promise<void> {
    this.#clock.advance(ms);
    // What it set off is done by itself.
    for (let i = 0; i < 20; i++) await setImmediate();
  }

  // ---- Records ----------------------------------------------------------------------------------------------------

  async #publish(): Promise<void> {
    const index = this.#random.below(PARTITIONS);
    const values = Array.from({ length: 1 + this.#random.below(5) }, () => `v${++this.report.published}`);
    const records = values.map((value) => ({ timestamp: 1, key: null, value: Buffer.from(value), headers: [] }));
    const topicData = [{ name: TOPIC, partitionData: [{ index, records: [writeBatch(records)] }] }];
    const told = await this.#admin.ask('produce', 9, { acks: -1, timeoutMs: 1000, topicData });
    const [partition] = told?.responses[0]?.partitionResponses ?? [];
    assert.equal(partition?.errorCode, ERROR.NONE);
    for (const [i, value] of values.entries())
      this.#fates.set(`${index}/${partition.baseOffset + i}`, {
        value,
        deliveries: 0,
        outcome: 'open',
        perhaps: new Set(),
      });
  }

  async #fetch(one: Member, answer: 'heard' | 'may be lost' = 'may be lost'): Promise<void> {
    const shareSessionEpoch = one.session++;
    const all = Array.from({ length: PARTITIONS }, (_, partitionIndex) => ({
      partitionIndex,
      acknowledgementBatches: [],
    }));
    const told = await one.reader.ask('shareFetch', 2, {
      groupId: GROUP,
      memberId: one.id,
      shareSessionEpoch,
      maxWaitMs: 0,
      minBytes: 1,
      maxBytes: 1 << 20,
      maxRecords: 1 + this.#random.below(6),
      batchSize: 1,
      topics: shareSessionEpoch === FIRST ? [{ topicId: this.#topicId, partitions: all }] : [],
      forgottenTopicsData: [],
    });
    assert.equal(told?.errorCode, ERROR.NONE);
    const isLost = answer === 'may be lost' && this.#random.chance(0.15);
    for (const { partitionIndex, errorCode, acquiredRecords } of told.responses.flatMap((each) => each.partitions)) {
      assert.equal(errorCode, ERROR.NONE);
      for (const { firstOffset, lastOffset, deliveryCount } of acquiredRecords)
        for (let offset = firstOffset; offset <= lastOffset; offset++)
          this.#deliver(one, `${partitionIndex}/${offset}`, deliveryCount);
    }
    if (!isLost) return;
    this.report.lostFetches++;
    await this.#cutOff(one);
  }

  #deliver(one: Member, place: string, count: number): void {
    const fate = this.#fates.get(place);
    assert.ok(fate, `${one.id} got ${place}, which nobody published`);
    assert.equal(fate.outcome, 'open', `${one.id} got ${place}, which is ${fate.outcome}`);
    const now = this.#clock.now();
    for (const other of this.#members)
      assert.ok((other.held.get(place) ?? 0) <= now, `${place} is with ${other.id} and ${one.id}`);
    assert.equal(count, fate.deliveries + 1, `${place} came to ${one.id} with its number`);
    assert.ok(count <= MOST_DELIVERIES, `${place} came ${count} times`);
    fate.deliveries = count;
    if (count > 1) this.report.again++;
    this.report.delivered++;
    one.held.set(place, now + LOCK_MS);
  }

  /** Says of some of what it works on what becomes of it; what it has no more is refused. */
  async #acknowledge(one: Member, answer: 'heard' | 'may be lost' = 'may be lost', only?: Verdict): Promise<void> {
    const partition = this.#random.below(PARTITIONS);
    const partitions = only === undefined ? [partition] : Array.from({ length: PARTITIONS }, (_, i) => i);
    const verdict = only ?? this.#random.pick(VERDICTS);
    // What it has no more it says by itself: of a partition all is done, or nothing.
    const isLate = only === undefined && this.#random.chance(0.3);
    for (const at of partitions) {
      const places = [...one.held]
        .filter(([place, until]) => place.startsWith(`${at}/`) && until <= this.#clock.now() === isLate)
        .map(([place]) => place);
      const some = only === undefined ? places.filter(() => this.#random.chance(0.6)) : places;
      if (some.length > 0) await this.#settleSome(one, at, some, verdict, answer);
    }
  }

  async #settleSome(
    one: Member,
    partitionIndex: number,
    places: readonly string[],
    verdict: Verdict,
    answer: 'heard' | 'may be lost',
  ): Promise<void> {
    const offsets = places.map((place) => Number(place.split('/')[1])).sort((a, b) => a - b);
    const acknowledgementBatches = offsets.map((offset) => ({
      firstOffset: offset,
      lastOffset: offset,
      acknowledgeTypes: [verdict],
    }));
    const request = {
      groupId: GROUP,
      memberId: one.id,
      shareSessionEpoch: one.session++,
      isRenewAck: verdict === RENEW,
      topics: [{ topicId: this.#topicId, partitions: [{ partitionIndex, acknowledgementBatches }] }],
    };
    const now = this.#clock.now();
    const isLost = answer === 'may be lost' && this.#random.chance(0.15);
    // Some connections go before the broker has decided, some after.
    const asked = one.reader.ask('shareAcknowledge', 2, request);
    if (isLost && this.#random.chance(0.5)) {
      await setImmediate();
      one.reader.socket.destroy();
    }
    const told = await asked;
    const code = told?.responses[0]?.partitions[0]?.errorCode;
    const isHeld = places.every((place) => (one.held.get(place) ?? 0) > now);
    for (const place of places) {
      const fate = this.#fates.get(place);
      assert.ok(fate);
      if (told === null) fate.perhaps.add(verdict);
      else if (code === ERROR.NONE) this.#decided(one, place, verdict, now);
      else if (verdict !== RENEW) one.held.delete(place);
    }
    if (told !== null && code !== ERROR.NONE) {
      assert.equal(code, ERROR.INVALID_RECORD_STATE);
      assert.ok(!isHeld, `${one.id} holds ${places.join(' ')}, and may not say ${verdict}`);
      for (const place of places) this.#fates.get(place)?.perhaps.add(verdict);
      this.report.tooLate++;
    }
    if (!isLost) return;
    this.report.lostAcknowledgements++;
    await this.#cutOff(one);
  }

  #decided(one: Member, place: string, verdict: Verdict, now: number): void {
    const fate = this.#fates.get(place);
    assert.ok(fate);
    if (verdict === RENEW) {
      this.report.renewed++;
      one.held.set(place, now + LOCK_MS);
      return;
    }
    one.held.delete(place);
    if (verdict === ACCEPT) [fate.outcome] = ['done', this.report.accepted++];
    if (verdict === REJECT) [fate.outcome] = ['rejected', this.report.rejected++];
  }

  async #endSession(one: Member): Promise<void> {
    if (one.session === FIRST) return;
    const asked = { groupId: GROUP, memberId: one.id, shareSessionEpoch: LAST, topics: [] };
    const told = await one.reader.ask('shareAcknowledge', 2, asked);
    assert.equal(told?.errorCode, ERROR.NONE);
    one.session = FIRST;
    // What is given back at the end of a session has not counted as a delivery; a lock that was over has.
    for (const [place, until] of one.held) {
      const fate = this.#fates.get(place);
      if (fate !== undefined && until > this.#clock.now()) fate.deliveries--;
    }
    one.held.clear();
  }

  async #deadLetters(): Promise<string[]> {
    const found: string[] = [];
    const told = await this.#admin.ask('metadata', 9, {
      topics: [{ name: DEAD_LETTERS, topicId: NO_UUID }],
      allowAutoTopicCreation: false,
      includeTopicAuthorizedOperations: false,
      includeClusterAuthorizedOperations: false,
    });
    for (const { partitionIndex } of told?.topics[0]?.partitions ?? []) {
      const partitions = [{ partition: partitionIndex, fetchOffset: 0, partitionMaxBytes: 1 << 20 }];
      const topics = [{ topic: DEAD_LETTERS, topicId: '', partitions }];
      const fetched = await this.#admin.ask('fetch', 11, { maxWaitMs: 0, minBytes: 1, topics });
      const bytes = Buffer.concat(fetched?.responses[0]?.partitions[0]?.records ?? []);
      found.push(...recordsOf(bytes, 0).records.map(({ value }) => String(value)));
    }
    return found;
  }
}
