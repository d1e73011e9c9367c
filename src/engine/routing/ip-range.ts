/** Longest text of an address: an IPv6 address that ends in an IPv4 one. */
const MAX_ADDRESS_LENGTH = 45;

/**
 * Compiles a range such as `10.0.0.0/8` or `2001:db8::/32`. Bits of the address beyond the prefix do not count. An
 * IPv4 range matches no IPv6 address, also no mapped one (`::ffff:10.0.0.1`).
 *
 * @returns undefined when the text is no range.
 */
export function compileIpRange(range: string): ((value: string) => boolean) | undefined {
  const slash = range.indexOf('/');
  const network = slash < 0 ? undefined : parseAddress(range.slice(0, slash));
  const bits = slash < 0 ? undefined : parseDecimal(range.slice(slash + 1), 128);
  if (network === undefined || bits === undefined || bits > network.length * 8) return undefined;
  const wholeBytes = bits >>> 3;
  const mask = (0xff00 >>> (bits & 7)) & 0xff;
  return (value) => {
    const address = parseAddress(value);
    if (address === undefined || address.length !== network.length) return false;
    for (let i = 0; i < wholeBytes; i++) if (address[i] !== network[i]) return false;
    return mask === 0 || (((address[wholeBytes] ?? 0) ^ (network[wholeBytes] ?? 0)) & mask) === 0;
  };
}

/** The 4 or 16 bytes of an address; undefined when it is none. */
export function parseAddress(text: string): Uint8Array | undefined {
  if (text.length > MAX_ADDRESS_LENGTH) return undefined;
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text);
}

function parseIpv4(text: string): Uint8Array | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  const bytes = new Uint8Array(4);
  for (const [index, part] of parts.entries()) {
    const byte = parseDecimal(part, 255);
    if (byte === undefined) return undefined;
    bytes[index] = byte;
  }
  return bytes;
}

function parseIpv6(text: string): Uint8Array | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0] ?? '', halves.length === 1);
  const tail = halves.length === 1 ? [] : parseGroups(halves[1] ?? '', true);
  if (head === undefined || tail === undefined) return undefined;
  // `::` stands for at least one group of zeros.
  const length = head.length + tail.length;
  if (halves.length === 1 ? length !== 16 : length > 14) return undefined;
  const bytes = new Uint8Array(16);
  bytes.set(head);
  bytes.set(tail, 16 - tail.length);
  return bytes;
}

/** The bytes of groups between colons, the last of which may be an IPv4 address. */
function parseGroups(text: string, last: boolean): number[] | undefined {
  const bytes: number[] = [];
  if (text === '') return bytes;
  const groups = text.split(':');
  for (const [index, group] of groups.entries()) {
    if (last && index === groups.length - 1 && group.includes('.')) {
      const ipv4 = parseIpv4(group);
      if (ipv4 === undefined) return undefined;
      bytes.push(...ipv4);
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(group)) return undefined;
      const value = Number.parseInt(group, 16);
      bytes.push(value >>> 8, value & 0xff);
    }
  }
  return bytes;
}

/** A decimal number without leading zeros, which some systems read as octal. */
function parseDecimal(text: string, max: number): number | undefined {
  if (!/^(0|[1-9]\d{0,2})$/.test(text)) return undefined;
  const value = Number(text);
  return value <= max ? value : undefined;
}
