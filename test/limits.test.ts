/** Each limit of docs/limits.md has a test that reaches it, or a reason why it is no limit that somebody reaches. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { LIMIT_SECTIONS } from '../scripts/pages/limits.ts';

const root = resolve(import.meta.dirname, '..');

/** No test fails when it is another number: it is a size that was measured to be good, and nothing is refused for it. */
const MEASURED = Symbol('measured');

type Shown = string | typeof MEASURED;

const MEMORY = 'publishers that bring more than memory holds wait for the disk, and are refused when they may not wait';
const DOCUMENTS = 'documents have names and texts of a bounded size, and a kind of them a bounded number';
const CURSORS =
  'a namespace has no more committed offsets than maxCursors, which move and make room when they go, also from ${from}';
const SNAPSHOTS =
  'a snapshot that says nothing lives for defaultSnapshotMs, and a topic has no more of them than maxSnapshots';
const TRANSACTION_TIME =
  'a transaction stays open for transactionMs unless its producer says, and for maxTransactionMs at most';
const TRANSACTION_SIZE = 'what would not fit into the batch of the commit is refused when it is added';
const UNFINISHED = 'unfinished bodies have a budget: who comes then waits, and what shows no sign of life is given up';
const ROOM = 'a commit log that cannot grow beyond its first segments refuses publishers before it refuses consumers';
const CHECKPOINTS =
  'checkpoints and cold blocks: a small commit log holds a large backlog, and a start reads neither twice';
const HTTP_HEADERS = 'headers over 16 KiB are refused';
const KAFKA_OUTPUT =
  'to a client that reads nothing no more than highWaterBytes and one answer wait, and above maxOutputBytes it is cut off';
const KAFKA_FETCH = 'one fetch answers at most maxFetchBytes and one batch more, and waits for maxFetchWaitMs at most';
const KAFKA_SESSION =
  'a member of a group may ask for a session timeout from minSessionTimeoutMs to maxSessionTimeoutMs';
const AMQP_TUNE = 'a client may not ask for more than was offered';
const BROWSER = 'a login ends after an hour without a request, after twelve hours, and with a logout';
const REFUSED =
  'after ten refused logins over any door an address waits for a minute at all of them, with the right secret too';
const DEFINED =
  'routers, bindings, subscriptions and schedules have a most as well, and what is there is declared again';

