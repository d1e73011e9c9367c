import assert from 'node:assert/strict';
import { ManualClock } from '../../src/core/clock.ts';
import { SeededRandom } from '../../src/core/random.ts';
import { ERROR } from '../../src/gateways/kafka/errors.ts';
import { attach, inProcess } from './in-process.ts';
import { RawPeer } from './raw-peer.ts';

const GROUP = 'g';
const SESSION_MS = 45_000;
const REBALANCE_MS = 20_000;
const MOST_MEMBERS = 6;
const MOST_PARTITIONS = 9;
const TOPICS = ['t', 'u', 'v'];
const [JOIN, LEAVE, PAUSE] = [0, -1, -2];
const FENCED: ReadonlySet<number> = new Set([
  ERROR.FENCED_MEMBER_EPOCH,
  ERROR.UNKNOWN_MEMBER_ID,
  ERROR.FENCED_INSTANCE_ID,
]);

export interface ModelReport {
  beats: number;
  fenced: number;
  /** What was sent from somewhere else in the name of a member. */
  impostors: number;
  timedOut: number;
  grown: number;
  /** How often the group got a new epoch. */
  epochs: number;
  settled: number;
  /** Answers whose connection was gone when they came, and those that came after others had been asked. */
  dropped: number;
  late: number;
}

export const NOTHING_YET: ModelReport = {
  beats: 0,
  fenced: 0,
  impostors: 0,
  timedOut: 0,
  grown: 0,
  epochs: 0,
  settled: 0,
  dropped: 0,
  late: 0,
};

/** A process that consumes: what it holds is what nobody else may hold. */
interface Consumer {
  readonly id: string;
  readonly instanceId: string | null;
  names: string[];
  epoch: number;
  /** Places it is told to have, and those it works on until it has given them up. */
  told: Set<string>;
  owned: Set<string>;
  /** The last answer did not reach it: it says all anew. */
  unsure: boolean;
  /** It says all each time, as some clients do; others leave out what is as they said before. */
  readonly isWordy: boolean;
  /** What it has said that it owns, to somebody who answered. */
  said: Set<string> | null;
  /** An answer that is under way to it: meanwhile it does what it was told before. */
  coming: (() => void) | null;
  /** How many answers in a row did not. */
  lost: number;
  heardAt: number;
}

/**
 * A group of the newer protocol over the wire: members come and go in every way, answers are lost, topics come, grow and
 * go, time passes. Whatever happens: nothing is with two of those who are members, epochs only grow, and when nothing more
 * happens everything is with one, shared out evenly.
 */
export async function runGroupModel(seed: number, steps: number): Promise<ModelReport> {
  const clock = new ManualClock();
  const bugs: unknown[] = [];
  const at = await inProcess(clock, (error) => bugs.push(error));
  const model = new GroupModel(seed, clock, () => RawPeer.over(attach(at.gateway, clock)));
  try {
    await model.start();
    for (let step = 1; step <= steps; step++) {
      await model.step();
      if (step % 40 === 0) await model.settle();
    }
    await model.settle();
    assert.deepEqual(bugs, []);
    return model.report;
  } finally {
    model.peer.socket.destroy();
    await at.close();
  }
}

class GroupModel {
  peer: RawPeer;
  readonly report: ModelReport = { ...NOTHING_YET };
  readonly #dial: () => RawPeer;
  readonly #random: SeededRandom;
  readonly #clock: ManualClock;
  #consumers: Consumer[] = [];
  #born = 0;
  #groupEpoch = 0;
  /** By topic: how many partitions, and the id of the one of that name that is there now. */
  readonly #topics = new Map<string, { partitions: number; id: string }>();

  constructor(seed: number, clock: ManualClock, dial: () => RawPeer) {
    this.#dial = dial;
    this.peer = dial();
    this.#random = new SeededRandom(seed);
    this.#clock = clock;
  }

  async start(): Promise<void> {
    await this.#createTopic('t', 3);
    await this.#createTopic('u', 2);
  }

