/** The status API of a running recorder: exactly the contract's names and types, and true numbers. */
import { expect, test } from "bun:test";
import { z } from "zod";
import { startBinance } from "../../src/simulator/binance.ts";
import { metricsSchema, probeSchema, streamsVerboseSchema } from "../../src/status/answers.ts";
import { liveSchema } from "../../src/status/live.ts";
import { parseExposition, prometheusText } from "../helpers/exposition.ts";
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
    dropped_by_reason: z.strictObject({ ring_full: count, damaged: count }),
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
    connections: z.record(
      z.string(),
      z.strictObject({
        wanted: count,
        open: count,
        subscriptions: count,
        planned_replacements: count,
        duplicates: count,
      }),
    ),
    clock_offset_us: z.number(),
    quarantine: z.strictObject({ kept: count, not_kept: count }),
    writer: z.strictObject({
      total_written: count,
      files_written: count,
      pending_events: count,
      active_buffers: count,
      in_flight_uploads: count,
      upload_failures: count,
    }),
    outbox: z.strictObject({ files: count, bytes: count, max_bytes: count, age_ms: float.nullable() }),
    journal: z.strictObject({ bytes: count, max_bytes: count }),
    drain: z.strictObject({ rebuilds: count }),
    streams: z.array(
      z.strictObject({
        exchange: z.literal("binance"),
        stream: z.string(),
        health: z.enum(["fresh", "silent", "lagging", "waiting", "offline"]),
        events_per_sec: float,
        events_total: count,
        dropped_total: count,
        lag_p50_ms: float.nullable(),
        lag_p99_ms: float.nullable(),
        lag_p999_ms: float.nullable(),
        age_ms: float.nullable(),
        gaps_15m: count,
        ring_pct: float,
        lag_count: count,
        lag_negative_total: count,
        ring_capacity: count,
        ring_high_water: count,
        silence_intervals_total: count,
      }),
    ),
    gaps_15m: count,
    gaps_total: z.array(
      z.strictObject({
        exchange: z.string(),
        stream: z.string(),
        reason: z.string(),
        certainty: z.enum(["lost", "possible", "planned"]),
        count,
      }),
    ),
    exchange_clocks: z.strictObject({
      binance: z.strictObject({ offset_ms: z.number(), error_ms: float }).nullable(),
    }),
    process: z.strictObject({ rss_bytes: count, cpu_seconds: float }),
    destinations: z.tuple([
      z.strictObject({
        destination: z.literal("local"),
        state: z.enum(["closed", "open", "half_open"]),
        in_flight: count,
        window: count,
        files: count,
        error: z.string().nullable(),
      }),
    ]),
    doubles_total: count,
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
        // Longer than a busy machine holds up a mark price, which comes once a second.
        "silence.threshold": "4s",
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
    // Liquidations of contracts that are not recorded come on the same channel; a mark price is two events.
    const sent = exchange.stats().symbols;
    const expected = trading.reduce((sum, { symbol }) => {
      const { bookTicker = 0, aggTrade = 0, markPrice = 0, forceOrder = 0 } = sent[symbol] ?? {};
      return sum + bookTicker + aggTrade + 2 * markPrice + forceOrder;
    }, 0);
    await recorder.until("everything sent", ({ total_events }) => total_events >= expected);
    const receivedAt = Date.now();
    await recorder.until("everything published", ({ balance }) => balance.published >= expected);
    // Files of datasets, whose rows are no events, may still be on their way.
    await waitFor("nothing in flight", async () => (await ask("/metrics")).writer.in_flight_uploads === 0);

    const metrics = await ask("/metrics");
    expect(metrics.total_events).toBe(expected);
    expect(metrics.balance).toEqual({
      received: expected,
      recovered: 0,
      published: expected,
      uploading: 0,
      inOutbox: 0,
      inJournal: 0,
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
    // More than twenty lines a minute are held back, which the next one tells.
    const published = recorder.process.events("file_published").length;
    const { files_written: written } = metrics.writer;
    if (written <= 20) expect(published).toBe(written);
    else expect(published).toBeLessThan(written);

    await expectStreams(recorder.url, trading, sent);
    await expectProbes(recorder.url);

    const health = await waitFor("the time of the last event", async () => {
      const answer = await ask("/health");
      return answer.last_event_ts !== null && answer.last_write_ts !== null && answer;
    });
    expect(health.last_event_ts).toBeGreaterThanOrEqual(startedAt - 5);
    expect(health.last_event_ts).toBeLessThanOrEqual(receivedAt + 5);
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
}, 180_000);

