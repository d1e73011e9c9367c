/**
 * The actions, shapes and errors of SQS and SNS, taken from the schemas that Amazon's SDK exports:
 * `node scripts/aws-model.ts` writes `src/gateways/aws/model/*.ts`. `test/aws/model.test.ts` fails when one of them is
 * not what the SDK says. The SDK is needed for this alone, never by the product.
 */
import * as sns from '@aws-sdk/client-sns';
import * as sqs from '@aws-sdk/client-sqs';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');

/** Of a schema of the SDK: what its first element says it is. */
const KIND = { list: 1, map: 2, structure: 3, error: -3, action: 9 } as const;
const SIMPLE = new Map([
  [0, 'string'],
  [1, 'number'],
  [2, 'boolean'],
  [4, 'time'],
  [21, 'blob'],
]);
/** Added to a simple type: a list of it, or a map to it. */
const LIST_OF = 64;
const MAP_OF = 128;

type Schema = readonly unknown[];

interface Service {
  /** In the code. */
  name: 'SQS' | 'SNS';
  exports: object;
  /** What this gateway refuses by name: their shapes are not needed. */
  refused: RegExp;
}

const SERVICES: readonly Service[] = [
  { name: 'SQS', exports: sqs, refused: /^$/ },
  {
    name: 'SNS',
    exports: sns,
    refused: /Platform|Endpoint|SMS|PhoneNumber|OriginationNumbers|DataProtection/,
  },
];

class Writer {
  readonly #done = new Set<string>();
  readonly #shapes: string[] = [];

  get shapes(): readonly string[] {
    return this.#shapes.toSorted();
  }

  /** The name of a type, after it was written. */
  type(given: unknown): string {
    const schema: unknown = typeof given === 'function' ? (given as () => unknown)() : given;
    if (typeof schema === 'number') {
      const simple = SIMPLE.get(schema);
      if (simple !== undefined) return simple;
      if (schema >= MAP_OF) return this.#map(`Map_${this.type(schema - MAP_OF)}`, schema - MAP_OF, 'key', 'value');
      return this.#list(`List_${this.type(schema - LIST_OF)}`, schema - LIST_OF, 'member');
    }
    if (schema === 'unit') return '-';
    const [kind, , name, , first, second] = schema as Schema;
    // With traits, or a simple type with a name.
    if (typeof name !== 'string') return this.type(kind);
    if (kind === 0) return this.type(first);
    if (kind === KIND.list) return this.#list(name, first, xmlName(first) ?? 'member');
    if (kind === KIND.map) return this.#map(name, second, xmlName(first) ?? 'key', xmlName(second) ?? 'value');
    return this.#structure(name, schema as Schema);
  }

  #list(name: string, of: unknown, member: string): string {
    if (this.#begin(name)) this.#shapes.push(`list ${name} ${this.type(of)} ${member}`);
    return name;
  }

  #map(name: string, of: unknown, key: string, value: string): string {
    if (this.#begin(name)) this.#shapes.push(`map ${name} ${this.type(of)} ${key} ${value}`);
    return name;
  }

  #structure(name: string, schema: Schema): string {
    if (!this.#begin(name)) return name;
    const names = (schema[4] ?? []) as string[];
    const types = (schema[5] ?? []) as unknown[];
    const required = typeof schema[6] === 'number' ? schema[6] : 0;
    const members = names.map((member, i) => {
      const traits = traitsOf(types[i]);
      const flat = traits['xmlFlattened'] === undefined ? '' : ` flat`;
      const renamed = typeof traits['xmlName'] === 'string' ? ` as ${traits['xmlName']}` : '';
      return `  ${member}${i < required ? '!' : ''} ${this.type(types[i])}${flat}${renamed}`;
    });
    this.#shapes.push([`structure ${name}`, ...members].join('\n'));
    return name;
  }

  #begin(name: string): boolean {
    if (this.#done.has(name)) return false;
    this.#done.add(name);
    return true;
  }
}

/** A member with traits is a pair of its type and them. */
function traitsOf(given: unknown): Record<string, unknown> {
  if (!Array.isArray(given) || given.length !== 2) return {};
  const traits: unknown = given[1];
  return typeof traits === 'object' && traits !== null ? (traits as Record<string, unknown>) : {};
}

function xmlName(given: unknown): string | undefined {
  const name = traitsOf(given)['xmlName'];
  return typeof name === 'string' ? name : undefined;
}

function textOf({ exports, refused }: Service): string {
  const writer = new Writer();
  const actions: string[] = [];
  const errors: string[] = [];
  for (const [key, schema] of Object.entries(exports)) {
    if (!key.endsWith('$') || !Array.isArray(schema)) continue;
    const [kind, namespace, name, traits, input, output] = schema as [
      number,
      string,
      string,
      unknown,
      unknown,
      unknown,
    ];
    if (kind === KIND.action) {
      if (refused.test(name)) actions.push(`refused ${name}`);
      else actions.push(`action ${name} ${writer.type(input)} ${writer.type(output)}`);
    } else if (kind === KIND.error && !namespace.startsWith('smithy')) {
      const { awsQueryError = [name, 400] } = traits as { awsQueryError?: [string, number] };
      errors.push(`error ${name} ${awsQueryError[0]} ${awsQueryError[1]}`);
    }
  }
  return [...actions.toSorted(), ...errors.toSorted(), ...writer.shapes].join('\n');
}

/** By path in the repository. */
export function madeModels(): Map<string, string> {
  return new Map(
    SERVICES.map((service) => [
      `src/gateways/aws/model/${service.name.toLowerCase()}.ts`,
      `/**
 * The actions, errors and shapes of Amazon ${service.name}, as its SDK publishes them. Written by scripts/aws-model.ts; read by
 * \`parseModel\`.
 *
 * \`\`\`
 * action NAME INPUT OUTPUT      refused NAME      error NAME CODE STATUS
 * list NAME TYPE ELEMENT        map NAME TYPE KEY-ELEMENT VALUE-ELEMENT
 * structure NAME, then for each member its name (with ! when it must be there), its type, and how a form spells it
 * \`\`\`
 */
export const ${service.name}_MODEL = \`
${textOf(service)}
\`;
`,
    ]),
  );
}

if (process.argv[1] === import.meta.filename) {
  for (const [path, text] of madeModels()) await writeFile(join(root, path), text);
}
