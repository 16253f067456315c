/**
 * The status API through bursts, drops, an exchange that goes away, a bucket that goes away, bounds that are hit, errors
 * in the drain's thread, a COPY and a journal that find no room: the state follows, the balance holds in every answer,
 * and in the end each number is what was really written.
 *
 * TAPEDECK_TEST_LONG=1 takes 1,000 answers instead of 150, with faults of the drain and the bucket until then.
 */
import { expect, test } from "bun:test";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startBinance } from "../../src/simulator/binance.ts";
import { metricsSchema } from "../../src/status/answers.ts";
import { auditLake } from "../helpers/audit.ts";
import { parseExposition, prometheusText } from "../helpers/exposition.ts";
import { streamFrom, withSql } from "../helpers/lake.ts";
import { tapedeck } from "../helpers/process.ts";
import { startRecorder } from "../helpers/recorder.ts";
import { FAULTS, startStandIn } from "../helpers/s3/stand-in.ts";
import { filesIn, unionLake } from "../helpers/s3/union.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { type SmallDisk, smallDisk } from "../helpers/small-disk.ts";
import { waitFor } from "../helpers/wait.ts";
import { pick, SEED, seeded } from "../lib/seed.ts";

const SAMPLES = process.env.TAPEDECK_TEST_LONG === "1" ? 1000 : 150;
/** More uncaught errors within a minute than this, less one, and the drain is not rebuilt any more. */
const THROWS_MAX = 4;
/** Disks of their own, so that each can be full while the other is not, MB. */
const disks = { outbox: smallDisk(8), journal: smallDisk(16) };
/** Why not every fault is there; null = all are. */
const MISSING =
  disks.outbox === null || disks.journal === null
    ? "full disks SKIPPED, this user cannot mount a file system (root on Linux can)"
    : null;
const cwd = scratchFolder("status-faults");
/** Nobody may ever see these. */
const KEYS = { accessKey: "AKIAPLANTEDACCESSKEY", secretKey: "planted/secret+key=0123456789" };
const PROXY = { user: "planted-user", password: "planted-p4ssw0rd" };
const PLANTED = [KEYS.accessKey, KEYS.secretKey, encodeURIComponent(KEYS.secretKey), PROXY.password];

