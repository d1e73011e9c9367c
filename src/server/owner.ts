import type { Duplex } from 'node:stream';
import { LOCAL_PRINCIPAL, type Authenticator } from '../core/auth.ts';
import { type Clock, SystemClock } from '../core/clock.ts';
import type { RailheadError } from '../core/errors.ts';
import type { Random } from '../core/random.ts';
import type { Vault } from '../core/vault.ts';
import { VERSION } from '../core/version.ts';
import { Broker } from '../engine/broker.ts';
import type { Limits } from '../engine/limits.ts';
import { Listener } from '../gateways/listener.ts';
import { NativeGateway } from '../gateways/native/server.ts';
import { RECORD_FORMATS } from './formats.ts';
import { claimSocketPath, releaseSocketPath } from './socket.ts';
import type { Storage } from './storage.ts';
import { vaultOf } from './vault.ts';

/** Whoever can open the socket of a directory can read the journal beside it: no login. */
const NOBODY: Authenticator = { required: false, authenticate: () => Promise.resolve(LOCAL_PRINCIPAL) };

export interface OwnerOptions {
  clock?: Clock;
  random?: Random;
  /** Something an operator should know, in words: a torn end that was cut. */
  onNotice?: (text: string) => void;
  /** Storage failed: the broker serves nothing more. */
  onFailure?: (error: RailheadError) => void;
  /** An error that no client should be able to cause. */
  report?: (error: unknown) => void;
  limits?: Partial<Limits>;
  /** Default: with the key file of the directory. */
  vault?: Vault;
  /** How long `close` lets joined processes have what they asked for, ms. Default 5,000. */
  drainMs?: number;
  /** Do not keep the process alive. Default false. */
  background?: boolean;
}

/**
 * A broker over storage that is owned. When it fails nothing stays open: work of the journal in the background must not
 * go on in a directory that somebody else may own next.
 */
export async function openBroker(storage: Storage, options: OwnerOptions): Promise<Broker> {
  const { journal, blobs } = storage;
  const vault = options.vault ?? vaultOf(storage.directory);
  const { clock, random, limits, onNotice, onFailure } = options;
  try {
    return await Broker.open({
      journal,
      blobs,
      formats: RECORD_FORMATS,
      vault,
      ...(clock !== undefined && { clock }),
      ...(random !== undefined && { random }),
      ...(limits !== undefined && { limits }),
      ...(onNotice !== undefined && { onNotice }),
      ...(onFailure !== undefined && { onFailure }),
    });
  } catch (error) {
    await Promise.allSettled([journal.close(), blobs.close()]);
    throw error;
  }
}

/** The broker of a directory, and the Unix socket by which the processes that share the directory reach it. */
export class Owner {
  readonly broker: Broker;
  readonly #storage: Storage;
  readonly #gateway: NativeGateway;
  readonly #listener: Listener;
  readonly #drainMs: number | undefined;
  #closing: Promise<void> | undefined;

  private constructor(storage: Storage, broker: Broker, gateway: NativeGateway, listener: Listener, drainMs?: number) {
    this.#storage = storage;
    this.broker = broker;
    this.#gateway = gateway;
    this.#listener = listener;
    this.#drainMs = drainMs;
  }

  /** Recovers and serves. Releases the storage when it fails. @throws JOURNAL_CORRUPT, FORMAT_TOO_NEW, STORAGE_FAILED. */
  static async open(storage: Storage, options: OwnerOptions = {}): Promise<Owner> {
    const undo: (() => void | Promise<void>)[] = [() => storage.release()];
    try {
      const broker = await openBroker(storage, options);
      undo.push(() => broker.close());
      const clock = new SystemClock();
      const gateway = new NativeGateway({
        authenticator: NOBODY,
        connect: (principal, namespace, name) => broker.connect({ principal, namespace, name }),
        broker: { version: VERSION, journalId: broker.info().journalId },
        clock,
        sendBuffers: broker.sendBuffers,
        ...(options.report !== undefined && { report: options.report }),
      });
      const listener = new Listener({ gateway, clock, background: options.background ?? false });
      undo.push(() => listener.close(0));
      if (storage.directory !== null) {
        const path = await claimSocketPath(storage.directory);
        await listener.listen({ path });
      }
      return new Owner(storage, broker, gateway, listener, options.drainMs);
    } catch (error) {
      for (const step of undo.reverse()) await step();
      throw error;
    }
  }

  /** A connection within the process, in the native protocol. */
  dial(): Duplex {
    return this.#gateway.loopback();
  }

  /** Answers and sends away who joined, closes the journal, gives the directory up. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    try {
      await Promise.all([this.#gateway.close(this.#drainMs), this.#listener.close(this.#drainMs)]);
      await this.broker.close();
      if (this.#storage.directory !== null) await releaseSocketPath(this.#storage.directory);
    } finally {
      this.#storage.release();
    }
  }
}
