import { mayUse, type Principal } from '../../../core/auth.ts';
import { isAccount, namespaceOf } from '../names.ts';
import { compileConditions, type Facts } from './conditions.ts';
import { BadPolicy, fieldsOf, parsed, textsOf } from './parts.ts';
import { compileWildcard } from './wildcard.ts';

/**
 * Policy documents, as Amazon's services keep them with a queue or a topic: who may do what with it.
 *
 * ```
 * document    { "Version": …, "Id": …, "Statement": [statement, …] or one }
 * statement   { "Sid": …, "Effect": "Allow" | "Deny",
 *               "Principal" | "NotPrincipal": "*" | {"AWS": texts}     others than "AWS" are nobody here
 *               "Action" | "NotAction": texts            "*" in them stands for any characters
 *               "Resource" | "NotResource": texts        left out: what the document is kept with
 *               "Condition": {operator: {key: texts}} }  every one of them
 * texts       "text" or ["text", …]: one of them
 * ```
 */
export interface Policy {
  readonly statements: readonly Statement[];
}

interface Statement {
  readonly effect: 'allowed' | 'denied';
  matches(this: void, asked: Asked): boolean;
}

/** What somebody wants to do. */
export interface Asked {
  readonly principal: Principal;
  /** `sqs:SendMessage` */
  readonly action: string;
  /** The ARN of the queue or topic. */
  readonly resource: string;
  /** What conditions ask for. */
  readonly facts: Facts;
}

/** `silent`: it says nothing about it, and the grants of the user decide. */
export type Verdict = 'allowed' | 'denied' | 'silent';

/** What `Deny` says counts more than what `Allow` says. */
export function judge({ statements }: Policy, asked: Asked): Verdict {
  let verdict: Verdict = 'silent';
  for (const { effect, matches } of statements) {
    if (effect === verdict || !matches(asked)) continue;
    if (effect === 'denied') return 'denied';
    verdict = 'allowed';
  }
  return verdict;
}

const MAX_STATEMENTS = 100;
const STATEMENT = [
  'Sid',
  'Effect',
  'Principal',
  'NotPrincipal',
  'Action',
  'NotAction',
  'Resource',
  'NotResource',
  'Condition',
] as const;

/** @throws BadPolicy also for what is understood and not supported, so that nothing is kept and not obeyed */
export function parsePolicy(text: string): Policy {
  const fields = fieldsOf(parsed(text), 'A policy');
  const given = fields.get('Statement');
  const statements: unknown[] = Array.isArray(given) ? given : [given];
  if (statements.length > MAX_STATEMENTS)
    throw new BadPolicy(`A policy has at most ${MAX_STATEMENTS} statements, not ${statements.length}`);
  return { statements: statements.map(compile) };
}

function compile(value: unknown): Statement {
  const fields = fieldsOf(value, 'A statement');
  for (const name of fields.keys())
    if (!STATEMENT.some((known) => known === name)) throw new BadPolicy(`${name} is not supported in a statement`);
  const effect = fields.get('Effect');
  if (effect !== 'Allow' && effect !== 'Deny') throw new BadPolicy('Effect must be Allow or Deny');
  const isWho = compileWho(fields);
  const isAction = compileEither(fields, 'Action', (text) => compileWildcard(text.toLowerCase()));
  if (isAction === undefined) throw new BadPolicy('A statement has to have an Action');
  const isResource = compileEither(fields, 'Resource', (text) => compileWildcard(anyRegion(text))) ?? (() => true);
  const holds = compileConditions(fields.get('Condition') ?? {});
  return {
    effect: effect === 'Allow' ? 'allowed' : 'denied',
    matches: ({ principal, action, resource, facts }) =>
      isWho(principal) && isAction(action.toLowerCase()) && isResource(resource) && holds(facts),
  };
}

function compileWho(fields: ReadonlyMap<string, unknown>): (principal: Principal) => boolean {
  const [named, others] = [fields.get('Principal'), fields.get('NotPrincipal')];
  if ((named === undefined) === (others === undefined))
    throw new BadPolicy('A statement has to have a Principal or a NotPrincipal, and not both');
  if (named !== undefined) return compilePrincipal(named);
  const isNamed = compilePrincipal(others);
  return (principal) => !isNamed(principal);
}

function compilePrincipal(value: unknown): (principal: Principal) => boolean {
  if (value === '*') return () => true;
  // Services of Amazon and logins of others: there are none here.
  const who = textsOf(fieldsOf(value, 'Principal').get('AWS') ?? [], 'Principal');
  const tests = who.map((text): ((principal: Principal) => boolean) => {
    if (text === '*') return () => true;
    const [, account = '', user] =
      /^arn:[\w-]+:iam::(\d{12}):(?:root|user\/(?:.*\/)?([^/]+))$/.exec(text) ?? (isAccount(text) ? ['', text] : []);
    if (user !== undefined) return ({ name }) => name === user;
    if (account !== '') return (principal) => mayUse(principal, namespaceOf(account));
    // A role, or somebody's session of one: there are none here.
    if (text.startsWith('arn:')) return () => false;
    throw new BadPolicy(`The principal ${JSON.stringify(text.slice(0, 200))} is neither an account nor a user`);
  });
  return (principal) => tests.some((test) => test(principal));
}

function compileEither(
  fields: ReadonlyMap<string, unknown>,
  name: string,
  compileOne: (text: string) => (value: string) => boolean,
): ((value: string) => boolean) | undefined {
  const [yes, no] = [fields.get(name), fields.get(`Not${name}`)];
  if (yes !== undefined && no !== undefined) throw new BadPolicy(`${name} and Not${name} exclude each other`);
  const tests = textsOf(yes ?? no ?? [], name).map(compileOne);
  if (tests.length === 0) return undefined;
  const some = (value: string): boolean => tests.some((test) => test(value));
  return no === undefined ? some : (value) => !some(value);
}

/** Every region is this one, so that which one a client calls its own makes no difference. */
function anyRegion(arn: string): string {
  const parts = arn.split(':');
  return parts.length < 6 ? arn : [...parts.slice(0, 3), '*', ...parts.slice(4)].join(':');
}
