import { Dashboard } from '../../gateways/http/dashboard/files.ts';
import { HttpGateway, type HttpGatewayOptions } from '../../gateways/http/gateway.ts';
import { dashboardDirectory } from '../dashboard.ts';
import type { Needs } from './needs.ts';

/** What the API tells of the server around it, and where the pages lie. Default of these: beside the code. */
type Shown = Pick<HttpGatewayOptions, 'health' | 'metrics' | 'live' | 'facts' | 'federated'> & {
  dashboard: string | undefined;
};

export function openHttp(
  { config, connect, authenticator, refusedLogins, clock, report }: Needs,
  shown: Shown,
): HttpGateway {
  const { limits, allowedHosts } = config;
  return new HttpGateway({
    ...shown,
    connect: (owner) => connect(owner, 'http'),
    authenticator,
    refusedLogins,
    clock,
    maxBodyBytes: limits.httpBody,
    maxMemoryBytes: limits.httpMemory,
    allowedHosts,
    dashboard: new Dashboard(shown.dashboard ?? dashboardDirectory()),
    onBug: report,
  });
}
