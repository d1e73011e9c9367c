import { asBuffer, readRecord, recordEnd } from '../../src/core/records.ts';
import type { Consumer, DeliveryRun, LeaseRange } from '../../src/core/session.ts';
import { RailheadError } from '../../src/core/errors.ts';
import type { ShardSession } from '../../src/engine/session.ts';
import type { AuditedConsumer } from './audited.ts';
import type { Auditor } from './auditor.ts';
import { textOf } from './drafts.ts';
import type { Copy, Ledger } from './ledger.ts';
import type { Feed } from './topology.ts';
import type { World } from './world.ts';

/** A delivery that its consumer has not settled yet. */
export interface Held {
  readonly feed: Feed;
  readonly copy: Copy;
  readonly partition: number;
  readonly offset: number;
  readonly token: number;
  readonly deadline: number;
  readonly owner: Connection;
}

interface Connection {
  readonly session: ShardSession;
  readonly consumers: { readonly consumer: Consumer; readonly audited: AuditedConsumer }[];
}

/** Consumers that come, take, forget and die; and what must hold of every delivery they get. */
export class Consumers {
  readonly #world: World;
  readonly #ledger: Ledger;
  readonly #fail: (problem: string) => void;
  #connections: Connection[] = [];
  #held: Held[] = [];
  delivered = 0;

  readonly #auditor: Auditor;

  constructor(world: World, ledger: Ledger, auditor: Auditor, fail: (problem: string) => void) {
    this.#world = world;
    this.#ledger = ledger;
    this.#auditor = auditor;
    this.#fail = fail;
  }

  open(feed: Feed): void {
    const { random } = this.#world;
    let connection = this.#connections.length > 0 && random.chance(0.5) ? random.pick(this.#connections) : undefined;
    if (connection === undefined) {
      connection = { session: this.#world.connect(), consumers: [] };
      this.#connections.push(connection);
    }
    const owner = connection;
    const lease = random.pick(['session', 'session', 'session', 'connection', 'timed'] as const);
    const priority = random.below(2);
    const exclusive = random.chance(0.08);
    const autoAck = feed.atMostOnce && random.chance(0.7);
    owner.session
      .consume(
        { topic: feed.topic, subscription: feed.subscription, lease, priority, exclusive, autoAck },
        {
          deliver: (runs) => this.#deliver(feed, owner, runs),
          ended: () => {},
          lost: (leases) => this.#lost(feed, leases),
        },
      )
      .then(
        (consumer) => {
          const { id } = consumer;
          const audited = { id, subscription: feed.subscription, priority, exclusive, credit: 0 };
          const one = { consumer, audited };
          // Its connection may be gone by now, and the consumer with it.
          if (!this.#connections.includes(owner)) return;
          owner.consumers.push(one);
          this.#auditor.consumers.set(id, audited);
          this.#give(one);
        },
        (error: unknown) => {
          const expected =
            RailheadError.is(error) && /^(IN_USE|NOT_FOUND|STORAGE_FAILED|OUT_OF_SPACE|CLOSED)$/.test(error.code);
          if (!expected) this.#fail(`consume: ${String(error)}`);
        },
      );
  }

  credit(): void {
    const { random } = this.#world;
    const all = this.#connections.flatMap(({ consumers }) => consumers);
    if (all.length > 0) this.#give(random.pick(all));
  }

  #give({ consumer, audited }: Connection['consumers'][number]): void {
    const credit = 1 + this.#world.random.below(8);
    audited.credit += credit;
    consumer.credit(credit);
  }

  /** Each lease may end at any time from now on, long before anybody is told. */
  mayEnd(feed: Feed): void {
    for (const held of this.#held) if (held.feed === feed) this.#ledger.mayDie(held.copy);
  }

  /** The connection breaks. */
  lose(): void {
    this.#end('lost');
  }

  /** The client says good-bye. */
  leave(): void {
    this.#end('clean');
  }

  #end(how: 'lost' | 'clean'): void {
    if (this.#connections.length === 0) return;
    const connection = this.#world.random.pick(this.#connections);
    this.#connections = this.#connections.filter((one) => one !== connection);
    for (const { owner, copy } of this.#held) if (owner === connection && how === 'lost') this.#ledger.mayDie(copy);
    this.#held = this.#held.filter(({ owner }) => owner !== connection);
    for (const { audited } of connection.consumers) this.#auditor.consumers.delete(audited.id);
    void connection.session.close(how);
  }

  /** Some deliveries to settle. They are settled once, unless `keep`. */
  take(count: number, keep: boolean): Held[] {
    const taken: Held[] = [];
    while (taken.length < count && this.#held.length > 0) {
      const at = this.#world.random.below(this.#held.length);
      const [held] = keep ? this.#held.slice(at, at + 1) : this.#held.splice(at, 1);
      if (held === undefined || taken.includes(held)) break;
      taken.push(held);
    }
    return taken;
  }

  /** Somebody settles these elsewhere. */
  letGo(copies: readonly Copy[]): void {
    this.#held = this.#held.filter(({ copy }) => !copies.includes(copy));
  }

  forget(feed: Feed): void {
    this.#held = this.#held.filter((held) => held.feed !== feed);
  }

  #lost(feed: Feed, leases: readonly LeaseRange[]): void {
    for (const { partition, offset, count, token } of leases) {
      this.#held = this.#held.filter((held) => {
        const over =
          held.feed === feed &&
          held.partition === partition &&
          held.token === token &&
          held.offset >= offset &&
          held.offset < offset + count;
        if (over) this.#ledger.mayDie(held.copy);
        return !over;
      });
    }
  }