/** By section and limit, the test that reaches it. */
const SHOWN: Record<string, Record<string, Shown>> = {
  'Connections, on every port': {
    maxConnections: 'connections over the limit are closed, and a place that becomes free is given again',
    maxPerAddress: 'an address is crowded while as many connections as it may have are open, and others are not',
    maxUnauthenticated: 'connections that never log in keep nobody out who comes from elsewhere, over any protocol',
    handshakeMs: 'who does not log in within 10 s is told so; who does, stays',
  },
  'What clients define': { routers: DEFINED, bindings: DEFINED, subscriptions: DEFINED, schedules: DEFINED },
  'A broker, and its shard': {
    batchBytes: 'a transaction that is larger than a batch usually is lies in one batch all the same',
    memoryBytes: MEMORY,
    recentBytes: MEASURED,
    coldCacheBytes: MEASURED,
    reservedShare: ROOM,
    consumerReservedShare: ROOM,
    checkpointBytes: CHECKPOINTS,
    checkpointSliceBytes: MEASURED,
    coldBlockBytes: MEASURED,
    compactAfterMessages: 'a topic is compacted when compactAfterMessages came since the last time',
    parkedBytes: MEMORY,
    sendBufferBytes:
      'clients that do not read hold one share of the memory together, however many they are, and give it back',
    parkMs: 'a publisher that says nothing waits for room for parkMs',
    takeOverGraceMs: 'after a start the leases of former sessions last for takeOverGraceMs',
    largeBodyBytes:
      'a large message comes back byte for byte, leaves the journal small, and its file goes when it is settled',
    maxMessageBytes: 'a topic may take messages up to the limit of the shard and no larger',
    unfinishedBodyBytes: UNFINISHED,
    unfinishedBodies: UNFINISHED,
    unfinishedBodyMs: UNFINISHED,
    maxRecordsPerPublish: 'a publish has no more records than maxRecordsPerPublish',
    maxPartitions: 'a topic has no more partitions than maxPartitions',
    maxNameBytes:
      'names of topics, subscriptions, routers, snapshots, producers and kinds have at most maxNameBytes, as UTF-8',
    maxAttributeBytes: 'attributes that take too much are refused',
    maxDocumentBytes: DOCUMENTS,
    maxDocumentNameBytes: DOCUMENTS,
    maxDocuments: DOCUMENTS,
    maxCursors: CURSORS,
    maxErrorText: 'of the text of an error no more than maxErrorText is kept',
    maxPeek: 'a peek shows no more than maxPeek',
    defaultSnapshotMs: SNAPSHOTS,
    maxSnapshotMs: SNAPSHOTS,
    maxSnapshots: SNAPSHOTS,
    transactionMs: TRANSACTION_TIME,
    maxTransactionMs: TRANSACTION_TIME,
    maxTransactionPartitions: TRANSACTION_SIZE,
    maxTransactionBytes: TRANSACTION_SIZE,
    maxProducers: 'producers are listed, and those that nobody uses are forgotten when there are many',
    producerIdleMs: 'producers are listed, and those that nobody uses are forgotten when there are many',
    maxProducerEpoch: 'an epoch that two bytes cannot hold gives the producer a new number',
  },
  'A connection of the native protocol': {
    maxFrameBytes: 'an answer larger than a frame is refused with TOO_LARGE',
    heartbeatMs: 'a client that is silent for three heartbeats is closed and its session ended; one that beats is not',
    handshakeMs: 'a client that does not log in is closed after 10 s',
    highWaterBytes:
      'a client that does not read gets no more credit, keeps what was delivered, and goes on when it reads',
    maxOutputBytes: 'a client that lets more than the output limit pile up is closed as SLOW_CONSUMER',
    maxHeldBytes:
      'bytes that unanswered requests hold are counted by chunk, so that a small publish cannot pin large ones',
    maxRequests: 'too many unanswered requests pause the reading of that socket only, and an answer resumes it',
    maxConsumers: 'a connection has no more consumers than maxConsumers, and one that goes makes room',
  },
  'A connection of HTTP (also SQS and SNS)': {
    maxHeaderBytes: HTTP_HEADERS,
    maxHeaders: 'of a request no more than a hundred headers count',
    headersMs: 'a client that sends its headers drop by drop is cut off',
    requestMs: 'a body that does not come is not waited for without end',
    idleMs: 'a connection without a request is closed when it was idle for long',
    checkMs: 'a client that sends its headers drop by drop is cut off',
  },
  'Streams of events (the dashboard)': {
    viewers: 'more streams than the limit are refused, and one that ends makes room',
    namespaces: 'no more namespaces than the limit are looked at at one time',
    looks: MEASURED,
    stuckMs: 'who takes nothing for a minute is cut off, once',
    lingerMs: MEASURED,
    historyMs: MEASURED,
  },
  'Histories (charts)': {
    points: 'it is a ring, also for one that rests in between',
    namespaces: 'each namespace has its own, as many as the limit, and goes with its last topic',
    subscriptions: 'the followed are those in which something happened last, and no more than the limit',
  },
  'A connection of AMQP': {
    frameMax: AMQP_TUNE,
    channelMax: 'a connection opens no more channels than was agreed, of which channelMax is the most',
    heartbeatSeconds: 'heartbeats are sent, and a client that is silent for two of its own is cut off',
    maxMessageBytes: 'a body over the limit closes its channel before its bytes are taken',
    highWaterBytes: 'for a client that reads nothing the broker holds no more than a few megabytes',
    maxOutputBytes: 'a client that lets more than maxOutputBytes of answers wait is cut off',
    maxHeldBytes: 'while more than maxHeldBytes wait for the engine nothing more of the connection is read',
    maxWholeBytes:
      'messages that have to be whole take a bounded part of memory while they come, over all channels together',
    maxConsumers: 'a channel has at most maxConsumers',
  },
  'A connection of Kafka': {
    maxRequestBytes: 'a request of maxRequestBytes is answered, one byte more ends the connection',
    maxLoginBytes: 'before the login a request has at most maxLoginBytes',
    maxHeldBytes: 'while requests above ${limit} are not answered nothing more of the connection is read',
    maxHeldRequests: 'while requests above ${limit} are not answered nothing more of the connection is read',
    highWaterBytes: KAFKA_OUTPUT,
    maxOutputBytes: KAFKA_OUTPUT,
    maxFetchBytes: KAFKA_FETCH,
    maxFetchWaitMs: KAFKA_FETCH,
    maxSessionPartitions:
      'a fetch session remembers at most maxSessionPartitions; who follows more names them each time',
    maxShareSessions: 'a connection has at most maxShareSessions',
    minSessionTimeoutMs: KAFKA_SESSION,
    maxSessionTimeoutMs: KAFKA_SESSION,
    consumerSessionTimeoutMs:
      'a group that had members before a restart was used until then, although it had committed long ago',
    consumerHeartbeatMs: 'a heartbeat is answered with what its member has to know',
    emptyGroupMs: 'a group that its members have left is described and listed for ten minutes, or until it is deleted',
    offsetsRetentionMs: 'what a group has committed is kept as long as it is used, and a week after it',
    idleMs: 'a connection on which nothing happens for idleMs is ended, but not one that waits for its answer',
    maxReauthMs:
      'a login lasts as long as logins may, or its token if that is shorter, and is renewed by another of the same user',
    autoCreatePartitions: 'a topic that is asked for is made with autoCreatePartitions: ${partitions}',
  },
  Logins: {
    passwordsAtOnce: 'more than 66 logins by password at once are refused instead of queued without end',
    passwordsWaiting: 'more than 66 logins by password at once are refused instead of queued without end',
    refusedOfAddress: REFUSED,
    refusedAddresses: 'the oldest of too many logins, and of too many addresses with refused ones, is forgotten',
    browsers: 'the oldest of too many logins, and of too many addresses with refused ones, is forgotten',
    browserIdleMs: BROWSER,
    browserMs: BROWSER,
    accessKeysOfUser: 'a user has no more access keys and tags, and all users no more ACLs, than are allowed',
    tagsOfUser: 'a user has no more access keys and tags, and all users no more ACLs, than are allowed',
    acls: 'a user has no more access keys and tags, and all users no more ACLs, than are allowed',
  },
};

test('every limit has its line here, and no line is about one that is gone', () => {
  const limits = LIMIT_SECTIONS.map(({ title, values }) => [title, Object.keys(values).sort()]);
  const listed = Object.entries(SHOWN).map(([title, rows]) => [title, Object.keys(rows).sort()]);
  assert.deepEqual(Object.fromEntries(listed), Object.fromEntries(limits));
});

test('every test that is to reach a limit exists', () => {
  const files = globSync(['src/**/*.test.ts', 'test/**/*.test.ts'], { cwd: root, exclude: ['test/limits.test.ts'] });
  const source = files.map((file) => readFileSync(join(root, file), 'utf8')).join('\n');
  const quotes = ["'", '"', '`'];
  const named = new Set(Object.values(SHOWN).flatMap((rows) => Object.values(rows)));
  const missing = [...named].filter(
    (name) => name !== MEASURED && !quotes.some((quote) => source.includes(`${quote}${name}${quote}`)),
  );
  assert.deepEqual(missing, []);
});
