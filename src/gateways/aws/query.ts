import { AwsError, missing } from './errors.ts';
import type { Input } from './json.ts';
import type { Member, Structure, Type } from './model.ts';
import { escapeXml } from './xml.ts';

/**
 * The older form of the services: parameters with dots in a form, XML as the answer.
 *
 * ```
 * Action=SendMessage&MessageAttribute.1.Name=a&MessageAttribute.1.Value.DataType=String
 * ```
 */

const MAX_PARAMETERS = 5_000;
const MAX_DEPTH = 12;

/** Parameters by the parts of their names. */
export interface Parameters {
  value?: string;
  readonly parts: Map<string, Parameters>;
}

/** @throws MalformedQueryString */
export function parseParameters(form: string, into: Parameters = { parts: new Map() }): Parameters {
  if (form === '') return into;
  let count = 0;
  for (const [name, value] of new URLSearchParams(form)) {
    if (++count > MAX_PARAMETERS)
      throw new AwsError('MalformedQueryString', `There are more than ${MAX_PARAMETERS} parameters.`);
    const path = name.split('.');
    if (path.length > MAX_DEPTH)
      throw new AwsError('MalformedQueryString', 'The name of a parameter has too many parts.');
    let node = into;
    for (const part of path) {
      let next = node.parts.get(part);
      if (next === undefined) node.parts.set(part, (next = { parts: new Map() }));
      node = next;
    }
    node.value ??= value;
  }
  return into;
}

/** The input of an action. @throws MissingParameter, MalformedInput */
export function decodeQuery(parameters: Parameters, { members }: Structure): Input {
  const found: Record<string, unknown> = {};
  for (const member of members) {
    const node = parameters.parts.get(member.as);
    const value = node === undefined ? undefined : decode(node, member.type, member.name, spellingOf(member));
    if (value !== undefined) found[member.name] = value;
    // A form cannot say that a list is there and empty.
    else if (member.required && member.type.kind === 'list') found[member.name] = [];
    else if (member.required) throw missing(member.name);
  }
  return found;
}

function spellingOf({ flat }: Member): 'flat' | 'nested' {
  return flat ? 'flat' : 'nested';
}

function decode(node: Parameters, type: Type, at: string, spelling: 'flat' | 'nested'): unknown {
  const { value } = node;
  switch (type.kind) {
    case 'string':
      return value;
    case 'number':
    case 'time':
      if (value === undefined || value === '') return undefined;
      if (!/^-?\d{1,15}$/.test(value)) throw malformed(at, value, 'a whole number');
      return Number(value);
    case 'boolean':
      if (value === undefined || value === '') return undefined;
      if (value !== 'true' && value !== 'false') throw malformed(at, value, 'true or false');
      return value === 'true';
    case 'blob':
      return value === undefined ? undefined : Buffer.from(value, 'base64');
    case 'list': {
      const items = numbered(spelling === 'flat' ? node : node.parts.get(type.element));
      return items.map((item) => decode(item, type.of, at, 'nested')).filter((item) => item !== undefined);
    }
    case 'map': {
      const entries = numbered(spelling === 'flat' ? node : node.parts.get('entry'));
      const map = new Map<string, unknown>();
      for (const entry of entries) {
        const key = entry.parts.get(type.key)?.value;
        const item = entry.parts.get(type.value);
        if (key === undefined) throw missing(`${at}.${type.key}`);
        map.set(key, item === undefined ? '' : decode(item, type.of, at, 'nested'));
      }
      return map;
    }
    case 'structure':
      return decodeQuery(node, type);
  }
}

/** Those under 1, 2, 3 …, in that order, whichever came first. */
function numbered(node: Parameters | undefined): Parameters[] {
  if (node === undefined) return [];
  return [...node.parts]
    .filter(([part]) => /^\d{1,6}$/.test(part))
    .toSorted(([a], [b]) => Number(a) - Number(b))
    .map(([, item]) => item);
}

function malformed(at: string, value: string, wanted: string): AwsError {
  return new AwsError('MalformedInput', `${at} is ${JSON.stringify(value.slice(0, 100))}; it must be ${wanted}.`);
}

// ---- Answers ----------------------------------------------------------------------------------------------------

/** The inside of a result as XML. */
export function encodeXml(output: object, { members }: Structure): string {
  let xml = '';
  const values = new Map<string, unknown>(Object.entries(output));
  for (const member of members) {
    const value = values.get(member.name);
    if (value !== undefined) xml += element(member.as, value, member.type, spellingOf(member));
  }
  return xml;
}

function element(name: string, value: unknown, type: Type, spelling: 'flat' | 'nested'): string {
  switch (type.kind) {
    case 'list': {
      const items = Array.isArray(value) ? (value as unknown[]) : [];
      const each = spelling === 'flat' ? name : type.element;
      const inside = items.map((item) => element(each, item, type.of, 'nested')).join('');
      return spelling === 'flat' ? inside : `<${name}>${inside}</${name}>`;
    }
    case 'map': {
      const each = spelling === 'flat' ? name : 'entry';
      const inside = Object.entries(value as object)
        .map(
          ([key, item]) =>
            `<${each}><${type.key}>${escapeXml(key)}</${type.key}>${element(type.value, item, type.of, 'nested')}</${each}>`,
        )
        .join('');
      return spelling === 'flat' ? inside : `<${name}>${inside}</${name}>`;
    }
    case 'structure':
      return `<${name}>${encodeXml(value as object, type)}</${name}>`;
    default:
      return `<${name}>${escapeXml(String(value))}</${name}>`;
  }
}
