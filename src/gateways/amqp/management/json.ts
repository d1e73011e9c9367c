import type { HeaderValue } from '../../../core/records.ts';
import { type Field, type Table } from '../fields.ts';
import { type Properties, toField, toHeaders } from '../properties.ts';
import { bad } from './errors.ts';

/** Between the JSON of the management API and the tables of AMQP. */

export type Json = Record<string, unknown>;

export function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** @throws bad_request */
export function toTable(value: unknown, what: string): Table {
  if (value === undefined || value === null) return new Map();
  if (!isJson(value)) throw bad(`${what} is not an object`);
  return new Map(
    Object.entries(value).map(([name, each]): [string, Field] => {
      if (name.length > 255) throw bad(`${what} has a name of more than 255 characters`);
      // What JSON.parse makes is a header value: text, numbers, booleans, null, lists and maps of these.
      return [name, toField(each as HeaderValue)];
    }),
  );
}

export function fromTable(table: Table): Json {
  return readable(toHeaders(table)) as Json;
}

/** Bytes as text: JSON has no other word for them. */
function readable(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString();
  if (Array.isArray(value)) return value.map(readable);
  if (isJson(value)) return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, readable(each)]));
  return value;
}

const TEXT_PROPERTIES = {
  content_type: 'contentType',
  content_encoding: 'contentEncoding',
  correlation_id: 'correlationId',
  reply_to: 'replyTo',
  expiration: 'expiration',
  message_id: 'messageId',
  type: 'type',
  user_id: 'userId',
  app_id: 'appId',
  cluster_id: 'clusterId',
} as const;

const NUMBER_PROPERTIES = { delivery_mode: 'deliveryMode', priority: 'priority' } as const;

/** @throws bad_request */
export function toProperties(value: unknown): Properties {
  if (!isJson(value)) throw bad('properties is not an object');
  const properties: Properties = {};
  for (const [name, each] of Object.entries(value)) {
    if (name === 'headers') properties.headers = toTable(each, 'headers');
    else if (name === 'timestamp' && Number.isSafeInteger(each)) properties.timestamp = BigInt(Number(each));
    else if (Object.hasOwn(TEXT_PROPERTIES, name) && typeof each === 'string' && Buffer.byteLength(each) <= 255)
      properties[TEXT_PROPERTIES[name as keyof typeof TEXT_PROPERTIES]] = each;
    else if (
      Object.hasOwn(NUMBER_PROPERTIES, name) &&
      Number.isInteger(each) &&
      Number(each) >= 0 &&
      Number(each) <= 255
    )
      properties[NUMBER_PROPERTIES[name as keyof typeof NUMBER_PROPERTIES]] = Number(each);
    else throw bad(`the property ${JSON.stringify(name)} is not known, or not with this value`);
  }
  return properties;
}

export function fromProperties(properties: Properties): Json {
  const shown: Json = {};
  for (const [name, field] of Object.entries({ ...TEXT_PROPERTIES, ...NUMBER_PROPERTIES }))
    if (properties[field] !== undefined) shown[name] = properties[field];
  if (properties.timestamp !== undefined) shown['timestamp'] = Number(properties.timestamp);
  if (properties.headers !== undefined) shown['headers'] = fromTable(properties.headers);
  return shown;
}
