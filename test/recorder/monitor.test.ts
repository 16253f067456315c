/** The state over time, on a clock of the test's own: what leads to it, and when it is forgotten. */
import { describe, expect, test } from "bun:test";
import { settingsSchema } from "../../src/config/schema.ts";
import { LAYOUTS } from "../../src/events/layout.ts";
import { LagRecorder } from "../../src/ingest/lag-histogram.ts";
import { Monitor, type MonitorOptions } from "../../src/recorder/monitor.ts";
import { createRings } from "../../src/recorder/rings.ts";
import { RingConsumer } from "../../src/ring/consumer.ts";
import { RingProducer } from "../../src/ring/producer.ts";
import { metricsAnswer } from "../../src/status/answers.ts";
import { liveOf } from "../../src/status/live-view.ts";
import { createLogger } from "../../src/status/log.ts";
import { familiesOf } from "../../src/status/prometheus.ts";
import { queueOf } from "../../src/status/snapshot.ts";
import { statsOf } from "../helpers/snapshot.ts";

const MINUTES_15 = 900_000;
type Writable<T> = { -readonly [K in keyof T]: T[K] };

const EXCHANGES = ["binance", "okx"];

/** A monitor over real rings, of which everything else is made up. @param capacity of each ring of a stream */
function monitored(capacity: Readonly<Record<string, number>> = {}) {
  // What is set is for all exchanges together.
  const together = Object.entries({ bbo: 64, mark_price: 1024, ...capacity }).map(([stream, each]) => [
    stream,
    each * EXCHANGES.length,
  ]);
  const settings = settingsSchema.parse({
    instance: "test",
    record: { exchanges: EXCHANGES, streams: ["bbo", "mark_price"] },
    ring: { capacity: Object.fromEntries(together) },
  });
  const clock = { now: 1000 };
  const rings = createRings(settings);
  const lines: { event: string; from?: string; to?: string; reason?: string }[] = [];
  const uploader: Writable<MonitorOptions["uploader"]> = {
    failures: 0,
    uploadingRows: 0,
    doubles: 0,
    inFlight: 0,
    outbox: { files: 0, bytes: 0 },
    oldest: null,
    full: false,
    lanes: [],
    fault: null,
  };
  const ingest = { exchanges: [statsOf("binance"), statsOf("okx")], clockOffset: 0 };
  const monitor = new Monitor({
    settings,
    log: createLogger({ format: "json", level: "info", write: (line) => lines.push(JSON.parse(line)) }),
    rings,
    uploader,
    drain: { stats: { openSegments: 0, journalBytes: 0, moved: 0, rebuilds: 0 } },
    ingest,
    quarantine: { kept: 0, notKept: 0 },
    recovered: { read: () => ({ taken: 0, filed: 0, parked: 0 }) },
    run: "test-1-abcd",
    now: () => clock.now,
  });
  const producers = new Map(
    rings.map(({ exchange, stream, handle }) => [
      `${exchange}/${stream}`,
      new RingProducer(handle, LAYOUTS[stream].seq),
    ]),
  );
  return {
    monitor,
    clock,
    uploader,
    ingest,
    lines,
    rings,
    /** Offers so many events to a ring; those that find no room are dropped. */
    offer(lane: string, events: number) {
      const producer = producers.get(lane);
      for (let i = 0; i < events; i++) producer?.commit();
      producer?.publish();
    },
    /** The drain takes so many events out of it. */
    take(lane: string, events: number) {
      const ring = rings.find(({ exchange, stream }) => `${exchange}/${stream}` === lane);
      if (ring !== undefined) new RingConsumer(ring.handle).release(events);
    },
    state() {
      monitor.sample();
      const { state, reason } = monitor.snapshot();
      return { state, reason };
    },
  };
}

