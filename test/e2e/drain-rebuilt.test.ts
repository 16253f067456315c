/** An error in the drain of a running recorder that nobody catches: it is told, the drain is rebuilt, and every event is a row once. */
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { startBinance } from "../../src/simulator/binance.ts";
import { auditLake } from "../helpers/audit.ts";
import { streamFrom, withSql } from "../helpers/lake.ts";
import { startRecorder } from "../helpers/recorder.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { waitFor } from "../helpers/wait.ts";

const statusSchema = z.looseObject({ state: z.string(), reason: z.string() });
const cwd = scratchFolder("drain-rebuilt");
const TIMES = 3;

test("the log tells error and mend, the state is ERROR between, nothing is lost or doubled", async () => {
  const exchange = startBinance({ instruments: 4, rate: 2000 });
  try {
    const drain = join(cwd, "drain");
    const recorder = await startRecorder({
      cwd,
      exchange,
      set: { "flush.rows": "1000", "flush.min_gap": "0ms" },
      args: ["--streams", "bbo,trade"],
      env: { TEST_DRAIN: drain },
      preload: join(import.meta.dir, "../helpers/preload/faulty-drain.ts"),
    });
    const { process } = recorder;
    for (let time = 1; time <= TIMES; time++) {
      const { total_events } = await recorder.metrics();
      await recorder.until("events", (now) => now.total_events > total_events + 1500);
      writeFileSync(drain, `throw ${time} then hold`);
      const failed = await process.event("drain_failed", ({ error }) =>
        String(error).includes(`(throw ${time})`),
      );
      expect(failed.level).toBe("error");
      await waitFor("ERROR while it is rebuilt", async () => {
        const { state, reason } = statusSchema.parse(await recorder.get("/status"));
        return state === "ERROR" && reason.includes("rebuilt");
      });
      writeFileSync(drain, `throw ${time}`);
      await recorder.until("as many drains rebuilt as failed", ({ balance }) => {
        expect(balance.holds).toBe(true);
        return process.events("drain_rebuilt").length === time;
      });
    }
    for (const { ms, segments, rows } of process.events("drain_rebuilt"))
      expect([Number(ms) >= 0, Number(segments) > 0, Number(rows) > 0]).toEqual([true, true, true]);
    const before = (await recorder.metrics()).total_events;
    await recorder.until("events after the last one", ({ total_events }) => total_events > before + 1500);
    // The simulator drops nothing and no bucket is away: it is as it was.
    await waitFor("READY", async () => statusSchema.parse(await recorder.get("/status")).state === "READY");
    const { code, end } = await recorder.stop();
    expect({ code, ...end }).toMatchObject({
      code: 0,
      lost: 0,
      dropped: 0,
      holds: true,
      published: end.received,
    });
    await withSql(async (sql) => {
      await auditLake(sql, recorder.data);
      let rows = 0;
      for (const stream of ["bbo", "trade"]) {
        const from = streamFrom(recorder.data, stream);
        rows += await sql.number(`SELECT count(*) FROM ${from}`);
        expect(await sql.number(`SELECT count(*) FROM (SELECT DISTINCT run, ring, seq FROM ${from})`)).toBe(
          await sql.number(`SELECT max(seq) + 1 FROM ${from}`),
        );
      }
      expect(rows).toBe(end.received);
    });
  } finally {
    await exchange.stop();
  }
}, 180_000);
