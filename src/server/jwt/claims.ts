/** A claim by its name, or by its path: names of claims may have dots themselves. */
function claimAt(claims: object, path: string): unknown {
  if (Object.hasOwn(claims, path)) return valueOf(claims, path);
  return path
    .split('.')
    .reduce<unknown>(
      (at, name) => (typeof at === 'object' && at !== null && Object.hasOwn(at, name) ? valueOf(at, name) : undefined),
      claims,
    );
}

function valueOf(object: object, name: string): unknown {
  // Asked for as its own before.
  return (object as Record<string, unknown>)[name];
}

export function claimText(claims: object, path: string): string | undefined {
  const value = claimAt(claims, path);
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** Is the text, is a list with it, or has it as one of words with spaces between them. */
export function claimHas(claims: object, path: string, wanted: string): boolean {
  const value = claimAt(claims, path);
  if (Array.isArray(value)) return value.includes(wanted);
  return typeof value === 'string' && (value === wanted || value.split(' ').includes(wanted));
}
