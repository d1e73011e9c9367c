import type { RouterType } from './policy.ts';

/**
 * Facts about a definition that mean something to whoever declared it and nothing to the engine: a protocol keeps here
 * what the engine has no word for. Kept and given back as they came; those of a topic change with a declare that updates it.
 */
export type Attributes = Readonly<Record<string, string>>;

/** What a declare may say beside the policy. A later one does not compare it, and changes at most the attributes. */
export interface Declaration {
  attributes?: Attributes;
  /** Gone, with all that is in it, when the broker starts again. Default false. */
  transient?: boolean;
}

/** The fields of a declaration that say something, and no others. */
export function declarationOf({ attributes, transient }: Declaration): Declaration {
  const declaration: Declaration = {};
  if (attributes !== undefined && Object.keys(attributes).length > 0) declaration.attributes = attributes;
  if (transient === true) declaration.transient = true;
  return declaration;
}

export interface RouterDeclaration extends Declaration {
  name: string;
  type: RouterType;
  /** The router where a publish goes that no binding takes. */
  alternate?: string | null;
  /** Of a `hash` router: the header whose value decides. Default: the first routing key. */
  hashHeader?: string | null;
}

export interface RouterDeclare extends RouterDeclaration {
  /** Of one that exists only `alternate` can be changed, with `update`. Default `error`. */
  ifDifferent?: 'error' | 'update';
}
