import type { ApiName } from '../../../src/gateways/kafka/apis.ts';
import { NO_UUID } from '../../../src/gateways/kafka/fields.ts';
import { readRecords } from '../../../src/gateways/kafka/record-batch.ts';

/** Words and places of one broker, of which nothing follows. */
const DROPPED = new Set([
  'throttleTimeMs',
  'errorMessage',
  'batchIndexErrorMessage',
  'clusterId',
  'host',
  'port',
  'rack',
  'documentation',
  'synonyms',
  'topicConfigErrorCode',
  'nodeEndpoints',
  'logDir',
  'partitionSize',
  'totalBytes',
  'usableBytes',
  'supportedFeatures',
  'finalizedFeatures',
  'finalizedFeaturesEpoch',
  'zkMigrationReady',
]);
/**
 * A share group counts its epochs by what its coordinator finds out by itself, and tells then what to read: a member is
 * described with it. How long a record is locked, some versions say and others do not.
 */
const ALSO_DROPPED: Partial<Record<ApiName, readonly string[]>> = {
  createTopics: ['configs'],
  shareGroupHeartbeat: ['assignment', 'memberEpoch'],
  shareGroupDescribe: ['groupEpoch', 'assignmentEpoch', 'memberEpoch'],
};
/** Whose order says nothing, by what they are ordered here. */
const UNORDERED = new Set([
  'topics',
  'groups',
  'members',
  'configs',
  'resources',
  'acls',
  'matchingAcls',
  'transactionStates',
  'responses',
  'topicPartitions',
  'partitions',
  'partitionIndexes',
  'resultsByTopicV3AndBelow',
  'resultsByPartition',
  'entries',
  'entity',
  'values',
  'results',
  'credentialInfos',
  'coordinators',
]);
/** Where a value that is not the topic's own comes from, is of the broker that has it. */
const WHERE_FROM: Readonly<Record<number, string>> = { 3: 'the broker', 4: 'the broker', 5: 'the broker' };
const PLAUSIBLE_MS = 1_600_000_000_000;
const NOW_MS = 1_750_000_000_000;

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Buffer.isBuffer(value);
}

/** What an answer says, in words that are the same for every broker: symbols for ids, nothing of hosts and times. */
export function normalised(api: ApiName, answer: unknown, symbols: ReadonlyMap<unknown, string>): unknown {
  if (!isObject(answer)) return answer;
  const dropped = new Set([...DROPPED, ...(ALSO_DROPPED[api] ?? [])]);
  const of = (value: unknown, key: string): unknown => {
    if (Buffer.isBuffer(value)) return value.toString('hex');
    if (key === 'acquiredRecords' && Array.isArray(value)) return acquiredBy(value);
    if (key === 'records' && Array.isArray(value)) return batchesOf(Buffer.concat(value as Buffer[]), symbols);
    if (typeof value === 'string') return symbols.get(value) ?? (isUnknownId(key, value) ? 'an id' : value);
    if (typeof value === 'number') return numberOf(key, value, symbols);
    if (Array.isArray(value)) {
      const all = value.map((each) => of(each, key));
      return UNORDERED.has(key) ? all.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)) : all;
    }
    if (!isObject(value)) return value;
    const told = Object.fromEntries(
      Object.entries(value)
        .filter(([name]) => !dropped.has(name))
        .map(([name, each]) => [name, of(each, name)]),
    );
    return 'abortedTransactions' in told ? { ...told, abortedTransactions: abortedWithin(told) } : told;
  };
  return of(answer, api);
}

/** Those that say something of the records beside them: none and an empty list are the same. */
function abortedWithin({ abortedTransactions, records }: Record<string, unknown>): unknown[] {
  const batches = Array.isArray(records) ? records.filter(isObject) : [];
  const end = Math.max(-1, ...batches.map(({ base, last }) => Number(base) + Number(last)));
  const all = Array.isArray(abortedTransactions) ? abortedTransactions : [];
  return all.filter((each: unknown) => isObject(each) && Number(each['firstOffset']) <= end);
}

function isUnknownId(key: string, value: string): boolean {
  return (key === 'topicId' && value !== NO_UUID) || (key === 'memberId' && /-[0-9a-f]{8}-/.test(value));
}

function numberOf(key: string, value: number, symbols: ReadonlyMap<unknown, string>): unknown {
  if (key === 'producerId' && value >= 0) return symbols.get(value) ?? 'a producer';
  if (key === 'configSource') return WHERE_FROM[value] ?? value;
  if (key === 'sessionId') return value > 0 ? 'a session' : value;
  if (/time/i.test(key) && value > NOW_MS) return 'now';
  return value;
}

/** By offset how often each was delivered, however they are put together. */
function acquiredBy(ranges: readonly unknown[]): [offset: number, deliveries: unknown][] {
  return ranges
    .filter(isObject)
    .flatMap(({ firstOffset, lastOffset, deliveryCount }) =>
      Array.from({ length: Number(lastOffset) - Number(firstOffset) + 1 }, (_, i): [number, unknown] => [
        Number(firstOffset) + i,
        deliveryCount,
      ]),
    );
}

/** What whole batches say. The last one of a fetch may be cut off. */
function batchesOf(bytes: Buffer, symbols: ReadonlyMap<unknown, string>): unknown[] {
  const found: unknown[] = [];
  for (let at = 0; at + 61 <= bytes.byteLength;) {
    const end = at + 12 + bytes.readInt32BE(at + 8);
    if (end > bytes.byteLength) break;
    const batch = Buffer.from(bytes.subarray(at, end));
    at = end;
    const attributes = batch.readInt16BE(21);
    const isControl = (attributes & 32) !== 0;
    const producerId = Number(batch.readBigInt64BE(43));
    batch.writeInt16BE(attributes & ~32, 21);
    const records = readRecords(batch);
    found.push({
      base: Number(batch.readBigInt64BE(0)),
      last: batch.readInt32BE(23),
      attributes,
      producer: producerId < 0 ? null : (symbols.get(producerId) ?? 'a producer'),
      epoch: batch.readInt16BE(51),
      sequence: batch.readInt32BE(53),
      ...(isControl
        ? { marker: records[0]?.key?.readInt16BE(2) === 1 ? 'commit' : 'abort' }
        : {
            records: records.map(({ timestamp, key, value }) => [
              timestamp > PLAUSIBLE_MS && timestamp > NOW_MS ? 'now' : timestamp,
              key?.toString() ?? null,
              value?.toString() ?? null,
            ]),
          }),
    });
  }
  return found;
}

export interface Difference {
  readonly path: string;
  readonly theirs: unknown;
  readonly ours: unknown;
}

export function differences(theirs: unknown, ours: unknown, path = ''): Difference[] {
  if (Array.isArray(theirs) && Array.isArray(ours)) {
    const both = Math.min(theirs.length, ours.length);
    const found = theirs.slice(0, both).flatMap((each, i) => differences(each, ours[i], `${path}[]`));
    return theirs.length === ours.length
      ? found
      : [...found, { path: `${path}[more]`, theirs: theirs.slice(both), ours: ours.slice(both) }];
  }
  if (isObject(theirs) && isObject(ours) && !Array.isArray(theirs) && !Array.isArray(ours))
    return [...new Set([...Object.keys(theirs), ...Object.keys(ours)])].flatMap((key) =>
      differences(theirs[key], ours[key], path === '' ? key : `${path}.${key}`),
    );
  return JSON.stringify(theirs) === JSON.stringify(ours) ? [] : [{ path, theirs, ours }];
}
