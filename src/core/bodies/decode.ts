import { RailheadError } from '../errors.ts';
import { isAvroFile, readAvroFile } from './avro.ts';
import { readRawProtobuf } from './protobuf.ts';
import type { BodySchema } from './schema.ts';
import { Misfit, textOfValue } from './value.ts';

/** The body of a message as people read it. What is not sure it says. */
export interface DecodedBody {
  /** `Avro shop.Order`, `maybe Protobuf, without its names`. */
  as: string;
  /** Absent: nobody can say more than the bytes. */
  text?: string;
}

/** Larger ones are shown as bytes. */
const MAX_BYTES = 256 << 10;

/** Undefined for what is text, for what is empty, and for what nobody knows. */
export function decodeBody(
  { body, contentType = '' }: { body: Uint8Array; contentType?: string },
  schema?: BodySchema,
): DecodedBody | undefined {
  if (body.byteLength === 0 || body.byteLength > MAX_BYTES || /^text\//i.test(contentType)) return undefined;
  if (isAvroFile(body)) {
    const text = tried(() => readAvroFile(body));
    return { as: 'Avro file', ...(text !== undefined && { text }) };
  }
  // A content type that is not said is JSON's. Some short bodies are that and something else.
  if ((contentType === '' || /json/i.test(contentType)) && isJson(body)) return undefined;
  const value = schema?.read(body);
  if (schema !== undefined && value !== undefined) return { as: schema.name, text: textOfValue(value) };
  const guess = guessed(body, contentType);
  if (schema === undefined) return guess;
  return { ...guess, as: `${guess?.as ?? (isText(body) ? 'text' : 'bytes')}: it does not fit ${schema.name}` };
}

function guessed(body: Uint8Array, contentType: string): DecodedBody | undefined {
  const isProtobuf = /protobuf/i.test(contentType);
  if (!isProtobuf && isText(body)) return undefined;
  const registered = ofRegistry(body);
  if (registered !== undefined) return registered;
  const text = tried(() => textOfValue(readRawProtobuf(body)));
  if (text === undefined) return undefined;
  return { as: isProtobuf ? 'Protobuf, without its names' : 'maybe Protobuf, without its names', text };
}

/** The registry has the schema and the broker has not: this shows the id, and what can be read without. */
function ofRegistry(body: Uint8Array): DecodedBody | undefined {
  if (body.byteLength <= REGISTRY_HEAD || body[0] !== 0) return undefined;
  const schema = `schema ${new DataView(body.buffer, body.byteOffset).getUint32(1)} of a registry`;
  const rest = body.subarray(REGISTRY_HEAD);
  const json = tried(() => JSON.stringify(JSON.parse(Buffer.from(rest).toString()), null, 2));
  if (json !== undefined) return { as: `JSON, ${schema}`, text: json };
  // Protobuf has the path to its message type there; one zero stands for the first type.
  const fields = rest[0] === 0 ? tried(() => textOfValue(readRawProtobuf(rest.subarray(1)))) : undefined;
  return fields === undefined ? { as: `maybe Avro, ${schema}` } : { as: `maybe Protobuf, ${schema}`, text: fields };
}

const REGISTRY_HEAD = 5;

function isJson(body: Uint8Array): boolean {
  return tried(() => JSON.parse(utf8(body)) as unknown) !== undefined;
}

/** Text has tabs and line ends, and no other control characters. */
function isText(body: Uint8Array): boolean {
  return tried(() => !/[^\P{Cc}\t\r\n]/u.test(utf8(body))) === true;
}

function utf8(body: Uint8Array): string {
  return new TextDecoder('utf-8', { fatal: true }).decode(body);
}

/** Undefined when the bytes are not what they were taken for. */
function tried<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (
      error instanceof Misfit ||
      error instanceof SyntaxError ||
      error instanceof TypeError ||
      RailheadError.is(error)
    )
      return undefined;
    throw error;
  }
}
