/** Files that we write ourselves, against what DuckDB reads of them and what it would have written. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { Column } from "../../src/events/columns.ts";
import { LAYOUTS, SYMBOL } from "../../src/events/layout.ts";
import { columnsOf, STREAM_NAMES, type Stream } from "../../src/events/streams.ts";
import type { RowSource } from "../../src/ring/row-source.ts";
import { TEXT_CELL_BYTES, TEXT_MAX_BYTES, TEXT_PIECES, TEXT_WORDS, writeText } from "../../src/ring/text.ts";
import { ParquetWriter } from "../../src/storage/parquet/file.ts";
import { ROW_GROUP_ROWS } from "../../src/storage/parquet/format.ts";
import { RowMemory, SortedRows } from "../../src/storage/sorted-rows.ts";
import { type LakeValue, quoted, type Sql, withSql } from "../helpers/lake.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { seeded } from "../lib/seed.ts";

const folder = scratchFolder("parquet-file");
const random = seeded("parquet file");
const utf8 = new TextEncoder();
const KEY = { run: "run-1795132800000000-aaaa", ring: 3, n: 7 };
const NOON = 1_795_176_000_000_000;
const METADATA = { schema_version: "v1", tapedeck_version: "0", rows: "1", note: "x".repeat(300) };

/** What stands in a row, by column. */
type Values = Readonly<Record<string, number | string | null>>;

/** Rows as a ring or a journal holds them. */
class Source implements RowSource {
  readonly buffer: ArrayBuffer;
  readonly #rows: number;
  readonly #texts: number;

