/** Names of the forms of an answer; apart from what writes them, since that loads DuckDB and `--help` need not. */

/** Forms of an answer. `json` is one object a line. */
export const FORMATS = ["table", "json", "csv", "parquet"] as const;
/** See {@link FORMATS}. */
export type Format = (typeof FORMATS)[number];

/** Rows of a table unless said otherwise. */
export const TABLE_ROWS = 100;