  #deliver(feed: Feed, owner: Connection, runs: readonly DeliveryRun[]): void {
    for (const run of runs) {
      const bytes = asBuffer(run.records);
      let at = 0;
      for (let i = 0; i < run.count; i++, at = recordEnd(bytes, at))
        this.#one(feed, owner, run, run.offset + i, textOf(readRecord(bytes, at).body));
    }
  }

  #one(feed: Feed, owner: Connection, run: DeliveryRun, offset: number, text: string): void {
    const where = `${text} of ${feed.subscription} at ${run.partition}/${offset}, attempt ${run.attempt}`;
    const copy = this.#ledger.find(feed.subscription, text);
    if (copy === undefined || copy.sent === 'never') return this.#fail(`delivered what was never accepted: ${where}`);
    if (copy.undecided) this.#fail(`delivered before its transaction commits: ${where}`);
    if (copy.gone && !copy.mayReturn) this.#fail(`delivered after its ack was confirmed: ${where}`);
    // One that came back starts anew, while a delivery of before may still be on its way.
    if (run.attempt < copy.attempt && !copy.mayReturn)
      this.#fail(`attempt ${run.attempt} after attempt ${copy.attempt}: ${where}`);
    const leasedAt = run.deadline === 0 ? this.#world.clock.now() : run.deadline - (feed.policy.leaseMs ?? 0);
    if (leasedAt < copy.due && !copy.mayReturn) this.#fail(`delivered ${copy.due - leasedAt} ms too early: ${where}`);
    this.#first(copy, run, leasedAt, where);
    const known = copy.sent === 'sure' && copy.offset !== undefined && !copy.mayReturn && !copy.mayBeDead;
    if (known && (copy.offset !== offset || copy.partition !== run.partition))
      this.#fail(`confirmed at ${copy.partition}/${copy.offset}: ${where}`);
    this.#order(feed, copy, run, offset, where);
    this.delivered++;
    this.#ledger.delivered(copy, run.attempt);
    if (run.deadline === 0) {
      // Settled before it left: whatever happens, it is never seen again.
      copy.mayBeGone = true;
      copy.gone = 'durable';
      return;
    }
    this.#held = this.#held.filter((held) => held.copy !== copy);
    this.#held.push({ feed, copy, partition: run.partition, offset, token: run.token, deadline: run.deadline, owner });
  }

  /** The time of the first delivery is there from the second on, and stays. */
  #first(copy: Copy, { attempt, firstDeliveredAt: at }: DeliveryRun, leasedAt: number, where: string): void {
    if ((at === undefined) !== (attempt === 1) || (at !== undefined && (at <= 0 || at > leasedAt)))
      this.#fail(`first delivered at ${at}, handed out at ${leasedAt}: ${where}`);
    if (at !== undefined && copy.firstAt !== undefined && at !== copy.firstAt && !copy.mayReturn)
      this.#fail(`first delivered at ${at}, before at ${copy.firstAt}: ${where}`);
    copy.firstAt = at;
  }

  /** With order by key (or strict) one message is out, and nothing overtakes an older one that still waits. */
  #order(feed: Feed, copy: Copy, run: DeliveryRun, offset: number, where: string): void {
    const { order, maxInFlight } = feed.policy;
    const now = this.#world.clock.now();
    const live = this.#held.filter((held) => held.feed === feed && held.copy !== copy && held.deadline > now);
    if (typeof maxInFlight === 'number' && live.length >= maxInFlight)
      this.#fail(`more than ${maxInFlight} in flight: ${where} beside ${live.map((held) => held.copy.text).join()}`);
    if (order !== 'key' && order !== 'strict') return;
    const same = (other: Copy): boolean => order === 'strict' || (copy.key !== undefined && other.key === copy.key);
    const rival = live.find((held) => held.partition === run.partition && same(held.copy));
    if (rival !== undefined) this.#fail(`two of one key are out: ${where} beside ${rival.copy.text}`);
    if (feed.subscription === 'keyed-delays') return;
    for (const older of this.#ledger.of(feed.subscription)) {
      if (older === copy || !same(older) || older.sent !== 'sure' || older.offset === undefined) continue;
      if (older.mayBeGone || older.mayBeDead || older.mayReturn || copy.mayReturn || older.late) continue;
      if (older.offset < offset) this.#fail(`overtakes ${older.text} at ${older.offset}: ${where}`);
    }
  }
}
