/** Texts as parts of SQL, and which columns a file has. */
import type { Column } from "../events/columns.ts";
import { columnsOf, type Stream } from "../events/streams.ts";

/** Quotes a text as a SQL literal. */
export function sqlText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** A path as a literal part of a DuckDB glob pattern. */
export function globText(path: string): string {
  return path.replace(/[[\]*?]/g, (character) => `[${character}]`);
}

/** Quotes a name for SQL. */
export function sqlName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Names of the columns that stand in the path of a file, and so not in it as well: pandas refuses such files. */
export function columnsInPath(symbol: string | null): readonly string[] {
  return symbol === null ? [] : ["symbol"];
}

/** Columns of a file of a stream. */
export function columnsOfFile(stream: Stream, symbol: string | null): readonly Column[] {
  return columnsOf(stream).filter(({ name }) => !columnsInPath(symbol).includes(name));
}
