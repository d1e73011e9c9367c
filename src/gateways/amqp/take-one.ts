import type { Clock } from '../../core/clock.ts';
import { RailheadError } from '../../core/errors.ts';
import type { Consumer, DeliveryRun, Session } from '../../core/session.ts';
import { FORMAT_AMQP } from './content.ts';
import { AmqpError } from './errors.ts';
import { CONSUMER_TIMEOUT_MS, consumerTimeoutMs, named } from './translate.ts';
import type { Queue, Vhost } from './vhost.ts';

/** How long a message that the broker says is ready may take to arrive, when another consumer was quicker. */
const GET_WAIT_MS = 500;

/** For `basic.get`: by a consumer that lives for one message. @throws ACCESS_REFUSED */
export async function takeOne(
  { session, clock, vhost }: { session: Session; clock: Clock; vhost: Vhost },
  { name, declared }: Queue,
  noAck: boolean,
): Promise<DeliveryRun | undefined> {
  const { promise, resolve } = Promise.withResolvers<DeliveryRun | undefined>();
  let taken: DeliveryRun | undefined;
  const sink = {
    deliver: ([run]: DeliveryRun[]): void => resolve((taken = run)),
    ended: (): void => resolve(undefined),
  };
  const leaseMs = Math.max(1, consumerTimeoutMs(declared) ?? CONSUMER_TIMEOUT_MS);
  const request = { topic: name, subscription: name, lease: 'connection', leaseMs } as const;
  let consumer: Consumer;
  try {
    consumer = await session.consume({ ...request, formats: [FORMAT_AMQP], ...(noAck && { autoAck: true }) }, sink);
  } catch (error) {
    if (RailheadError.is(error, 'IN_USE'))
      throw new AmqpError('ACCESS_REFUSED', `${named('queue', name, vhost.namespace)} in exclusive use`);
    throw error;
  }
  consumer.credit(1);
  const cancel = clock.timer(clock.now() + GET_WAIT_MS, () => resolve(undefined));
  await promise;
  cancel();
  await consumer.close();
  return taken;
}
