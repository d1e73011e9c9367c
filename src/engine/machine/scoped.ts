/** A name within its namespace, as a key. */
export function scoped(namespace: string, name: string): string {
  return `${namespace}\u0000${name}`;
}
