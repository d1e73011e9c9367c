import {
  type Channel,
  type ChannelModel,
  connect,
  type ConfirmChannel,
  type ConsumeMessage,
  type GetMessage,
  type Message,
  type Options,
} from 'amqplib';
import { NAMING_ARGUMENTS, type PublishOptions, type Step } from './script.ts';

/** What a client saw of one step: data that is equal on two brokers, or not. */
export type Observation = Record<string, unknown>;

export interface ActorOptions {
  url: string;
  /** Before every name, so that scripts do not meet. */
  prefix: string;
  /** Multiplies every pause: a difference counts when it is there with patience, too. */
  patience: number;
}

/** How long what follows from a step may take: a dead letter goes from process to process in RabbitMQ. */
const SETTLE_MS = 15;
const HOLD_LIMIT = 1000;

interface Subscriber {
  queue: string;
  unsettled: ConsumeMessage[];
  seen: Observation[];
}

interface BrokerError {
  code?: number;
  classId?: number;
  methodId?: number;
  message?: string;
}

/** Plays a script on a broker and writes down what is visible. */
export async function play(steps: readonly Step[], options: ActorOptions): Promise<Observation[]> {
  const actor = new Actor(options);
  try {
    const seen: Observation[] = [];
    for (const step of steps) seen.push(await actor.act(step));
    return seen;
  } finally {
    await actor.leave(steps);
  }
}

class Actor {
  readonly #options: ActorOptions;
  #connection: ChannelModel | undefined;
  #channel: ConfirmChannel | undefined;
  #error: BrokerError | undefined;
  #held: GetMessage[] = [];
  #returned: Message[] = [];
  #subscribers = new Map<string, Subscriber>();

  constructor(options: ActorOptions) {
    this.#options = options;
  }

