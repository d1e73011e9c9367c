import { bindingRoutes } from './bindings.ts';
import { connectionRoutes } from './connections.ts';
import { definitionRoutes } from './definitions.ts';
import { notFound, notSupported } from './errors.ts';
import { exchangeRoutes } from './exchanges.ts';
import { healthRoutes } from './health.ts';
import { messageRoutes } from './messages.ts';
import { metricsRoutes } from './metrics.ts';
import { overviewRoutes } from './overview.ts';
import { policyRoutes } from './policies.ts';
import { queueRoutes } from './queues.ts';
import { list, type Method, type Route, route } from './route.ts';
import { userRoutes } from './users.ts';
import { vhostLimitRoutes } from './vhost-limits.ts';
import { vhostRoutes } from './vhosts.ts';

/** Lists of what this broker has none of: tools read them whether they use them or not. */
const EMPTY = [
  '/api/parameters',
  '/api/parameters/:component',
  '/api/parameters/:component/:vhost',
  '/api/global-parameters',
  '/api/feature-flags',
  '/api/deprecated-features',
  '/api/deprecated-features/used',
];

/** What RabbitMQ would keep and obey, and this broker would have to ignore. */
const REFUSED: readonly [Method, string][] = [
  ['PUT', '/api/parameters/:component/:vhost/:name'],
  ['PUT', '/api/global-parameters/:name'],
  ['PUT', '/api/feature-flags/:name/enable'],
  ['PUT', '/api/cluster-name'],
  ['POST', '/api/queues/:vhost/:name/actions'],
  ['POST', '/api/vhosts/:vhost/start/:node'],
];

/** One of a list that is empty. */
const MISSING = ['/api/parameters/:component/:vhost/:name', '/api/global-parameters/:name'];

export const ROUTES: readonly Route[] = [
  ...overviewRoutes,
  ...healthRoutes,
  ...vhostRoutes,
  ...vhostLimitRoutes,
  ...userRoutes,
  ...queueRoutes,
  ...exchangeRoutes,
  ...bindingRoutes,
  ...messageRoutes,
  ...policyRoutes,
  ...connectionRoutes,
  ...definitionRoutes,
  ...metricsRoutes,
  ...EMPTY.map((path) => route('GET', path, () => list([]))),
  ...MISSING.map((path) =>
    route('GET', path, () => {
      throw notFound();
    }),
  ),
  ...REFUSED.map(([method, path]) =>
    route(method, path, () => {
      throw notSupported(`${method} ${path}`);
    }),
  ),
];
