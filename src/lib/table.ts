/** A table for the terminal. */

/** A cell; numbers are set flush right and with thousands separated. */
export type Cell = string | number | null;

const NUMBER = new Intl.NumberFormat("en-US", { maximumFractionDigits: 8 });

/** Text of a cell. */
export function cellText(cell: Cell): string {
  if (cell === null) return "–";
  return typeof cell === "number" ? NUMBER.format(cell) : cell;
}

/**
 * Aligned columns under a head; widths count what a terminal shows (CJK is two columns wide, colours none).
 *
 * @param flushRight columns that are set flush right; those with numbers unless said otherwise
 */
export function formatTable(
  head: readonly string[],
  rows: readonly (readonly Cell[])[],
  flushRight?: readonly boolean[],
): string {
  const right = flushRight ?? head.map((_, column) => rows.some((row) => typeof row[column] === "number"));
  const texts = rows.map((row) => row.map(cellText));
  const widths = head.map((name, column) =>
    Math.max(Bun.stringWidth(name), ...texts.map((row) => Bun.stringWidth(row[column] ?? ""))),
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => {
        const space = " ".repeat((widths[column] ?? 0) - Bun.stringWidth(cell));
        return right[column] ? space + cell : cell + space;
      })
      .join("  ")
      .trimEnd();
  const rule = widths.map((width) => "─".repeat(width)).join("──");
  return [line(head), rule, ...texts.map(line)].join("\n");
}
