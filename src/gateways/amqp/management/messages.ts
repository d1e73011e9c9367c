import { IMPERSONATOR } from '../../../core/access.ts';
import type { DeliveryRun, Session, SettleAction } from '../../../core/session.ts';
import { FORMAT_AMQP, RecordView } from '../content.ts';
import { AmqpError, asAmqpError } from '../errors.ts';
import { AMQP_LIMITS } from '../limits.ts';
import { encodeProperties, readProperties } from '../properties.ts';
import { type PublishedBatch, Publishing, type Route as PublishRoute } from '../publishing.ts';
import { amqpRecords } from '../records.ts';
import { deadLetterTarget, named } from '../translate.ts';
import { Vhost } from '../vhost.ts';
import { WholeBytes } from '../whole-bytes.ts';
import { bad } from './errors.ts';
import { exchangeName } from './exchanges.ts';
import { param, shortText, text, whole } from './fields.ts';
import { fromProperties, type Json, toProperties } from './json.ts';
import { findQueue } from './queues.ts';
import { type Call, list, object, type Route, route } from './route.ts';

const CONTENT_HEADER_BYTES = 12;
const BASIC_CLASS = 60;

// ---- Publish --------------------------------------------------------------------------------------------------------

/** Published as a client would, so that it is checked, copied and delayed as one of a client. */
async function publish(call: Call, vhost: Vhost): Promise<Json> {
  const { management, params, body } = call;
  const exchange = exchangeName(param(params, 'name'));
  const key = shortText(body, 'routing_key');
  const rights = management.rights(call, vhost);
  rights.publish(exchange, key);
  const to = await routeTo(vhost, exchange, key);
  rights.keys(vhost, to.to);
  const properties = encodeProperties(toProperties(body['properties'] ?? {}));
  const payload = payloadOf(body);
  const batches: PublishedBatch[] = [];
  const publishing = new Publishing({
    user: call.principal.name,
    impersonates: () => call.principal.tags?.includes(IMPERSONATOR) === true,
    maxMessageBytes: AMQP_LIMITS.maxMessageBytes,
    whole: new WholeBytes(2 * AMQP_LIMITS.maxMessageBytes),
    replyTo: () => undefined,
    allow: (target) => rights.keys(vhost, target),
    upload: () => undefined,
    publish: (batch) => batches.push(batch),
  });
  publishing.setRoute(routeBytes(exchange, key), to);
  publishing.begin(false);
  const header = Buffer.concat([Buffer.alloc(CONTENT_HEADER_BYTES), properties]);
  header.writeUInt16BE(BASIC_CLASS, 0);
  header.writeBigUInt64BE(BigInt(payload.byteLength), 4);
  publishing.header(header, 0, header.byteLength);
  if (payload.byteLength > 0) publishing.body(payload, 0, payload.byteLength);
  publishing.flush();
  let routed = false;
  for (const {
    route: { to: target },
    records,
    count,
  } of batches) {
    const request = { to: target, format: FORMAT_AMQP, records, count };
    const receipt = await vhost.session.publish(request).catch((error: unknown) => {
      // The default exchange without such a queue: nobody takes it.
      if ('topic' in target && isNotFound(error)) return undefined;
      throw error;
    });
    routed ||= (receipt?.runs.length ?? 0) > 0;
  }
  return { routed };
}

function isNotFound(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'NOT_FOUND';
}

/** What a client would be told of an exchange that is not there is an answer to a bad request. */
async function publishAsClient(call: Call): Promise<Json> {
  const vhost = await call.management.vhost(call, param(call.params, 'vhost'));
  try {
    return await publish(call, vhost);
  } catch (error) {
    const { reply, code, message } = asAmqpError(error);
    if (reply === 'NOT_FOUND') throw bad(`${code} ${message}`);
    throw error;
  }
}

async function routeTo(vhost: Vhost, exchange: string, key: string): Promise<PublishRoute> {
  if (exchange === '') return { to: { topic: key }, delayed: false };
  const found = await vhost.exchange(exchange);
  if (found.declared.internal)
    throw new AmqpError('ACCESS_REFUSED', `cannot publish to internal ${named('exchange', exchange, vhost.namespace)}`);
  return { to: { router: exchange, key }, delayed: Vhost.isDelayed(found) };
}

/** Exchange and routing key as on the wire. */
function routeBytes(exchange: string, key: string): Buffer {
  return Buffer.concat([exchange, key].flatMap((each) => [Buffer.from([Buffer.byteLength(each)]), Buffer.from(each)]));
}

function payloadOf(body: Json): Buffer {
  const payload = text(body, 'payload');
  const encoding = text(body, 'payload_encoding', 'string');
  if (encoding === 'string') return Buffer.from(payload);
  if (encoding !== 'base64') throw bad(`payload_encoding is ${JSON.stringify(encoding)}; write string or base64`);
  return Buffer.from(payload, 'base64');
}

// ---- Get ------------------------------------------------------------------------------------------------------------

const ACK_MODES = ['ack_requeue_true', 'ack_requeue_false', 'reject_requeue_true', 'reject_requeue_false'] as const;
const MAX_GET = 1_000;
/** More is not put into one answer. */
const MAX_GET_BYTES = 64 << 20;
/** How long a message that the broker says is ready may take to arrive, when a consumer was quicker. */
const GET_WAIT_MS = 500;

