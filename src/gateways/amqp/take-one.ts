import type { DeliveryRun, Session } from '../../core/session.ts';
import { FORMAT_AMQP } from './content.ts';

/** What asks for a queue uses it: one that goes when nobody does has its whole time again. */
export async function noteUse(session: Session, name: string): Promise<void> {
  const consumer = await session.consume(
    { topic: name, subscription: name, lease: 'connection', beside: true },
    { deliver: () => {}, ended: () => {} },
  );
  await consumer.close();
}

/**
 * For `basic.get`: by a consumer that lives for one message, or for the answer that there is none. `use` says whether
 * somebody still wants it.
 */
export async function takeOne(
  session: Session,
  { name, timeoutMs, noAck }: { name: string; timeoutMs: number; noAck: boolean },
  use: (run: DeliveryRun | undefined) => 'kept' | 'unwanted',
): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<DeliveryRun | undefined>();
  const consumer = await session.consume(
    {
      topic: name,
      subscription: name,
      lease: 'connection',
      leaseMs: timeoutMs,
      formats: [FORMAT_AMQP],
      bodies: 'apart',
      beside: true,
      until: 'empty',
      ...(noAck && { autoAck: true }),
    },
    { deliver: ([run]) => resolve(run), ended: () => resolve(undefined) },
  );
  consumer.credit(1);
  const used = use(await promise);
  await consumer.close({ release: used === 'unwanted' });
}
