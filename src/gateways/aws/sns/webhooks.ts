import type { Clock } from '../../../core/clock.ts';
import { RailheadError } from '../../../core/errors.ts';
import { asBuffer } from '../../../core/records.ts';
import type { Consumer, DeliveryRun, PublishRequest, Session } from '../../../core/session.ts';
import { encodeRecord, FORMAT_SQS, readRecord, type SqsRecord } from '../content.ts';
import { type DeliveryPolicy, policyOf, retryDelayMs } from './delivery-policy.ts';
import { Throttle } from './throttle.ts';
import { deadLetterTarget, type Topics } from './topics.ts';

/** Of each account: what is to be posted to endpoints of HTTP lies in this queue until it is, or is given up. */
export const WEBHOOKS = 'sns-webhooks';
/** Posts at one time. Subscriptions take turns, so that one that hangs does not keep the others from theirs. */
const CONCURRENCY = 64;
const LEASE_MS = 60_000;

export interface Webhook {
  /** Its id. It may be gone by the time of the attempt. */
  subscription: string;
  headers: Readonly<Record<string, string>>;
  body: string;
}

/** Posts to the endpoints of subscriptions, from a durable queue of the broker. */
export class Webhooks {
  readonly #topics: Topics;
  readonly #throttle: Throttle;
  readonly #addresses: 'public' | 'any';
  readonly #report: (error: unknown) => void;
  readonly #workers = new Map<string, Promise<Consumer>>();
  readonly #closing = new AbortController();

  constructor(
    topics: Topics,
    options: { clock: Clock; addresses: 'public' | 'any'; report: (error: unknown) => void },
  ) {
    this.#topics = topics;
    this.#throttle = new Throttle(options.clock);
    this.#addresses = options.addresses;
    this.#report = options.report;
  }

  /** Goes on with what an account had to post when the broker stopped. */
  async resume(account: string): Promise<void> {
    const { subscriptions } = await this.#topics.all(account);
    if (subscriptions.some(({ protocol }) => protocol.startsWith('http'))) await this.start(account);
  }

  /** Makes the queue of an account where there is none, and posts what comes there. */
  async start(account: string): Promise<void> {
    let worker = this.#workers.get(account);
    if (worker === undefined) {
      worker = this.#topics.asBroker(account, (session) => this.#work(account, session));
      this.#workers.set(account, worker);
      worker.catch(() => this.#workers.delete(account));
    }
    await worker;
  }

  /** The consumers of all accounts went with their broker. */
  forget(): void {
    this.#workers.clear();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    for (const worker of await Promise.allSettled(this.#workers.values()))
      if (worker.status === 'fulfilled') await worker.value.close();
  }

  async #work(account: string, session: Session): Promise<Consumer> {
    await session.request('declareTopic', {
      name: WEBHOOKS,
      kind: 'queue',
      // Ends of attempts are counted here: what is given up goes where its subscription says.
      subscription: { order: 'fair', maxAttempts: 0, maxCrashes: 0 },
      ifDifferent: 'keep',
    });
    const consumer = await session.consume(
      {
        topic: WEBHOOKS,
        subscription: WEBHOOKS,
        lease: 'session',
        leaseMs: LEASE_MS,
        name: 'sns',
        formats: [FORMAT_SQS],
      },
      {
        deliver: (runs) => {
          for (const run of runs) this.#run(account, run, consumer);
        },
        ended: () => void this.#workers.delete(account),
      },
    );
    consumer.credit(CONCURRENCY);
    return consumer;
  }

  #run(account: string, run: DeliveryRun, consumer: Consumer): void {
    for (let i = 0, at = 0; i < run.count; i++) {
      let webhook: Webhook | undefined;
      if (run.format === FORMAT_SQS) {
        const { record, end } = readRecord(asBuffer(run.records), at);
        at = end;
        webhook = webhookOf(record);
      }
      this.#attempt(account, webhook, { ...run, offset: run.offset + i, count: 1 })
        .catch((error: unknown) => {
          // The lease ends, and it is tried again.
          if (!this.#closing.signal.aborted && !RailheadError.is(error)) this.#report(error);
        })
        .finally(() => consumer.credit(1));
    }
  }

