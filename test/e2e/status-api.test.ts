/** The status API of a running recorder: exactly the contract's names and types, and true numbers. */
import { expect, test } from "bun:test";
import { z } from "zod";
import { startBinance } from "../../src/simulator/binance.ts";
import { balanceSchema, startRecorder } from "../helpers/recorder.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { waitFor } from "../helpers/wait.ts";

const cwd = scratchFolder("status-api");

const count = z.int().nonnegative();
const float = z.number().nonnegative();
/** The contract of the design page, written out by hand; an unknown key is a fault. */
const CONTRACT = {
  "/health": z.strictObject({
    status: z.literal("ok"),
    uptime: float,
    last_event_ts: count.nullable(),
    last_write_ts: count.nullable(),
  }),
  "/streams": z.strictObject({
    symbols: z.array(z.string()),
    streams: z.record(z.string(), z.array(z.string())),
  }),
  "/metrics": z.strictObject({
    queue_size: count,
    queue_maxsize: count,
    queue_utilization_pct: float,
    dropped_events_total: count,
    silence_intervals_15m: count,
    silence_intervals_total: count,
    ws_reconnect_total: z.strictObject({ binance: count }),
    snapshot_fetches_total: count,
    snapshot_events_seen: count,
    gap_alignment_corrections: count,
    effective_data_loss_rate_pct: float,
    events_per_sec: z.strictObject({
      bbo: float,
      trade: float,
      mark_price: float,
      funding: float,
      open_interest: float,
      liquidation: float,
    }),
    total_events: count,
    frames: z.record(z.string(), z.record(z.string(), count)),
    quarantine: z.strictObject({ kept: count, not_kept: count }),
    writer: z.strictObject({
      total_written: count,
      files_written: count,
      pending_events: count,
      active_buffers: count,
      in_flight_uploads: count,
      upload_failures: count,
    }),
    balance: balanceSchema,
  }),
  "/status": z.strictObject({
    state: z.enum(["ERROR", "OFFLINE", "DEGRADED", "READY"]),
    reason: z.string(),
    since: z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00$/),
    metrics: z.strictObject({
      queue_pct: float,
      silence_15m: count,
      drops_15m: count,
      reconnects_15m: count,
      rss_mb: float.min(10),
    }),
  }),
} as const;

