import type { Duplex } from 'node:stream';
import type { RailheadError } from '../core/errors.ts';
import type { Gateway, GatewayConnection, Peer } from './gateway.ts';

export interface Closable {
  close(): Promise<void>;
}

/** A part of the server whose code is loaded when it is first used: no start waits for what nobody speaks. */
export class Lazy<T extends Closable> {
  readonly #load: () => Promise<T>;
  #loading: Promise<T> | undefined;
  #loaded: T | undefined;
  #closed = false;

  constructor(load: () => Promise<T>) {
    this.#load = load;
  }

  get loaded(): T | undefined {
    return this.#loaded;
  }

  /** After `close` it is closed too, and says so in its own words. */
  get(): Promise<T> {
    this.#loading ??= this.#begin();
    return this.#loading;
  }

  async close(): Promise<void> {
    this.#closed = true;
    const [loading] = await Promise.allSettled([this.#loading]);
    if (loading.status === 'fulfilled') await loading.value?.close();
  }

  async #begin(): Promise<T> {
    try {
      const loaded = await this.#load();
      if (this.#closed) await loaded.close();
      this.#loaded = loaded;
      return loaded;
    } catch (error) {
      // A process without a file descriptor to spare reads no code; the next one may find it has.
      this.#loading = undefined;
      throw error;
    }
  }
}

/** A protocol of which the first connection brings the code. @param report told why that was not to be had */
export function lazyGateway(lazy: Lazy<Gateway & Closable>, report: (error: unknown) => void): Gateway & Closable {
  return {
    handle: (socket, peer) => lazy.loaded?.handle(socket, peer) ?? new Waiting(lazy, socket, peer, report),
    close: () => lazy.close(),
  };
}

/** A connection from which nothing is read until somebody can understand it. */
class Waiting implements GatewayConnection {
  #closing: RailheadError | undefined;
  #connection: GatewayConnection | undefined;

  constructor(lazy: Lazy<Gateway & Closable>, socket: Duplex, peer: Peer, report: (error: unknown) => void) {
    lazy.get().then(
      (gateway) => {
        if (socket.destroyed) return;
        this.#connection = gateway.handle(socket, peer);
        if (this.#closing !== undefined) this.#connection.close(this.#closing);
      },
      (error: unknown) => {
        report(error);
        socket.destroy();
      },
    );
  }

  close(reason: RailheadError): void {
    this.#closing = reason;
    this.#connection?.close(reason);
  }
}
