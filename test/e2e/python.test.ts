/**
 * The tools that users have open a recorded lake and find in it what DuckDB finds. Python is found by
 * TAPEDECK_TEST_PYTHON, or as `.venv/bin/python` in the project or beside it; requirements.txt in
 * test/python names the tools.
 */
import { beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { z } from "zod";
import { startBinance } from "../../src/simulator/binance.ts";
import { auditLake, type LakeContent } from "../helpers/audit.ts";
import { quoted, type Sql, withSql } from "../helpers/lake.ts";
import { missingModules, PYTHON } from "../helpers/python.ts";
import { startRecorder } from "../helpers/recorder.ts";
import { scratchFolder } from "../helpers/scratch.ts";

const TOOLS = ["pyarrow", "pandas", "polars", "duckdb"] as const;
const PROJECT = join(import.meta.dir, "../..");
const SCRIPT = join(PROJECT, "test/python/read_lake.py");
const MISSING = missingModules(TOOLS);

function note(tool: string): string {
  if (PYTHON === undefined) return " (skipped: no Python, set TAPEDECK_TEST_PYTHON)";
  return MISSING.has(tool) ? ` (skipped: ${PYTHON} has no module ${tool})` : "";
}

const streamSchema = z.strictObject({
  rows: z.int(),
  sums: z.record(z.string(), z.number()),
  symbols: z.tuple([z.string(), z.string()]),
  first: z.int(),
  last: z.int(),
  zone: z.string(),
  unit: z.string(),
});
const reportSchema = z.strictObject({
  streams: z.record(z.string(), streamSchema),
  all: z.record(z.string(), z.tuple([z.int(), z.int(), z.int()])),
});

const folder = scratchFolder("python");
const LAYOUTS = ["flat", "symbol"] as const;
const dataOf = (layout: string) => join(folder, layout);

/** Records a little of everything into many small files. */
async function recordLake(layout: string): Promise<void> {
  const instruments = layout === "flat" ? 30 : 6;
  const exchange = startBinance({ instruments, rate: 3000, liquidationShare: 0.1 });
  try {
    const recorder = await startRecorder({
      cwd: folder,
      data: dataOf(layout),
      exchange,
      set: { layout, "flush.interval": "500ms", "flush.slow_interval": "500ms", "flush.min_gap": "0ms" },
    });
    await recorder.until("mark prices of two seconds", ({ balance }) => balance.received > 0);
    await Bun.sleep(2200);
    const { code } = await recorder.stop();
    expect(code).toBe(0);
  } finally {
    await exchange.stop();
  }
}

/** What DuckDB in this process says of a stream's folder. */
async function expectedOf(sql: Sql, data: string, stream: string, sums: readonly string[]) {
  const from = `read_parquet(${quoted(join(data, `lake/v1/exchange=binance/stream=${stream}/**/*.parquet`))})`;
  const { rows, first, last, low, high, ...summed } = await sql.row(
    `SELECT count(*) AS rows, epoch_us(min(local_timestamp)) AS first, epoch_us(max(local_timestamp)) AS last,
       min(symbol) AS low, max(symbol) AS high, ${sums.map((name) => `sum("${name}")::DOUBLE AS "${name}"`).join(", ")}
     FROM ${from}`,
  );
  return { rows: Number(rows), first: Number(first), last: Number(last), symbols: [low, high], sums: summed };
}

/** Reads a lake with a tool. */
async function reportOf(tool: string, data: string, more: readonly string[]) {
  const child = Bun.spawn([PYTHON ?? "", SCRIPT, tool, join(data, "lake"), ...more], {
    stdout: "pipe",
    stderr: "pipe",
    // A zone that is not UTC: times must not depend on where they are read.
    env: { ...process.env, TZ: "America/New_York" },
    timeout: 150_000,
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  expect(code, stderr).toBe(0);
  return reportSchema.parse(JSON.parse(stdout));
}

describe.skipIf(MISSING.size === TOOLS.length)(
  `Python readers${PYTHON === undefined ? note("") : ""}`,
  () => {
    const audited = new Map<string, LakeContent>();
    beforeAll(async () => {
      for (const layout of LAYOUTS) {
        await recordLake(layout);
        audited.set(layout, await withSql((sql) => auditLake(sql, dataOf(layout))));
      }
    }, 300_000);

    for (const layout of LAYOUTS) {
      for (const tool of TOOLS) {
        test.skipIf(MISSING.has(tool))(
          `${tool} finds what DuckDB finds, times in UTC, layout ${layout}${note(tool)}`,
          async () => {
            const data = dataOf(layout);
            const divided = layout === "symbol";
            const report = await reportOf(tool, data, divided ? ["streams"] : []);
            await withSql(async (sql) => {
              const { byStream = {}, files = [] } = audited.get(layout) ?? {};
              expect(files.some(({ symbol }) => symbol === "币安人生USDT")).toBe(divided);
              expect(Object.keys(byStream).sort()).toEqual([
                "bbo",
                "connections",
                "funding",
                "gaps",
                "instruments",
                "liquidation",
                "mark_price",
                "trade",
              ]);
              expect(Object.keys(report.streams).sort()).toEqual(
                Object.keys(byStream)
                  .filter((stream) => stream !== "gaps" && stream !== "connections")
                  .sort(),
              );
              for (const [stream, found] of Object.entries(report.streams)) {
                const expected = await expectedOf(sql, data, stream, Object.keys(found.sums));
                const { sums, zone, unit, ...exact } = found;
                const { sums: expectedSums, ...expectedExact } = expected;
                expect(exact, stream).toEqual(expectedExact as typeof exact);
                expect(exact.rows, stream).toBe(byStream[stream] ?? 0);
                expect([zone, unit], stream).toEqual(["UTC", "us"]);
                for (const [name, sum] of Object.entries(sums)) {
                  // The order of adding differs from tool to tool, and with it the last digits.
                  const wanted = Number(expectedSums[name]);
                  expect(
                    Math.abs(sum - wanted),
                    `${stream}.${name}: ${sum}, not ${wanted}`,
                  ).toBeLessThanOrEqual(Math.abs(wanted) * 1e-12);
                }
                if (divided) continue;
                expect(report.all[stream], `${stream}, of the whole lake`).toEqual([
                  expected.rows,
                  expected.first,
                  expected.last,
                ]);
              }
              if (divided) return;
              expect(Object.keys(report.all).sort()).toEqual(Object.keys(byStream).sort());
              for (const [stream, rows] of Object.entries(byStream))
                expect(report.all[stream]?.[0], `${stream}, of the whole lake`).toBe(rows);
            });
          },
          180_000,
        );
      }
    }
  },
);
