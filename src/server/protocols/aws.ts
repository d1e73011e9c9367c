import { AwsGateway } from '../../gateways/aws/server.ts';
import { ALL_FORMATS } from '../formats.ts';
import type { Needs } from './needs.ts';

export function openAws({ config, broker, connect, authenticator, clock, report }: Needs): AwsGateway {
  const { awsLimits, limits, allowPrivateWebhooks, allowedHosts } = config;
  return new AwsGateway({
    authenticator,
    connect: (owner) => connect({ ...owner, patient: true }, 'aws'),
    clock,
    journalId: broker.info().journalId,
    formats: ALL_FORMATS,
    maxBodyBytes: limits.httpBody,
    maxMemoryBytes: limits.httpMemory,
    limits: awsLimits,
    webhooks: allowPrivateWebhooks ? 'any' : 'public',
    allowedHosts,
    onBug: report,
  });
}
