import { setTimeout } from 'node:timers/promises';
import type { ApiName } from '../../../src/gateways/kafka/apis.ts';
import { NO_UUID } from '../../../src/gateways/kafka/fields.ts';
import { RawPeer } from '../raw-peer.ts';
import { bytesOf, DraftBatch, Ref } from './drafts.ts';
import { isObject, normalised } from './normal.ts';

/** One request of a script, the same for both brokers. */
export interface Ask {
  readonly api: ApiName;
  readonly version: number;
  /** What is meant by it, where the request does not show it. */
  readonly note?: string;
  /** With `Ref`s. */
  readonly request: object;
  /** What is remembered of the answer, by symbol: where it is in the answer. */
  readonly learn?: Readonly<Record<string, string>>;
  /** Not waited for: its answer comes with the step that collects it. */
  readonly later?: string;
  /** What has to be done for good before the next step: a broker may have it done only soon. */
  readonly settle?: 'topics' | { transaction: string } | { share: string; memberId: string };
}

export type Step = Ask | { readonly collect: string };

/** Where an API lists what there is, and by what name. */
const LISTS: Partial<Record<ApiName, readonly [list: string, name: string]>> = {
  metadata: ['topics', 'name'],
  listGroups: ['groups', 'groupId'],
  listTransactions: ['transactionStates', 'transactionalId'],
};
/** Where the answer to a change of topics has one row for each. */
const ROWS: Partial<Record<ApiName, string>> = { createTopics: 'topics', createPartitions: 'results' };
/** Whoever is new, or in a moment: all clients come again after these. */
const TRANSIENT = new Set([5, 14, 15, 16, 51]);
const PATIENCE_MS = 15_000;
const PAUSE_MS = 15;
/** Of what is done by these, another part of the broker has to hear. */
const HEARD_SOON = new Set<ApiName>([
  'createAcls',
  'deleteAcls',
  'alterUserScramCredentials',
  'alterClientQuotas',
  'alterConfigs',
  'incrementalAlterConfigs',
]);
const SOON_MS = 200;
const SETTLED_MS = 100;
const LATEST_METADATA = 12;
/** As an offset of ListOffsets. */
const LATEST = -1;
/** Names of other scripts, and of the topics of a coordinator. */
const FOREIGN = /^s\d+\.|^__|^ready$/;
const HAD_MEMBERS = /\.[a-z]\d+$/;
/** Where a share group moves what nobody can work on; Kafka drops it. */
const DEAD_LETTERS = /\.dead$/;
const IN_BETWEEN = /^Prepare/;

/** One of the two brokers, as one script sees it. */
export class Side {
  readonly #peer: RawPeer;
  /** Joins wait: they have connections of their own. */
  readonly #more: () => Promise<RawPeer>;
  /** Names that the script has made begin so. */
  readonly #prefix: string;
  readonly #values = new Map<string, unknown>();
  readonly #symbols = new Map<unknown, string>();
  /** By topic: how many partitions it is to have; none of one that is not to be there. */
  readonly #expected: Map<string, number>;
  readonly #ids = new Map<string, string>();
  readonly #later = new Map<string, { ask: Ask; answer: Promise<unknown>; peer: RawPeer }>();
  /** By topic: how often it was made. */
  readonly #made = new Map<string, number>();

  private constructor(peer: RawPeer, more: () => Promise<RawPeer>, prefix: string, topics: readonly string[]) {
    this.#prefix = prefix;
    this.#peer = peer;
    this.#more = more;
    this.#expected = new Map(topics.map((name) => [name, 0]));
  }

  static async dial(port: number, { prefix, topics }: { prefix: string; topics: readonly string[] }): Promise<Side> {
    return new Side(await RawPeer.dial(port), () => RawPeer.dial(port), prefix, topics);
  }

