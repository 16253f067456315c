import { type DuckDBAppender, type DuckDBConnection, DuckDBTimestampTZValue } from "@duckdb/node-api";
import type { Column } from "../events/columns.ts";
import { DATASETS, type Dataset } from "../events/streams.ts";
import type { SegmentKey } from "./names.ts";
import { sqlName } from "./projection.ts";
import type { SegmentSpan } from "./segment.ts";

/** A value of a dataset's row; times in µs, JSON as text. */
export type DatasetValue = string | number | boolean | null;
/** A row of a dataset by column; a column that is missing is NULL. */
export type DatasetRow = Readonly<Record<string, DatasetValue>>;

/** An open segment of a dataset: few rows, which come by message, put into a table one by one. */
export class DatasetSegment {
  readonly table: string;
  rows = 0;
  /** About what its rows take, in bytes. */
  bytes = 0;
  firstLocal = Number.NaN;
  lastLocal = Number.NaN;
  readonly #appender: DuckDBAppender;
  readonly #columns: readonly Column[];
  #sealed = false;

  private constructor(
    readonly dataset: Dataset,
    readonly key: SegmentKey,
    table: string,
    appender: DuckDBAppender,
  ) {
    this.table = table;
    this.#appender = appender;
    this.#columns = DATASETS[dataset];
  }

  /** Creates the table of a segment. */
  static async open(
    connection: DuckDBConnection,
    dataset: Dataset,
    key: SegmentKey,
    table: string = `dataset_${key.ring}_${key.n}`,
  ): Promise<DatasetSegment> {
    const columns = DATASETS[dataset].map(({ name, type }) => `${sqlName(name)} ${type}`);
    await connection.run(`CREATE TABLE ${sqlName(table)} (${columns.join(", ")})`);
    return new DatasetSegment(dataset, key, table, await connection.createAppender(table));
  }

  /** Takes a row. `local` is when it was written, µs, and never goes back. */
  add(row: DatasetRow, local: number): void {
    for (const column of this.#columns) {
      const value =
        column.name === "run" ? this.key.run : column.name === "local_timestamp" ? local : row[column.name];
      this.#append(column, value ?? null);
      this.bytes += typeof value === "string" ? value.length : 8;
    }
    this.#appender.endRow();
    if (this.rows === 0) this.firstLocal = local;
    this.lastLocal = local;
    this.rows++;
  }

  #append({ name, type }: Column, value: DatasetValue): void {
    const appender = this.#appender;
    if (value === null) appender.appendNull();
    else if (type === "VARCHAR" || type === "JSON") appender.appendVarchar(String(value));
    else if (type === "BOOLEAN") appender.appendBoolean(value === true);
    else if (typeof value !== "number")
      throw new TypeError(`${this.dataset}.${name} is not a number: ${value}`);
    else if (type === "DOUBLE") appender.appendDouble(value);
    else if (type === "BIGINT") appender.appendBigInt(BigInt(value));
    else if (type === "TIMESTAMPTZ") {
      appender.appendTimestampTZ(new DuckDBTimestampTZValue(BigInt(Math.floor(value))));
    } else appender.appendInteger(value);
  }

  /** Gives up what it holds; the table stays. */
  discard(): void {
    if (!this.#sealed) this.#appender.closeSync();
    this.#sealed = true;
  }

  /** Ends the segment: its rows are all in the table. Datasets have no seq; it is counted from 0. */
  seal(): SegmentSpan {
    this.#appender.closeSync();
    this.#sealed = true;
    const { rows, firstLocal, lastLocal } = this;
    return { rows, firstLocal, lastLocal, firstSeq: 0, lastSeq: rows - 1 };
  }
}

/** The rows of a dataset's segment as they stand in its file: in the order in which they were written. */
export function datasetQuery(dataset: Dataset, table: string): string {
  const columns = DATASETS[dataset].map(({ name }) => sqlName(name));
  return `SELECT ${columns.join(", ")} FROM ${sqlName(table)} ORDER BY local_timestamp, rowid`;
}
