import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";
import { DATASETS, STREAM_NAMES, type Stream } from "../../src/events/streams.ts";
import { allViews, createView, fileViews } from "../../src/storage/views.ts";

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
  const instrument = (symbol: string, id: string, size: number, multiplier: number) => ({
    symbol: `'${symbol}'`,
    instrument: `'${id}'`,
    contract_type: "'linear'",
    contract_size: `${size}`,
    contract_multiplier: "1",
    price_multiplier: `${multiplier}`,
    local_timestamp: at(0),
  });
  await write("okx", "instruments", [
    instrument("BTCUSDT", "BTC-USDT-SWAP", 0.01, 1),
    // From second 50 on a contract is worth ten times as much.
    { ...instrument("BTCUSDT", "BTC-USDT-SWAP", 0.1, 1), local_timestamp: at(50) },
  ]);
  await write("bybit", "instruments", [instrument("1000PEPEUSDT", "1000PEPEUSDT", 1, 1000)]);
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
  ]);
  await write("bybit", "trade", [trade("1000PEPEUSDT", 10, 7, 0.012)]);
  const row = (exchange: string, values: Record<string, string>, second: number, connectionNumber = 0) => ({
    symbol: exchange === "okx" ? "'BTCUSDT'" : "'1000PEPEUSDT'",
    instrument: exchange === "okx" ? "'BTC-USDT-SWAP'" : "'1000PEPEUSDT'",
    run: "'run'",
    connection: `${connectionNumber}`,
    seq: `${second}`,
    local_timestamp: at(second),
    ...values,
  });
  await write("okx", "open_interest", [row("okx", { open_interest: "500", open_interest_base: "5" }, 10)]);
  await write("bybit", "open_interest", [
    row("bybit", { open_interest: "80" }, 10),
    row("bybit", { open_interest: "90", open_interest_single: "44" }, 11),
    row("bybit", { open_interest_value: "1" }, 12),
  ]);
  await write("bybit", "mark_price", [
    row("bybit", { mark_price: "1.5", index_price: "1.4" }, 10),
    row("bybit", { index_price: "1.45" }, 11),
    row("bybit", { mark_price: "1.6" }, 12),
    row("bybit", { mark_price: "1.7" }, 13, 1),
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
      ["okx", 2n],
    ]);
  });

  test("trade_base converts by what a contract was worth at that time", async () => {
    const rows = await ask(
      "SELECT exchange, amount_base, price_base FROM trade_base ORDER BY exchange, local_timestamp",
    );
    expect(rows.map((row) => [row[0], Number(row[1]), Number(Number(row[2]).toPrecision(12))])).toEqual([
      ["bybit", 7000, 0.000012],
      ["okx", 3, 90_000],
      ["okx", 30, 90_000],
    ]);
  });

  test("open_interest_base is one side, in coins", async () => {
    const rows = await ask(
      "SELECT exchange, open_interest_base FROM open_interest_base ORDER BY exchange, local_timestamp",
    );
    expect(rows).toEqual([
      ["bybit", 40_000],
      ["bybit", 44_000],
      ["okx", 5],
    ]);
  });

  test("mark_price_carried carries values forward, not over a new connection of changes", async () => {
    const rows = await ask("SELECT mark_price, index_price FROM mark_price_carried ORDER BY local_timestamp");
    expect(rows).toEqual([
      [1.5, 1.4],
      [1.5, 1.45],
      [1.6, 1.45],
      [1.7, null],
    ]);
  });
});
