import { toVhost } from '../../../core/vhosts.ts';
import type { ChannelInfo, ConnectionInfo } from '../live.ts';
import { notFound } from './errors.ts';
import { fromTable, type Json } from './json.ts';
import type { Management } from './management.ts';
import { type Call, done, list, object, type Route, route } from './route.ts';

type Filter = (connection: ConnectionInfo) => boolean;

/** What the caller may see: all, or its own; of one virtual host if the path names one. */
function visible(call: Call): Filter {
  const { vhost, name } = call.params;
  return (connection) =>
    call.access.seesConnectionOf(connection.user) &&
    (vhost === undefined || toVhost(connection.namespace) === vhost) &&
    (name === undefined || connection.name === name);
}

function showConnection(management: Management, info: ConnectionInfo): Json {
  return {
    name: info.name,
    node: management.node,
    user: info.user,
    user_who_performed_action: info.user,
    user_provided_name: info.clientName,
    vhost: toVhost(info.namespace),
    state: 'running',
    type: 'network',
    protocol: 'AMQP 0-9-1',
    auth_mechanism: info.mechanism,
    ssl: info.secure,
    peer_host: info.peerHost,
    peer_port: info.peerPort,
    host: info.host,
    port: info.port,
    connected_at: info.connectedAt,
    frame_max: info.frameMax,
    channel_max: info.channelMax,
    timeout: info.heartbeatSeconds,
    channels: info.channels.length,
    client_properties: fromTable(info.clientProperties),
    ...management.rates.withRates(`connection\0${info.id}`, { recv_oct: info.bytesIn, send_oct: info.bytesOut }),
  };
}

function connectionDetails({ name, peerHost, peerPort }: ConnectionInfo): Json {
  return { name, peer_host: peerHost, peer_port: peerPort };
}

function showChannel(management: Management, connection: ConnectionInfo, channel: ChannelInfo): Json {
  return {
    name: `${connection.name} (${channel.number})`,
    number: channel.number,
    node: management.node,
    connection_details: connectionDetails(connection),
    user: connection.user,
    user_who_performed_action: connection.user,
    vhost: toVhost(connection.namespace),
    state: 'running',
    confirm: channel.mode === 'confirm',
    transactional: channel.mode === 'transactional',
    prefetch_count: channel.prefetch,
    global_prefetch_count: channel.globalPrefetch,
    consumer_count: channel.consumers.length,
    messages_unacknowledged: channel.unacked,
    messages_unconfirmed: channel.unconfirmed,
    messages_uncommitted: 0,
    acks_uncommitted: 0,
  };
}

export interface ShownConsumer extends Json {
  queue: { name: string; vhost: string };
}

export function consumersOf(management: Management, filter: Filter): ShownConsumer[] {
  const live = management.options.amqp.live().filter(filter);
  return live.flatMap((connection) =>
    connection.channels.flatMap(({ number, consumers }) =>
      consumers.map((consumer) => ({
        consumer_tag: consumer.tag,
        queue: { name: consumer.queue, vhost: toVhost(connection.namespace) },
        ack_required: !consumer.noAck,
        exclusive: consumer.exclusive,
        prefetch_count: consumer.prefetch,
        active: true,
        activity_status: 'up',
        arguments: fromTable(consumer.arguments),
        channel_details: {
          name: `${connection.name} (${number})`,
          number,
          node: management.node,
          connection_name: connection.name,
          peer_host: connection.peerHost,
          peer_port: connection.peerPort,
          user: connection.user,
        },
      })),
    ),
  );
}

/** One that the path names is there. */
async function assertVhost({ management, access, params: { vhost } }: Call): Promise<void> {
  if (vhost !== undefined) await management.vhost({ access }, vhost);
}

function liveOf(call: Call): ConnectionInfo[] {
  return call.management.options.amqp.live().filter(visible(call));
}

function channelsOf(call: Call, live: readonly ConnectionInfo[]): Json[] {
  return live.flatMap((each) => each.channels.map((channel) => showChannel(call.management, each, channel)));
}

/** @throws Not Found */
function one(call: Call): ConnectionInfo {
  const [found] = liveOf(call);
  if (found === undefined) throw notFound();
  return found;
}

function oneChannel(call: Call): Json {
  const { name, ...params } = call.params;
  const all = channelsOf(call, liveOf({ ...call, params }));
  const found = all.find((channel) => channel['name'] === name);
  if (found === undefined) throw notFound();
  return found;
}

function ofUser(call: Call): ConnectionInfo[] {
  const { user, ...params } = call.params;
  return liveOf({ ...call, params }).filter((each) => each.user === user);
}

export const connectionRoutes: Route[] = [
  route('GET', '/api/connections/username/:user', (call) =>
    list(ofUser(call).map((each) => showConnection(call.management, each))),
  ),
  route('DELETE', '/api/connections/username/:user', (call) => {
    for (const { id } of ofUser(call)) call.management.options.amqp.disconnect(id, 'Closed via management plugin');
    return done;
  }),
  ...['/api/connections', '/api/vhosts/:vhost/connections'].map((path) =>
    route('GET', path, async (call) => {
      await assertVhost(call);
      return list(liveOf(call).map((each) => showConnection(call.management, each)));
    }),
  ),
  route('GET', '/api/connections/:name', (call) => object(showConnection(call.management, one(call)))),
  route('DELETE', '/api/connections/:name', (call) => {
    call.management.options.amqp.disconnect(one(call).id, 'Closed via management plugin');
    return done;
  }),
  route('GET', '/api/connections/:name/channels', (call) => list(channelsOf(call, [one(call)]))),
  ...['/api/channels', '/api/vhosts/:vhost/channels'].map((path) =>
    route('GET', path, async (call) => {
      await assertVhost(call);
      return list(channelsOf(call, liveOf(call)));
    }),
  ),
  route('GET', '/api/channels/:name', (call) => object(oneChannel(call))),
  ...['/api/consumers', '/api/consumers/:vhost'].map((path) =>
    route('GET', path, async (call) => {
      await assertVhost(call);
      return list(consumersOf(call.management, visible(call)));
    }),
  ),
];
