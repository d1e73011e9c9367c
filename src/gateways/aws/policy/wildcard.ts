/**
 * Compiles a text in which `*` stands for any run of characters, also none, and `?` for any one. Every other character
 * stands for itself.
 *
 * Matching takes one pass over the value, whatever the text is: all the places in the text where a match can be are kept
 * at once, as bits, 32 to a word. A policy has 16 KiB, so that is 512 words at most for all that it says together.
 */
export function compileWildcard(text: string): (value: string) => boolean {
  const [places, loops] = placesOf(text);
  const words = (places.length >> 5) + 1;
  const anything = bits(words, places, (place) => place === undefined);
  const masks = new Map<string, Uint32Array>();
  for (const char of places)
    if (char !== undefined && !masks.has(char))
      masks.set(
        char,
        bits(words, places, (place) => place === undefined || place === char),
      );
  const stays = bits(words, loops, (loop) => loop);
  const last = places.length;
  return (value) => {
    // Bit n: the first n places of the text fit what was read.
    const at = new Uint32Array(words);
    at[0] = 1;
    for (const char of value) {
      const mask = masks.get(char) ?? anything;
      let alive = 0;
      for (let i = 0, carry = 0; i < words; i++) {
        const before = at[i] ?? 0;
        // A place is passed by its character; at a star nothing has to be passed.
        const passed = before & (mask[i] ?? 0);
        const next = (passed << 1) | carry | (before & (stays[i] ?? 0));
        carry = passed >>> 31;
        at[i] = next;
        alive |= next;
      }
      if (alive === 0) return false;
    }
    return (((at[last >> 5] ?? 0) >>> (last & 31)) & 1) === 1;
  };
}

/** The characters that have to be passed, undefined for any one; and, of each place and the end, whether a star is there. */
function placesOf(text: string): [(string | undefined)[], boolean[]] {
  const places: (string | undefined)[] = [];
  const loops: boolean[] = [false];
  for (const char of text) {
    if (char === '*') loops[places.length] = true;
    else {
      places.push(char === '?' ? undefined : char);
      loops.push(false);
    }
  }
  return [places, loops];
}

function bits<T>(words: number, of: readonly T[], isSet: (each: T) => boolean): Uint32Array {
  const set = new Uint32Array(words);
  for (const [i, each] of of.entries()) if (isSet(each)) set[i >> 5] = (set[i >> 5] ?? 0) | (1 << (i & 31));
  return set;
}
