import type {
  BodyWriter,
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
  Transaction,
} from '../../src/core/session.ts';

export interface ScriptedConsumer {
  request: ConsumeRequest;
  sink: DeliverySink;
  credit: number;
  closed: { release?: boolean } | undefined;
}

type Answers = {
  publish: (request: PublishRequest) => PublishReceipt | Promise<PublishReceipt>;
  settle: (settlements: Settlement[]) => SettleReceipt | Promise<SettleReceipt>;
  commit: (transaction: Transaction) => PublishReceipt[] | Promise<PublishReceipt[]>;
  request: (operation: OperationName, args: unknown) => unknown;
  consume: (request: ConsumeRequest) => void | Promise<void>;
};

export function receipt(offset: number, count: number): PublishReceipt {
  return { topicId: 7, runs: [{ topicId: 7, partition: 0, offset, count }] };
}

export function run(offset: number, over: Partial<DeliveryRun> = {}): DeliveryRun {
  const records = Buffer.from(`record ${offset}`);
  return {
    topicId: 7,
    partition: 0,
    offset,
    count: 1,
    token: 1000 + offset,
    attempt: 1,
    publishedAt: 5,
    deadline: 9,
    format: 1,
    records,
    ...over,
  };
}

/** A large body that came: its pieces, and what became of it. */
export class ScriptedBody implements BodyWriter {
  readonly id: number;
  readonly to: PublishRequest['to'];
  readonly bytes: number;
  readonly pieces: Buffer[] = [];
  state: 'open' | 'ended' | 'aborted' = 'open';
  /** Each write waits for it. */
  taken: Promise<void> = Promise.resolve();
  readonly #onChange: () => void;

  constructor(id: number, to: PublishRequest['to'], bytes: number, onChange: () => void) {
    this.id = id;
    this.to = to;
    this.bytes = bytes;
    this.#onChange = onChange;
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.pieces.push(Buffer.from(bytes));
    this.#onChange();
    await this.taken;
  }

  async end(): Promise<void> {
    this.state = 'ended';
    this.#onChange();
  }

  async abort(): Promise<void> {
    this.state = 'aborted';
    this.#onChange();
  }
}

/** A session in the hands of a test: remembers what it was asked, answers as told, delivers on command. */
export class ScriptedSession implements Session {
  readonly published: PublishRequest[] = [];
  readonly bodies: ScriptedBody[] = [];
  readonly settled: Settlement[][] = [];
  readonly requested: { operation: OperationName; args: unknown }[] = [];
  readonly consumers: ScriptedConsumer[] = [];
  closed = false;
  readonly answers: Answers = {
    publish: (request) => receipt(this.published.length - 1, request.count),
    settle: () => ({ lost: [] }),
    commit: (transaction) => transaction.publishes.map((_, i) => receipt(i, 1)),
    request: () => ({}),
    consume: () => {},
  };
  #changed: (() => void)[] = [];

  async publish(request: PublishRequest): Promise<PublishReceipt> {
    this.published.push({ ...request, records: Buffer.from(request.records) });
    this.#change();
    return this.answers.publish(request);
  }

  async body(to: PublishRequest['to'], bytes: number): Promise<ScriptedBody> {
    const body = new ScriptedBody(this.bodies.length + 1, to, bytes, () => this.#change());
    this.bodies.push(body);
    this.#change();
    return body;
  }

  async settle(settlements: Settlement[]): Promise<SettleReceipt> {
    this.settled.push(settlements);
    this.#change();
    return this.answers.settle(settlements);
  }

  async commit(transaction: Transaction): Promise<PublishReceipt[]> {
    return this.answers.commit(transaction);
  }

  async request<O extends OperationName>(operation: O, args: Operations[O]['args']): Promise<Operations[O]['result']> {
    this.requested.push({ operation, args });
    this.#change();
    // The test says what the answer is.
    return (await this.answers.request(operation, args)) as Operations[O]['result'];
  }

  async consume(request: ConsumeRequest, sink: DeliverySink): Promise<Consumer> {
    await this.answers.consume(request);
    const consumer: ScriptedConsumer = { request, sink, credit: 0, closed: undefined };
    this.consumers.push(consumer);
    this.#change();
    return {
      id: this.consumers.length,
      credit: (messages) => {
        consumer.credit += messages;
        this.#change();
      },
      close: async (options) => {
        consumer.closed = options ?? {};
        this.#change();
      },
    };
  }

  async close(): Promise<void> {
    this.closed = true;
    this.#change();
  }

  /** Resolves as soon as `condition` holds; looked at whenever something was asked of this session. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#changed.push(resolve));
  }

  #change(): void {
    const changed = this.#changed;
    this.#changed = [];
    for (const each of changed) each();
  }
}
