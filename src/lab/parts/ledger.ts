import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { z } from 'zod';
import type { Deed } from './orders.ts';

const Entry = z.object({
  deed: z.enum(['reserved', 'charged', 'shipped', 'refunded', 'released']),
  order: z.string(),
  item: z.string(),
  price: z.number(),
});
export type LedgerEntry = z.infer<typeof Entry>;

/**
 * The book of one department: what it did, in a file that survives its process. A deed that is in it already is not
 * done again, so that a message that comes twice has one effect.
 */
export class Ledger {
  readonly #fd: number;
  readonly #known: Set<string>;

  constructor(file: string) {
    this.#known = new Set(readLedger(file).map(({ deed, order }) => nameOf(deed, order)));
    this.#fd = openSync(file, 'a');
  }

  /** Writes it down, on the disk. False when it was there before. */
  once(entry: LedgerEntry): boolean {
    const name = nameOf(entry.deed, entry.order);
    if (this.#known.has(name)) return false;
    writeSync(this.#fd, `${JSON.stringify(entry)}\n`);
    fsyncSync(this.#fd);
    this.#known.add(name);
    return true;
  }

  close(): void {
    closeSync(this.#fd);
  }
}

export function readLedger(file: string): LedgerEntry[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '');
  return lines.map((line) => Entry.parse(JSON.parse(line)));
}

function nameOf(deed: Deed, order: string): string {
  return `${deed} ${order}`;
}
