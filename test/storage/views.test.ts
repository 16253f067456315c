import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";
import { DATASETS, STREAM_NAMES, type Stream } from "../../src/events/streams.ts";
import { EXCHANGES } from "../../src/exchanges/exchanges.ts";
import { allViews, createView, derivedViews, fileViews, type ViewFacts } from "../../src/storage/views.ts";

/** Rows of a lake file written by SQL: columns that are not named are NULL, as the empty view has them. */
let root = "";
let connection: DuckDBConnection;

async function write(exchange: string, kind: string, rows: readonly Record<string, string>[]): Promise<void> {
  const folder = join(root, `v1/exchange=${exchange}/stream=${kind}/date=2026-11-20`);
  mkdirSync(folder, { recursive: true });
  const empty = fileViews(root, new Set()).find(({ name }) => name === kind)?.query ?? "";
  await connection.run(
    `CREATE OR REPLACE TEMP TABLE shape AS SELECT * EXCLUDE (exchange, stream, date) FROM (${empty})`,
  );
  for (const row of rows) {
    await connection.run(
      `INSERT INTO shape BY NAME SELECT ${Object.entries(row)
        .map(([k, v]) => `${v} AS "${k}"`)
        .join(", ")}`,
    );
  }
  await connection.run(`COPY shape TO '${folder}/1_run_0_0.parquet' (FORMAT parquet)`);
}

async function ask(sql: string): Promise<unknown[][]> {
  return (await connection.runAndReadAll(sql)).getRowsJS();
}

