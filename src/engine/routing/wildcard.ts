/**
 * Compiles a text in which `*` stands for any run of characters, also none. Every other character stands for itself.
 * Matching takes time linear in the value: each piece between stars is searched with a table of its own (Knuth, Morris
 * and Pratt), and the first place where it fits is as good as any later one.
 */
export function compileWildcard(pattern: string): (value: string) => boolean {
  const pieces = pattern.split('*');
  const start = pieces[0] ?? '';
  const end = pieces[pieces.length - 1] ?? '';
  if (pieces.length === 1) return (value) => value === pattern;
  const finders = pieces
    .slice(1, -1)
    .filter((piece) => piece !== '')
    .map(finder);
  return (value) => {
    const last = value.length - end.length;
    if (last < start.length || !value.startsWith(start) || !value.endsWith(end)) return false;
    let at = start.length;
    for (const find of finders) {
      at = find(value, at, last);
      if (at < 0) return false;
    }
    return true;
  };
}

/** Finds `piece` in `value` between `from` and `to`; returns where it ends there, or -1. */
type Finder = (value: string, from: number, to: number) => number;

function finder(piece: string): Finder {
  /** For each prefix of the piece: how much of its beginning its end repeats, where the search goes on after a mismatch. */
  const fallback = new Uint16Array(piece.length);
  const codes = new Uint16Array(piece.length);
  for (let i = 0; i < codes.length; i++) codes[i] = piece.charCodeAt(i);
  for (let i = 1, matched = 0; i < codes.length; i++) {
    while (matched > 0 && codes[i] !== codes[matched]) matched = fallback[matched - 1] ?? 0;
    if (codes[i] === codes[matched]) matched++;
    fallback[i] = matched;
  }
  return (value, from, to) => {
    for (let i = from, matched = 0; i < to; i++) {
      const code = value.charCodeAt(i);
      while (matched > 0 && code !== codes[matched]) matched = fallback[matched - 1] ?? 0;
      if (code === codes[matched]) matched++;
      if (matched === codes.length) return i + 1;
    }
    return -1;
  };
}