  /** The answer in words that are the same for every broker; undefined when there is none to compare. */
  async do(step: Step): Promise<unknown> {
    if ('collect' in step) {
      const begun = this.#later.get(step.collect);
      if (begun === undefined) throw new Error(`nothing is on its way as ${step.collect}`);
      const answer = await Promise.race([begun.answer, setTimeout(PATIENCE_MS, 'no answer in time', { ref: false })]);
      begun.peer.socket.destroy();
      return this.#told(begun.ask, answer);
    }
    if (step.later !== undefined) {
      const peer = await this.#more();
      const answer = this.#ask(peer, step);
      this.#later.set(step.later, { ask: step, answer, peer });
      // What it does to the group is to be done before the next step.
      await setTimeout(10 * PAUSE_MS);
      return undefined;
    }
    const answer = await Promise.race([
      this.#ask(this.#peer, step),
      setTimeout(PATIENCE_MS, 'no answer in time', { ref: false }),
    ]);
    const told = this.#told(step, answer);
    if (HEARD_SOON.has(step.api)) await setTimeout(SOON_MS);
    else if (step.settle === 'topics') {
      this.#expect(step, answer);
      await this.#settleTopics();
    } else if (step.settle !== undefined)
      await ('share' in step.settle
        ? this.#settleShare(step.settle)
        : this.#settleTransaction(step.settle.transaction));
    return told;
  }

  close(): void {
    this.#peer.socket.destroy();
    for (const { peer } of this.#later.values()) peer.socket.destroy();
  }

  #told(ask: Ask, answer: unknown): unknown {
    for (const [symbol, path] of Object.entries(ask.learn ?? {})) this.#remember(symbol, valueAt(answer, path));
    return normalised(ask.api, this.#ownOf(ask.api, answer), this.#symbols);
  }

  /** A list of all that there is has what other scripts made, too. */
  #ownOf(api: ApiName, answer: unknown): unknown {
    const [list, name] = LISTS[api] ?? ['', ''];
    if (!isObject(answer) || !Array.isArray(answer[list])) return answer;
    const isOwn = (each: unknown): boolean =>
      isObject(each) &&
      !DEAD_LETTERS.test(String(each[name])) &&
      (String(each[name]).startsWith(this.#prefix) || !FOREIGN.test(String(each[name])));
    // A group that somebody has only committed for is another thing here: see `KNOWN`.
    const isTold = (each: unknown): boolean =>
      api !== 'listGroups' || (isObject(each) && HAD_MEMBERS.test(String(each['groupId'])));
    return { ...answer, [list]: answer[list].filter((each: unknown) => isOwn(each) && isTold(each)) };
  }

  #remember(symbol: string, value: unknown): void {
    if (value === undefined || value === '' || value === NO_UUID) return;
    this.#values.set(symbol, value);
    // Small numbers are epochs and generations, which are compared as they are.
    if (typeof value === 'string' || symbol.startsWith('pid')) this.#symbols.set(value, symbol);
  }

  async #ask(peer: RawPeer, { api, version, request }: Ask): Promise<unknown> {
    for (let waited = 0; ; waited += PAUSE_MS) {
      // What a script says has the form that the table of the API has.
      const answer: unknown = await peer.ask(api, version, this.#resolved(request) as never).catch((cause: unknown) => {
        throw new Error(`${api} ${version} ${JSON.stringify(request)}`, { cause });
      });
      if (waited > PATIENCE_MS || !isTransient(answer)) return answer;
      await setTimeout(PAUSE_MS);
    }
  }