describe("state cases", () => {
  test("one ring 85 % full while the sum is 3 %: DEGRADED, with queue_pct about 3", () => {
    const { monitor, offer, state } = monitored({ bbo: 128, mark_price: 2048 });
    offer("okx/bbo", 109);
    expect(state()).toEqual({ state: "DEGRADED", reason: "the ring okx/bbo is 85.2 % full" });
    const { rings } = monitor.snapshot();
    expect(queueOf(rings).pct).toBeCloseTo((100 * 109) / (2 * 128 + 2 * 2048), 9);
    expect(queueOf(rings).pct).toBeLessThan(3.5);
  });

  test("one drop: DEGRADED for exactly 15 minutes", () => {
    const { clock, offer, take, state, monitor, lines } = monitored({ bbo: 128, mark_price: 128 });
    expect(state().state).toBe("READY");
    // 128 fit, one does not; then the drain takes them all.
    offer("binance/bbo", 129);
    take("binance/bbo", 128);
    const { rings } = monitor.snapshot();
    expect(rings.map(({ dropped }) => dropped)).toEqual([1, 0, 0, 0]);
    monitor.sample();
    const dropped = clock.now;
    const now = () => monitor.snapshot();
    expect(now()).toMatchObject({ state: "DEGRADED", reason: "1 event dropped in the last 15 minutes" });
    for (const ms of [1, 60_000, MINUTES_15 / 2, MINUTES_15 - 0.001]) {
      clock.now = dropped + ms;
      monitor.sample();
      expect(now()).toMatchObject({ state: "DEGRADED", drops15m: 1 });
    }
    clock.now = dropped + MINUTES_15;
    monitor.sample();
    expect(now()).toMatchObject({ state: "READY", drops15m: 0 });
    expect(monitor.snapshot().balance).toMatchObject({ dropped: 1, received: 129, holds: true });
    expect(lines.filter(({ event }) => event === "state_change").map(({ to }) => to)).toEqual([
      "READY",
      "DEGRADED",
      "READY",
    ]);
  });

  test("an answer that shows a drop or a reconnect has it in its windows and its state, between two samples too", () => {
    const { offer, state, monitor, ingest } = monitored({ bbo: 128, mark_price: 128 });
    expect(state().state).toBe("READY");
    offer("binance/bbo", 130);
    ingest.exchanges = [statsOf("binance", { reconnects: 1 }), statsOf("okx")];
    expect(monitor.snapshot()).toMatchObject({
      state: "DEGRADED",
      drops15m: 2,
      reconnects15m: 1,
      reconnects: { binance: 1, okx: 0 },
      balance: { dropped: 2, holds: true },
    });
    monitor.sample();
    expect(monitor.snapshot()).toMatchObject({ drops15m: 2, reconnects15m: 1 });
  });

  test("rows that were damaged on disk are drops of the window, as they are of the balance", () => {
    const { clock, offer, take, state, monitor, rings } = monitored();
    offer("binance/bbo", 10);
    take("binance/bbo", 10);
    expect(state().state).toBe("READY");
    for (const ring of rings) if (ring.ring === 0) ring.spoiled += 3;
    monitor.recoveredSpoiled += 2;
    expect(state()).toEqual({ state: "DEGRADED", reason: "5 events dropped in the last 15 minutes" });
    const snapshot = monitor.snapshot();
    expect(snapshot).toMatchObject({ drops15m: 5, balance: { dropped: 5 } });
    expect(metricsAnswer(snapshot)).toMatchObject({
      dropped_events_total: 0,
      dropped_by_reason: { ring_full: 0, damaged: 5 },
    });
    const dropped = familiesOf(snapshot).find(({ name }) => name === "tapedeck_events_dropped_total");
    expect(dropped?.samples).toEqual([
      { labels: { reason: "ring_full" }, value: 0 },
      { labels: { reason: "damaged" }, value: 5 },
    ]);
    clock.now += MINUTES_15;
    expect(state().state).toBe("READY");
  });

  test("a planned replacement: READY, reconnects 0", () => {
    const { ingest, state, monitor } = monitored();
    state();
    ingest.exchanges = [statsOf("binance", { replacements: 1, open: 2 }), statsOf("okx")];
    expect(state().state).toBe("READY");
    expect(monitor.snapshot()).toMatchObject({ reconnects15m: 0, reconnects: { binance: 0, okx: 0 } });
    ingest.exchanges = [statsOf("binance", { replacements: 1, reconnects: 1 }), statsOf("okx")];
    state();
    expect(monitor.snapshot()).toMatchObject({ reconnects15m: 1, reconnects: { binance: 1, okx: 0 } });
  });

  test("all sockets closed while drops are remembered: OFFLINE; one exchange: DEGRADED; logged with the reason", () => {
    const { ingest, offer, state, lines } = monitored();
    state();
    offer("okx/bbo", 70);
    expect(state().state).toBe("DEGRADED");
    ingest.exchanges = [statsOf("binance", { open: 0 }), statsOf("okx", { open: 0 })];
    expect(state()).toEqual({ state: "OFFLINE", reason: "no WebSocket is connected" });
    ingest.exchanges = [statsOf("binance", { open: 0 }), statsOf("okx")];
    expect(state().reason).toBe(
      "the ring okx/bbo is 100.0 % full; 6 events dropped in the last 15 minutes; no connection to binance",
    );
    expect(lines.filter(({ event }) => event === "state_change").at(-2)).toMatchObject({
      from: "DEGRADED",
      to: "OFFLINE",
      reason: "no WebSocket is connected",
    });
  });

  test("a bound that is hit, a COPY or journal that cannot write, a dead thread: ERROR, and back", () => {
    const { uploader, monitor, state, ingest } = monitored();
    ingest.exchanges = [];
    expect(state().state).toBe("OFFLINE");
    uploader.full = true;
    expect(state().state).toBe("ERROR");
    expect(state().reason).toStartWith("the outbox has reached its bound");
    uploader.full = false;
    for (const name of ["journalFault", "copyFault", "drainFault"] as const) {
      monitor[name] = `${name}: ENOSPC`;
      expect(state()).toEqual({ state: "ERROR", reason: `${name}: ENOSPC` });
      monitor[name] = null;
    }
    ingest.exchanges = [statsOf("binance"), statsOf("okx")];
    expect(state().state).toBe("READY");
    uploader.fault = "403 of both";
    expect(state()).toEqual({ state: "DEGRADED", reason: "files cannot be published: 403 of both" });
    monitor.fatal = "the drain worker died";
    expect(state()).toEqual({ state: "ERROR", reason: "the drain worker died" });
  });
});

