import { AwsError, missing } from './errors.ts';
import type { Structure, Type } from './model.ts';

const MAX_DEPTH = 16;

/** Structures have the members of the model and no others; maps are `Map`s, blobs are bytes. */
export type Input = Readonly<Record<string, unknown>>;

/** The input of an action, out of AWS JSON. @throws SerializationException, MissingParameter */
export function decodeJson(body: Buffer, input: Structure): Input {
  let value: unknown;
  try {
    value = body.byteLength === 0 ? {} : (JSON.parse(body.toString('utf8')) as unknown);
  } catch {
    throw new AwsError('SerializationException', 'The body is not valid JSON.');
  }
  return structure(value, input, '');
}

function structure(value: unknown, { members }: Structure, at: string): Input {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrongType(at, 'a structure');
  const found: Record<string, unknown> = {};
  for (const { name, required, type } of members) {
    const given = Object.getOwnPropertyDescriptor(value, name)?.value as unknown;
    if (given !== undefined && given !== null) found[name] = decode(given, type, at === '' ? name : `${at}.${name}`, 0);
    else if (required) throw missing(name);
  }
  return found;
}

function decode(value: unknown, type: Type, at: string, depth: number): unknown {
  if (depth > MAX_DEPTH) throw wrongType(at, 'less deeply nested');
  switch (type.kind) {
    case 'string':
      if (typeof value !== 'string') throw wrongType(at, 'a string');
      return value;
    case 'number':
    case 'time':
      return number(value, at);
    case 'boolean':
      if (typeof value !== 'boolean') throw wrongType(at, 'true or false');
      return value;
    case 'blob':
      if (typeof value !== 'string') throw wrongType(at, 'base64');
      return Buffer.from(value, 'base64');
    case 'list':
      if (!Array.isArray(value)) throw wrongType(at, 'a list');
      return value.map((item: unknown) => decode(item, type.of, at, depth + 1));
    case 'map': {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrongType(at, 'a map');
      const entries = Object.entries(value).filter(([, item]) => item !== null);
      return new Map(entries.map(([key, item]) => [key, decode(item, type.of, at, depth + 1)]));
    }
    case 'structure':
      return structure(value, type, at);
  }
}

/** Some clients send numbers as text. */
function number(value: unknown, at: string): number {
  const parsed = typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value;
  if (typeof parsed !== 'number' || !Number.isFinite(parsed)) throw wrongType(at, 'a number');
  return parsed;
}

function wrongType(at: string, wanted: string): AwsError {
  return new AwsError('SerializationException', `${at === '' ? 'The body' : at} must be ${wanted}.`);
}