test(`through every fault: the state is right, the balance holds, the numbers are true, no secret is told${MISSING === null ? "" : ` (${MISSING})`}`, async () => {
  console.log(`faults of the status: TAPEDECK_TEST_SEED=${SEED}`);
  const random = seeded("status-faults");
  const drain = join(cwd, "drain");
  mkdirSync(join(cwd, "data"));
  for (const [name, disk] of Object.entries(disks))
    if (disk !== null) symlinkSync(disk.folder, join(cwd, "data", name));
  await using bucket = await startStandIn({ keys: KEYS });
  const exchange = startBinance({
    instruments: 20,
    rate: 2000,
    burstFactor: 20,
    burstEveryMs: 2500,
    burstLengthMs: 400,
  });
  try {
    const set = {
      "s3.endpoint": bucket.url,
      "s3.bucket": bucket.bucket,
      "s3.access_key": KEYS.accessKey,
      "s3.secret_key": KEYS.secretKey,
      "storage.backend": "s3",
      "exchanges.okx.proxy": `http://${PROXY.user}:${PROXY.password}@127.0.0.1:9`,
      "status.refresh": "0ms",
      "ring.capacity.bbo": "512",
      "drain.poll": "100ms",
      "flush.interval": "300ms",
      "flush.slow_interval": "300ms",
      "flush.min_gap": "0ms",
      "storage.retry_max": "300ms",
      // Short enough for a bucket that hangs.
      "upload.timeout": "2s",
      "upload.request_timeout": "2s",
      "upload.retry_min": "50ms",
      "upload.breaker_failures": "3",
      "upload.breaker_pause": "300ms",
      "upload.breaker_pause_max": "600ms",
      "outbox.max_bytes": "200KiB",
      "connection.backoff_min": "50ms",
      "connection.backoff_max": "200ms",
    };
    const recorder = await startRecorder({
      cwd,
      exchange,
      set,
      env: { TEST_DRAIN: drain },
      preload: join(import.meta.dir, "../helpers/preload/faulty-drain.ts"),
    });
    const told: string[] = [];
    let samples = 0;
    const sample = async () => {
      const text = await (await fetch(`${recorder.url}/metrics`)).text();
      told.push(text);
      if (told.length > 20) told.shift();
      const metrics = metricsSchema.parse(JSON.parse(text));
      const { holds, received, recovered, ...places } = metrics.balance;
      expect(holds, text).toBe(true);
      expect(
        Object.values(places).reduce((a, b) => a + b, 0),
        text,
      ).toBe(received + recovered);
      expect(metrics.dropped_events_total).toBe(
        metrics.streams.reduce((sum, one) => sum + one.dropped_total, 0),
      );
      samples++;
      return metrics;
    };
    const until = (what: string, holds: (metrics: Awaited<ReturnType<typeof sample>>) => boolean) =>
      waitFor(what, async () => holds(await sample()), {
        timeout: 90_000,
        state: () => recorder.process.words,
      });
    const state = async () => (await recorder.get("/status")) as { state: string; reason: string };
    const untilState = (name: string, word: string, meanwhile: () => void = () => undefined) =>
      waitFor(
        `${name}: ${word}`,
        async () => {
          meanwhile();
          await sample();
          const now = await state();
          return now.state === name && now.reason.includes(word);
        },
        { timeout: 90_000, state: () => recorder.process.words },
      );

    await until("files in the bucket", ({ writer }) => writer.files_written > 3);
    await until("drops of a full ring", (metrics) => metrics.dropped_events_total > 0);
    await untilState("DEGRADED", "dropped in the last 15 minutes");

    // Within the window of the drops every socket is closed.
    const refused = exchange.faults.inject({ kind: "refuse", forMs: 600_000 });
    await untilState("OFFLINE", "no WebSocket is connected");
    const probe = async (path: string) => (await fetch(recorder.url + path)).status;
    expect([
      await probe("/livez"),
      await probe("/readyz"),
      await probe("/readyz?exclude=connections"),
    ]).toEqual([200, 503, 200]);
    refused.end();
    await untilState("DEGRADED", "dropped");
    await until("reconnects", ({ ws_reconnect_total }) => (ws_reconnect_total.binance ?? 0) >= 2);

    bucket.away(FAULTS.denied);
    await until("a bucket that is left alone", ({ destinations }) => destinations[0]?.state === "open");
    await untilState("ERROR", "outbox.max_bytes");
    expect(await probe("/readyz")).toBe(503);
    const away = await sample();
    expect(away.writer.upload_failures).toBeGreaterThanOrEqual(3);
    expect(away.destinations[0]?.error).toMatch(/AccessDenied|HTTP 403/);
    expect(away.outbox.age_ms).toBeGreaterThan(0);
    bucket.back();
    await untilState("DEGRADED", "dropped");

    // What is sent or filed meanwhile leaves room again.
    const untilFull = (disk: SmallDisk, word: string) => untilState("ERROR", word, () => disk.fill());
    let throws = 0;
    /** Each ends with the state that was before, however long that takes. */
    const faults = {
      thrown: async () => {
        if (throws === THROWS_MAX) return;
        writeFileSync(drain, `throw ${++throws}`);
        await until("a drain that was rebuilt", (metrics) => metrics.drain.rebuilds === throws);
      },
      copy: async () => {
        if (disks.outbox === null) return;
        await untilFull(disks.outbox, "cannot be written");
        disks.outbox.free();
      },
      journal: async () => {
        if (disks.journal === null) return;
        await untilFull(disks.journal, "journals cannot be written");
        disks.journal.free();
      },
      bucket: async () => {
        bucket.away(pick(random, [FAULTS.denied, FAULTS.hang, FAULTS.storedReset, FAULTS.slowDown]));
        const { upload_failures } = (await sample()).writer;
        await until("failed uploads", ({ writer }) => writer.upload_failures > upload_failures + 2);
        bucket.back();
      },
    };
    const suffered: Record<string, number> = {};
    const suffer = async (name: keyof typeof faults) => {
      suffered[name] = (suffered[name] ?? 0) + 1;
      await faults[name]();
      await untilState("DEGRADED", "dropped");
    };
    for (const name of ["thrown", "copy", "journal"] as const) await suffer(name);
    while (samples < SAMPLES) {
      const { files_written } = (await sample()).writer;
      await until("files again", ({ writer }) => writer.files_written > files_written + random.below(20));
      if (samples < SAMPLES) await suffer(pick(random, ["copy", "journal", "bucket", "thrown"] as const));
    }

    // A drop is a hole in seq only where an event behind it was taken.
    let seen = await sample();
    await until("events behind the last drop", (now) => {
      const more = now.dropped_events_total === seen.dropped_events_total;
      if (!more) seen = now;
      return more && now.total_events > seen.total_events + 300;
    });
    await exchange.pause();
    await until("the rings and the outbox empty", ({ balance, outbox }) => {
      const { published, dropped, received } = balance;
      return published + dropped === received && outbox.files === 0;
    });
    await until(
      "files in the bucket, all counted",
      ({ writer }) => writer.files_written === filesIn(bucket).length,
    );
    const end = await sample();
    const text = await prometheusText(recorder.url);
    const { value } = parseExposition(text);
    expect(end.dropped_by_reason).toEqual({ ring_full: end.dropped_events_total, damaged: 0 });
    for (const [reason, events] of Object.entries(end.dropped_by_reason))
      expect(value("tapedeck_events_dropped_total", { reason })).toBe(events);
    expect(value("tapedeck_reconnects_total", { exchange: "binance" })).toBe(
      end.ws_reconnect_total.binance ?? -1,
    );
    // One socket was opened for each line of the log; all but the first of each connection are reconnects.
    const connects = recorder.process.events("ws_connect").length;
    expect(end.ws_reconnect_total.binance).toBe(connects - (end.connections.binance?.wanted ?? 0));
    expect(value("tapedeck_upload_failures_total")).toBe(end.writer.upload_failures);
    const overflow = end.gaps_total.find(({ reason }) => reason === "overflow");
    expect([overflow?.stream, overflow?.certainty]).toEqual(["bbo", "lost"]);

    for (const path of [
      "/live",
      "/streams?verbose",
      "/status",
      "/readyz?verbose",
      "/openapi.json",
      "/nothing",
    ])
      told.push(await (await fetch(recorder.url + path)).text());
    told.push(text);
    const { code, end: stopped } = await recorder.stop();
    expect([code, stopped.dropped]).toEqual([0, end.dropped_events_total]);
    const data = unionLake([bucket]);
    const { rows, holes, missed } = await withSql(async (sql) => ({
      ...(await auditLake(sql, data)),
      missed: await sql.number(
        `SELECT sum(missed) FROM ${streamFrom(data, "gaps")} WHERE reason = 'overflow'`,
      ),
    }));
    // What was still on its way from the paused exchange when the last answer was made comes with the end.
    expect({ rows, missed }).toEqual({ rows: stopped.published, missed: stopped.dropped });
    // Drops behind the last row of a ring are a hole only once another row follows.
    expect(holes).toBeLessThanOrEqual(stopped.dropped);
    expect(rows).toBeGreaterThanOrEqual(end.writer.total_written);

    const config = tapedeck(
      ["config", ...Object.entries(set).flatMap(([path, value]) => ["--set", `${path}=${value}`])],
      {
        cwd,
      },
    );
    expect(await config.exit()).toBe(0);
    told.push(config.stdout, config.stderr, recorder.process.stdout, recorder.process.stderr);
    expect(config.stdout).toContain("secret_key");
    for (const secret of PLANTED)
      expect(told.filter((one) => one.includes(secret)).map((one) => one.slice(0, 200))).toEqual([]);
    console.log(
      `the balance held in ${samples} answers; ${stopped.dropped} of ${stopped.received} events dropped; ` +
        `faults beside bursts, refused sockets and bounds: ${JSON.stringify(suffered)}`,
    );
  } finally {
    await exchange.stop();
  }
}, 300_000);
