import type { Route } from '../route.ts';
import { consumeRoutes } from './consume.ts';
import { cursorRoutes } from './cursors.ts';
import { deadRoutes } from './dead.ts';
import { definitionRoutes } from './definitions.ts';
import { inspectRoutes } from './inspect.ts';
import { kafkaRightsRoutes } from './kafka-rights.ts';
import { liveRoutes } from './live.ts';
import { manageRoutes } from './manage.ts';
import { publishRoutes } from './publish.ts';
import { routerRoutes } from './routers.ts';
import { scaleRoutes } from './scale.ts';
import { retryRoutes } from './retries.ts';
import { scheduleRoutes } from './schedules.ts';
import { schemaRoutes } from './schemas.ts';
import { policyRoutes } from './policies.ts';
import { userRoutes } from './users.ts';
import { alertRoutes } from './alerts.ts';
import { serverRoutes } from './server.ts';
import { snapshotRoutes } from './snapshots.ts';

/** Every route below /api/v1, in the order of the documentation. */
export const ROUTES: readonly Route[] = [
  ...publishRoutes,
  ...consumeRoutes,
  ...definitionRoutes,
  ...inspectRoutes,
  ...schemaRoutes,
  ...cursorRoutes,
  ...scaleRoutes,
  ...liveRoutes,
  ...manageRoutes,
  ...snapshotRoutes,
  ...deadRoutes,
  ...retryRoutes,
  ...scheduleRoutes,
  ...routerRoutes,
  ...userRoutes,
  ...kafkaRightsRoutes,
  ...policyRoutes,
  ...alertRoutes,
  ...serverRoutes,
];