  async step(): Promise<void> {
    const random = this.#random;
    const one = this.#consumers.length === 0 ? undefined : random.pick(this.#consumers);
    const roll = random.next();
    if (one === undefined || (roll < 0.08 && this.#consumers.length < MOST_MEMBERS))
      await this.#beat(this.#newConsumer());
    else if (roll < 0.6) await this.#beat(one);
    else if (roll < 0.8) this.#follow(one);
    else if (roll < 0.84) await this.#leave(one);
    else if (roll < 0.87) this.#vanish(one);
    else if (roll < 0.9) await this.#restart(one);
    else if (roll < 0.93) one.names = this.#names();
    else if (roll < 0.97) await this.#changeTopics();
    else if (roll < 0.985) await this.#impersonate(one);
    else this.#pass(random.below(SESSION_MS / 2));
    await this.#check();
  }

  /** All that are there say so until nothing changes; then it is shared out as it should be. */
  async settle(): Promise<void> {
    if (this.#consumers.length === 0) await this.#beat(this.#newConsumer());
    for (const one of this.#consumers) one.names = ['t', 'u'];
    // Who left without a word is missed after its session. The others come as often as they are told to.
    for (let ms = 0; ms < 2 * SESSION_MS; ms += 5_000) {
      this.#pass(5_000);
      for (const one of this.#consumers) {
        await this.#beat(one, 'heard');
        one.owned = new Set(one.told);
      }
      await this.#check();
    }
    const described = await this.#describe();
    assert.equal(described?.groupState, 'Stable');
    assert.deepEqual(
      described.members.map(({ memberId }) => memberId).sort(),
      this.#consumers.map(({ id }) => id).sort(),
    );
    const held = this.#consumers.flatMap(({ owned }) => [...owned]);
    assert.deepEqual(held.sort(), this.#placesOf(['t', 'u']).sort(), 'each partition is with one');
    const counts = this.#consumers.map(({ owned }) => owned.size);
    assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, `shared out as ${counts.join(', ')}`);
    for (const { epoch } of this.#consumers) assert.equal(epoch, described.groupEpoch);
    this.report.settled++;
  }

  // ---- Members ----------------------------------------------------------------------------------------------------

  #names(): string[] {
    const some = TOPICS.filter(() => this.#random.chance(0.6));
    return some.length > 0 ? some : ['t'];
  }

  #newConsumer(instanceId: string | null = this.#random.chance(0.3) ? `i${this.#born}` : null): Consumer {
    const one: Consumer = {
      id: `m${++this.#born}`,
      instanceId,
      names: this.#names(),
      epoch: JOIN,
      told: new Set(),
      owned: new Set(),
      unsure: true,
      isWordy: this.#random.chance(0.3),
      said: null,
      coming: null,
      lost: 0,
      heardAt: this.#clock.now(),
    };
    this.#consumers.push(one);
    return one;
  }

  async #beat(one: Consumer, answer: 'heard' | 'may be lost' = 'may be lost'): Promise<void> {
    one.coming?.();
    const saysAll = one.epoch === JOIN || one.unsure || one.isWordy;
    const before = one.epoch;
    const owned = new Set(before === JOIN ? [] : one.owned);
    const isNews =
      one.said === null || one.said.size !== owned.size || [...owned].some((place) => !one.said?.has(place));
    const told = await this.#ask(one, one.epoch, {
      subscribedTopicNames: one.names,
      ...(saysAll && { rebalanceTimeoutMs: REBALANCE_MS }),
      topicPartitions: saysAll || isNews ? byTopic(owned) : null,
    });
    this.report.beats++;
    if (FENCED.has(told.errorCode)) {
      // It works on nothing from here on, and comes as somebody new.
      this.report.fenced++;
      // Of the epochs that it may be at, one answer that was lost is forgiven.
      if (told.errorCode === ERROR.FENCED_MEMBER_EPOCH)
        assert.ok(one.lost > 1, `${one.id} at ${before} was fenced after ${one.lost} answers that it did not hear`);
      this.#begin(one);
      if (told.errorCode === ERROR.FENCED_INSTANCE_ID) this.#forget(one);
      return;
    }
    assert.equal(told.errorCode, ERROR.NONE, `${one.id} at ${before}: ${told.errorMessage}`);
    one.heardAt = this.#clock.now();
    one.unsure = answer === 'may be lost' && this.#random.chance(0.15);
    one.lost = one.unsure ? one.lost + 1 : 0;
    if (one.unsure) return this.#drop();
    const hear = (): void => {
      one.coming = null;
      assert.ok(told.memberEpoch >= before, `the epoch of ${one.id} went from ${before} to ${told.memberEpoch}`);
      one.epoch = told.memberEpoch;
      one.said = owned;
      if (told.assignment !== null) one.told = placesIn(told.assignment.topicPartitions);
      if (before === JOIN) one.owned = new Set();
    };
    if (answer === 'heard' || this.#random.chance(0.8)) return hear();
    this.report.late++;
    one.coming = hear;
  }

  /** The broker has decided, and the connection is gone before anybody hears of it. */
  #drop(): void {
    this.peer.socket.destroy();
    this.peer = this.#dial();
    this.report.dropped++;
  }

  /** Has what it was told last, as far as it has heard. */
  #follow(one: Consumer): void {
    if (one.epoch > JOIN) one.owned = new Set(one.told);
  }

