import { aclAdmin } from './acl-admin.ts';
import type { ApiName } from './apis.ts';
import type { Handlers } from './client.ts';
import { committing } from './committing.ts';
import { consumerGrouping } from './consumer-grouping.ts';
import { configAdmin } from './config-admin.ts';
import { discovery } from './discovery.ts';
import { fetching } from './fetching.ts';
import { groupAdmin } from './group-admin.ts';
import { grouping } from './grouping.ts';
import { logDirs } from './log-dirs.ts';
import { offsetAdmin } from './offset-admin.ts';
import { offsets } from './offsets.ts';
import { producing } from './producing.ts';
import { quotaAdmin } from './quota-admin.ts';
import { reassignmentAdmin } from './reassignment-admin.ts';
import { scramAdmin } from './scram-admin.ts';
import { shareFetching } from './share/fetching.ts';
import { shareGrouping } from './share/grouping.ts';
import { transactionAdmin } from './transaction-admin.ts';
import { transactionMarkers } from './transaction-markers.ts';
import { transactions } from './transactions.ts';
import { topicAdmin } from './topic-admin.ts';

/** Who answers what. */
export const HANDLERS: Handlers<Exclude<ApiName, 'apiVersions' | 'saslHandshake' | 'saslAuthenticate'>> = {
  ...discovery,
  ...producing,
  ...fetching,
  ...offsets,
  ...grouping,
  ...groupAdmin,
  ...consumerGrouping,
  ...committing,
  ...transactions,
  ...topicAdmin,
  ...configAdmin,
  ...transactionAdmin,
  ...transactionMarkers,
  ...offsetAdmin,
  ...logDirs,
  ...reassignmentAdmin,
  ...aclAdmin,
  ...scramAdmin,
  ...quotaAdmin,
  ...shareGrouping,
  ...shareFetching,
};
