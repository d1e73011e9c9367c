import { SystemClock } from '../../core/clock.ts';
import { VERSION } from '../../core/version.ts';
import { limitsFor } from '../../gateways/amqp/limits.ts';
import { AmqpGateway } from '../../gateways/amqp/server.ts';
import type { Needs } from './needs.ts';

export function openAmqp({ config, broker, connect, authenticator, report }: Needs): AmqpGateway {
  return new AmqpGateway({
    authenticator,
    connect: (principal, namespace, name) => connect({ principal, namespace, name }, 'amqp'),
    broker: { version: VERSION },
    clock: new SystemClock(),
    limits: limitsFor(config.limits.amqpMessage),
    sendBuffers: broker.sendBuffers,
    report,
  });
}
