/** Rows of gaps that a killed run left in a journal alone, and a ledger that takes none, as on a full disk: they are told all the same. */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { startBinance } from "../../src/simulator/binance.ts";
import { streamFrom, withSql } from "../helpers/lake.ts";
import { startRecorder } from "../helpers/recorder.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { waitFor } from "../helpers/wait.ts";

const cwd = scratchFolder("gaps-unnoted");
const gap = z.looseObject({ affected_stream: z.string(), from_timestamp: z.number(), reason: z.string() });

/** The rows in the journals of gaps, as JSON. */
function journaledGaps(data: string): string[] {
  const folder = join(data, "journal");
  const names = readdirSync(folder).filter((name) => name.includes("~gaps~"));
  return names.flatMap((name) => readFileSync(join(folder, name), "latin1").match(/\{[^{}]*\}/g) ?? []);
}

/** The rows of gaps in the ledger, as JSON. */
function ledgerGaps(data: string): string[] {
  const ledger = new Database(join(data, "ledger.db"), { readonly: true });
  try {
    return ledger
      .query<{ row: string }, []>("SELECT row FROM gaps")
      .all()
      .map(({ row }) => row);
  } finally {
    ledger.close();
  }
}

test("gaps that stand in a journal alone come into a file, also where the ledger cannot note them", async () => {
  const exchange = startBinance({ instruments: 4, rate: 500 });
  try {
    const options = { cwd, data: join(cwd, "data"), exchange, args: ["--streams", "bbo,trade"] };
    const first = await startRecorder(options);
    await first.until("events", ({ total_events }) => total_events > 50);
    first.process.signal("SIGKILL");
    await first.process.exit();
    const second = await startRecorder(options);
    for (const stream of ["bbo", "trade"])
      await second.process.event("gap", (line) => line.stream === stream && line.reason === "crash");
    const hasBoth = (rows: readonly string[]) =>
      ["bbo", "trade"].every((stream) =>
        rows.some((row) => row.includes('"reason":"crash"') && row.includes(`"affected_stream":"${stream}"`)),
      );
    await waitFor(
      "both in journal and ledger",
      () => hasBoth(journaledGaps(options.data)) && hasBoth(ledgerGaps(options.data)),
    );
    second.process.signal("SIGKILL");
    await second.process.exit();

    const ledger = new Database(join(options.data, "ledger.db"));
    const kept = ledgerGaps(options.data);
    ledger.run("DELETE FROM gaps");
    ledger.run("CREATE TRIGGER full BEFORE INSERT ON gaps BEGIN SELECT RAISE(ABORT, 'full'); END");
    ledger.close();
    const crashes = kept.map((row) => gap.parse(JSON.parse(row))).filter(({ reason }) => reason === "crash");
    expect(crashes.length).toBeGreaterThanOrEqual(2);

    const third = await startRecorder(options);
    expect((await third.stop()).code).toBe(0);
    expect(third.process.events("ledger_failed").length).toBeGreaterThan(0);
    await withSql(async (sql) => {
      const rows = await sql.rows(
        `SELECT affected_stream AS stream, epoch_us(from_timestamp) AS "from"
         FROM ${streamFrom(options.data, "gaps")} WHERE reason = 'crash'`,
      );
      const told = rows.map(({ stream, from }) => `${stream} ${from}`);
      for (const { affected_stream, from_timestamp } of crashes)
        expect(told).toContain(`${affected_stream} ${Math.floor(from_timestamp)}`);
    });
  } finally {
    await exchange.stop();
  }
}, 180_000);