  /** @param webhook undefined: somebody else has sent something to the queue */
  async #attempt(account: string, webhook: Webhook | undefined, run: DeliveryRun): Promise<void> {
    const { partition, offset, count, token, attempt } = run;
    const lease = { topic: WEBHOOKS, subscription: WEBHOOKS, ranges: [{ partition, offset, count, token }] };
    const policy = await this.#policyOf(account, webhook);
    const waitMs = this.#waitMs(policy, webhook, offset);
    if (waitMs > 0) {
      await this.#topics.asBroker(account, (session) =>
        session.settle([{ ...lease, action: 'release', delayMs: waitMs, countAttempt: false }]),
      );
      return;
    }
    const outcome = webhook === undefined ? 'refused' : await this.#post(account, webhook);
    if (this.#closing.signal.aborted) return;
    const delayMs = outcome === 'again' ? retryDelayMs(policy.retry, attempt) : undefined;
    await this.#topics.asBroker(account, async (session) => {
      if (delayMs !== undefined) {
        await session.settle([{ ...lease, action: 'release', delayMs, countAttempt: true }]);
        return;
      }
      if (webhook === undefined) {
        await session.settle([{ ...lease, action: 'reject', reason: 'not a notification of SNS' }]);
        return;
      }
      if (outcome !== 'done') await this.#bury(account, webhook);
      await session.settle([{ ...lease, action: 'ack' }]);
    });
  }

  /** As topic and subscription have it now. */
  async #policyOf(account: string, webhook: Webhook | undefined): Promise<DeliveryPolicy> {
    const subscription = webhook && (await this.#topics.findSubscription(account, webhook.subscription));
    const topic = subscription && (await this.#topics.find(account, subscription.topic));
    return policyOf(topic?.attributes.get('DeliveryPolicy'), subscription?.attributes.get('DeliveryPolicy'));
  }

  #waitMs({ perSecond }: DeliveryPolicy, webhook: Webhook | undefined, offset: number): number {
    if (webhook === undefined) return 0;
    if (perSecond !== null) return this.#throttle.waitMs(webhook.subscription, offset, perSecond);
    this.#throttle.forget(webhook.subscription);
    return 0;
  }

  /** `refused`: it will not be taken later either. */
  async #post(account: string, { subscription: id, headers, body }: Webhook): Promise<'done' | 'again' | 'refused'> {
    const subscription = await this.#topics.findSubscription(account, id);
    // Nobody waits for it any more.
    if (subscription === undefined) return 'done';
    const { signal } = this.#closing;
    try {
      // Its lists of networks take a while to build, and most brokers post to nobody.
      const { post } = await import('../../outgoing.ts');
      const status = await post({ url: subscription.endpoint, headers, body, addresses: this.#addresses, signal });
      if (status >= 200 && status < 300) return 'done';
      return status >= 400 && status < 500 && status !== 429 ? 'refused' : 'again';
    } catch {
      return 'again';
    }
  }

  /** To the dead-letter queue of its subscription; without one it is gone, as with Amazon. */
  async #bury(account: string, { subscription: id, body }: Webhook): Promise<void> {
    const subscription = await this.#topics.findSubscription(account, id);
    const dead = deadLetterTarget(subscription?.attributes.get('RedrivePolicy'));
    if (dead === undefined) return;
    const records = encodeRecord({ body });
    await this.#topics.asBroker(dead.account, async (session) => {
      try {
        await session.publish({ to: { topic: dead.name }, format: FORMAT_SQS, records, count: 1 });
      } catch (error) {
        if (!RailheadError.is(error, 'NOT_FOUND')) throw error;
      }
    });
  }
}

const HEADERS = 'headers';

/** What is published to have it posted. */
export function webhookRequest({ subscription, headers, body }: Webhook): PublishRequest {
  const attributes = [{ name: HEADERS, type: 'String', value: JSON.stringify(headers) }];
  const records = encodeRecord({ body, groupId: subscription, attributes });
  return { to: { topic: WEBHOOKS }, format: FORMAT_SQS, records, count: 1 };
}

/** Undefined for what `webhookRequest` has not made: whoever may publish to the queue can put anything there. */
function webhookOf({ body, groupId, attributes = [] }: SqsRecord): Webhook | undefined {
  const text = attributes.find(({ name }) => name === HEADERS)?.value;
  if (groupId === undefined || typeof text !== 'string') return undefined;
  try {
    const headers = new Headers(JSON.parse(text) as Record<string, string>);
    return { subscription: groupId, headers: Object.fromEntries(headers), body };
  } catch {
    return undefined;
  }
}