test("names, types and numbers, from before the first event to after the last", async () => {
  const exchange = startBinance({ instruments: 8, rate: 2000, liquidationShare: 0.2 });
  await exchange.pause();
  try {
    const recorder = await startRecorder({
      cwd,
      exchange,
      // Sealed by age at once, as soon as anything came.
      set: {
        "flush.interval": "400ms",
        "flush.slow_interval": "400ms",
        "flush.min_gap": "0ms",
        "silence.threshold": "700ms",
      },
    });
    const ask = async <P extends keyof typeof CONTRACT>(path: P): Promise<z.infer<(typeof CONTRACT)[P]>> =>
      CONTRACT[path].parse(await recorder.get(path)) as z.infer<(typeof CONTRACT)[P]>;

    // Before the first event. Instruments are not events, but their file is a write.
    const early = await ask("/health");
    expect(early.last_event_ts).toBeNull();
    await waitFor("READY", async () => (await ask("/status")).state === "READY", { every: 30 });
    const before = await ask("/metrics");
    expect(before).toMatchObject({ total_events: 0, queue_size: 0, effective_data_loss_rate_pct: 0 });
    expect(Object.values(before.events_per_sec)).toEqual([0, 0, 0, 0, 0, 0]);
    expect(before.writer).toMatchObject({ total_written: 0, pending_events: 0, upload_failures: 0 });
    expect(before.ws_reconnect_total).toEqual({ binance: 0 });
    const streams = await ask("/streams");
    const trading = exchange.instruments.filter(
      ({ status, quote, contractType }) => [status, quote, contractType].join() === "TRADING,USDT,PERPETUAL",
    );
    expect(streams.symbols).toEqual(trading.map(({ symbol }) => symbol).sort());
    expect(streams.streams).toEqual({ binance: ["bbo", "trade", "mark_price", "funding", "liquidation"] });

    const startedAt = Date.now();
    exchange.resume();
    await waitFor("events of every stream", async () => {
      const { events_per_sec } = await ask("/metrics");
      const { open_interest, ...others } = events_per_sec;
      expect(open_interest).toBe(0);
      return Object.values(others).every((rate) => rate > 0);
    });
    await exchange.pause();
    const pausedAt = Date.now();
    // Liquidations of contracts that are not recorded come on the same channel; a mark price is two events.
    const sent = exchange.stats().symbols;
    const expected = trading.reduce((sum, { symbol }) => {
      const { bookTicker = 0, aggTrade = 0, markPrice = 0, forceOrder = 0 } = sent[symbol] ?? {};
      return sum + bookTicker + aggTrade + 2 * markPrice + forceOrder;
    }, 0);
    await recorder.until("everything sent", ({ total_events }) => total_events >= expected);
    await recorder.until("everything published", ({ balance }) => balance.published >= expected);

    const metrics = await ask("/metrics");
    expect(metrics.total_events).toBe(expected);
    expect(metrics.balance).toEqual({
      received: expected,
      published: expected,
      uploading: 0,
      inOutbox: 0,
      inTable: 0,
      inRing: 0,
      dropped: 0,
      holds: true,
    });
    expect(metrics).toMatchObject({
      queue_size: 0,
      queue_maxsize: 262_144 + 131_072 + 65_536 + 65_536 + 16_384,
      queue_utilization_pct: 0,
      dropped_events_total: 0,
      effective_data_loss_rate_pct: 0,
      ws_reconnect_total: { binance: 0 },
      snapshot_fetches_total: 0,
      snapshot_events_seen: 0,
      gap_alignment_corrections: 0,
    });
    expect(metrics.writer).toMatchObject({
      total_written: expected,
      pending_events: 0,
      in_flight_uploads: 0,
    });
    expect(metrics.writer.files_written).toBeGreaterThanOrEqual(5);
    const published = recorder.process.events("file_published");
    expect(published.length).toBe(metrics.writer.files_written);

    const health = await waitFor("the time of the last event", async () => {
      const answer = await ask("/health");
      return answer.last_event_ts !== null && answer.last_write_ts !== null && answer;
    });
    expect(health.last_event_ts).toBeGreaterThanOrEqual(startedAt - 5);
    expect(health.last_event_ts).toBeLessThanOrEqual(pausedAt + 1000);
    expect(health.last_write_ts).toBeGreaterThanOrEqual(startedAt);
    expect(health.last_write_ts).toBeLessThanOrEqual(Date.now());
    expect(health.uptime).toBeGreaterThan(early.uptime);

    // mark_price and funding have been silent since the pause: once each, and bbo and trade never count.
    await waitFor("silence", async () => (await ask("/metrics")).silence_intervals_total === 2, {
      every: 50,
    });
    await Bun.sleep(900);
    const silent = await ask("/metrics");
    expect([silent.silence_intervals_15m, silent.silence_intervals_total]).toEqual([2, 2]);
    const status = await ask("/status");
    expect(status.metrics).toMatchObject({ queue_pct: 0, silence_15m: 2, drops_15m: 0, reconnects_15m: 0 });
    expect(status.state).toBe("READY");
    expect(Date.parse(status.since)).toBeLessThanOrEqual(Date.now());

    await expectHttp(recorder.url);
    expect((await recorder.stop()).code).toBe(0);
  } finally {
    await exchange.stop();
  }
}, 60_000);

/** Read-only, never cached, and clear about what there is. */
async function expectHttp(url: string): Promise<void> {
  for (const path of Object.keys(CONTRACT)) {
    const got = await fetch(url + path);
    expect(got.headers.get("content-type")).toContain("application/json");
    expect(got.headers.get("cache-control")).toBe("no-store");
    await got.arrayBuffer();
    const head = await fetch(url + path, { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
    expect(head.headers.get("cache-control")).toBe("no-store");
    for (const method of ["POST", "PUT", "DELETE", "PATCH"]) {
      const refused = await fetch(url + path, { method, body: "{}" });
      expect(refused.status).toBe(405);
      expect(refused.headers.get("allow")).toBe("GET, HEAD");
      expect(refused.headers.get("cache-control")).toBe("no-store");
      expect(await refused.json()).toHaveProperty("error");
    }
  }
  for (const path of ["/", "/metricsx", "/health/x", "/../etc/passwd", "/constructor"]) {
    const unknown = await fetch(url + path);
    expect(unknown.status, path).toBe(404);
    expect(unknown.headers.get("cache-control")).toBe("no-store");
    expect(await unknown.json()).toHaveProperty("error");
  }
}