  #resolved(request: unknown): unknown {
    if (request instanceof DraftBatch) {
      const { values, numbers } = request;
      const [producerId, epoch] = [this.#resolved(numbers.producerId ?? -1), this.#resolved(numbers.epoch ?? -1)];
      const { sequence = -1, transactional = false } = numbers;
      return bytesOf(values, { producerId: Number(producerId), epoch: Number(epoch), sequence, transactional });
    }
    if (request instanceof Ref) {
      const value = this.#values.get(request.symbol);
      return (
        value ??
        (request.symbol.startsWith('topic') ? 'ab'.repeat(16) : request.symbol.startsWith('member') ? 'nobody' : 7)
      );
    }
    if (Array.isArray(request)) return request.map((each) => this.#resolved(each));
    if (!isObject(request)) return request;
    return Object.fromEntries(Object.entries(request).map(([key, value]) => [key, this.#resolved(value)]));
  }

  /** What becomes of the topics of a request that was answered so. */
  #expect({ api, request }: Ask, answer: unknown): void {
    if ('validateOnly' in request && request.validateOnly === true) return;
    for (const { name, topicId, errorCode } of rowsAt(answer, ROWS[api] ?? 'responses')) {
      if (errorCode !== 0) continue;
      const known = typeof name === 'string' ? name : [...this.#ids].find(([, id]) => id === topicId)?.[0];
      if (known === undefined) continue;
      const asked = rowsAt(request, 'topics').find((each) => each['name'] === known);
      const count = Number(asked?.['count'] ?? asked?.['numPartitions'] ?? 0);
      this.#expected.set(known, api === 'deleteTopics' ? 0 : count > 0 ? count : rowsAt(asked, 'assignments').length);
    }
  }

  /** Until all topics are as they were said to be; their ids are known then. */
  async #settleTopics(): Promise<void> {
    for (let waited = 0; waited < PATIENCE_MS; waited += PAUSE_MS) {
      const answer = await this.#peer.ask('metadata', LATEST_METADATA, {
        topics: [...this.#expected.keys()].map((name) => ({ name, topicId: NO_UUID })),
        allowAutoTopicCreation: false,
        includeTopicAuthorizedOperations: false,
        includeClusterAuthorizedOperations: false,
      });
      const isSo = (answer?.topics ?? []).every(
        ({ name, partitions }) => partitions.length === this.#expected.get(name ?? ''),
      );
      if (isSo && !isTransient(answer)) {
        for (const { name, topicId } of answer?.topics ?? []) this.#note(name ?? '', topicId);
        if (!(await this.#areLed())) continue;
        // The coordinator of groups hears of topics by itself.
        await setTimeout(SETTLED_MS);
        return;
      }
      await setTimeout(PAUSE_MS);
    }
    throw new Error('topics that never settle');
  }

  /** What a broker announces it may serve a moment later only. */
  async #areLed(): Promise<boolean> {
    const topics = [...this.#expected].map(([name, count]) => ({
      name,
      partitions: Array.from({ length: count }, (_, partitionIndex) => ({ partitionIndex, timestamp: LATEST })),
    }));
    const answer = await this.#peer.ask('listOffsets', 5, { replicaId: -1, isolationLevel: 0, topics });
    return (answer?.topics ?? []).every(({ partitions }) => partitions.every(({ errorCode }) => errorCode === 0));
  }

  #note(name: string, topicId: string): void {
    if (topicId === NO_UUID || this.#ids.get(name) === topicId) return;
    this.#ids.set(name, topicId);
    this.#values.set(`topic:${name}`, topicId);
    const times = (this.#made.get(name) ?? 0) + 1;
    this.#made.set(name, times);
    this.#symbols.set(topicId, `topic:${name}#${times}`);
  }

  /** A member is told what to read when the coordinator has it ready. */
  async #settleShare({ share: groupId, memberId }: { share: string; memberId: string }): Promise<void> {
    const symbol = `epoch:${memberId}`;
    for (let waited = 0; waited < PATIENCE_MS; waited += PAUSE_MS) {
      const beat = { groupId, memberId, memberEpoch: Number(this.#values.get(symbol)), subscribedTopicNames: null };
      const answer = await this.#peer.ask('shareGroupHeartbeat', 1, beat);
      if (answer?.errorCode === 0) this.#remember(symbol, answer.memberEpoch);
      const described = await this.#peer.ask('shareGroupDescribe', 1, {
        groupIds: [groupId],
        includeAuthorizedOperations: false,
      });
      const [group] = described?.groups ?? [];
      const one = group?.members.find((each) => each.memberId === memberId);
      if (one?.memberEpoch === group?.groupEpoch && one?.assignment.topicPartitions.length === 1) return;
      await setTimeout(PAUSE_MS);
    }
    throw new Error(`${memberId} is told to read nothing`);
  }

  async #settleTransaction(transactionalId: string): Promise<void> {
    for (let waited = 0; waited < PATIENCE_MS; waited += PAUSE_MS) {
      const answer = await this.#peer.ask('describeTransactions', 0, { transactionalIds: [transactionalId] });
      if (!IN_BETWEEN.test(answer?.transactionStates[0]?.transactionState ?? '')) return;
      await setTimeout(PAUSE_MS);
    }
  }
}

function isTransient(answer: unknown): boolean {
  if (!isObject(answer)) return false;
  return Object.entries(answer).some(([key, value]) =>
    /errorcode$/i.test(key) ? TRANSIENT.has(Number(value)) : isTransient(value),
  );
}

/** `a.0.b` of an answer. */
function valueAt(answer: unknown, path: string): unknown {
  let value = answer;
  for (const key of path.split('.')) value = isObject(value) ? value[key] : undefined;
  return value;
}

function rowsAt(value: unknown, key: string): Record<string, unknown>[] {
  const rows = isObject(value) ? value[key] : undefined;
  return Array.isArray(rows) ? rows.filter(isObject) : [];
}
