import { RailheadError } from '../src/core/errors.ts';
import { DEFAULT_SUBSCRIPTION, DEFAULT_TOPIC } from '../src/core/policy.ts';
import type { TopicDefinition } from '../src/core/definitions.ts';
import type {
  Consumer,
  ConsumeRequest,
  DeliveryRun,
  DeliverySink,
  OperationName,
  Operations,
  PublishReceipt,
  PublishRequest,
  Session,
  Settlement,
  SettleReceipt,
} from '../src/core/session.ts';

/** For tests: keeps what was published to hand it out once, answers operations from a table, remembers all calls. */
export class FakeSession implements Session {
  readonly calls: { operation: string; args: unknown }[] = [];
  readonly answers = new Map<OperationName, (args: never) => unknown>();
  readonly waiting: DeliveryRun[] = [];
  lost: SettleReceipt['lost'] = [];
  closed = false;
  consumers = 0;
  #offset = 0;
  #token = 100;
  readonly #hungry = new Set<() => void>();

  async publish(request: PublishRequest): Promise<PublishReceipt> {
    this.calls.push({ operation: 'publish', args: request });
    const offset = this.#offset;
    this.#offset += request.count;
    this.waiting.push({
      topicId: 7,
      partition: 0,
      offset,
      count: request.count,
      token: 0,
      attempt: 1,
      publishedAt: Date.UTC(2026, 0, 1),
      deadline: Date.UTC(2026, 0, 1, 0, 0, 30),
      format: request.format,
      records: request.records,
    });
    for (const feed of this.#hungry) feed();
    return { topicId: 7, runs: [{ topicId: 7, partition: 0, offset, count: request.count }] };
  }

  body(): Promise<never> {
    throw new Error('This fake takes whole messages only.');
  }

  async consume(request: ConsumeRequest, sink: DeliverySink): Promise<Consumer> {
    this.calls.push({ operation: 'consume', args: request });
    this.consumers++;
    let credit = 0;
    const feed = (): void => {
      for (let run = this.waiting[0]; run !== undefined && run.count <= credit; run = this.waiting[0]) {
        this.waiting.shift();
        credit -= run.count;
        sink.deliver([{ ...run, token: this.#token++ }]);
      }
    };
    return {
      id: 1,
      credit: (messages) => {
        credit += messages;
        this.#hungry.add(feed);
        setImmediate(feed);
      },
      close: async () => {
        this.#hungry.delete(feed);
        this.consumers--;
      },
    };
  }

  async settle(settlements: Settlement[]): Promise<SettleReceipt> {
    this.calls.push({ operation: 'settle', args: settlements });
    return { lost: this.lost };
  }

  commit(): Promise<PublishReceipt[]> {
    return Promise.reject(new RailheadError('NOT_SUPPORTED', 'HTTP has no transactions.'));
  }

  async request<O extends OperationName>(operation: O, args: Operations[O]['args']): Promise<Operations[O]['result']> {
    this.calls.push({ operation, args });
    const answer = this.answers.get(operation);
    if (answer === undefined) throw new RailheadError('NOT_FOUND', `The test has no answer for ${operation}.`);
    return answer(args as never) as Operations[O]['result'];
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}

export function fakeQueue(name: string, more: Partial<TopicDefinition> = {}): TopicDefinition {
  return {
    name,
    topicId: 7,
    kind: 'queue',
    policy: DEFAULT_TOPIC,
    subscription: DEFAULT_SUBSCRIPTION,
    createdAt: 0,
    ...more,
  };
}
