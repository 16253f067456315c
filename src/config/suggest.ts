/** "Did you mean": the nearest known name to a wrong one. */

/**
 * The known name nearest to `wrong`, or undefined when none is near enough to be worth a guess (more than
 * a third of the letters differ). Case does not count.
 */
export function nearest(wrong: string, known: Iterable<string>): string | undefined {
  // Bounded: a name of the command line or a file may be of any length, the distance is quadratic.
  if (wrong.length === 0 || wrong.length > 100) return undefined;
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const name of known) {
    const distance = editDistance(wrong.toLowerCase(), name.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [name, distance];
  }
  return bestDistance <= Math.max(1, Math.floor(wrong.length / 3)) ? best : undefined;
}

/** `; did you mean X?` for a message, or nothing. `dress` turns the name into what the user has to write. */
export function didYouMean(
  wrong: string,
  known: Iterable<string>,
  dress: (name: string) => string = (name) => name,
): string {
  const name = nearest(wrong, known);
  return name === undefined ? "" : `; did you mean ${dress(name)}?`;
}

/** The mend for an unknown setting: a near name, or the same name in its section (`port` is `status.port`). */
export function settingHint(path: string, leaves: readonly string[], sections: readonly string[]): string {
  const key = lastKey(path);
  const keys = new Set(leaves.map(lastKey));
  const only = (name: string | undefined): string | undefined => {
    const holders = leaves.filter((leaf) => lastKey(leaf) === name);
    return holders.length === 1 ? holders[0] : undefined;
  };
  const name = only(key) ?? nearest(path, [...leaves, ...sections]) ?? only(nearest(key, keys));
  return name === undefined ? "; `tapedeck help settings` lists all of them" : `; did you mean ${name}?`;
}

function lastKey(path: string): string {
  return path.slice(path.lastIndexOf(".") + 1);
}

/** Insertions, deletions, replacements and swaps of neighbours (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(last[j - 1] + (same ? 0 : 1), last[j] + 1, row[j - 1] + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, beforeLast[j - 2] + 1);
      }
      row.push(cost);
    }
    [beforeLast, last] = [last, row];
  }
  return last[b.length];
}