  constructor(stream: Stream, rows: readonly Values[]) {
    const { numbers, texts } = LAYOUTS[stream];
    this.#rows = rows.length;
    this.#texts = numbers.length * 8 * rows.length;
    this.buffer = new ArrayBuffer(this.#texts + texts.length * TEXT_PIECES * TEXT_CELL_BYTES * rows.length);
    numbers.forEach((name, slot) => {
      const column = new Float64Array(this.buffer, this.numberOffset(slot), rows.length);
      for (const [i, row] of rows.entries()) column[i] = Number(row[name] ?? Number.NaN);
    });
    texts.forEach((name, slot) => {
      const cells = new Int32Array(TEXT_WORDS);
      for (const [i, row] of rows.entries()) {
        const bytes = utf8.encode(String(row[name] ?? ""));
        if (!writeText(cells, bytes, 0, bytes.length)) throw new Error("too long");
        for (let piece = 0; piece < TEXT_PIECES; piece++) {
          const at = this.textOffset(slot, piece) + i * TEXT_CELL_BYTES;
          new Int32Array(this.buffer, at, 4).set(cells.subarray(4 * piece, 4 * piece + 4));
        }
      }
    });
  }

  numberOffset(column: number): number {
    return column * 8 * this.#rows;
  }

  textOffset(text: number, piece: number): number {
    return this.#texts + (text * TEXT_PIECES + piece) * TEXT_CELL_BYTES * this.#rows;
  }

  number(column: number, offset: number): number {
    return new Float64Array(this.buffer, this.numberOffset(column), this.#rows)[offset] ?? Number.NaN;
  }
}

const writer = new ParquetWriter();
const memory = new RowMemory();
let files = 0;

/** Writes rows, which come in the order of the file. */
async function written(
  stream: Stream,
  rows: readonly Values[],
  symbols: readonly string[] = ["BTCUSDT"],
  part: { readonly from: number; readonly to: number } = { from: 0, to: rows.length },
): Promise<string> {
  const sorted = new SortedRows(LAYOUTS[stream], rows.length, memory);
  sorted.take(new Source(stream, rows), rows.length);
  sorted.sort(symbols.map((symbol, number) => ({ number, symbol, instrument: `${symbol}-${number}` })));
  const path = join(folder, `${files++}.parquet`);
  await writer.write(path, { stream, key: KEY, rows: sorted, ...part }, METADATA);
  return path;
}

/** Rows of one symbol that have nothing but what each row has, and what is given. */
function rowsOf(count: number, values: (i: number) => Values): Values[] {
  return Array.from({ length: count }, (_, i) => ({
    symbol: 0,
    local_timestamp: NOON + i,
    seq: i,
    connection: 1,
    ...values(i),
  }));
}

async function columnOf(sql: Sql, path: string, column: string): Promise<LakeValue[]> {
  const rows = await sql.rows(`SELECT ${column} AS value FROM ${quoted(path)}`);
  return rows.map(({ value }) => value ?? null);
}

describe("a file of ours", () => {
  for (const stream of STREAM_NAMES) {
    test(`${stream}: has the columns that DuckDB would have written`, async () => {
      const path = await written(
        stream,
        rowsOf(3, () => ({})),
      );
      await withSql(async (sql) => {
        const copy = join(folder, `copy-${stream}.parquet`);
        await sql.rows(`COPY (FROM ${quoted(path)}) TO ${quoted(copy)} (FORMAT parquet)`);
        const schema = (file: string) =>
          sql.rows(`SELECT name, type, coalesce(repetition_type, 'REQUIRED') AS repetition, num_children, converted_type
            FROM parquet_schema(${quoted(file)}) WHERE num_children IS NULL`);
        const ours = await schema(path);
        expect(ours).toEqual(await schema(copy));
        expect(ours.map(({ name }) => name)).toEqual(columnsOf(stream).map(({ name }) => name));
        const types = (file: string) => sql.rows(`DESCRIBE FROM ${quoted(file)}`);
        expect(await types(path)).toEqual(await types(copy));
      });
    });
  }

  test("metadata, with a value of more than 127 bytes", async () => {
    const path = await written(
      "bbo",
      rowsOf(1, () => ({})),
    );
    await withSql(async (sql) => {
      const pairs = await sql.rows(
        `SELECT decode(key) AS key, decode(value) AS value FROM parquet_kv_metadata(${quoted(path)})`,
      );
      expect(Object.fromEntries(pairs.map(({ key, value }) => [key, value]))).toEqual(METADATA);
    });
  });

  test("whole numbers up to 53 bits, near ones and far ones, with and without NULL", async () => {
    const most = 2 ** 53 - 1;
    const kinds: readonly ((i: number) => number | null)[] = [
      () => 5,
      (i) => i * 1000,
      (i) => -1 - i,
      () => random.below(2 ** 31) * 2 ** 20 + random.below(2 ** 20),
      (i) => (i % 2 === 0 ? most : -most),
      (i) => (i % 2 === 0 ? 2 ** 50 : -(2 ** 50)),
      (i) => (i === 300 ? 2 ** 40 : i),
      (i) => (i % 3 === 0 ? null : i * 7),
      (i) => (i < 700 ? null : i),
      () => null,
    ];
    await withSql(async (sql) => {
      for (const count of [1, 2, 128, 129, 130, 1000]) {
        for (const kind of kinds) {
          const values = Array.from({ length: count }, (_, i) => kind(i));
          const rows = rowsOf(count, (i) => ({
            update_id: values[i] ?? null,
            sequence: values[count - 1 - i] ?? null,
          }));
          const path = await written("bbo", rows);
          expect(await columnOf(sql, path, "update_id")).toEqual(values);
          expect(await columnOf(sql, path, "sequence")).toEqual(values.toReversed());
        }
      }
    });
  });

  test("32-bit numbers whose differences need 33 bits", async () => {
    const values = Array.from({ length: 500 }, (_, i) => (i % 2 === 0 ? 2 ** 31 - 1 : -(2 ** 31)));
    const path = await written(
      "trade",
      rowsOf(500, (i) => ({ count: values[i] ?? 0 })),
    );
    await withSql(async (sql) => expect(await columnOf(sql, path, "count")).toEqual(values));
  });

  test("texts of each length, from none to the longest", async () => {
    const values = Array.from({ length: 3000 }, () => {
      const length = random.below(TEXT_MAX_BYTES + 1);
      return length === 0
        ? null
        : random.below(3) === 0
          ? "é".repeat(length >> 1) || "a"
          : "x".repeat(length);
    });
    const path = await written(
      "trade",
      rowsOf(values.length, (i) => ({ id: values[i] ?? null })),
    );
    await withSql(async (sql) => expect(await columnOf(sql, path, "id")).toEqual(values));
  });

  test("a text that is no UTF-8 is an error, not a file", async () => {
    const rows = rowsOf(2, () => ({ id: "aé" }));
    const source = new Source("trade", rows);
    new Uint8Array(source.buffer, source.textOffset(0, 0), TEXT_CELL_BYTES)[6] = 0x41;
    const sorted = new SortedRows(LAYOUTS.trade, 2, memory);
    sorted.take(source, 2);
    sorted.sort([{ number: 0, symbol: "A", instrument: "A" }]);
    const writing = writer.write(
      join(folder, "broken"),
      { stream: "trade", key: KEY, rows: sorted, from: 0, to: 2 },
      METADATA,
    );
    expect(writing).rejects.toThrow("UTF-8");
  });

  test("a part of the rows", async () => {
    const path = await written(
      "bbo",
      rowsOf(1000, (i) => ({ bid_price: i })),
      ["A"],
      { from: 100, to: 200 },
    );
    await withSql(async (sql) => {
      const expected = Array.from({ length: 100 }, (_, i) => 100 + i);
      expect(await columnOf(sql, path, "seq")).toEqual(expected);
      expect(await columnOf(sql, path, "bid_price")).toEqual(expected);
    });
  });

  test("several row groups of trades of many symbols: every value, and the ranges that the footer tells", async () => {
    const symbols = Array.from({ length: 300 }, (_, i) => `S${(i * 7919) % 300}${"-LONG".repeat(i % 4)}`);
    const count = ROW_GROUP_ROWS + 1234;
    const maybe = (value: number) => (random.below(10) === 0 ? null : value);
    const rows = rowsOf(count, (i) => ({
      symbol: random.below(symbols.length),
      timestamp: NOON + i * 1000 - random.below(5000),
      published_timestamp: maybe(NOON + i * 1000),
      id: `${1_000_000_000 + i}${"-".repeat(random.below(20))}`,
      side: maybe(1 + random.below(2)),
      price: random.below(2 ** 31) / 1000 - 2 ** 20,
      amount: maybe(i < ROW_GROUP_ROWS ? 0 : random.below(100) / 100),
      count: 1 + random.below(50),
      first_id: 5_000_000_000 + i * 3,
      is_block: maybe(random.below(2)),
      connection: random.below(3),
    }));
    const path = await written("trade", rows, symbols);
    const ranked = symbols.map((symbol, number) => ({ number, symbol }));
    ranked.sort((a, b) => Buffer.compare(Buffer.from(a.symbol), Buffer.from(b.symbol)));
    const ranks = new Map<number, number>();
    let rank = -1;
    for (const [i, { number, symbol }] of ranked.entries()) {
      if (symbol !== ranked[i - 1]?.symbol) rank++;
      ranks.set(number, rank);
    }
    const rankOf = (row: Values) => ranks.get(Number(row.symbol)) ?? 0;
    const expected = rows.toSorted((a, b) => rankOf(a) - rankOf(b) || Number(a.seq) - Number(b.seq));
    await withSql(async (sql) => {
      for (const column of columnsOf("trade")) {
        const { name, type } = column;
        const shown = type === "TIMESTAMPTZ" ? `epoch_us(${name})` : name;
        const values = await columnOf(sql, path, shown);
        const wanted = expected.map((row) => writtenValue(row, column, symbols));
        // Not toEqual on all at once: of a difference it would print a hundred thousand lines.
        const wrong = wanted.findIndex((value, i) => value !== values[i]);
        expect([name, wrong, wanted[wrong] ?? null, values[wrong] ?? null]).toEqual([name, -1, null, null]);
        expect(values.length).toBe(count);
        const told = await sql.rows(
          `SELECT row_group_id AS part, stats_min_value AS least, stats_max_value AS most, stats_null_count::INT AS nulls
           FROM parquet_metadata(${quoted(path)}) WHERE path_in_schema = '${name}' ORDER BY part`,
        );
        const are = await sql.rows(
          `SELECT file_row_number // ${ROW_GROUP_ROWS} AS part, min(${name})::VARCHAR AS least, max(${name})::VARCHAR AS most,
             (count(*) - count(${name}))::INT AS nulls
           FROM read_parquet(${quoted(path)}, file_row_number = true) GROUP BY part ORDER BY part`,
        );
        if (name === "id") expect(told).toEqual(are.map((one) => ({ ...one, least: null, most: null })));
        else expect(told.map(withoutZeroSign)).toEqual(are.map(withoutZeroSign));
      }
    });
  });
});

/** The least zero is told as -0, so that the range holds both. */
function withoutZeroSign(row: Record<string, LakeValue>): Record<string, LakeValue> {
  return { ...row, least: row.least === "-0.0" ? "0.0" : (row.least ?? null) };
}

function writtenValue(row: Values, { name, type, values }: Column, symbols: readonly string[]): LakeValue {
  const value = row[name] ?? null;
  switch (name) {
    case "symbol":
      return symbols[row[SYMBOL_NAME] as number] ?? null;
    case "instrument":
      return `${symbols[row[SYMBOL_NAME] as number]}-${row[SYMBOL_NAME]}`;
    case "run":
      return KEY.run;
    case "ring":
      return KEY.ring;
  }
  if (value === null) return null;
  if (values !== undefined) return values[Number(value) - 1] ?? null;
  return type === "BOOLEAN" ? value === 1 : value;
}

const SYMBOL_NAME = LAYOUTS.trade.numbers[SYMBOL] ?? "";
