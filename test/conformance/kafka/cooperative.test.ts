/** Cooperative rebalancing (KIP-429) with kcat: who has a partition that stays with it reads on while others come and go. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { test, type TestContext } from 'node:test';
import { eventually } from '../../eventually.ts';
import { place } from './broker.ts';

const KCAT = '/usr/bin/kcat';
const skip = existsSync(KCAT) ? false : `kcat is not at ${KCAT} (apt-get install kcat): its tests are skipped`;
const TOPIC = 'numbers';
const PARTITIONS = 6;
const ALL = [...Array(PARTITIONS).keys()];
const STRATEGY = 'partition.assignment.strategy=cooperative-sticky';
const TIMING = ['session.timeout.ms=2000', 'heartbeat.interval.ms=100'];

/** A member of the group: a kcat, as it tells what it is given, what it gives up, and what it reads. */
class Member {
  readonly has = new Set<number>();
  /** Since it was asked last. */
  #gaveUp: number[] = [];
  readonly read: number[] = [];
  readonly #process: ChildProcess;
  readonly #gone: Promise<unknown>;

  constructor(t: TestContext, bootstrap: string) {
    const settings = [STRATEGY, 'auto.offset.reset=earliest', ...TIMING].flatMap((setting) => ['-X', setting]);
    const child = spawn(KCAT, ['-b', bootstrap, ...settings, '-u', '-f', '%s\n', '-G', 'readers', TOPIC]);
    this.#process = child;
    this.#gone = once(child, 'close');
    t.after(() => this.end('SIGKILL'));
    createInterface(child.stdout).on('line', (line) => this.read.push(Number(line)));
    createInterface(child.stderr).on('line', (line) => this.#hear(line));
  }

  /** `% Group readers rebalanced: incremental revoke of 2 partition(s) (…): numbers [0], numbers [1]` */
  #hear(line: string): void {
    const [, what] = /rebalanced.*?(assign|revoke)/.exec(line) ?? [];
    const partitions = Array.from(line.matchAll(/numbers \[(\d+)\]/g), ([, partition]) => Number(partition));
    if (what === 'assign') for (const partition of partitions) this.has.add(partition);
    if (what !== 'revoke') return;
    for (const partition of partitions) this.has.delete(partition);
    this.#gaveUp.push(...partitions);
  }

  gaveUp(): number[] {
    const partitions = this.#gaveUp.toSorted((a, b) => a - b);
    this.#gaveUp = [];
    return partitions;
  }

  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) this.#process.kill(signal);
    await this.#gone;
    this.has.clear();
  }
}

const inOrder = (partitions: Iterable<number>): number[] => [...partitions].toSorted((a, b) => a - b);

/** Each partition is with one of them, and none has more than its part. */
async function shared(...members: Member[]): Promise<void> {
  const part = PARTITIONS / members.length;
  const isShared = () => members.every(({ has }) => has.size === part);
  await eventually(`${members.length} members have ${part} partitions each`, isShared);
  assert.deepEqual(inOrder(members.flatMap(({ has }) => [...has])), ALL);
}

test(
  'by cooperative rebalancing members of kcat give up what others get, and nothing else, and each record is read by one',
  { skip },
  async (t) => {
    const { bootstrap, kafka } = await place(t);
    const admin = kafka.admin();
    const producer = kafka.producer();
    await Promise.all([admin.connect(), producer.connect()]);
    t.after(() => Promise.all([admin.disconnect(), producer.disconnect()]));
    await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: PARTITIONS }] });

    const members: Member[] = [];
    const join = (): Member => {
      const member = new Member(t, bootstrap);
      members.push(member);
      return member;
    };
    const read = (): number[] => members.flatMap((member) => member.read);
    let published = 0;
    /** Records come to every partition meanwhile, and all of them are read in the end. */
    const whilePublishing = async (happens: () => Promise<void>): Promise<void> => {
      const state = { isOver: false };
      const publishing = (async () => {
        while (!state.isOver) {
          const messages = ALL.map((partition) => ({ partition, value: String(published + partition) }));
          await producer.send({ topic: TOPIC, messages });
          published += PARTITIONS;
          await new Promise((wake) => setTimeout(wake, 5));
        }
      })();
      try {
        await happens();
      } finally {
        state.isOver = true;
        await publishing;
      }
      await eventually('all is read', () => new Set(read()).size === published);
    };

    const [first, second] = [join(), join()];
    await whilePublishing(() => shared(first, second));
    for (const one of [first, second]) one.gaveUp();

    const third = join();
    await whilePublishing(() => shared(first, second, third));
    const given = [...first.gaveUp(), ...second.gaveUp()];
    assert.deepEqual(inOrder(given), inOrder(third.has), 'who joins gets what the others give up');
    assert.deepEqual(third.gaveUp(), []);

    // A kcat that is to end commits the record that comes next and does not print it: none comes before it gives up.
    const leaving = second.end('SIGTERM');
    await eventually('who leaves gives up what it has', () => second.has.size === 0);
    await whilePublishing(async () => {
      await leaving;
      await shared(first, third);
    });
    assert.deepEqual([first.gaveUp(), third.gaveUp()], [[], []], 'who stays gives up nothing for one that leaves');
    assert.equal(read().length, published, 'each record was read once');

    const killed = third.end('SIGKILL');
    await whilePublishing(async () => {
      await killed;
      await shared(first);
    });
    assert.deepEqual(first.gaveUp(), []);
    const seen = new Set(third.read);
    const again = first.read.filter((number) => seen.has(number)).length;
    assert.equal(read().length - again, published, 'what was not committed before the kill is read again, and no more');
    t.diagnostic(`${published} records, ${again} of them again after the kill`);
  },
);
