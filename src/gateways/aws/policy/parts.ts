/** Not a policy, and why. */
export class BadPolicy extends Error {
  override readonly name = 'BadPolicy';
}

export function textsOf(value: unknown, what: string): string[] {
  const values: unknown[] = Array.isArray(value) ? value : [value];
  return values.map((each) => {
    // It stands for something of the request, and would be taken for text.
    if (typeof each === 'string' && each.includes('${')) throw new BadPolicy(`${what}: variables are not supported`);
    if (typeof each === 'string') return each;
    if (typeof each === 'boolean' || typeof each === 'number') return String(each);
    throw new BadPolicy(`${what} must be a text, or a list of them`);
  });
}

export function fieldsOf(value: unknown, what: string): ReadonlyMap<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new BadPolicy(`${what} must be an object`);
  return new Map<string, unknown>(Object.entries(value));
}

export function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new BadPolicy('A policy must be JSON');
  }
}
