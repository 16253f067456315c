/** The column `raw` of the dataset `instruments`: whatever an exchange sends, the file can be read. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";
import { binance } from "../../src/exchanges/binance.ts";
import { restAnswer } from "../../src/exchanges/rest.ts";
import { surrogatesPaired } from "../../src/lib/json-source.ts";
import { instrumentRow } from "../../src/recorder/datasets.ts";
import { InstrumentList } from "../../src/recorder/instruments.ts";
import { DatasetSegment, datasetQuery } from "../../src/storage/dataset-segment.ts";
import { ParquetWriter } from "../../src/storage/parquet/file.ts";
import { writeParquet } from "../../src/storage/parquet.ts";
import { seeded } from "../lib/seed.ts";

async function withDuckDB(use: (connection: DuckDBConnection, file: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "tapedeck-raw-"));
  const connection = await (await DuckDBInstance.create(":memory:")).connect();
  try {
    await use(connection, join(folder, "one.parquet"));
  } finally {
    connection.closeSync();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Writes these texts as JSON, the way datasets are written, and reads them back from the file. */
async function writtenAndRead(connection: DuckDBConnection, file: string, texts: readonly string[]) {
  await connection.run("CREATE OR REPLACE TABLE written (raw JSON)");
  const appender = await connection.createAppender("written");
  for (const text of texts) {
    appender.appendVarchar(text);
    appender.endRow();
  }
  appender.closeSync();
  await connection.run(`COPY written TO '${file}' (FORMAT parquet)`);
  const reader = await connection.runAndReadAll(`SELECT raw, raw->'$' FROM '${file}'`);
  return reader.getRowsJS().map(([raw]) => raw);
}

/** Texts that JSON.parse takes and that another reader may be expected to stumble over. */
const ODD = [
  '{"a":1e999,"b":-1e999,"c":1e-999,"d":-0,"e":-0.0,"f":1E+5}',
  `{"a":${"9".repeat(400)},"b":0.${"1".repeat(2000)},"c":1e${"9".repeat(50)}}`,
  '{"a":"\\u0000\\/\\b\\f\\uFFFE\\uffff","\\u0000":1,"":2,"__proto__":3}',
  '{"a":"\u007f\u0085\u2028\u2029\uFEFF\uFFFE\uFDD0😀\u{10FFFF}"}',
  '{"a":1,"a":2,"A":3}',
  '\n{"a":\t[\r1 ]}\n',
  `${"[".repeat(5000)}${"]".repeat(5000)}`,
  `${'{"a":'.repeat(3000)}1${"}".repeat(3000)}`,
  `{"a":"${"x".repeat(1_000_000)}"}`,
  '{"a":"\\ud83d\\uDE00\\\\ud83d\\\\\\uD83D\\ude00"}',
];

/** Pieces of the inside of a string. */
const PIECES = [
  "\\ud83d",
  "\\uDE00",
  "\\uDBFF",
  "\\udfff",
  "\\\\",
  '\\"',
  "\\n",
  "\\u0041",
  "ude00",
  "x",
  "😀",
  "d83d",
];

test("what other readers of JSON refuse is told by its surrogates, and by nothing else", async () => {
  const random = seeded("raw");
  const texts = [...ODD];
  for (let i = 0; i < 5000; i++) {
    let inside = "";
    for (let n = random.below(7); n > 0; n--) inside += PIECES[random.below(PIECES.length)];
    texts.push(random.below(2) === 0 ? `{"a":"${inside}","b":["${inside}"]}` : `{"${inside}":1}`);
  }
  for (const text of texts) JSON.parse(text);
  const kept = texts.filter(surrogatesPaired);
  const refused = texts.filter((text) => !surrogatesPaired(text));
  expect(ODD.filter((text) => !kept.includes(text))).toEqual([]);
  expect(Math.min(kept.length, refused.length)).toBeGreaterThan(500);
  await withDuckDB(async (connection, file) => {
    expect(await writtenAndRead(connection, file, kept)).toEqual(kept);
    // None was refused for nothing.
    const valid = `SELECT count(*), count_if(json_valid(text))
      FROM read_text($1), unnest(string_split(content, chr(10))) AS line(text)`;
    await Bun.write(`${file}.txt`, refused.join("\n"));
    const rows = await connection.runAndReadAll(valid, [`${file}.txt`]);
    expect(rows.getRowsJS()).toEqual([[BigInt(refused.length), 0n]]);
    await expect(writtenAndRead(connection, file, refused.slice(0, 1))).rejects.toThrow("surrogate");
  });
});

test("an instrument with half a character is recorded without its raw text, which is told; the file can be read", async () => {
  const entry = (symbol: string, more: string) =>
    `{"symbol":"${symbol}","contractType":"PERPETUAL","status":"TRADING","quoteAsset":"USDT"${more}}`;
  const good = [
    entry("AUSDT", ',"note":"\\ud83d\\ude00 0.10","id":18446744073709551615'),
    entry("DUSDT", ""),
  ];
  const text = `{"symbols":[${[
    good[0],
    entry("BUSDT", ',"note":"\\ud83d"'),
    // JSON.parse keeps the second one only.
    entry("CUSDT", ',"baseAsset":"\\udc00","baseAsset":"C","onboardDate":"soon"'),
    good[1],
  ].join()}]}`;
  const told: unknown[] = [];
  const list = new InstrumentList(binance, []);
  const { wanted, changed } = await list.read(
    async () => restAnswer(text),
    (...what) => told.push(what),
  );
  expect(wanted.map(({ instrument }) => instrument)).toEqual(["AUSDT", "BUSDT", "CUSDT", "DUSDT"]);
  expect(changed.map(({ raw }) => raw)).toEqual([good[0], null, null, good[1]]);
  expect(told).toEqual([["fields", 3, expect.stringMatching(/^BUSDT: an unpaired surrogate/)]]);
  const gone = await list.read(async () => restAnswer(`{"symbols":[${good[0]}]}`));
  expect(gone.changed).toEqual([]);
  const absent = await list.read(async () => restAnswer(`{"symbols":[${good[0]}]}`));
  await withDuckDB(async (connection, file) => {
    const key = { run: "run", ring: 0, n: 0 };
    const segment = await DatasetSegment.open(connection, "instruments", key);
    for (const one of [...changed, ...absent.changed]) segment.add(instrumentRow(one, 1), 1);
    const span = segment.seal();
    const query = datasetQuery("instruments", segment.table);
    const { table, bytes } = segment;
    const sealed = {
      exchange: "binance",
      stream: "instruments",
      key,
      symbol: null,
      table,
      content: { query },
      span,
      bytes,
      hasSeq: false,
    };
    const writers = { streams: new ParquetWriter(), datasets: connection };
    await writeParquet(writers, sealed, file, "0", () => false);
    const rows = await connection.runAndReadAll(
      `SELECT instrument, status, raw, raw->>'$.note' FROM '${file}' ORDER BY status DESC, instrument`,
    );
    expect(rows.getRowsJS()).toEqual([
      ["BUSDT", "absent", null, null],
      ["CUSDT", "absent", null, null],
      ["DUSDT", "absent", null, null],
      ["AUSDT", "TRADING", good[0], "😀 0.10"],
      ["BUSDT", "TRADING", null, null],
      ["CUSDT", "TRADING", null, null],
      ["DUSDT", "TRADING", good[1], null],
    ]);
  });
});