const at = (second: number) => `make_timestamptz(${1_795_000_000_000_000 + second * 1_000_000})`;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "tapedeck-views-"));
  connection = await (await DuckDBInstance.create(":memory:")).connect();
  const instrument = (symbol: string, id: string, size: number, multiplier: number, type = "linear") => ({
    symbol: `'${symbol}'`,
    instrument: `'${id}'`,
    contract_type: `'${type}'`,
    contract_size: `${size}`,
    contract_multiplier: "1",
    price_multiplier: `${multiplier}`,
    local_timestamp: at(0),
  });
  await write("okx", "instruments", [
    instrument("BTCUSDT", "BTC-USDT-SWAP", 0.01, 1),
    // From second 50 on a contract is worth ten times as much.
    { ...instrument("BTCUSDT", "BTC-USDT-SWAP", 0.1, 1), local_timestamp: at(50) },
    instrument("BTCUSD", "BTC-USD-SWAP", 100, 1, "inverse"),
  ]);
  await write("bybit", "instruments", [
    instrument("1000PEPEUSDT", "1000PEPEUSDT", 1, 1000),
    instrument("BTCUSD", "BTCUSD", 1, 1, "InversePerpetual"),
    instrument("ETHUSD_261225", "ETHUSDZ26", 1, 1, "InverseFutures"),
  ]);
  const trade = (id: string, second: number, amount: number, price: number) => ({
    symbol: `'${id.replaceAll("-", "").replace("SWAP", "")}'`,
    instrument: `'${id}'`,
    local_timestamp: at(second),
    amount: `${amount}`,
    price: `${price}`,
  });
  await write("okx", "trade", [
    trade("BTC-USDT-SWAP", 10, 300, 90_000),
    trade("BTC-USDT-SWAP", 60, 300, 90_000),
    trade("BTC-USD-SWAP", 10, 50, 50_000),
  ]);
  await write("bybit", "trade", [trade("1000PEPEUSDT", 10, 7, 0.012)]);
  const row = (exchange: string, values: Record<string, string>, second: number, connectionNumber = 0) => ({
    symbol: exchange === "okx" ? "'BTCUSDT'" : "'1000PEPEUSDT'",
    instrument: exchange === "okx" ? "'BTC-USDT-SWAP'" : "'1000PEPEUSDT'",
    run: "'run'",
    connection: `${connectionNumber}`,
    ring: "0",
    seq: `${second}`,
    local_timestamp: at(second),
    ...values,
  });
  const swap = { symbol: "'BTCUSD'", instrument: "'BTC-USD-SWAP'" };
  const inverse = { symbol: "'BTCUSD'", instrument: "'BTCUSD'" };
  const dated = { symbol: "'ETHUSD_261225'", instrument: "'ETHUSDZ26'" };
  await write("okx", "open_interest", [
    row("okx", { open_interest: "500", open_interest_base: "5" }, 10),
    row("okx", { ...swap, open_interest: "500" }, 10),
    row("okx", { ...swap, open_interest: "500", open_interest_base: "7" }, 11),
  ]);
  await write("okx", "mark_price", [row("okx", { ...swap, mark_price: "50_000" }, 9)]);
  await write("bybit", "open_interest", [
    row("bybit", { open_interest: "80" }, 10),
    row("bybit", { open_interest: "90", open_interest_single: "44" }, 11),
    row("bybit", { open_interest_value: "1" }, 12),
    // No mark price has come yet.
    row("bybit", { ...inverse, open_interest: "10_000_000" }, 20),
    row("bybit", { ...inverse, open_interest: "10_000_000" }, 21),
    row("bybit", { ...inverse, open_interest: "10_000_000", open_interest_single: "4_000_000" }, 22),
    row("bybit", { ...inverse, open_interest: "10_000_000" }, 23),
    row("bybit", { ...dated, open_interest: "10_000" }, 24),
  ]);
  await write("bybit", "mark_price", [
    row("bybit", { mark_price: "1.5", index_price: "1.4" }, 10),
    row("bybit", { index_price: "1.45" }, 11),
    row("bybit", { mark_price: "1.6" }, 12),
    // Connection 1 takes over as planned: its snapshot is no row, and rows of both interleave.
    row("bybit", { mark_price: "1.7" }, 13, 1),
    row("bybit", { index_price: "1.5" }, 14, 0),
    row("bybit", { mark_price: "1.8" }, 15, 1),
    // It broke; the next one begins with a snapshot.
    row("bybit", { mark_price: "2.5", index_price: "2.4" }, 16, 2),
    row("bybit", { mark_price: "2.6" }, 17, 2),
    // Received in the same microsecond: by ring, then by seq.
    row("bybit", { mark_price: "2.9", ring: "1", seq: "0" }, 18, 2),
    row("bybit", { mark_price: "2.8", ring: "0", seq: "101" }, 18, 2),
    row("bybit", { mark_price: "2.7", ring: "0", seq: "100" }, 18, 2),
    row("bybit", { index_price: "2.5" }, 19, 2),
    row("bybit", { index_price: "3.5", run: "'next'" }, 20, 2),
    row("bybit", { ...inverse, mark_price: "50_000" }, 21),
    row("bybit", { ...inverse, index_price: "49_000" }, 22),
    row("bybit", { ...inverse, mark_price: "40_000" }, 23),
    row("bybit", { ...dated, mark_price: "2_000" }, 23),
  ]);
  const present = new Set(["instruments", "trade", "open_interest", "mark_price"]);
  for (const view of allViews(root, present)) await connection.run(createView(view));
});

afterAll(() => {
  connection.closeSync();
  rmSync(root, { recursive: true, force: true });
});

