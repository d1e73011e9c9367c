import { SystemClock } from '../../core/clock.ts';
import { KafkaGateway } from '../../gateways/kafka/server.ts';
import { placeOf } from '../listen.ts';
import type { Needs } from './needs.ts';

export function openKafka({ config, broker, connect, authenticator, clock, report }: Needs): KafkaGateway {
  const { kafkaAdvertised, kafkaAutoCreate, kafkaOffsetsRetention, kafkaMaxReauth } = config;
  return new KafkaGateway({
    authenticator,
    connect: (principal, namespace, name) => connect({ principal, namespace, name }, 'kafka'),
    broker: { journalId: broker.info().journalId },
    clock: new SystemClock(),
    loginClock: clock,
    limits: {
      autoCreatePartitions: kafkaAutoCreate === false ? 0 : kafkaAutoCreate,
      offsetsRetentionMs: kafkaOffsetsRetention,
      maxReauthMs: kafkaMaxReauth ?? Infinity,
    },
    sendBuffers: broker.sendBuffers,
    ...(kafkaAdvertised !== undefined && { advertised: placeOf(kafkaAdvertised) }),
    report,
  });
}
