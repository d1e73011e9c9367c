import type { Consumer, ConsumeRequest, DeliveryRun, DeliverySink } from '../../core/session.ts';

/** What a consumer asks of its session. */
export interface ConsumerHost {
  giveCredit(consumer: RemoteConsumer, messages: number): void;
  closeConsumer(consumer: RemoteConsumer, release: boolean): Promise<void>;
}

/** A consumer as its user has it. It outlives a connection: a new one starts it again with the credit it had left. */
export class RemoteConsumer implements Consumer {
  readonly id: number;
  readonly request: ConsumeRequest;
  readonly sink: DeliverySink;
  /** Credit that was given and not used up by deliveries. */
  outstanding = 0;
  /** Of that, not sent to the broker yet. */
  unsent = 0;
  /** The broker has confirmed it once. From then on it is started again on each new connection. */
  started = false;
  closed = false;
  /** A large message of which a part came. */
  partial: { run: DeliveryRun; records: Buffer; filled: number } | undefined;
  readonly #host: ConsumerHost;

  constructor(id: number, request: ConsumeRequest, sink: DeliverySink, host: ConsumerHost) {
    this.id = id;
    this.request = request;
    this.sink = sink;
    this.#host = host;
  }

  credit(messages: number): void {
    this.#host.giveCredit(this, messages);
  }

  close(options?: { release?: boolean }): Promise<void> {
    return this.#host.closeConsumer(this, options?.release === true);
  }
}
