/** The known word that somebody most likely meant: fewest letters changed, and not too many. */

export function nearest(typed: string, known: readonly string[]): string | null {
  const ranked = known.map((word) => ({ word, changes: changesBetween(typed, word) }));
  const best = ranked.sort((a, b) => a.changes - b.changes)[0];
  if (best === undefined) return null;
  const begins = typed.length >= 2 ? known.find((word) => word.startsWith(typed)) : undefined;
  if (best.changes > Math.max(1, Math.floor(typed.length / 3))) return begins ?? null;
  return best.word;
}

/** Letters put in, left out, exchanged for another, or swapped with their neighbour. */
function changesBetween(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      const options = [cell(rows, i - 1, j) + 1, (row[j - 1] ?? 0) + 1, cell(rows, i - 1, j - 1) + (same ? 0 : 1)];
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) options.push(cell(rows, i - 2, j - 2) + 1);
      row.push(Math.min(...options));
    }
    rows.push(row);
  }
  return cell(rows, a.length, b.length);
}

function cell(rows: readonly (readonly number[])[], i: number, j: number): number {
  return rows[i]?.[j] ?? 0;
}
