import { AwsError, missing } from './errors.ts';
import type { Structure, Type } from './model.ts';

/** Structures have the members of the model and no others; maps are `Map`s, blobs are bytes. */
export type Input = Readonly<Record<string, unknown>>;

/** The input of an action, out of AWS JSON. */
export type Decoder = (body: string) => Input;

/** Made once for each action. @throws SerializationException, MissingParameter, from what it returns */
export function jsonDecoder(input: Structure): Decoder {
  const decode = structureReader(input, '');
  return (body) => {
    let value: unknown;
    try {
      value = body === '' ? {} : (JSON.parse(body) as unknown);
    } catch {
      throw new AwsError('SerializationException', 'The body is not valid JSON.');
    }
    return decode(value);
  };
}

type Reader<T> = (value: unknown) => T;

/** @param at where it lies, for errors */
function structureReader({ members }: Structure, at: string): Reader<Input> {
  const readers = members.map(({ name, required, type }) => {
    return { name, required, read: readerOf(type, at === '' ? name : `${at}.${name}`) };
  });
  return (value) => {
    if (!isObject(value)) throw wrongType(at, 'a structure');
    const found: Record<string, unknown> = {};
    for (const { name, required, read } of readers) {
      const given = value[name];
      if (given !== undefined && given !== null) found[name] = read(given);
      else if (required) throw missing(name);
    }
    return found;
  };
}

/** What JSON.parse made, which has the members of the model or none: these names mean nothing to a plain object. */
function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function readerOf(type: Type, at: string): Reader<unknown> {
  switch (type.kind) {
    case 'string':
      return (value) => {
        if (typeof value !== 'string') throw wrongType(at, 'a string');
        return value;
      };
    case 'number':
    case 'time':
      return (value) => number(value, at);
    case 'boolean':
      return (value) => {
        if (typeof value !== 'boolean') throw wrongType(at, 'true or false');
        return value;
      };
    case 'blob':
      return (value) => {
        if (typeof value !== 'string') throw wrongType(at, 'base64');
        return Buffer.from(value, 'base64');
      };
    case 'list': {
      const read = readerOf(type.of, at);
      return (value) => {
        if (!Array.isArray(value)) throw wrongType(at, 'a list');
        return value.map((item: unknown) => read(item));
      };
    }
    case 'map': {
      const read = readerOf(type.of, at);
      return (value) => {
        if (!isObject(value)) throw wrongType(at, 'a map');
        const entries = Object.entries(value).filter(([, item]) => item !== null);
        return new Map(entries.map(([key, item]) => [key, read(item)]));
      };
    }
    case 'structure':
      return structureReader(type, at);
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
