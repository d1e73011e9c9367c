const NOTHING: readonly never[] = [];

/**
 * A `Map` that most never need: it takes memory from its first entry on. An empty one of V8 takes some 190 bytes, and
 * each of ten thousand idle queues would have a dozen.
 */
export class LateMap<K, V> implements Iterable<[K, V]> {
  #map: Map<K, V> | undefined;

  get size(): number {
    return this.#map?.size ?? 0;
  }

  get(key: K): V | undefined {
    return this.#map?.get(key);
  }

  has(key: K): boolean {
    return this.#map?.has(key) ?? false;
  }

  set(key: K, value: V): void {
    (this.#map ??= new Map<K, V>()).set(key, value);
  }

  delete(key: K): boolean {
    return this.#map?.delete(key) ?? false;
  }

  clear(): void {
    this.#map = undefined;
  }

  keys(): Iterable<K> {
    return this.#map?.keys() ?? NOTHING;
  }

  values(): Iterable<V> {
    return this.#map?.values() ?? NOTHING;
  }

  /** In the order in which they came. */
  [Symbol.iterator](): Iterator<[K, V]> {
    return (this.#map ?? NOTHING)[Symbol.iterator]();
  }
}
