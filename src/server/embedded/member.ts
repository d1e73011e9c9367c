import type { Duplex } from 'node:stream';
import { LOCAL_PRINCIPAL } from '../../core/auth.ts';
import { RailheadError } from '../../core/errors.ts';
import type { Session } from '../../core/session.ts';
import { dial as dialSocket } from '../../sdk/remote/endpoint.ts';
import { Owner, type OwnerOptions } from '../owner.ts';
import { socketPathOf } from '../socket.ts';
import { openStorage, type StorageConfig } from '../storage.ts';

/**
 * Processes that share a directory are on one machine and back within half a second, and say then what they have
 * settled. What the dead owner itself was working on need not wait longer than that.
 */
const LIMITS = { takeOverGraceMs: 2_000 };

export interface MemberOptions {
  journal: StorageConfig['journal'];
  owner: Pick<OwnerOptions, 'onNotice' | 'report'>;
}

/**
 * What one process has to do with one directory; shared by all its rails there, so that a directory is opened once.
 *
 * outside    nobody here owns it: rails reach the owner, another process, through its socket
 * owner      the broker runs here: `#owner` is set. Entered by `own`, when the lock is free
 * closing    the last rail that may own has left; enters outside once the directory is given up
 *
 * Whoever dials while the directory has no owner takes it over: so the rails of the processes that are left, which all
 * dial again when an owner dies, need nobody to tell them.
 */
export class Member {
  readonly directory: string;
  readonly #options: MemberOptions;
  /** Rails here, and how many of them may own. */
  #rails = 0;
  #owning = 0;
  #owner: Owner | undefined;
  #taking: Promise<Owner | undefined> | undefined;
  #closing: Promise<void> | undefined;
  /** Why this process cannot own what is there, and never will: the data is newer than this code, or damaged. */
  #barred: RailheadError | undefined;

  constructor(directory: string, options: MemberOptions) {
    this.directory = directory;
    this.#options = options;
  }

  get unused(): boolean {
    return this.#rails === 0;
  }

  enter(mayOwn: boolean): void {
    this.#rails++;
    if (mayOwn) this.#owning++;
  }

  /** Gives the directory up when nobody is left who may own it. */
  async leave(mayOwn: boolean): Promise<void> {
    this.#rails--;
    if (!mayOwn || --this.#owning > 0) return;
    await this.#taking?.catch(() => undefined);
    const owner = this.#owner;
    if (this.#owning > 0 || owner === undefined) return;
    this.#owner = undefined;
    this.#closing = owner.close().finally(() => (this.#closing = undefined));
    await this.#closing;
  }

  /** A session of the broker that runs here, or undefined when another process owns the directory. */
  async session(namespace: string, name: string): Promise<Session | undefined> {
    const owner = await this.#own();
    return owner?.broker.connect({ principal: LOCAL_PRINCIPAL, namespace, name });
  }

  /** A connection to whoever owns the directory; when nobody does, and it may, this process does. */
  async dial(signal: AbortSignal, mayOwn: boolean): Promise<Duplex> {
    let barred: RailheadError | undefined;
    if (mayOwn) {
      try {
        const owner = await this.#own();
        if (owner !== undefined) return owner.dial();
      } catch (error) {
        if (!RailheadError.is(error)) throw error;
        barred = error;
      }
    } else if (this.#owner !== undefined) return this.#owner.dial();
    try {
      return await dialSocket({ socketPath: await socketPathOf(this.directory) }, signal);
    } catch (error) {
      if (barred !== undefined) throw cannotTakeOver(this.directory, barred);
      throw error;
    }
  }

  /** @throws FORMAT_TOO_NEW, JOURNAL_CORRUPT, STORAGE_FAILED when nobody owns the directory and it cannot be opened. */
  async #own(): Promise<Owner | undefined> {
    if (this.#owner !== undefined) return this.#owner;
    if (this.#barred !== undefined) throw this.#barred;
    this.#taking ??= this.#take().finally(() => (this.#taking = undefined));
    return this.#taking;
  }

  async #take(): Promise<Owner | undefined> {
    await this.#closing;
    try {
      const { journal, owner } = this.#options;
      const storage = await openStorage({ dir: this.directory, memory: false, journal });
      const opened: Owner = await Owner.open(storage, {
        ...owner,
        background: true,
        limits: LIMITS,
        onFailure: () => this.#failed(),
      });
      return (this.#owner = opened);
    } catch (error) {
      if (RailheadError.is(error, 'JOURNAL_LOCKED')) return undefined;
      if (RailheadError.is(error, 'FORMAT_TOO_NEW') || RailheadError.is(error, 'JOURNAL_CORRUPT')) this.#barred = error;
      throw error;
    }
  }

  /** Storage failed. The lock goes, so that a process with a working disk, or the next `open` here, recovers. */
  #failed(): void {
    const owner = this.#owner;
    if (owner === undefined) return;
    this.#owner = undefined;
    this.#closing = owner
      .close()
      .catch(() => undefined)
      .finally(() => (this.#closing = undefined));
  }
}

function cannotTakeOver(directory: string, why: RailheadError): RailheadError {
  return new RailheadError(
    'CONNECTION_LOST',
    `No process that owns ${directory} can be reached, and this one cannot take over: ${why.message}`,
    { cause: why, outcome: 'not-stored' },
  );
}
