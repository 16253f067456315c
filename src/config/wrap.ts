/** Text for a terminal: aligned and never wider than the page. */

/** The widest line of help, in columns. */
export const PAGE_WIDTH = 100;

/** Wraps at spaces; every line begins with `indent` spaces, the first with `first` instead. */
export function wrap(text: string, indent: number, first = " ".repeat(indent)): string {
  const lines: string[] = [];
  let line = first;
  let empty = true;
  for (const word of text.split(/\s+/).filter((part) => part !== "")) {
    if (!empty && Bun.stringWidth(`${line} ${word}`) > PAGE_WIDTH) {
      lines.push(line);
      line = " ".repeat(indent);
      empty = true;
    }
    line += empty ? word : ` ${word}`;
    empty = false;
  }
  return [...lines, line.trimEnd()].join("\n");
}

/** The widest left column of a table; a longer entry gets a line of its own. */
const LEFT_WIDTH_MAX = 26;

/** Two columns, the right one wrapped. */
export function table(rows: readonly (readonly [left: string, right: string])[]): string {
  const width = Math.max(
    0,
    ...rows.map(([left]) => left.length).filter((length) => length <= LEFT_WIDTH_MAX),
  );
  return rows
    .map(([left, right]) => {
      if (left.length > LEFT_WIDTH_MAX) return `  ${left}\n${wrap(right, width + 4)}`;
      return wrap(right, width + 4, `  ${left.padEnd(width)}  `);
    })
    .join("\n");
}
