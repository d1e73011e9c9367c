/** Open connections by the address that they come from. This machine may have any number: whoever is on it can do worse. */
export class ByAddress {
  readonly #max: number;
  readonly #open = new Map<string, number>();

  constructor(max: number) {
    this.#max = max;
  }

  isCrowded(address: string): boolean {
    return !isLoopback(address) && (this.#open.get(address) ?? 0) >= this.#max;
  }

  add(address: string): void {
    this.#open.set(address, (this.#open.get(address) ?? 0) + 1);
  }

  remove(address: string): void {
    const others = (this.#open.get(address) ?? 1) - 1;
    if (others === 0) this.#open.delete(address);
    else this.#open.set(address, others);
  }
}

export function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1' || address.startsWith('::ffff:127.');
}
