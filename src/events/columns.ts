/**
 * The kinds of column that schema v1 is made of. Everything that has to know how a column looks in a
 * ring, in the DuckDB table or in Parquet asks here; nothing else in the program spells a type.
 */

/** Type of a column in the published Parquet file, as DuckDB names it. */
export type ParquetType =
  | "VARCHAR"
  | "DOUBLE"
  | "BIGINT"
  | "INTEGER"
  | "SMALLINT"
  | "BOOLEAN"
  | "TIMESTAMPTZ"
  | "JSON";

/** One column of a stream or dataset. */
export interface Column {
  /** Name in the lake; Tardis CSV convention where that has one. */
  readonly name: string;
  readonly type: ParquetType;
  /** What it means, in one sentence for docs/schema.md. */
  readonly meaning: string;
  /** Unit, where the column has one that is the same for every exchange. */
  readonly unit?: string;
  /** For a VARCHAR with a closed set of values: they travel through the ring as 1, 2, … */
  readonly values?: readonly string[];
  /**
   * Not said by the exchange, but told by us from the place of a frame on its connection: two copies of one event, on
   * two connections, may differ in it.
   */
  readonly ours?: true;
}

/**
 * How a value travels through ring and table.
 *
 * `number`: a double, NaN = NULL. Integers are exact to 2^53, times are whole microseconds (exact until
 * the year 2255), booleans are 0 and 1, a closed set of words is 1, 2, … .
 * `text`: TEXT_PIECES cells of DuckDB's 16-byte inline string, see ring/text.ts.
 */
export type RingKind = "number" | "text";

/** How a column travels through the ring. */
export function ringKind(column: Column): RingKind {
  return column.type === "VARCHAR" && column.values === undefined ? "text" : "number";
}
