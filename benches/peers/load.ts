/** A package of `benches/package.json`, or undefined when `npm ci --prefix benches` was not run. */
export async function loadPeer<T>(name: string): Promise<T | undefined> {
  try {
    // Not a literal: the project type-checks and runs without them. The type is what we use of it.
    return (await import(name)) as T;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}