  async act(step: Step): Promise<Observation> {
    this.#error = undefined;
    let observation: Observation = {};
    try {
      observation = await this.#do(step, await this.#open());
    } catch (error) {
      // What the broker said comes as an event of the channel or connection, too.
      this.#error ??= error as BrokerError;
    }
    if (step.do !== 'wait' && step.do !== 'declare' && step.do !== 'exchange') await this.#settle();
    const deliveries = this.#deliveries();
    return {
      ...observation,
      ...(this.#error !== undefined && { error: this.#shownError(this.#error) }),
      ...(deliveries !== undefined && { deliveries }),
    };
  }

  async #open(): Promise<ConfirmChannel> {
    if (this.#connection === undefined) {
      const connection = await connect(this.#options.url);
      connection.on('error', (error: BrokerError) => (this.#error = error));
      connection.on('close', () => {
        if (this.#connection === connection) this.#forget();
        this.#connection = undefined;
      });
      this.#connection = connection;
    }
    if (this.#channel !== undefined) return this.#channel;
    const channel = await this.#connection.createConfirmChannel();
    channel.on('error', (error: BrokerError) => (this.#error = error));
    channel.on('close', () => {
      if (this.#channel === channel) this.#forget();
    });
    channel.on('return', (message: Message) => this.#returned.push(message));
    this.#channel = channel;
    return channel;
  }

  /** With its channel goes what was delivered to it. */
  #forget(): void {
    this.#channel = undefined;
    this.#held = [];
    for (const subscriber of this.#subscribers.values()) subscriber.unsettled = [];
    this.#subscribers = new Map([...this.#subscribers].filter(([, { seen }]) => seen.length > 0));
  }

  /** Lets the broker do what it does by itself, then asks it something, so that an error has come. */
  async #settle(): Promise<void> {
    await this.#pause(SETTLE_MS);
    await this.#channel?.checkExchange('amq.direct').catch(() => {});
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, ms * this.#options.patience));
  }

  async #do(step: Step, channel: ConfirmChannel): Promise<Observation> {
    switch (step.do) {
      case 'declare': {
        const { messageCount, consumerCount } = await channel.assertQueue(this.#name(step.queue), {
          durable: true,
          ...step.options,
          arguments: this.#arguments(step.options.arguments),
        });
        return { messageCount, consumerCount };
      }
      case 'exchange': {
        const { alternate, ...flags } = step.options;
        await channel.assertExchange(this.#name(step.exchange), step.type, {
          ...flags,
          ...(alternate !== undefined && { alternateExchange: this.#name(alternate) }),
        });
        return {};
      }
      case 'bind':
        await channel.bindQueue(this.#name(step.queue), this.#name(step.exchange), step.key, step.args);
        return {};
      case 'unbind':
        await channel.unbindQueue(this.#name(step.queue), this.#name(step.exchange), step.key, step.args);
        return {};
      case 'bindExchange':
        await channel.bindExchange(this.#name(step.to), this.#name(step.from), step.key);
        return {};
      case 'unbindExchange':
        await channel.unbindExchange(this.#name(step.to), this.#name(step.from), step.key);
        return {};
      case 'publish':
        return this.#publish(channel, step);
      case 'get':
        return this.#get(channel, step);
      case 'settleHeld':
        this.#settleOne(channel, this.#held, step.how, step.which);
        return {};
      case 'consume':
        return this.#consume(channel, step, step.options);
      case 'follow':
        return this.#consume(channel, step, { arguments: { 'x-stream-offset': step.from } });
      case 'settleConsumed': {
        const subscriber = this.#subscribers.get(step.tag);
        if (subscriber !== undefined) this.#settleOne(channel, subscriber.unsettled, step.how, step.which);
        return {};
      }
      case 'cancel':
        await channel.cancel(step.tag);
        return {};
      case 'ackUnknown':
        channel.ack({ fields: { deliveryTag: 999 } } as GetMessage);
        return {};
      case 'recover':
        this.#held = [];
        for (const subscriber of this.#subscribers.values()) subscriber.unsettled = [];
        await channel.recover();
        return {};
      case 'closeChannel':
        this.#forget();
        await channel.close();
        return {};
      case 'nackAll':
        this.#held = [];
        for (const subscriber of this.#subscribers.values()) subscriber.unsettled = [];
        channel.nackAll(true);
        return {};
      case 'purge':
        return { ...(await channel.purgeQueue(this.#name(step.queue))) };
      case 'check': {
        const { messageCount, consumerCount } = await channel.checkQueue(this.#name(step.queue));
        return { messageCount, consumerCount };
      }
      case 'checkExchange':
        await channel.checkExchange(this.#name(step.exchange));
        return {};
      case 'drain':
        return { messages: await this.#drain(channel, this.#name(step.queue)) };
      case 'deleteQueue':
        return { ...(await channel.deleteQueue(this.#name(step.queue), step.options)) };
      case 'deleteExchange':
        await channel.deleteExchange(this.#name(step.exchange), step.options);
        return {};
      case 'transaction':
        return this.#transaction(step);
      case 'secondConnection':
        return this.#secondConnection(step.queue);
      case 'wait':
        await this.#pause(step.ms);
        return {};
    }
  }

  // ---- Publishing -------------------------------------------------------------------------------------------------

  async #publish(channel: ConfirmChannel, step: Extract<Step, { do: 'publish' }>): Promise<Observation> {
    this.#returned = [];
    const key = this.#key(step.exchange, step.key);
    const sent = this.#sent(step.exchange, step.options);
    const confirms = await Promise.all(
      step.bodies.map(
        (body) =>
          new Promise<string>((resolve) => {
            const done = (error: Error | null | undefined): void =>
              resolve(!error ? 'ack' : error.message.includes('nack') ? 'nack' : 'closed');
            channel.publish(this.#name(step.exchange), key, Buffer.from(body), sent, done);
          }),
      ),
    );
    return { confirms, returned: this.#returned.map((message) => this.#shown(message)) };
  }

  /** On a channel of its own: one in confirm mode cannot become transactional. */
  async #transaction({ publish, get, ends }: Extract<Step, { do: 'transaction' }>): Promise<Observation> {
    const connection = await this.#connected();
    const channel = await connection.createChannel();
    channel.on('error', (error: BrokerError) => (this.#error = error));
    const returned: Message[] = [];
    channel.on('return', (message: Message) => returned.push(message));
    await call(channel, TX.select);
    for (const { exchange, key, body, options } of publish)
      channel.publish(this.#name(exchange), this.#key(exchange, key), Buffer.from(body), this.#sent(exchange, options));
    const got: Observation[] = [];
    for (const { queue, how } of get) {
      const message = await channel.get(this.#name(queue));
      if (message !== false && how !== 'hold') settle(channel, message, how, 'one');
      got.push(message === false ? { got: null } : this.#shown(message));
    }
    const afterEach: Observation[][] = [];
    for (const end of ends) {
      await call(channel, TX[end]);
      afterEach.push(returned.splice(0).map((message) => this.#shown(message)));
    }
    await channel.close();
    return { got, returned: afterEach };
  }

  async #connected(): Promise<ChannelModel> {
    await this.#open();
    if (this.#connection === undefined) throw new Error('no connection');
    return this.#connection;
  }

  // ---- Getting and consuming --------------------------------------------------------------------------------------

  async #get(channel: ConfirmChannel, step: Extract<Step, { do: 'get' }>): Promise<Observation> {
    const message = await channel.get(this.#name(step.queue), { noAck: step.after === 'noAck' });
    if (message === false) return { got: null };
    if (step.after === 'hold' && this.#held.length < HOLD_LIMIT) this.#held.push(message);
    else if (step.after !== 'noAck') settle(channel, message, step.after === 'hold' ? 'requeue' : step.after, 'one');
    return { got: { ...this.#shown(message), messageCount: message.fields.messageCount } };
  }

  async #drain(channel: ConfirmChannel, queue: string): Promise<Observation[]> {
    const messages: Observation[] = [];
    for (let quiet = 0; quiet < 2;) {
      const message = await channel.get(queue, { noAck: true });
      if (message === false) {
        quiet++;
        await this.#pause(SETTLE_MS);
      } else {
        quiet = 0;
        messages.push(this.#shown(message));
      }
    }
    return messages;
  }

  async #consume(
    channel: ConfirmChannel,
    step: Extract<Step, { do: 'consume' | 'follow' }>,
    how: Options.Consume,
  ): Promise<Observation> {
    const subscriber: Subscriber = { queue: step.queue, unsettled: [], seen: [] };
    await channel.prefetch(step.prefetch);
    this.#subscribers.set(step.tag, subscriber);
    const options: Options.Consume = { consumerTag: step.tag, ...how };
    try {
      const { consumerTag } = await channel.consume(
        this.#name(step.queue),
        (message) => {
          if (message === null) {
            subscriber.seen.push({ cancelled: true });
            return;
          }
          subscriber.seen.push(this.#shown(message));
          if (how.noAck !== true) subscriber.unsettled.push(message);
        },
        options,
      );
      return { consumerTag };
    } catch (error) {
      this.#subscribers.delete(step.tag);
      throw error;
    }
  }

  #settleOne(
    channel: ConfirmChannel,
    messages: Message[],
    how: 'ack' | 'requeue' | 'discard',
    which: 'first' | 'last' | 'all' | 'upToLast',
  ): void {
    if (which === 'all') {
      for (const message of messages.splice(0)) settle(channel, message, how, 'one');
      return;
    }
    if (which === 'first' || which === 'last') {
      const message = which === 'first' ? messages.shift() : messages.pop();
      if (message !== undefined) settle(channel, message, how, 'one');
      return;
    }
    const last = messages.at(-1);
    if (last === undefined) return;
    // All that was delivered before on this channel goes with it, also what another list has.
    const tag = last.fields.deliveryTag;
    const lists: Message[][] = [this.#held, ...[...this.#subscribers.values()].map(({ unsettled }) => unsettled)];
    for (const list of lists) {
      const kept = list.filter(({ fields }) => fields.deliveryTag > tag);
      list.splice(0, list.length, ...kept);
    }
    settle(channel, last, how, 'upTo');
  }

  /** What came to each consumer since the last step. */
  #deliveries(): Record<string, Observation[]> | undefined {
    const all: Record<string, Observation[]> = {};
    for (const [tag, { seen }] of this.#subscribers) if (seen.length > 0) all[tag] = seen.splice(0);
    return Object.keys(all).length > 0 ? all : undefined;
  }

  async #secondConnection(queue: string): Promise<Observation> {
    const connection = await connect(this.#options.url);
    connection.on('error', () => {});
    try {
      const channel = await connection.createChannel();
      channel.on('error', (error: BrokerError) => (this.#error = error));
      await channel.checkQueue(this.#name(queue));
      return { allowed: true };
    } finally {
      await connection.close().catch(() => {});
    }
  }

  // ---- What is seen -----------------------------------------------------------------------------------------------

  #name(name: string): string {
    return name === '' || name.startsWith('amq.') ? name : `${this.#options.prefix}${name}`;
  }

  /** The default exchange leads to a queue by its name, which has the prefix. */
  #key(exchange: string, key: string): string {
    return exchange === '' ? this.#name(key) : key;
  }

  #sent(exchange: string, { properties, copies = {}, headers, ...options }: PublishOptions): Options.Publish {
    const routes = Object.entries(copies).map(([name, keys]): [string, string[]] => [
      name,
      keys.map((key) => this.#key(exchange, key)),
    ]);
    const all = { ...headers, ...Object.fromEntries(routes) };
    return { ...options, ...(Object.keys(all).length > 0 && { headers: all }), ...properties };
  }

  #arguments(args: Record<string, unknown> = {}): Record<string, unknown> {
    return Object.fromEntries(
      Object.entries(args).map(([name, value]) => [
        name,
        NAMING_ARGUMENTS.has(name) && typeof value === 'string' ? this.#name(value) : value,
      ]),
    );
  }

  #shown({ content, fields, properties }: Message): Observation {
    const { exchange, routingKey } = fields;
    const redelivered = 'redelivered' in fields ? fields.redelivered : undefined;
    const plain = JSON.stringify({ body: content.toString(), exchange, routingKey, redelivered, properties }, sorted);
    // Times of deaths are when they were.
    const shown = plain.replaceAll(this.#options.prefix, '').replaceAll(/\{"!":"timestamp","value":\d{9,}\}/g, '"T"');
    return JSON.parse(shown) as Observation;
  }

  #shownError({ code, classId, methodId, message = '' }: BrokerError): Observation {
    if (code === undefined) return { message };
    const text = /with message "(.*)"$/s.exec(message)?.[1] ?? message;
    return { code, method: `${classId}.${methodId}`, text: text.replaceAll(this.#options.prefix, '') };
  }

  // ---- End --------------------------------------------------------------------------------------------------------

  /** Nothing of the script stays. */
  async leave(steps: readonly Step[]): Promise<void> {
    const queues = new Set(steps.flatMap((step) => (step.do === 'declare' ? [step.queue] : [])));
    const exchanges = new Set(steps.flatMap((step) => (step.do === 'exchange' ? [step.exchange] : [])));
    for (const queue of queues)
      await this.#open()
        .then((channel) => channel.deleteQueue(this.#name(queue)))
        .catch(() => {});
    for (const exchange of exchanges)
      await this.#open()
        .then((channel) => channel.deleteExchange(this.#name(exchange)))
        .catch(() => {});
    await this.#connection?.close().catch(() => {});
  }
}

function settle(channel: Channel, message: Message, how: 'ack' | 'requeue' | 'discard', upTo: 'one' | 'upTo'): void {
  // Only its tag is looked at.
  const delivered = { fields: { deliveryTag: message.fields.deliveryTag } } as GetMessage;
  if (how === 'ack') channel.ack(delivered, upTo === 'upTo');
  else channel.nack(delivered, upTo === 'upTo', how === 'requeue');
}

/** Class 90 of the protocol, which amqplib can write and has no functions for: what is sent, and what answers it. */
const TX = {
  select: [0x5a000a, 0x5a000b],
  commit: [0x5a0014, 0x5a0015],
  rollback: [0x5a001e, 0x5a001f],
} as const;

async function call(channel: Channel, [method, answer]: readonly [number, number]): Promise<void> {
  // Every channel of amqplib has it; its types do not say so.
  const { rpc } = channel as Channel & { rpc: (this: Channel, ...args: [number, object, number]) => Promise<unknown> };
  await rpc.call(channel, method, {}, answer);
}

/** Objects with their keys in order: a table has none. Undefined properties are those that were not sent. */
function sorted(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
