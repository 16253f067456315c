/** Rings that are too small drop events: counted, to be seen, and each drop is a hole in seq. */
import { expect, test } from "bun:test";
import { z } from "zod";
import { startBinance } from "../../src/simulator/binance.ts";
import { auditLake } from "../helpers/audit.ts";
import { withSql } from "../helpers/lake.ts";
import { type BalanceAnswer, startRecorder } from "../helpers/recorder.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { still, waitFor } from "../helpers/wait.ts";

const cwd = scratchFolder("overflow");
const statusSchema = z.looseObject({ state: z.string(), reason: z.string() });

test("a tiny ring and a slow drain: drops are exact, named and shown, and the balance always holds", async () => {
  // 200 events/s fit between two polls of 500 ms, bursts of 20,000/s do not.
  const exchange = startBinance({
    instruments: 20,
    rate: 200,
    burstFactor: 100,
    burstEveryMs: 2500,
    burstLengthMs: 400,
  });
  try {
    const recorder = await startRecorder({
      cwd,
      exchange,
      args: ["--streams", "bbo"],
      set: {
        "ring.capacity.bbo": "256",
        "drain.poll": "500ms",
        "status.refresh": "0ms",
        "flush.interval": "1s",
        "flush.min_gap": "0ms",
      },
    });
    const samples: BalanceAnswer[] = [];
    let dropsSeen = 0;
    let quietSince = performance.now();
    let totalThen = 0;
    const quietTime = async () => {
      const metrics = await recorder.metrics();
      samples.push(metrics.balance);
      expect(metrics.dropped_events_total).toBe(metrics.balance.dropped);
      expect(metrics.total_events).toBe(metrics.balance.received - metrics.balance.dropped);
      if (metrics.balance.dropped !== dropsSeen) {
        dropsSeen = metrics.balance.dropped;
        quietSince = performance.now();
        totalThen = metrics.total_events;
      }
      const quiet = performance.now() - quietSince > 800 && metrics.total_events > totalThen;
      return dropsSeen > 0 && quiet && metrics.balance.published > 0 && samples.length > 50;
    };
    // Ends in a quiet time, so that the last row of the ring comes after the last drop: unless the next burst had begun.
    for (let ends = false; !ends; ) {
      await waitFor("drops, a quiet time after them, and a file", quietTime, { every: 1 });
      const dropsThen = dropsSeen;
      await exchange.pause();
      await still("what comes in", async () => (await recorder.metrics()).total_events, { every: 20 });
      ends = (await recorder.metrics()).balance.dropped === dropsThen;
      if (!ends) exchange.resume();
    }
    const status = statusSchema.parse(await recorder.get("/status"));
    expect(status.state).toBe("DEGRADED");
    expect(status.reason).toMatch(/dropped in the last 15 minutes|binance\/bbo is .* full/);
    const { code, end } = await recorder.stop();
    expect(code).toBe(0);

    for (const balance of samples) {
      const { received, holds, ...parts } = balance;
      expect(holds, JSON.stringify(balance)).toBe(true);
      const { published, uploading, inOutbox, inJournal, inTable, inRing, dropped } = parts;
      const sum = published + uploading + inOutbox + inJournal + inTable + inRing + dropped;
      expect(sum, JSON.stringify(balance)).toBe(received);
      expect(inRing).toBeLessThanOrEqual(256);
    }
    const degraded = recorder.process.events("state_change").filter(({ to }) => to === "DEGRADED");
    expect(degraded.length).toBeGreaterThan(0);

    expect(end.dropped).toBeGreaterThan(0);
    expect(end).toMatchObject({ holds: true, lost: 0 });
    await withSql(async (sql) => {
      const content = await auditLake(sql, recorder.data);
      expect(content.rows).toBe(end.received - end.dropped);
      expect(content.holes).toBe(end.dropped);
      expect(content.byStream.bbo).toBe(content.rows);
    });
  } finally {
    await exchange.stop();
  }
}, 180_000);
