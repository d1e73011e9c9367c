/**
 * A text that is the same for two values exactly when they are deeply equal, whatever the order of their properties.
 * For plain data: what msgpack or JSON can carry.
 */
export function canonicalText(value: unknown): string {
  if (value instanceof Uint8Array)
    return `b${Array.from(value, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
  if (Array.isArray(value)) return `[${value.map(canonicalText).join()}]`;
  if (typeof value === 'object' && value !== null) {
    const properties = Object.entries(value).filter(([, inner]) => inner !== undefined);
    properties.sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${properties.map(([name, inner]) => `${JSON.stringify(name)}:${canonicalText(inner)}`).join()}}`;
  }
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}
