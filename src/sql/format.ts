/** Answers as people and programs read them. */
import type { DuckDBValue } from "@duckdb/node-api";
import type { Format } from "./formats.ts";
import type { Answer } from "./query.ts";
import { isNumeric, jsonOf, type TimeForm, textOf } from "./values.ts";

/** Columns of the terminal that a value may take; longer ones are cut. */
const VALUE_WIDTH = 60;

/** How an answer is written. */
export interface FormatOptions {
  readonly times: TimeForm;
  /** Rows at most; null = all. */
  readonly limit: number | null;
}

/** Text of an answer, in pieces. */
export async function* formatted(
  format: Exclude<Format, "parquet">,
  answer: Answer,
  options: FormatOptions,
): AsyncIterable<string> {
  if (format === "table") yield await tableText(answer, options);
  else if (format === "csv") yield* csvText(answer, options);
  else yield* jsonText(answer, options);
}

async function* jsonText({ columns, chunks }: Answer, { times, limit }: FormatOptions) {
  for await (const rows of upTo(chunks, limit)) {
    const lines = rows.map((row) =>
      JSON.stringify(
        Object.fromEntries(columns.map((name, i) => [name, jsonOf(row[i] ?? null, times)] as const)),
      ),
    );
    yield `${lines.join("\n")}\n`;
  }
}

async function* csvText({ columns, chunks }: Answer, { times, limit }: FormatOptions) {
  const line = (cells: readonly (string | null)[]) => `${cells.map(csvCell).join(",")}\r\n`;
  yield line(columns);
  for await (const rows of upTo(chunks, limit))
    yield rows.map((row) => line(row.map((value) => textOf(value, times)))).join("");
}

/** RFC 4180; NULL is nothing, the empty text is `""`. */
function csvCell(text: string | null): string {
  if (text === null) return "";
  return text === "" || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

async function tableText({ columns, chunks }: Answer, { times, limit }: FormatOptions): Promise<string> {
  const rows: DuckDBValue[][] = [];
  // One more than is shown tells whether there are more.
  for await (const some of upTo(chunks, limit === null ? null : limit + 1)) rows.push(...some);
  const shown = limit === null ? rows : rows.slice(0, limit);
  let cut = false;
  const cells = shown.map((row) =>
    row.map((value) => {
      const text = (textOf(value, times) ?? "NULL").replace(/[\p{Cc}\u2028\u2029]/gu, "·");
      if (Bun.stringWidth(text) <= VALUE_WIDTH) return text;
      cut = true;
      return `${fitting(text, VALUE_WIDTH - 1)}…`;
    }),
  );
  const right = columns.map((_, i) => shown.some((row) => isNumeric(row[i] ?? null)));
  const widths = columns.map((name, i) =>
    Math.max(Bun.stringWidth(name), ...cells.map((row) => Bun.stringWidth(row[i] ?? ""))),
  );
  const line = (row: readonly string[]) =>
    row
      .map((text, i) => {
        const space = " ".repeat((widths[i] ?? 0) - Bun.stringWidth(text));
        return right[i] ? space + text : text + space;
      })
      .join("  ")
      .trimEnd();
  const notes = [
    `${shown.length} ${shown.length === 1 ? "row" : "rows"}`,
    ...(rows.length > shown.length ? ["there are more: --limit N shows N of them, --limit 0 all"] : []),
    ...(cut ? ["long values are cut: --format json has them whole"] : []),
  ];
  const rule = widths.map((width) => "─".repeat(width)).join("──");
  return `${[line(columns), rule, ...cells.map(line)].join("\n")}\n(${notes.join("; ")})\n`;
}

/** The beginning of a text that is at most so many terminal columns wide. */
function fitting(text: string, width: number): string {
  let taken = "";
  let used = 0;
  for (const character of text) {
    used += Bun.stringWidth(character);
    if (used > width) break;
    taken += character;
  }
  return taken;
}

async function* upTo(chunks: Answer["chunks"], limit: number | null): AsyncIterable<DuckDBValue[][]> {
  let left = limit ?? Number.POSITIVE_INFINITY;
  if (left <= 0) return;
  for await (const rows of chunks) {
    yield rows.length <= left ? rows : rows.slice(0, left);
    left -= rows.length;
    if (left <= 0) return;
  }
}
