import { Channel, type ChannelContext } from './channel.ts';
import { AmqpError } from './errors.ts';
import type { ChannelInfo } from './live.ts';
import { WholeBytes } from './whole-bytes.ts';

/** What the channels of a connection need from it. */
export interface ChannelsContext extends Omit<ChannelContext, 'whole' | 'hold' | 'dirty' | 'gone'> {
  /** How many were agreed on. */
  readonly channelMax: number;
  /** @throws NOT_ALLOWED for a channel more than the user of the connection may have */
  opens(): void;
  /** Something gathers: `flush` before the output leaves. */
  gathers(): void;
  /** Too much of what came waits for the engine, or no more: whether to read on. */
  pause(paused: boolean): void;
}

/** The channels of an open connection: which there are, where something gathers, and how much waits for the engine. */
export class Channels {
  readonly #context: ChannelsContext;
  readonly #channels = new Map<number, Channel>();
  /** With something that gathers. */
  readonly #dirty = new Set<Channel>();
  readonly #whole: WholeBytes;
  #heldBytes = 0;
  #paused = false;

  constructor(context: ChannelsContext) {
    this.#context = context;
    this.#whole = new WholeBytes(context.limits.maxWholeBytes);
  }

  frame(number: number, type: number, buffer: Buffer, start: number, end: number): void {
    let channel = this.#channels.get(number);
    if (channel === undefined) {
      const { channelMax } = this.#context;
      // Their number counts, as in RabbitMQ, whatever numbers they have.
      const { size } = this.#channels;
      if (size >= channelMax)
        throw new AmqpError(
          'NOT_ALLOWED',
          `number of channels opened (${size}) has reached the negotiated channel_max (${channelMax})`,
        );
      this.#context.opens();
      channel = this.#open(number);
      this.#channels.set(number, channel);
    }
    channel.frame(type, buffer, start, end);
  }

  #open(number: number): Channel {
    return new Channel(number, {
      ...this.#context,
      whole: this.#whole,
      hold: (bytes) => this.#hold(bytes),
      dirty: (channel) => {
        this.#dirty.add(channel);
        this.#context.gathers();
      },
      gone: (channel) => {
        if (this.#channels.get(channel.number) === channel) this.#channels.delete(channel.number);
      },
    });
  }

  /** Received bytes that wait for the engine: nothing more is read when they are too many. */
  #hold(bytes: number): void {
    this.#heldBytes += bytes;
    const { maxHeldBytes } = this.#context.limits;
    const tooMany = this.#heldBytes > (this.#paused ? maxHeldBytes / 2 : maxHeldBytes);
    if (tooMany === this.#paused) return;
    this.#paused = tooMany;
    this.#context.pause(tooMany);
  }

  /** Hands over what gathers. */
  flush(): void {
    for (const channel of this.#dirty) {
      this.#dirty.delete(channel);
      channel.flush();
    }
  }

  info(): ChannelInfo[] {
    return Array.from(this.#channels.values(), (channel) => channel.info());
  }

  /** Resolves when every frame that came has been obeyed. */
  async idle(): Promise<void> {
    await Promise.all(Array.from(this.#channels.values(), (channel) => channel.idle()));
  }

  /** The connection is over: they give everything back. */
  async dispose(): Promise<void> {
    const channels = [...this.#channels.values()];
    this.#channels.clear();
    this.#dirty.clear();
    await Promise.all(channels.map((channel) => channel.dispose()));
  }
}
