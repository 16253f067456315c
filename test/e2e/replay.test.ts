/**
 * Frames go the whole way, in three processes: `replay` serves them, `record` records them, `decode` says
 * what they are. The lake must hold exactly that.
 */
import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { auditLake } from "../helpers/audit.ts";
import { type LakeRow, type LakeValue, type Sql, streamFrom, withSql } from "../helpers/lake.ts";
import { tapedeck } from "../helpers/process.ts";
import { startRecorder } from "../helpers/recorder.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { FIXTURES, FIXTURES_NOTE, HAVE_FIXTURES } from "../lib/fixtures.ts";
import { aggTrade, bookTicker, forceOrder, markPrice, START_MS } from "./frames.ts";

const folder = scratchFolder("replay");

const eventSchema = z
  .object({ exchange: z.string(), stream: z.string(), symbol: z.string(), instrument: z.string() })
  .catchall(z.union([z.string(), z.number(), z.boolean(), z.null()]));
type Event = z.infer<typeof eventSchema>;

/** What `decode` prints for a file, and its exit code and stderr. */
async function decodeFile(file: string): Promise<{ events: Event[]; code: number | string; stderr: string }> {
  const decode = tapedeck(["decode", "--exchange", "binance"], { cwd: folder, stdin: Bun.file(file) });
  const code = await decode.exit();
  const lines = decode.stdout.split("\n").filter((line) => line !== "");
  return { events: lines.map((line) => eventSchema.parse(JSON.parse(line))), code, stderr: decode.stderr };
}

/** Serves a file to a recorder until `expected` events have arrived, stops it by SIGTERM. */
async function recordFile(name: string, file: string, expected: number) {
  const cwd = join(folder, name);
  mkdirSync(cwd);
  const replay = tapedeck(["replay", file, "--port", "0", "--quiet", "1500ms"], { cwd });
  const [url = ""] = await replay.text(/ws:\/\/127\.0\.0\.1:\d+/);
  const recorder = await startRecorder({ cwd, exchange: { url, restUrl: url.replace("ws:", "http:") } });
  const [, summary = ""] = await replay.text(/replay: done, (.*)/);
  await recorder.until(`${expected} events of ${name}`, ({ total_events }) => total_events >= expected);
  // Whatever came beyond what was expected gets the time to show.
  await Bun.sleep(200);
  const { code, end } = await recorder.stop();
  expect(code).toBe(0);
  replay.signal("SIGINT");
  expect(await replay.exit()).toBe(0);
  expect(end).toMatchObject({
    received: expected,
    published: expected,
    dropped: 0,
    lost: 0,
    holds: true,
  });
  return { recorder, data: recorder.data, summary };
}

/** Rows of a symbol and stream in arrival order, with the columns that `decode` prints. */
async function rowsOf(
  sql: Sql,
  data: string,
  stream: string,
  symbol: string,
  names: string[],
): Promise<LakeRow[]> {
  const columns = names.map((name) => `"${name}"`).join(", ");
  const symbolText = symbol.replaceAll("'", "''");
  return sql.rows(
    `SELECT ${columns} FROM ${streamFrom(data, stream)} WHERE symbol = '${symbolText}' ORDER BY ring, seq`,
  );
}

/** Expects the lake to hold these events and no others. */
async function expectLake(sql: Sql, data: string, events: readonly Event[]): Promise<void> {
  const content = await auditLake(sql, data);
  expect(content.rows).toBe(events.length);
  expect(content.holes).toBe(0);
  const groups = Map.groupBy(events, ({ stream, symbol }) => `${stream} ${symbol}`);
  for (const [group, expected] of groups) {
    const [first] = expected;
    if (first === undefined) continue;
    const names = Object.keys(first);
    expect(names.length).toBeGreaterThan(8);
    const rows = await rowsOf(sql, data, first.stream, first.symbol, names);
    expect(rows.length, group).toBe(expected.length);
    for (let i = 0; i < rows.length; i++) {
      expect(rows[i], `${group}, event ${i}`).toEqual(expected[i] as Record<string, LakeValue>);
    }
  }
}

const CHANNELS: Readonly<Record<string, string>> = { bookTicker: "bbo", aggTrade: "trade" };
const summarySchema = z.object({
  symbols: z.record(
    z.string(),
    z.object({
      frames: z.record(z.string(), z.number()),
      trades: z.number(),
      aggressor_buy_qty: z.string(),
      aggressor_sell_qty: z.string(),
    }),
  ),
});

test.skipIf(!HAVE_FIXTURES)(
  `recorded frames: the lake holds what decode prints, and what was counted independently${FIXTURES_NOTE}`,
  async () => {
    const file = join(FIXTURES, "streams/binance-futures.jsonl");
    const { symbols } = summarySchema.parse(
      JSON.parse(readFileSync(join(FIXTURES, "streams/binance-futures.summary.json"), "utf8")),
    );
    const { events, code } = await decodeFile(file);
    expect(code).toBe(0);
    expect(new Set(events.map(({ stream }) => stream))).toEqual(new Set(Object.values(CHANNELS)));
    const { data } = await recordFile("recorded", file, events.length);

    await withSql(async (sql) => {
      await expectLake(sql, data, events);
      for (const [symbol, { frames, trades, ...sums }] of Object.entries(symbols)) {
        for (const [channel, stream] of Object.entries(CHANNELS)) {
          const count = await sql.number(
            `SELECT count(*) FROM ${streamFrom(data, stream)} WHERE symbol = '${symbol}'`,
          );
          expect(count, `${symbol} ${channel}`).toBe(frames[channel] ?? 0);
        }
        expect(frames.aggTrade).toBe(trades);
        // Exact: a DOUBLE of up to 15 digits names one decimal.
        for (const side of ["buy", "sell"] as const) {
          const { total } = await sql.row(
            `SELECT coalesce(sum(amount::DECIMAL(38, 10)), 0)::DOUBLE AS total
             FROM ${streamFrom(data, "trade")} WHERE symbol = '${symbol}' AND side = '${side}'`,
          );
          expect(total, `${symbol} ${side}`).toBe(Number(sums[`aggressor_${side}_qty`]));
        }
      }
    });
  },
  180_000,
);