describe("streams", () => {
  test("lag, health, age and gaps of each are its own", () => {
    const { monitor, rings, clock, offer } = monitored();
    const [ring] = rings;
    if (ring === undefined) throw new Error("no ring");
    const lag = new LagRecorder(ring.lag);
    offer("binance/bbo", 3);
    for (const value of [1000, 2000, 5_000_000]) lag.observe(Date.now() * 1000, value);
    monitor.gapsFound([
      {
        symbol: "BTCUSDT",
        gap: {
          exchange: "binance",
          stream: "bbo",
          instrument: "BTCUSDT",
          reason: "sequence",
          certainty: "lost",
          from: 1_000_000,
          to: 2_000_500,
          firstId: "1",
          lastId: "3",
          missed: 3,
        },
      },
    ]);
    monitor.sample();
    const { streams, gaps, windows_15m } = liveOf(monitor.snapshot());
    expect(streams.map(({ exchange, stream, health }) => [exchange, stream, health] as unknown)).toEqual([
      ["binance", "bbo", "fresh"],
      ["binance", "mark_price", "waiting"],
      ["okx", "bbo", "waiting"],
      ["okx", "mark_price", "waiting"],
    ]);
    expect(streams[0]).toMatchObject({ events_total: 3, lag_p50_ms: 2.048, gaps_15m: 1, dropped_total: 0 });
    expect(streams[1]).toMatchObject({ events_total: 0, lag_p50_ms: null, age_ms: null, gaps_15m: 0 });
    expect(gaps).toEqual([
      {
        at: expect.any(Number),
        exchange: "binance",
        stream: "bbo",
        symbol: "BTCUSDT",
        reason: "sequence",
        certainty: "lost",
        from: 1000,
        to: 2000.5,
        missed: 3,
      },
    ]);
    expect(windows_15m.gaps).toBe(1);
    clock.now += MINUTES_15;
    monitor.sample();
    expect(liveOf(monitor.snapshot()).windows_15m.gaps).toBe(0);
    expect(monitor.snapshot().gapCounts).toMatchObject([{ reason: "sequence", count: 1 }]);
    // More than half of what comes is later than connection.lag.
    for (let i = 0; i < 10; i++) lag.observe(Date.now() * 1000, 4_000_000);
    clock.now += 1000;
    monitor.sample();
    expect(monitor.snapshot().lanes[0]?.health).toBe("lagging");
    monitor.clockTold("binance", Date.now(), 1, Date.now() - 2000);
    expect(monitor.snapshot().lanes[0]?.health).toBe("fresh");
  });
});
