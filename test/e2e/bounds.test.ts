/** No bucket for long: the outbox fills, then the journals, then rings drop, counted; when buckets are back all goes on. */
import { afterAll, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { startBinance } from "../../src/simulator/binance.ts";
import { compareAccount, missedIn } from "../helpers/account.ts";
import { auditLake } from "../helpers/audit.ts";
import { withSql } from "../helpers/lake.ts";
import { tapedeck } from "../helpers/process.ts";
import { recordArguments, startRecorder } from "../helpers/recorder.ts";
import { FAULTS, type StandIn, startStandIn } from "../helpers/s3/stand-in.ts";
import { doublesOf, unionLake } from "../helpers/s3/union.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { still, waitFor } from "../helpers/wait.ts";

const cwd = scratchFolder("bounds");
const [main, spare] = [await startStandIn(), await startStandIn({ bucket: "spare" })];
afterAll(() => Promise.all([main[Symbol.asyncDispose](), spare[Symbol.asyncDispose]()]));
const status = z.looseObject({ state: z.string(), reason: z.string() });
const STREAMS = ["--streams", "bbo,trade"];
const at = (name: "s3" | "gcs", { url, bucket, keys }: StandIn) => ({
  [`${name}.endpoint`]: url,
  [`${name}.bucket`]: bucket,
  [`${name}.access_key`]: keys.accessKey,
  [`${name}.secret_key`]: keys.secretKey,
});
const SET = {
  ...at("s3", main),
  ...at("gcs", spare),
  "storage.backend": "s3",
  "storage.fallback": "gcs",
  "storage.retry_max": "100ms",
  // Short enough for a bucket that hangs, and longer than any answer takes.
  "upload.request_timeout": "2s",
  "upload.timeout": "3s",
  "upload.retry_min": "20ms",
  "upload.breaker_failures": "2",
  "upload.breaker_pause": "100ms",
  "upload.breaker_pause_max": "200ms",
  "destinations.recheck": "100ms",
  "flush.interval": "150ms",
  "flush.min_gap": "0ms",
};

test("both buckets away: up to outbox.max_bytes in files, up to journal.max_bytes in journals, then drops with their gaps; all of it when they are back", async () => {
  const exchange = startBinance({ instruments: 20, rate: 16_000, account: true });
  try {
    const bounds = { "outbox.max_bytes": "150KiB", "journal.max_bytes": "1MiB", "ring.capacity.bbo": "1024" };
    const recorder = await startRecorder({
      cwd,
      exchange,
      args: STREAMS,
      set: { ...SET, ...bounds, "ring.capacity.trade": "1024" },
    });
    let wrong: unknown = null;
    const watch = setInterval(async () => {
      const all = await recorder.metrics().catch(() => null);
      if (all !== null && !all.balance.holds) wrong ??= all.balance;
    }, 20);
    await recorder.until("a file", ({ balance: { published } }) => published > 500);
    main.away(FAULTS.hang);
    spare.away(FAULTS.slowDown);
    const error = (why: RegExp) =>
      waitFor(
        `ERROR, ${why}`,
        async () => {
          const { state, reason } = status.parse(await recorder.get("/status"));
          return state === "ERROR" && why.test(reason);
        },
        { every: 10, state: () => recorder.process.words },
      );
    await error(/outbox\.max_bytes/);
    await error(/journal\.max_bytes/);
    await recorder.until("drops", (all) => all.dropped_events_total > 200);
    main.back();
    spare.back();
    const { published } = (await recorder.metrics()).balance;
    await waitFor("no ERROR", async () => status.parse(await recorder.get("/status")).state !== "ERROR");
    await recorder.until("what had waited", (all) => all.balance.published > published + 2000);
    // A drop is a hole only where an event behind it was taken.
    for (let ends = false; !ends; ) {
      let seen = await recorder.metrics();
      await recorder.until("events behind the last drop", (now) => {
        const more = now.dropped_events_total === seen.dropped_events_total;
        if (!more) seen = now;
        return more && now.total_events > seen.total_events + 500;
      });
      const { dropped_events_total: dropped } = seen;
      await exchange.pause();
      await still("what comes in", async () => (await recorder.metrics()).balance.received);
      ends = (await recorder.metrics()).dropped_events_total === dropped;
      if (!ends) exchange.resume();
    }
    const { code, end } = await recorder.stop();
    clearInterval(watch);
    expect(wrong).toBeNull();
    expect([code, end.holds, end.lost, end.inOutbox, end.inJournal]).toEqual([0, true, 0, 0, 0]);
    expect(end.published).toBe(end.received - end.dropped);
    expect(recorder.process.events("journal_failed").length).toBeLessThan(10);
    expect(doublesOf(main, spare)).toEqual([]);
    const data = unionLake([main, spare]);
    try {
      await withSql(async (sql) => {
        const { rows, holes } = await auditLake(sql, data);
        expect([rows, holes]).toEqual([end.published, end.dropped]);
        const { sent, missing } = await compareAccount(sql, exchange, data);
        expect([sent, missing.length]).toEqual([end.received, end.dropped]);
        expect(await missedIn(sql, data, ["overflow"])).toBe(end.dropped);
      });
    } finally {
      rmSync(data, { recursive: true });
    }
    console.log(`both buckets away: ${end.received} events, ${end.dropped} dropped, each in a gap`);
  } finally {
    await exchange.stop();
  }
}, 180_000);

test("a second recorder on a folder is told who holds it; two of them fill one bucket without getting in each other's way", async () => {
  for (const one of [main, spare]) {
    one.back();
    one.objects.clear();
    one.puts.clear();
  }
  const exchange = startBinance({ instruments: 10, rate: 3000 });
  try {
    const set = { ...SET, instance: "one", "storage.fallback": "none" };
    const [one, two] = await Promise.all([
      startRecorder({ cwd, data: join(cwd, "one"), exchange, args: STREAMS, set }),
      startRecorder({ cwd, data: join(cwd, "two"), exchange, args: STREAMS, set }),
    ]);
    const refused = tapedeck(
      recordArguments({ cwd, data: one.data, exchange, set, args: ["--duration", "1s"] }),
      { cwd },
    );
    expect(await refused.exit()).toBe(1);
    const pid = one.process.events("collector_start")[0]?.pid;
    expect(refused.stderr).toContain(`in use by the recorder with pid ${pid} `);
    for (const recorder of [one, two])
      await recorder.until("files", ({ balance: { published } }) => published > 500);
    const ends = await Promise.all([one.stop(), two.stop()]);
    for (const { code, end } of ends)
      expect([code, end.published, end.holds]).toEqual([0, end.received, true]);
    const data = unionLake([main]);
    try {
      await withSql(async (sql) => {
        const { rows, files } = await auditLake(sql, data);
        expect(rows).toBe(ends.reduce((sum, { end }) => sum + end.received, 0));
        expect(new Set(files.map(({ run }) => run)).size).toBe(2);
      });
    } finally {
      rmSync(data, { recursive: true });
    }
    // Every object was written once: nobody has written over what another one has.
    for (const [key, times] of main.puts) if (key.endsWith(".parquet")) expect(times, key).toBe(1);
  } finally {
    await exchange.stop();
  }
}, 180_000);