async function getMessages(call: Call): Promise<Json[]> {
  const { body, management } = call;
  const { vhost, definition } = await findQueue(call);
  const { name } = definition;
  management.rights(call, vhost).read('queue', name);
  const mode = ACK_MODES.find((each) => each === (body['ackmode'] ?? 'ack_requeue_true'));
  if (mode === undefined) throw bad(`ackmode is not one of ${ACK_MODES.join(', ')}`);
  const encoding = text(body, 'encoding', 'auto');
  if (!['auto', 'base64'].includes(encoding)) throw bad('encoding is neither auto nor base64');
  const truncate = body['truncate'] === undefined ? Infinity : whole(body, 'truncate', Number.MAX_SAFE_INTEGER);
  const count = whole(body, 'count', MAX_GET);
  const action = actionOf(mode, deadLetterTarget(definition.subscription) !== undefined);
  const { ready } = await vhost.counts({ name, kind: 'queue' });
  const runs = await take(vhost.session, name, Math.min(count, ready), management);
  const shown = runs.map((run, i) => show(run, name, ready - i - 1, { encoding, truncate }));
  const ranges = runs.map(({ partition, offset, count: messages, token }) => ({
    partition,
    offset,
    count: messages,
    token,
  }));
  if (ranges.length > 0) await vhost.session.settle([{ topic: name, subscription: name, ranges, ...action }]);
  return shown;
}

function actionOf(mode: (typeof ACK_MODES)[number], buries: boolean): SettleAction {
  if (mode === 'ack_requeue_false') return { action: 'ack' };
  if (mode === 'reject_requeue_false')
    return buries ? { action: 'reject', reason: 'rejected by the management API' } : { action: 'ack' };
  return { action: 'release', countAttempt: true };
}

/** One after the other, by a consumer that lives for that. */
async function take(
  session: Session,
  name: string,
  count: number,
  management: Call['management'],
): Promise<DeliveryRun[]> {
  if (count === 0) return [];
  const { clock } = management.options;
  const taken: DeliveryRun[] = [];
  let bytes = 0;
  let next = Promise.withResolvers<boolean>();
  const consumer = await session.consume(
    { topic: name, subscription: name, lease: 'session', name: 'management', formats: [FORMAT_AMQP] },
    {
      deliver: (runs) => {
        taken.push(...runs);
        for (const { records } of runs) bytes += records.byteLength;
        next.resolve(true);
      },
      ended: () => next.resolve(false),
    },
  );
  for (let goOn = true; goOn && taken.length < count && bytes < MAX_GET_BYTES;) {
    next = Promise.withResolvers();
    const cancel = clock.timer(clock.now() + GET_WAIT_MS, () => next.resolve(false));
    consumer.credit(1);
    goOn = await next.promise;
    cancel();
  }
  await consumer.close();
  return taken;
}

function show(run: DeliveryRun, queue: string, left: number, how: { encoding: string; truncate: number }): Json {
  const records = amqpRecords(run, queue);
  const view = new RecordView().at(records, 0);
  const body = records.subarray(view.body, view.end);
  const payload = body.subarray(0, how.truncate);
  const asText = how.encoding === 'auto' && isText(payload);
  const key = view.route + 1 + (records[view.route] ?? 0);
  return {
    payload_bytes: body.byteLength,
    redelivered: run.attempt > 1,
    exchange: records.toString('utf8', view.route + 1, key),
    routing_key: records.toString('utf8', key + 1, view.properties),
    message_count: Math.max(0, left),
    properties: fromProperties(readProperties(records, view.properties, view.body)),
    payload: payload.toString(asText ? 'utf8' : 'base64'),
    payload_encoding: asText ? 'string' : 'base64',
  };
}

function isText(bytes: Buffer): boolean {
  return Buffer.from(bytes.toString()).equals(bytes);
}

// ---- Aliveness ------------------------------------------------------------------------------------------------------

const ALIVENESS_QUEUE = 'aliveness-test';

/** Declares a queue, publishes to it and takes what was published. */
async function aliveness(call: Call): Promise<Json> {
  const vhost = await call.management.vhost(call, param(call.params, 'vhost'));
  const declare = { reserved1: 0, passive: false, durable: false, exclusive: false, autoDelete: false, noWait: false };
  const topology = call.management.topology(call, vhost);
  await topology.declareQueue({ ...declare, queue: ALIVENESS_QUEUE, arguments: new Map() });
  const params = { ...call.params, name: 'amq.default' };
  await publish({ ...call, params, body: { routing_key: ALIVENESS_QUEUE, payload: 'test_message' } }, vhost);
  const body = { count: 1, ackmode: 'ack_requeue_false' };
  const got = await getMessages({ ...call, params: { ...call.params, name: ALIVENESS_QUEUE }, body });
  if (got.length === 0) throw bad('the message that was published did not come back');
  return { status: 'ok' };
}

export const messageRoutes: Route[] = [
  route('POST', '/api/exchanges/:vhost/:name/publish', async (call) => object(await publishAsClient(call))),
  route('POST', '/api/queues/:vhost/:name/get', async (call) => list(await getMessages(call))),
  route('GET', '/api/aliveness-test/:vhost', async (call) => object(await aliveness(call))),
];
