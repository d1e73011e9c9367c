/** What Amazon publishes of a service: its actions, with what goes in and out, and its errors. */
export interface ServiceModel {
  readonly actions: ReadonlyMap<string, ActionModel>;
  /** Actions that are there by name and answered with a refusal. */
  readonly refused: ReadonlySet<string>;
  /** By the name that JSON has for them. */
  readonly errors: ReadonlyMap<string, ErrorModel>;
}

export interface ActionModel {
  readonly name: string;
  readonly input: Structure;
  /** Null: the answer is empty. */
  readonly output: Structure | null;
}

export interface ErrorModel {
  /** What a form has for it. */
  readonly code: string;
  readonly status: number;
}

export type Type =
  | { readonly kind: 'string' | 'number' | 'boolean' | 'blob' | 'time' }
  | { readonly kind: 'list'; readonly of: Type; readonly element: string }
  | { readonly kind: 'map'; readonly of: Type; readonly key: string; readonly value: string }
  | Structure;

export interface Structure {
  readonly kind: 'structure';
  readonly members: readonly Member[];
}

export interface Member {
  readonly name: string;
  readonly required: boolean;
  readonly type: Type;
  /** In a form: its elements carry the member's name, without a level of their own. */
  readonly flat: boolean;
  /** In a form. */
  readonly as: string;
}

const SIMPLE = ['string', 'number', 'boolean', 'blob', 'time'] as const;
const NOTHING: Structure = { kind: 'structure', members: [] };

/** Reads what `scripts/aws-model.ts` wrote; the comment of each of those files draws it. */
export function parseModel(text: string): ServiceModel {
  const lines = text.trim().split('\n');
  const shapes = new Map<string, string[]>();
  for (const [i, line] of lines.entries()) {
    const [, name = ''] = line.split(' ');
    if (!/^(list|map|structure) /.test(line)) continue;
    let end = i + 1;
    while (lines[end]?.startsWith('  ')) end++;
    shapes.set(name, lines.slice(i, end));
  }
  const types = new Map<string, Type>(SIMPLE.map((kind) => [kind, { kind }]));
  const typeOf = (name: string): Type => {
    const known = types.get(name) ?? build(shapes.get(name) ?? [], typeOf);
    types.set(name, known);
    return known;
  };
  const structureOf = (name: string): Structure | null => {
    const type = name === '-' ? null : typeOf(name);
    return type?.kind === 'structure' ? type : null;
  };
  const actions = new Map<string, ActionModel>();
  const refused = new Set<string>();
  const errors = new Map<string, ErrorModel>();
  for (const line of lines) {
    const [what, name = '', first = '', second = ''] = line.split(' ');
    if (what === 'action')
      actions.set(name, { name, input: structureOf(first) ?? NOTHING, output: structureOf(second) });
    else if (what === 'refused') refused.add(name);
    else if (what === 'error') errors.set(name, { code: first, status: Number(second) });
  }
  return { actions, refused, errors };
}

function build([head = '', ...members]: readonly string[], typeOf: (name: string) => Type): Type {
  const [what, , of = '', first = '', second = ''] = head.split(' ');
  if (what === 'list') return { kind: 'list', of: typeOf(of), element: first };
  if (what === 'map') return { kind: 'map', of: typeOf(of), key: first, value: second };
  return {
    kind: 'structure',
    members: members.map((line) => {
      const [given = '', type = '', ...spelling] = line.trim().split(' ');
      const name = given.replace('!', '');
      const as = spelling.includes('as') ? (spelling.at(-1) ?? name) : name;
      return { name, required: given.endsWith('!'), type: typeOf(type), flat: spelling.includes('flat'), as };
    }),
  };
}
