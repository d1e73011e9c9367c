import type { Management } from './management.ts';
import { type Answer, type Call, object, openRoute, type Route, route } from './route.ts';

/** Health checks: 200 when all is well, else 503 with the reason. */

export function listeners(management: Management): { protocol: string; port: number }[] {
  const { amqp, management: own } = management.options.ports();
  return [
    ...(amqp === null ? [] : [{ protocol: 'amqp', port: amqp }]),
    ...(own === null ? [] : [{ protocol: 'http', port: own }]),
  ];
}

function check(management: Management): Answer {
  const { state, reason } = management.options.broker.health();
  return state === 'open' && reason === null ? well() : failed(reason ?? `The broker is ${state}.`);
}

function well(facts: object = {}): Answer {
  return object({ status: 'ok', ...facts });
}

function failed(reason: string, facts: object = {}): Answer {
  return { is: 'object', value: { status: 'failed', reason, ...facts }, status: 503 };
}

/** As people write the protocols that are spoken here. */
const PROTOCOLS = new Map([
  ...['amqp', 'amqp091', 'amqp0.9.1', 'amqp0-9-1', 'amqp0_9_1'].map((name) => [name, 'amqp'] as const),
  ['http', 'http'],
]);

function portListener({ management, params }: Call): Answer {
  const ports = listeners(management).map(({ port }) => port);
  const port = Number(params['port']);
  return ports.includes(port) ? well({ port }) : failed('No active listener', { missing: port, ports });
}

/** Of several with commas between them, all. */
function protocolListener({ management, params }: Call): Answer {
  const wanted = (params['protocols'] ?? '').split(',').map((each) => each.trim().toLowerCase());
  const protocols = listeners(management).map(({ protocol }) => protocol);
  const missing = wanted.filter((each) => !protocols.includes(PROTOCOLS.get(each) ?? ''));
  return missing.length === 0 ? well({ protocols }) : failed('No active listener', { missing, protocols });
}

function readyToServe(management: Management): Answer {
  if (listeners(management).every(({ protocol }) => protocol !== 'amqp'))
    return failed('no active listeners for AMQP/AMQPS');
  return check(management);
}

const WITHOUT_LEADERS = '/api/health/checks/quorum-queues-without-elected-leaders';

/** Of one whole broker: there is no other node that could be missing, and no limit of connections. */
const CHECKS = [
  '/api/healthchecks/node',
  '/api/healthchecks/node/:node',
  '/api/health/checks/alarms',
  '/api/health/checks/local-alarms',
  '/api/health/checks/virtual-hosts',
  '/api/health/checks/node-is-mirror-sync-critical',
  '/api/health/checks/node-is-quorum-critical',
  '/api/health/checks/reached-target-cluster-size',
  '/api/health/checks/metadata-store/initialized',
  '/api/health/checks/metadata-store/initialized/with-data',
  `${WITHOUT_LEADERS}/all-vhosts`,
  `${WITHOUT_LEADERS}/all-vhosts/pattern/:pattern`,
  `${WITHOUT_LEADERS}/vhost/:vhost`,
  `${WITHOUT_LEADERS}/vhost/:vhost/pattern/:pattern`,
];

export const healthRoutes: Route[] = [
  ...CHECKS.map((path) => route('GET', path, ({ management }) => check(management))),
  route('GET', '/api/health/checks/port-listener/:port', portListener),
  route('GET', '/api/health/checks/protocol-listener/:protocols', protocolListener),
  // What orchestrators ask, who have no login.
  openRoute('/api/health/checks/is-in-service', check),
  openRoute('/api/health/checks/below-node-connection-limit', check),
  openRoute('/api/health/checks/ready-to-serve-clients', readyToServe),
];
