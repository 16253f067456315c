/** Rows of gaps that a start takes over stay in the journals they came from until they stand in others. */
import { expect, test } from "bun:test";
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startBinance } from "../../src/simulator/binance.ts";
import { streamFrom, withSql } from "../helpers/lake.ts";
import { type Running, tapedeck } from "../helpers/process.ts";
import { recordArguments, startRecorder } from "../helpers/recorder.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { waitFor } from "../helpers/wait.ts";

const cwd = scratchFolder("gaps-journaled");
const GAPS = /~gaps~.*\.journal$/;

test("killed while the drain has not come to take them, then the ledger deleted: the hole is told once", async () => {
  const exchange = startBinance({ instruments: 2, rate: 500 });
  try {
    const [data, drain] = [join(cwd, "data"), join(cwd, "drain")];
    const preload = join(import.meta.dir, "../helpers/preload/faulty-drain.ts");
    const options = { cwd, data, exchange, args: ["--streams", "bbo"], env: { TEST_DRAIN: drain }, preload };
    const journals = () => readdirSync(join(data, "journal")).filter((name) => GAPS.test(name));
    const first = await startRecorder(options);
    await first.until("events", ({ total_events }) => total_events > 300);
    await first.process.event("gap", ({ reason }) => reason === "start");
    first.process.signal("SIGKILL");
    await first.process.exit();
    const second = await startRecorder(options);
    await second.process.event("gap", ({ reason }) => reason === "crash");
    await waitFor("the gap in a journal", () => journals().length > 0);
    await second.until("events", ({ total_events }) => total_events > 300);
    second.process.signal("SIGKILL");
    await second.process.exit();

    writeFileSync(drain, "hold");
    const third = tapedeck(recordArguments(options), { cwd, env: options.env, preload });
    await third.event("gaps_recovered");
    await Bun.sleep(300);
    third.signal("SIGKILL");
    await third.exit();
    writeFileSync(drain, "");
    for (const part of ["", "-wal", "-shm"]) rmSync(join(data, `ledger.db${part}`), { force: true });

    const last = await startRecorder(options);
    await last.until("events", ({ total_events }) => total_events > 300);
    const { code } = await last.stop();
    expect(code).toBe(0);
    const began = beginOf(second.process);
    await withSql(async (sql) => {
      const crashes = await sql.rows(
        `SELECT epoch_us(from_timestamp) AS "from", epoch_us(to_timestamp) AS "to"
         FROM ${streamFrom(data, "gaps")} WHERE reason = 'crash' AND affected_stream = 'bbo' ORDER BY 1`,
      );
      // From the first run to the second, and from that to the last.
      expect(crashes).toHaveLength(2);
      expect(Number(crashes[0]?.from)).toBeLessThan(began);
      expect(Number(crashes[0]?.to)).toBeGreaterThan(began);
    });
    expect(journals()).toEqual([]);
  } finally {
    await exchange.stop();
  }
}, 180_000);

/** When a run began, µs: by its name. */
function beginOf(process: Running): number {
  return Number(/-(\d{16})-/.exec(String(process.events("collector_start")[0]?.run))?.[1]);
}