  /** It has nothing, knows nothing, and joins. */
  #begin(one: Consumer): void {
    Object.assign(one, {
      epoch: JOIN,
      told: new Set(),
      owned: new Set(),
      unsure: true,
      said: null,
      coming: null,
      lost: 0,
    });
  }

  /** An older process under the same id, or a stranger: it is at another epoch, or has what the member must not have. */
  async #impersonate(one: Consumer): Promise<void> {
    const described = await this.#describe();
    const member = described?.members.find(({ memberId }) => memberId === one.id);
    if (member === undefined || member.memberEpoch <= JOIN) return;
    const stranger = [{ topicId: 'ab'.repeat(16), partitions: [0] }];
    const epochs = [member.memberEpoch + 1, ...(member.memberEpoch > 1 ? [member.memberEpoch - 1] : [])];
    for (const epoch of epochs) {
      const told = await this.#ask(one, epoch, { subscribedTopicNames: one.names, topicPartitions: stranger });
      assert.equal(told.errorCode, ERROR.FENCED_MEMBER_EPOCH, `one at ${epoch} in the name of ${one.id}`);
      this.report.impostors++;
    }
    assert.deepEqual(await this.#describe(), described);
  }

  async #leave(one: Consumer): Promise<void> {
    if (one.epoch > JOIN) await this.#ask(one, LEAVE);
    this.#forget(one);
  }

  /** Not a word any more; it may hold what it has until its session is over. */
  #vanish(one: Consumer): void {
    this.#forget(one);
    this.#pass(SESSION_MS - 1);
    for (const other of this.#consumers) if (this.#isLost(other)) this.#lose(other);
    this.#pass(2);
  }

  /** A member with a name of its own is started again: a new process with that name takes its place. */
  async #restart(one: Consumer): Promise<void> {
    if (one.instanceId === null || one.epoch <= JOIN) return;
    const told = await this.#ask(one, PAUSE);
    this.#forget(one);
    if (told.errorCode === ERROR.NONE) await this.#beat(this.#newConsumer(one.instanceId));
  }

  #forget(one: Consumer): void {
    this.#consumers = this.#consumers.filter((each) => each !== one);
  }

  #pass(ms: number): void {
    this.#clock.advance(ms);
    for (const one of this.#consumers) if (this.#isLost(one)) this.#lose(one);
  }

  #isLost({ heardAt }: Consumer): boolean {
    return this.#clock.now() - heardAt >= SESSION_MS;
  }

  /** It knows that its session is over, as a client does, and works on nothing any more. */
  #lose(one: Consumer): void {
    if (one.epoch > JOIN) this.report.timedOut++;
    this.#begin(one);
  }

  async #ask({ id: memberId, instanceId }: Consumer, memberEpoch: number, more: object = {}) {
    const told = await this.peer.ask('consumerGroupHeartbeat', 1, {
      groupId: GROUP,
      memberId,
      instanceId,
      memberEpoch,
      ...more,
    });
    assert.ok(told);
    return told;
  }

  // ---- Topics -----------------------------------------------------------------------------------------------------

  async #createTopic(name: string, numPartitions: number): Promise<void> {
    const shape = { name, numPartitions, replicationFactor: 1, assignments: [], configs: [] };
    const told = await this.peer.ask('createTopics', 7, { topics: [shape] });
    const [made] = told?.topics ?? [];
    assert.equal(made?.errorCode, ERROR.NONE);
    this.#topics.set(name, { partitions: numPartitions, id: made.topicId });
  }

  async #changeTopics(): Promise<void> {
    const name = this.#random.pick(TOPICS);
    const topic = this.#topics.get(name);
    if (topic === undefined) await this.#createTopic(name, 1 + this.#random.below(4));
    else if (this.#random.chance(0.3)) {
      await this.peer.ask('deleteTopics', 5, { topicNames: [name], timeoutMs: 1000 });
      this.#topics.delete(name);
      // Nobody reads what is not there any more.
      for (const one of this.#consumers)
        for (const place of one.owned) if (place.startsWith(topic.id)) one.owned.delete(place);
    } else if (topic.partitions < MOST_PARTITIONS) {
      const count = topic.partitions + 1 + this.#random.below(3);
      await this.peer.ask('createPartitions', 3, {
        topics: [{ name, count, assignments: null }],
        timeoutMs: 1000,
        validateOnly: false,
      });
      topic.partitions = count;
      this.report.grown++;
    }
    // What was looked up is believed for a second.
    this.#pass(1_001);
  }

  #placesOf(names: readonly string[]): string[] {
    return names.flatMap((name) => {
      const { id = '', partitions = 0 } = this.#topics.get(name) ?? {};
      return Array.from({ length: partitions }, (_, partition) => `${id}/${partition}`);
    });
  }

  // ---- What holds always ------------------------------------------------------------------------------------------

  async #describe() {
    const told = await this.peer.ask('consumerGroupDescribe', 1, {
      groupIds: [GROUP],
      includeAuthorizedOperations: false,
    });
    return told?.groups[0];
  }

  async #check(): Promise<void> {
    const described = await this.#describe();
    const isThere = described?.errorCode === ERROR.NONE;
    // A group without members is forgotten, and begins anew.
    const groupEpoch = isThere ? described.groupEpoch : 0;
    if (isThere)
      assert.ok(groupEpoch >= this.#groupEpoch, `the group went from epoch ${this.#groupEpoch} to ${groupEpoch}`);
    if (groupEpoch > this.#groupEpoch) this.report.epochs++;
    this.#groupEpoch = groupEpoch;
    const members = isThere ? described.members : [];
    const holders = new Map<string, string>();
    for (const { memberId, memberEpoch, assignment, targetAssignment, subscribedTopicNames } of members) {
      assert.ok(memberEpoch <= groupEpoch, `${memberId} is at ${memberEpoch}, the group at ${groupEpoch}`);
      const one = this.#consumers.find(({ id }) => id === memberId);
      const held = new Set([...placesIn(assignment.topicPartitions), ...(one?.owned ?? [])]);
      for (const place of held) {
        const other = holders.get(place);
        assert.equal(other, undefined, `${place} is with ${other} and ${memberId}`);
        holders.set(place, memberId);
      }
      for (const { topicName } of targetAssignment.topicPartitions)
        assert.ok(topicName === '' || subscribedTopicNames.includes(topicName), `${memberId} is to get ${topicName}`);
    }
    const targets = members.flatMap(({ targetAssignment }) => [...placesIn(targetAssignment.topicPartitions)]);
    assert.equal(new Set(targets).size, targets.length, `two are to get the same: ${targets.join(' ')}`);
  }
}

function placesIn(topicPartitions: readonly { topicId: string; partitions: readonly number[] }[]): Set<string> {
  return new Set(topicPartitions.flatMap(({ topicId, partitions }) => partitions.map((each) => `${topicId}/${each}`)));
}

function byTopic(places: ReadonlySet<string>): { topicId: string; partitions: number[] }[] {
  const topics = new Map<string, number[]>();
  for (const place of places) {
    const [topicId = '', partition = ''] = place.split('/');
    topics.set(topicId, [...(topics.get(topicId) ?? []), Number(partition)]);
  }
  return [...topics].map(([topicId, partitions]) => ({ topicId, partitions }));
}
