/**
 * A run drops events at full rings and is killed before it tells of them: what was drained behind them stands in the
 * lake, and the next start tells what is missing in between, from files and from journals, each once.
 */
import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { startBinance } from "../../src/simulator/binance.ts";
import { tapedeck } from "../cli/run.ts";
import { missedIn } from "../helpers/account.ts";
import { auditLake } from "../helpers/audit.ts";
import { streamFrom, withSql } from "../helpers/lake.ts";
import { startRecorder } from "../helpers/recorder.ts";
import { scratchFolder } from "../helpers/scratch.ts";

const cwd = scratchFolder("killed-with-drops");
const data = join(cwd, "data");
/** Rings that never have room for long: drops go on, so that none is told for half a minute. */
const TINY = { "ring.capacity.bbo": "256", "drain.poll": "100ms" };

test("drops that were not told when kill -9 came are told by the next start, and verify finds nothing", async () => {
  const exchange = startBinance({ instruments: 10, rate: 10_000, seed: "drops" });
  const start = (set: Record<string, string>) =>
    startRecorder({ cwd, data, exchange, args: ["--streams", "bbo"], set });
  try {
    // Killed with its drops in files, then with its drops in a journal.
    for (const flush of ["150ms", "10m"]) {
      const recorder = await start({ ...TINY, "flush.interval": flush, "flush.min_gap": "0ms" });
      await recorder.process.event("gap", ({ reason }) => reason === (flush === "10m" ? "crash" : "start"));
      const { balance: then } = await recorder.metrics();
      const rows = (all: typeof then) => (flush === "10m" ? all.inJournal : all.published);
      await recorder.until(
        "drops, and rows behind them",
        ({ balance }) => balance.dropped > then.dropped + 500 && rows(balance) > rows(then) + 500,
      );
      recorder.process.signal("SIGKILL");
      expect(await recorder.process.exit()).toBe("SIGKILL");
      expect(recorder.process.events("gap").filter(({ reason }) => reason === "overflow")).toEqual([]);
    }
    expect(readdirSync(join(data, "journal")).length).toBeGreaterThan(0);
    const last = await start({});
    await last.until("events", ({ balance }) => balance.inJournal > 500);
    const { code, end } = await last.stop();
    expect([code, end.holds, end.dropped]).toEqual([0, true, 0]);
    await withSql(async (sql) => {
      const { holes } = await auditLake(sql, data);
      const drops = await sql.rows(
        `SELECT certainty, (epoch_us(to_timestamp) - epoch_us(from_timestamp))::BIGINT AS span
         FROM ${streamFrom(data, "gaps")} WHERE reason = 'overflow'`,
      );
      expect(drops.every(({ certainty, span }) => certainty === "lost" && Number(span) > 0)).toBe(true);
      expect(holes).toBeGreaterThan(500);
      // Each once: the second start does not tell again what the first one told.
      expect(await missedIn(sql, data, ["overflow"])).toBe(holes);
      console.log(`${holes} events dropped and not told, in ${drops.length} rows of gaps after kill -9`);
    });
    const verified = await tapedeck(["verify", data], { cwd });
    expect(verified.code, verified.stdout + verified.stderr).toBe(0);
  } finally {
    await exchange.stop();
  }
}, 180_000);
