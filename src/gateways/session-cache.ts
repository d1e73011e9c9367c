import type { Principal } from '../core/auth.ts';
import { RailheadError } from '../core/errors.ts';
import type { Session } from '../core/session.ts';

export type Connect = (options: { principal: Principal; namespace: string; name: string }) => Session;

interface Entry {
  session: Session;
  inUse: number;
}

const MAX_SESSIONS = 1_000;

/**
 * One session for each principal and namespace, made on first use and kept: over HTTP there is no connection to tie one
 * to. Bounded, because a client names namespaces as it likes; the one that was not used for longest goes first.
 */
export class SessionCache {
  readonly #connect: Connect;
  /** Of its sessions, for people. */
  readonly #name: string;
  /** Principals by who they are, not by name: another one of the same name may do something else. */
  readonly #ids = new WeakMap<Principal, number>();
  #nextId = 0;
  /** In the order of last use. */
  readonly #entries = new Map<string, Entry>();
  #newest: Entry | undefined;
  #closed = false;

  constructor(connect: Connect, name: string) {
    this.#connect = connect;
    this.#name = name;
  }

  async use<T>(principal: Principal, namespace: string, work: (session: Session) => Promise<T>): Promise<T> {
    if (this.#closed) throw new RailheadError('CLOSED', 'The broker is stopping. Try again when it is back.');
    const id = `${this.#idOf(principal)} ${namespace}`;
    const entry = this.#entries.get(id) ?? this.#add(principal, namespace);
    if (entry !== this.#newest) {
      this.#entries.delete(id);
      this.#entries.set(id, entry);
      this.#newest = entry;
    }
    entry.inUse++;
    try {
      return await work(entry.session);
    } finally {
      entry.inUse--;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const open = [...this.#entries.values()];
    this.#entries.clear();
    await Promise.allSettled(open.map(({ session }) => session.close()));
  }

  #idOf(principal: Principal): number {
    const known = this.#ids.get(principal);
    if (known !== undefined) return known;
    this.#ids.set(principal, this.#nextId);
    return this.#nextId++;
  }

  #add(principal: Principal, namespace: string): Entry {
    if (this.#entries.size >= MAX_SESSIONS) this.#dropOldest();
    return { session: this.#connect({ principal, namespace, name: this.#name }), inUse: 0 };
  }

  #dropOldest(): void {
    for (const [id, { session, inUse }] of this.#entries) {
      if (inUse > 0) continue;
      this.#entries.delete(id);
      // Its leases are timed ones and outlive it.
      session.close().catch(() => undefined);
      return;
    }
    throw new RailheadError(
      'RATE_LIMITED',
      `${MAX_SESSIONS} namespaces are in use over ${this.#name} at this moment. Try again later.`,
    );
  }
}
