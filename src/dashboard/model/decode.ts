/** The body of a message as people read it. What it is not sure about it says. */
export interface Decoded {
  /** `JSON`, `text`, `Avro shop.Order`. */
  as: string;
  text: string;
  /** As bytes, where that is another view. */
  hex?: string;
  bytes: number;
}

const SHOWN_BYTES = 64 * 1024;

/** What the broker read of a body: `decoded` in its API. Without a text it knows no more than the bytes. */
export interface DecodedByBroker {
  as: string;
  text?: string;
}

interface Shown {
  body?: unknown;
  base64?: string;
  contentType?: string;
  decoded?: DecodedByBroker;
}

/** @param message as the API shows it: JSON stands in `body`, anything else in `base64` */
export function decodeBody({ body, base64, contentType = '', decoded }: Shown): Decoded {
  if (base64 === undefined) {
    const text = JSON.stringify(body, null, 2);
    return { as: 'JSON', text, bytes: new TextEncoder().encode(JSON.stringify(body)).byteLength };
  }
  const bytes = fromBase64(base64);
  const plain = decodeBytes(bytes, contentType);
  if (decoded === undefined) return { ...plain, bytes: bytes.byteLength };
  const text = decoded.text ?? plain.text;
  return { as: decoded.as, text, hex: plain.hex ?? plain.text, bytes: bytes.byteLength };
}

function decodeBytes(bytes: Uint8Array, contentType: string): Omit<Decoded, 'bytes'> {
  if (bytes.byteLength === 0) return { as: 'empty', text: '' };
  const hex = hexDump(bytes.subarray(0, SHOWN_BYTES));
  const text = utf8(bytes);
  if (text !== undefined) return { as: /json/i.test(contentType) ? 'text that is not JSON' : 'text', text, hex };
  return { as: 'bytes', text: hex };
}

function utf8(bytes: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return isReadable(text) ? text : undefined;
  } catch {
    return undefined;
  }
}

/** Text has tabs and line ends, and no other control characters. */
function isReadable(text: string): boolean {
  for (let at = 0; at < Math.min(text.length, 4096); at++) {
    const code = text.charCodeAt(at);
    if (code === 127 || (code < 32 && code !== 9 && code !== 10 && code !== 13)) return false;
  }
  return true;
}

export function fromBase64(base64: string): Uint8Array {
  const binary = atob(base64);
  return Uint8Array.from(binary, (char) => char.charCodeAt(0));
}

/** `00000000  48 65 6c 6c 6f …  Hello`. */
export function hexDump(bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.byteLength; at += 16) {
    const row = [...bytes.subarray(at, at + 16)];
    const hex = row.map((byte) => byte.toString(16).padStart(2, '0'));
    const left = hex.slice(0, 8).join(' ');
    const right = hex.slice(8).join(' ');
    const text = row.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '.')).join('');
    lines.push(`${at.toString(16).padStart(8, '0')}  ${`${left}  ${right}`.padEnd(49)} ${text}`);
  }
  return lines.join('\n');
}
