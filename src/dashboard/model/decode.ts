import { avro } from './avro.ts';
import { protobuf } from './protobuf.ts';

/** The body of a message as people read it. What it is not sure about it says. */
export interface Decoded {
  /** `JSON`, `text`, `Protobuf, without its names`. */
  as: string;
  text: string;
  /** As bytes, where that is another view. */
  hex?: string;
  bytes: number;
}

const SHOWN_BYTES = 64 * 1024;

/** @param message as the API shows it: JSON stands in `body`, anything else in `base64` */
export function decodeBody(message: { body?: unknown; base64?: string; contentType?: string }): Decoded {
  if (message.base64 === undefined) {
    const text = JSON.stringify(message.body, null, 2);
    return { as: 'JSON', text, bytes: new TextEncoder().encode(JSON.stringify(message.body)).byteLength };
  }
  const bytes = fromBase64(message.base64);
  return { ...decodeBytes(bytes, message.contentType ?? ''), bytes: bytes.byteLength };
}

function decodeBytes(bytes: Uint8Array, contentType: string): Omit<Decoded, 'bytes'> {
  if (bytes.byteLength === 0) return { as: 'empty', text: '' };
  const hex = hexDump(bytes.subarray(0, SHOWN_BYTES));
  const container = avro(bytes);
  if (container !== undefined) return { as: 'Avro', text: container, hex };
  const isProtobuf = /protobuf/i.test(contentType);
  const text = isProtobuf ? undefined : utf8(bytes);
  if (text !== undefined) return { as: /json/i.test(contentType) ? 'text that is not JSON' : 'text', text, hex };
  const registered = ofRegistry(bytes);
  if (registered !== undefined) return { ...registered, hex };
  const fields = protobuf(bytes);
  if (fields !== undefined)
    return { as: isProtobuf ? 'Protobuf, without its names' : 'maybe Protobuf, without its names', text: fields, hex };
  return { as: 'bytes', text: hex };
}

/** Before the first byte of what Confluent's serializers write: a zero, and the id of the schema in four bytes. */
const REGISTRY_HEAD = 5;

/** The registry has the schema and the broker has not: of Avro and Protobuf with names this shows the id and the bytes. */
function ofRegistry(bytes: Uint8Array): { as: string; text: string } | undefined {
  if (bytes.byteLength <= REGISTRY_HEAD || bytes[0] !== 0) return undefined;
  const id = new DataView(bytes.buffer, bytes.byteOffset).getUint32(1);
  const rest = bytes.subarray(REGISTRY_HEAD);
  const json = jsonText(rest);
  if (json !== undefined) return { as: `JSON, schema ${id} of a registry`, text: json };
  // Protobuf has the path to its message type there; one zero stands for the first type.
  const fields = rest[0] === 0 ? protobuf(rest.subarray(1)) : undefined;
  if (fields !== undefined) return { as: `maybe Protobuf, schema ${id} of a registry`, text: fields };
  return { as: `maybe Avro, schema ${id} of a registry`, text: hexDump(rest.subarray(0, SHOWN_BYTES)) };
}

function jsonText(bytes: Uint8Array): string | undefined {
  try {
    return JSON.stringify(JSON.parse(utf8(bytes) ?? ''), null, 2);
  } catch {
    return undefined;
  }
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
