/** Levenshtein distance, two rows. Names are short: the caller bounds them. */
function distance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const replaced = (previous[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}

/** The known name that a mistyped one most likely meant, or undefined when none is close. */
export function nearestName(typed: string, known: Iterable<string>): string | undefined {
  const wanted = typed.slice(0, 64).toLowerCase();
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(wanted.length / 3)) + 1;
  for (const name of known) {
    const candidate = distance(wanted, name.toLowerCase());
    if (candidate < bestDistance) {
      best = name;
      bestDistance = candidate;
    }
  }
  return best;
}

/** `" Did you mean X?"`, or the empty string when nothing is close. */
export function didYouMean(typed: string, known: Iterable<string>): string {
  const name = nearestName(typed, known);
  return name === undefined ? '' : ` Did you mean ${JSON.stringify(name)}?`;
}
