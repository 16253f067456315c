/**
 * SQL derived from the table of schema v1: how a segment's rows stand in DuckDB, and how COPY turns them
 * into the columns of the published file.
 *
 * In the table every number is a DOUBLE and every text a few BLOB pieces, exactly as in the ring: so a
 * batch goes in by block copies. The types of the schema appear only here, on the way out.
 */
import { type Column, ringKind } from "../events/columns.ts";
import { LAYOUTS } from "../events/layout.ts";
import { columnsOf, type Stream } from "../events/streams.ts";
import { TEXT_PIECES } from "../ring/text.ts";
import type { SegmentKey } from "./names.ts";

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

const pieceName = (text: string, piece: number) => sqlName(`${text}#${piece}`);

/** Table of an exchange's symbols: number, texts, and the rank by which rows are sorted. */
export const SYMBOLS_DDL = "(number DOUBLE, symbol VARCHAR, instrument VARCHAR, rank INTEGER)";

/** Column definitions of a segment's table: numbers in slot order, then the pieces of each text. */
export function tableColumns(stream: Stream): string {
  const { numbers, texts } = LAYOUTS[stream];
  return [
    ...numbers.map((name) => `${sqlName(name)} DOUBLE`),
    ...texts.flatMap((name) =>
      Array.from({ length: TEXT_PIECES }, (_, piece) => `${pieceName(name, piece)} BLOB`),
    ),
  ].join(", ");
}

function expressionOf(column: Column, key: SegmentKey): string {
  switch (column.name) {
    case "symbol":
    case "instrument":
      return `s.${column.name}`;
    case "run":
      return sqlText(key.run);
    case "ring":
      return `${key.ring}::SMALLINT`;
  }
  if (ringKind(column) === "text") {
    const pieces = Array.from({ length: TEXT_PIECES }, (_, piece) => `t.${pieceName(column.name, piece)}`);
    return `nullif(decode(${pieces.join(" || ")}), '')`;
  }
  const value = `nullif(t.${sqlName(column.name)}, 'NaN'::DOUBLE)`;
  if (column.values !== undefined) {
    const cases = column.values.map((word, index) => `WHEN ${index + 1} THEN ${sqlText(word)}`);
    return `CASE t.${sqlName(column.name)} ${cases.join(" ")} END`;
  }
  if (column.type === "DOUBLE") return value;
  if (column.type === "TIMESTAMPTZ") return `make_timestamptz(${value}::BIGINT)`;
  return `${value}::${column.type}`;
}

/**
 * The rows of a segment as they stand in its file.
 *
 * Sorted by symbol, local_timestamp, seq. Within a ring time never goes back and seq always grows, so
 * (rank of the symbol, seq) is the same order, with one key less to compare.
 */
export function segmentQuery(stream: Stream, table: string, symbols: string, key: SegmentKey): string {
  const columns = columnsOf(stream).map(
    (column) => `${expressionOf(column, key)} AS ${sqlName(column.name)}`,
  );
  return (
    `SELECT ${columns.join(", ")} FROM ${sqlName(table)} t ` +
    `JOIN ${sqlName(symbols)} s ON s.number = t.symbol ORDER BY s.rank, t.seq`
  );
}
