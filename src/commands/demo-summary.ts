/** What the demo tells at its end: what was recorded, and an answer of SQL over the fresh lake. */
import { DuckDBInstance } from "@duckdb/node-api";
import { type Cell, formatTable } from "../lib/table.ts";
import type { Snapshot } from "../status/snapshot.ts";
import { globText, sqlText } from "../storage/projection.ts";

/** The question that the demo asks the lake it has just written. */
function question(lake: string, run: string): string {
  const files = (stream: string) =>
    sqlText(`${globText(lake)}/v1/exchange=*/stream=${stream}/**/*_${run}_*.parquet`);
  return `WITH quotes AS (
  SELECT exchange, symbol, avg((ask_price - bid_price) / bid_price) * 1e4 AS spread_bps
  FROM ${files("bbo")} GROUP BY exchange, symbol
)
SELECT exchange, symbol, count(*) AS trades,
       sum(price * amount) / sum(amount) AS vwap, spread_bps
FROM ${files("trade")} JOIN quotes USING (exchange, symbol)
GROUP BY exchange, symbol, spread_bps ORDER BY trades DESC LIMIT 6`;
}

/** The text of the summary. */
export async function summarize(options: {
  lake: string;
  run: string;
  snapshot: Snapshot;
  /** Frames or events that the simulated exchanges sent. */
  sent: number;
  seconds: number;
  /** CPU time of the process, simulated exchanges included. */
  cpuSeconds: number;
}): Promise<string> {
  const { lake, run, snapshot, sent, seconds, cpuSeconds } = options;
  const { balance, rings, writer } = snapshot;
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  const ask = async (sql: string): Promise<Cell[][]> =>
    (await connection.runAndReadAll(sql)).getRowsJS().map((row) => row.map(cellOf));

  const rows: Cell[][] = [];
  for (const ring of rings) {
    const { exchange, stream } = ring;
    if (ring.published === 0) continue;
    const files = sqlText(`${globText(lake)}/v1/exchange=${exchange}/stream=${stream}/**/*_${run}_*.parquet`);
    const [found = []] = await ask(
      `SELECT (SELECT count(*) FROM ${files}), (SELECT count(DISTINCT symbol) FROM ${files}),
              count(*), sum(file_size_bytes) FROM parquet_file_metadata(${files})`,
    );
    const [count, symbols, fileCount, bytes] = found;
    rows.push([
      exchange,
      stream,
      count ?? null,
      symbols ?? null,
      fileCount ?? null,
      typeof bytes === "number" ? Math.round(bytes / 1024) : null,
      typeof bytes === "number" && typeof count === "number" ? Math.round((10 * bytes) / count) / 10 : null,
      ring.dropped,
      Math.round((1000 * ring.highWater) / ring.capacity) / 10,
    ]);
  }
  const sql = question(lake, run);
  const answer = ["trade", "bbo"].every((stream) => rows.some((row) => row[1] === stream));
  const answered = answer ? await ask(sql) : [];
  connection.closeSync();
  instance.closeSync();

  const count = (value: number) => value.toLocaleString("en-US");
  const holds = balance.holds ? "the balance holds" : "THE BALANCE DOES NOT HOLD";
  return [
    "",
    formatTable(
      ["exchange", "stream", "rows", "symbols", "files", "KiB", "B/row", "dropped", "ring peak %"],
      rows,
    ),
    "",
    `The exchanges sent ${count(sent)} frames; received ${count(balance.received)} events = published ` +
      `${count(balance.published)} + dropped ${count(balance.dropped)} + left ${count(balance.inOutbox)}: ${holds}.`,
    `${writer.filesWritten} files in ${seconds.toFixed(1)} s: ${count(Math.round(balance.received / seconds))} events/s; ` +
      `${((cpuSeconds * 1e6) / Math.max(1, balance.received)).toFixed(2)} µs of CPU an event, the simulated exchanges included.`,
    "",
    ...(answer
      ? [sql, "", formatTable(["exchange", "symbol", "trades", "vwap", "spread_bps"], answered)]
      : ["No trades and quotes were recorded: there is nothing to ask the lake."]),
  ].join("\n");
}

/** Numbers of SQL as plain numbers, rounded for reading. */
function cellOf(value: unknown): Cell {
  if (value === null || value === undefined) return null;
  if (typeof value === "bigint") return Number(value);
  if (typeof value === "number") return Number.isInteger(value) ? value : Number(value.toPrecision(8));
  return String(value);
}