describe("views over a lake", () => {
  test("there is one for each stream and dataset, empty where nothing was recorded", async () => {
    for (const kind of [...STREAM_NAMES, ...Object.keys(DATASETS)] as (Stream | string)[]) {
      const rows = await ask(`SELECT count(*) FROM ${kind}`);
      expect([kind, typeof rows[0]?.[0]]).toEqual([kind, "bigint"]);
    }
    expect(await ask("SELECT count(*) FROM bbo")).toEqual([[0n]]);
    expect(await ask("SELECT exchange, count(*) FROM trade GROUP BY 1 ORDER BY 1")).toEqual([
      ["bybit", 1n],
      ["okx", 3n],
    ]);
  });

  test("trade_base converts by what a contract was worth at that time", async () => {
    const rows = await ask(
      "SELECT exchange, amount_base, price_base FROM trade_base WHERE instrument != 'BTC-USD-SWAP' ORDER BY exchange, local_timestamp",
    );
    expect(rows.map((row) => [row[0], Number(row[1]), Number(Number(row[2]).toPrecision(12))])).toEqual([
      ["bybit", 7000, 0.000012],
      ["okx", 3, 90_000],
      ["okx", 30, 90_000],
    ]);
  });

  test("open_interest_base is one side, in coins", async () => {
    const rows = await ask(
      "SELECT exchange, open_interest_base FROM open_interest_base WHERE instrument IN ('BTC-USDT-SWAP', '1000PEPEUSDT') ORDER BY exchange, local_timestamp",
    );
    expect(rows).toEqual([
      ["bybit", 40_000],
      ["bybit", 44_000],
      ["okx", 5],
    ]);
  });

  test("mark_price_carried carries values forward over connections, and not over runs", async () => {
    const rows = await ask(
      `SELECT mark_price, index_price FROM mark_price_carried WHERE instrument = '1000PEPEUSDT'
      ORDER BY local_timestamp, ring, seq`,
    );
    expect(rows).toEqual([
      [1.5, 1.4],
      [1.5, 1.45],
      [1.6, 1.45],
      [1.7, 1.45],
      [1.7, 1.5],
      [1.8, 1.5],
      [2.5, 2.4],
      [2.6, 2.4],
      [2.7, 2.4],
      [2.8, 2.4],
      [2.9, 2.4],
      [2.9, 2.5],
      [null, 3.5],
    ]);
  });

  test("inverse contracts are worth quote: trades by their price, open interest by the last mark price", async () => {
    expect(await ask("SELECT amount_base FROM trade_base WHERE instrument = 'BTC-USD-SWAP'")).toEqual([
      [0.1],
    ]);
    const rows = await ask(
      "SELECT instrument, open_interest_base FROM open_interest_base WHERE symbol LIKE '%USD' OR symbol LIKE '%USD!_%' ESCAPE '!' ORDER BY exchange, local_timestamp",
    );
    expect(rows).toEqual([
      // 10,000,000 USD of both sides; the second is worth 50,000 a coin, the last 40,000.
      ["BTCUSD", null],
      ["BTCUSD", 100],
      ["BTCUSD", 80],
      ["BTCUSD", 125],
      ["ETHUSDZ26", 2.5],
      // 500 contracts of 100 USD; where coins are published they stand.
      ["BTC-USD-SWAP", 1],
      ["BTC-USD-SWAP", 7],
    ]);
  });
});

describe("where exchanges differ", () => {
  const strange: readonly ViewFacts[] = [
    { name: "okx", openInterestSides: 2, inverseContractTypes: ["linear"] },
    { name: "bybit", openInterestSides: 1, inverseContractTypes: [] },
  ];
  const queryOf = (name: string) => derivedViews(strange).find((view) => view.name === name)?.query ?? "";

  test("the SQL follows what the exchanges say of themselves", async () => {
    const interest = await ask(
      `SELECT instrument, open_interest_base FROM (${queryOf("open_interest_base")})
      WHERE instrument IN ('BTC-USD-SWAP', '1000PEPEUSDT') ORDER BY exchange, local_timestamp`,
    );
    expect(interest).toEqual([
      ["1000PEPEUSDT", 80_000],
      ["1000PEPEUSDT", 44_000],
      ["BTC-USD-SWAP", 25_000],
      ["BTC-USD-SWAP", 7],
    ]);
    const trades = await ask(
      `SELECT amount_base FROM (${queryOf("trade_base")}) WHERE instrument = 'BTC-USD-SWAP'`,
    );
    expect(trades).toEqual([[5000]]);
  });

  test("no exchange is named in views.ts", async () => {
    const source = await Bun.file(new URL("../../src/storage/views.ts", import.meta.url)).text();
    for (const { name } of EXCHANGES) expect(source.toLowerCase().includes(name)).toBe(false);
  });
});