/** Kinds of the simulated exchange by stream. */
const KINDS = {
  bbo: "bookTicker",
  trade: "aggTrade",
  mark_price: "markPrice",
  funding: "markPrice",
  liquidation: "forceOrder",
} as const;

/** What each stream and each symbol has brought is what was sent of it, in all forms. */
async function expectStreams(
  url: string,
  trading: readonly { readonly symbol: string }[],
  sent: Readonly<Record<string, Readonly<Record<string, number>>>>,
): Promise<void> {
  const sentOf = (symbol: string, stream: keyof typeof KINDS) => sent[symbol]?.[KINDS[stream]] ?? 0;
  const of = (stream: keyof typeof KINDS) =>
    trading.reduce((sum, one) => sum + sentOf(one.symbol, stream), 0);
  // Quantiles are found once a second.
  const metrics = await waitFor("the quantiles of each lag", async () => {
    const answer = metricsSchema.parse(await (await fetch(`${url}/metrics`)).json());
    return answer.streams.every(({ lag_p99_ms }) => lag_p99_ms !== null) && answer;
  });
  const verbose = streamsVerboseSchema.parse(await (await fetch(`${url}/streams?verbose`)).json());
  const live = liveSchema.parse(await (await fetch(`${url}/live`)).json());
  const text = parseExposition(await prometheusText(url));
  expect(verbose.complete).toBe(true);
  for (const stream of Object.keys(KINDS) as (keyof typeof KINDS)[]) {
    const row = metrics.streams.find((one) => one.stream === stream);
    expect(row, stream).toMatchObject({ events_total: of(stream), dropped_total: 0, lag_count: of(stream) });
    expect(row?.lag_p99_ms ?? -1).toBeGreaterThanOrEqual(row?.lag_p50_ms ?? 0);
    expect(live.streams.find((one) => one.stream === stream)?.events_total).toBe(of(stream));
    const labels = { exchange: "binance", stream };
    expect(text.value("tapedeck_stream_events_total", labels)).toBe(of(stream));
    expect(text.value("tapedeck_lag_seconds_count", labels)).toBe(of(stream));
    expect(text.value("tapedeck_lag_seconds_bucket", { ...labels, le: "+Inf" })).toBe(of(stream));
    for (const { symbol } of trading) {
      const fresh = verbose.freshness.binance?.[stream]?.[symbol];
      expect(fresh?.events_total ?? 0, `${stream} of ${symbol}`).toBe(sentOf(symbol, stream));
      if ((fresh?.events_total ?? 0) > 0) expect(fresh?.age_ms).toBeGreaterThanOrEqual(0);
    }
  }
  const { balance } = metrics;
  expect(text.value("tapedeck_events_received_total")).toBe(balance.received);
  expect(text.value("tapedeck_events_published_total")).toBe(balance.published);
  expect(text.value("tapedeck_balance_holds")).toBe(1);
  expect(live.balance).toEqual(balance);
  // Told once all channels of the stream have been acknowledged for a while.
  await waitFor("the gaps of the start", async () => {
    const { gaps } = liveSchema.parse(await (await fetch(`${url}/live`)).json());
    return gaps.some(({ reason, certainty }) => reason === "start" && certainty === "planned");
  });
  expect(live.logs.map(({ event }) => event)).toContain("ws_connect");
  // The simulated exchange runs on the clock of this machine.
  const { binance: clock } = metrics.exchange_clocks;
  expect(Math.abs(clock?.offset_ms ?? Number.NaN)).toBeLessThanOrEqual(clock?.error_ms ?? 0);
}

/** What the state depends on, and what a probe makes of it. */
async function expectProbes(url: string): Promise<void> {
  for (const path of ["/livez", "/readyz"]) {
    const plain = await fetch(url + path);
    expect([plain.status, await plain.json()]).toEqual([200, { status: "ok" }]);
    const verbose = probeSchema.parse(await (await fetch(`${url + path}?verbose&exclude=rings`)).json());
    expect(verbose.checks?.map(({ name }) => name)).toEqual([
      "started",
      "threads",
      "drain",
      "journal",
      "copy",
      "outbox",
      "connections",
      "rings",
      "drops",
      "exchange-binance",
      "destinations",
    ]);
    expect(verbose.checks?.filter(({ excluded }) => excluded).map(({ name }) => name)).toEqual(["rings"]);
  }
}

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
  for (const path of ["/page", "/page/x.js", "/metricsx", "/health/x", "/../etc/passwd", "/constructor"]) {
    const unknown = await fetch(url + path);
    expect(unknown.status, path).toBe(404);
    expect(unknown.headers.get("cache-control")).toBe("no-store");
    expect(await unknown.json()).toHaveProperty("error");
  }
}
