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

/** Groups of an IPv6 address that name the network: within it one machine may take any address that it likes. */
const NETWORK_GROUPS = 4;
const GROUPS = 8;

/** Who could hold very many addresses counts as one: an IPv4 address, the /64 of an IPv6 address. */
export function networkOf(address: string): string {
  const [bare = ''] = address.split('%', 1);
  if (!bare.includes(':')) return bare;
  // An IPv4 address that came to a socket for both.
  if (bare.includes('.')) return bare.slice(bare.lastIndexOf(':') + 1);
  const [head = '', tail] = bare.split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const rest = tail === '' ? [] : tail.split(':');
    while (groups.length + rest.length < GROUPS) groups.push('0');
    groups.push(...rest);
  }
  return `${groups.slice(0, NETWORK_GROUPS).join(':')}::/64`;
}
