import { RailheadError } from '../../core/errors.ts';
import { MAX_KEY_BYTES } from '../../core/records.ts';

/** A pattern with more words is refused. A key may have as many as fit into its bytes: matching is linear in them. */
export const MAX_PATTERN_WORDS = 128;

interface Node<T> {
  readonly children: Map<string, Node<T>>;
  /** By `*`: exactly one word. */
  star: Node<T> | undefined;
  /** By `#`: any number of words. */
  hash: Node<T> | undefined;
  /** True of the node that a `#` leads to: it is still reached after any further word. */
  readonly repeats: boolean;
  readonly values: Set<T>;
  /** The last step that reached this node, so that no step visits a node twice. */
  step: number;
}

function newNode<T>(repeats: boolean): Node<T> {
  return { children: new Map(), star: undefined, hash: undefined, repeats, values: new Set(), step: 0 };
}

/** The words of a key or pattern. An empty text has none; `a..b` has an empty one in the middle. */
function wordsOf(text: string): string[] {
  return text === '' ? [] : text.split('.');
}

/** @throws INVALID for a pattern that is too long or has too many words. */
export function checkPattern(pattern: string): void {
  checkLength(pattern, 'pattern');
  const words = wordsOf(pattern).length;
  if (words > MAX_PATTERN_WORDS) {
    throw new RailheadError(
      'INVALID',
      `The pattern has ${words} words; at most ${MAX_PATTERN_WORDS} between dots are allowed.`,
    );
  }
}

function checkLength(text: string, what: string): void {
  // A character takes three bytes at most: nearly every text passes without being counted.
  if (text.length * 3 <= MAX_KEY_BYTES) return;
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_KEY_BYTES)
    throw new RailheadError(
      'INVALID',
      `The routing ${what} takes ${bytes} bytes; at most ${MAX_KEY_BYTES} are allowed.`,
    );
}

/**
 * Values under patterns of words between dots, where `*` stands for exactly one word and `#` for any number of them,
 * also none. Patterns with a common beginning share it in a trie.
 *
 * A match walks all patterns at once and visits each node of the trie at most once for each word of the key. So the
 * work is bounded by words × nodes, and a hostile `#.#.#.#` costs four nodes a word and not every way to split the key.
 */
export class TopicPatterns<T> {
  readonly #root = newNode<T>(false);
  #step = 0;

  /** @returns false when it was there. @throws INVALID as `checkPattern` does. */
  add(pattern: string, value: T): boolean {
    checkPattern(pattern);
    let node = this.#root;
    for (const word of wordsOf(pattern)) node = child(node, word) ?? addChild(node, word);
    if (node.values.has(value)) return false;
    node.values.add(value);
    return true;
  }

  /** @returns false when it was not there. */
  remove(pattern: string, value: T): boolean {
    const path: { parent: Node<T>; word: string }[] = [];
    let node = this.#root;
    for (const word of wordsOf(pattern)) {
      const next = child(node, word);
      if (next === undefined) return false;
      path.push({ parent: node, word });
      node = next;
    }
    if (!node.values.delete(value)) return false;
    for (let last = path.pop(); last !== undefined && isEmpty(node); last = path.pop()) {
      removeChild(last.parent, last.word);
      node = last.parent;
    }
    return true;
  }

  /** The values of all patterns that match `key`, added to `into`. @throws INVALID for a key over 1024 bytes. */
  match(key: string, into: Set<T> = new Set()): Set<T> {
    checkLength(key, 'key');
    let reached: Node<T>[] = [];
    this.#step++;
    this.#reach(this.#root, reached);
    for (const word of wordsOf(key)) {
      const next: Node<T>[] = [];
      this.#step++;
      for (const node of reached) {
        if (node.repeats) this.#reach(node, next);
        if (node.star !== undefined) this.#reach(node.star, next);
        const named = node.children.get(word);
        if (named !== undefined) this.#reach(named, next);
      }
      if (next.length === 0) return into;
      reached = next;
    }
    for (const node of reached) for (const value of node.values) into.add(value);
    return into;
  }

  /** Notes that this step reaches `node` and, since `#` may stand for no word, what a `#` leads to from there. */
  #reach(node: Node<T>, reached: Node<T>[]): void {
    for (let next: Node<T> | undefined = node; next !== undefined && next.step !== this.#step; next = next.hash) {
      next.step = this.#step;
      reached.push(next);
    }
  }
}

function child<T>(node: Node<T>, word: string): Node<T> | undefined {
  if (word === '*') return node.star;
  if (word === '#') return node.hash;
  return node.children.get(word);
}

function addChild<T>(node: Node<T>, word: string): Node<T> {
  const added = newNode<T>(word === '#');
  if (word === '*') node.star = added;
  else if (word === '#') node.hash = added;
  else node.children.set(word, added);
  return added;
}

function removeChild<T>(node: Node<T>, word: string): void {
  if (word === '*') node.star = undefined;
  else if (word === '#') node.hash = undefined;
  else node.children.delete(word);
}

function isEmpty<T>(node: Node<T>): boolean {
  return node.values.size === 0 && node.children.size === 0 && node.star === undefined && node.hash === undefined;
}
