/** The cells of each row of the tables of a page that have a column `test`, their last: what is claimed, and what shows it. */
export function claims(page: string): string[][] {
  const found: string[][] = [];
  let inTable = false;
  for (const line of page.split('\n')) {
    const cells = line.split(/(?<!\\)\|/).map((cell) => cell.trim());
    if (cells.at(-2) === 'test') inTable = true;
    else if (!line.startsWith('|')) inTable = false;
    else if (inTable && !line.startsWith('|---')) found.push(cells.slice(1, -1));
  }
  return found;
}
