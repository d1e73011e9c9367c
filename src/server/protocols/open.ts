import { isRule, namespacesOfAmqp } from '../../gateways/amqp/spoken.ts';
import type { AmqpGateway } from '../../gateways/amqp/server.ts';
import { isAnythingKept, isKept } from '../../gateways/kafka/kept.ts';
import { type Closable, Lazy, lazyGateway } from '../../gateways/lazy.ts';
import { assertNotReplaced } from '../installed.ts';
import type { Ports } from '../ports.ts';
import type { Needs } from './needs.ts';

/** As every client of RabbitMQ expects it. */
const AMQP_PORT = 5672;
const AMQPS_PORT = 5671;
/** As RabbitMQ's tools expect it. */
const AMQP_MANAGEMENT_PORT = 15_672;
const AMQPS_MANAGEMENT_PORT = 15_671;
/** As those who run Amazon's services on their own machine expect them, with TLS or without. */
const AWS_PORT = 4566;
/** As every client of Kafka expects it, with TLS or without. */
const KAFKA_PORT = 9092;

export interface Site {
  needs: Needs;
  ports: Ports;
  /** Notes what ends the connections whose logins count no more. */
  onGone: (end: () => void) => void;
}

/** Opens the ports of all protocols that the configuration asks for, but for the main one. */
export async function openProtocols(site: Site): Promise<void> {
  await openAmqp(site);
  await openAws(site);
  await openKafka(site);
}

async function openAmqp({ needs, ports, onGone }: Site): Promise<void> {
  const { broker, config } = needs;
  if (config.amqp === false) return;
  const amqp = lazily(async () => (await import('./amqp.ts')).openAmqp(needs));
  broker.watchDocuments(async (namespace, kind) => {
    if (isRule(kind)) await (await amqp.get()).applyPolicies(namespace);
  });
  onGone(() => amqp.loaded?.rightsChanged());
  const spoken = await namespacesOfAmqp((options) => broker.connect(options), broker.namespaces());
  if (spoken.length > 0) await (await amqp.get()).resume(spoken);
  const usual = ports.secure ? AMQPS_PORT : AMQP_PORT;
  await ports.open('amqp', lazyGateway(amqp, needs.report), { asked: config.amqp, usual });
  if (ports.portOf('amqp') !== null) await openAmqpManagement(needs, ports, amqp);
}

async function openAmqpManagement(needs: Needs, ports: Ports, amqp: Lazy<AmqpGateway>): Promise<void> {
  const { amqpManagement: asked } = needs.config;
  if (asked === false) return;
  const numbers = () => ({ amqp: ports.portOf('amqp'), management: ports.portOf('amqp-management') });
  const management = lazily(async () =>
    (await import('./amqp-management.ts')).openManagement(needs, await amqp.get(), numbers),
  );
  const usual = ports.secure ? AMQPS_MANAGEMENT_PORT : AMQP_MANAGEMENT_PORT;
  await ports.open('amqp-management', lazyGateway(management, needs.report), { asked, usual });
}

async function openAws({ needs, ports }: Site): Promise<void> {
  const { aws, elasticmq } = needs.config;
  if (aws === false && elasticmq === undefined) return;
  const { openAws: open } = await import('./aws.ts');
  const gateway = open(needs);
  await gateway.resume(needs.broker.namespaces());
  if (aws !== false) await ports.open('aws', gateway, { asked: aws, usual: AWS_PORT });
  if (elasticmq !== undefined) await ports.open('elasticmq', gateway, { asked: elasticmq, usual: 0 });
}

async function openKafka({ needs, ports, onGone }: Site): Promise<void> {
  const { broker, config, report } = needs;
  if (config.kafka === false) return;
  const kafka = lazily(async () => (await import('./kafka.ts')).openKafka(needs));
  const isOn = (): boolean => ports.portOf('kafka') !== null;
  broker.watchDocuments(async (namespace, kind) => {
    if (isOn() && isKept(namespace, kind)) await kafka.get();
  });
  onGone(() => kafka.loaded?.disconnectGone());
  await ports.open('kafka', lazyGateway(kafka, report), { asked: config.kafka, usual: KAFKA_PORT });
  // What was handed back waits for its time, and offsets expire, whether a client comes or not. The start waits for neither.
  if (isOn() && isAnythingKept((namespace) => broker.documents(namespace))) kafka.get().catch(report);
}

/** Loaded when it is first used, unless the package was replaced since the start. */
export function lazily<T extends Closable>(load: () => Promise<T>): Lazy<T> {
  return new Lazy(async () => {
    assertNotReplaced();
    return load();
  });
}