test("own frames: every stream, a symbol beyond ASCII, what is not wanted, what cannot be decoded", async () => {
  const symbols = ["BTCUSDT", "币安人生USDT", "1000PEPEUSDT"];
  const frames: string[] = [];
  for (let i = 0; i < 300; i++) {
    const at = START_MS + i * 7;
    const symbol = symbols[i % 3] ?? "";
    frames.push(bookTicker(symbol, 600_000_000_000 + i, at));
    if (i % 4 === 0) frames.push(aggTrade(symbol, 5_000 + Math.floor(i / 12), at));
    if (i % 10 === 0) frames.push(markPrice(symbol, at));
    if (i % 50 === 0) frames.push(forceOrder(symbol, at, { S: i % 100 === 0 ? "SELL" : "BUY" }));
  }
  // Fields that come and go, values that are absent, another order of keys, spaces.
  frames.push(bookTicker("BTCUSDT", 600_000_001_000, START_MS + 5000, { ps: undefined, st: undefined }));
  frames.push(markPrice("BTCUSDT", START_MS + 5001, { ap: undefined, P: "", r: "", T: 0 }));
  frames.push(
    `{"data": {"s": "BTCUSDT", "e": "aggTrade", "T": ${START_MS + 5000}, "p": "1e2", "q": "0.5", "m": true, ` +
      `"a": 5025, "E": ${START_MS + 5002}, "f": 9007199254740993, "l": 9007199254740993}, "stream": "btcusdt@aggTrade"}`,
  );
  // Known and not recorded: other channels, a dated future, COIN-M on a shared channel.
  frames.push(
    JSON.stringify({ stream: "btcusdt@kline_1m", data: { e: "kline", s: "BTCUSDT", k: { i: "1m" } } }),
    aggTrade("BTCUSDT_270326", 1, START_MS + 5003),
    forceOrder("BTCUSD_PERP", START_MS + 5004, { ps: "BTCUSD", st: 2 }),
  );
  // Cannot be decoded: a trade without a price, an event nobody knows, no JSON at all.
  const broken = [
    '{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1,"a":5026,"s":"BTCUSDT","q":"1","T":1,"m":true}}',
    '{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker2","s":"币安人生USDT"}}',
    '{"stream":"btcusdt@bookTicker",',
  ];
  for (const frame of broken) frames.splice(100, 0, frame);
  const file = join(folder, "own.jsonl");
  writeFileSync(file, `${frames.join("\n")}\n`);

  const decoded = await decodeFile(file);
  expect(decoded.code).toBe(1);
  for (const line of [101, 102, 103]) expect(decoded.stderr).toContain(`line ${line}: `);
  const wanted = decoded.events.filter(({ symbol }) => symbols.includes(symbol));
  // decode takes the contract types that are not recorded as well.
  expect(decoded.events.length).toBe(wanted.length + 1);
  expect(
    Object.fromEntries([...Map.groupBy(wanted, ({ stream }) => stream)].map(([s, e]) => [s, e.length])),
  ).toEqual({
    bbo: 301,
    trade: 76,
    mark_price: 31,
    funding: 30,
    liquidation: 6,
  });

  const { data, recorder } = await recordFile("own", file, wanted.length);
  await withSql(async (sql) => {
    await expectLake(sql, data, wanted);
    const absent = await sql.row(
      `SELECT settlement_price, average_price FROM ${streamFrom(data, "mark_price")}
       WHERE published_timestamp = make_timestamptz(${(START_MS + 5001) * 1000})`,
    );
    expect(absent).toEqual({ settlement_price: null, average_price: null });
    const odd = await sql.row(
      `SELECT price, amount, side, first_id FROM ${streamFrom(data, "trade")} WHERE id = '5025'`,
    );
    expect(odd).toEqual({ price: 100, amount: 0.5, side: "sell", first_id: null });
    // The instruments are those of the frames, as they were read at the start.
    const instruments = await sql.rows(
      `SELECT symbol, contract_type FROM ${streamFrom(data, "instruments")} ORDER BY symbol`,
    );
    expect(instruments.map(({ symbol }) => symbol)).toEqual([
      "1000PEPEUSDT",
      "BTCUSDT",
      "BTCUSDT_270326",
      "币安人生USDT",
    ]);
  });

  const kept = readdirSync(join(data, "quarantine"));
  expect(kept.length).toBe(1);
  const lines = readFileSync(join(data, "quarantine", kept[0] ?? ""), "utf8")
    .trimEnd()
    .split("\n");
  expect(lines.map((line) => JSON.parse(line).raw).sort()).toEqual([...broken].sort());
  expect(recorder.process.events("frame_quarantined").length).toBe(3);
}, 180_000);
