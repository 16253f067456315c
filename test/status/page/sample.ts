/** A made-up picture of a recorder, for tests of how it is shown. */
import type { Health, Live, LiveStream } from "../../../src/status/live.ts";

const STREAMS = ["bbo", "trade", "mark_price", "funding", "open_interest", "liquidation"] as const;
const RATES = [5210, 1840, 231, 231, 12.4, 0.3] as const;

/** A rate's weather at a second, 0.4 to 2: slow waves and a burst now and then, other ones for each stream. */
function weather(nth: number, second: number): number {
  const noise = Math.abs(Math.sin(second * 12.9898 + nth * 78.233) * 43_758.5453) % 1;
  const burst = (second + nth * 7) % 37 < 3 ? 0.7 : 0;
  return 0.8 + 0.25 * Math.sin(second / (6 + nth) + nth) + 0.3 * noise + burst;
}

function stream(exchange: string, name: string, mean: number, nth: number, second: number): LiveStream {
  const waiting = name === "liquidation" && exchange === "okx";
  // The charts look back a minute: what came before does not matter.
  const from = second > 4000 ? 4000 : 0;
  let total = mean * from;
  for (let at = from; at < second; at++) total += mean * weather(nth, at);
  return {
    exchange,
    stream: name,
    health: (waiting ? "waiting" : "fresh") satisfies Health,
    events_per_sec: waiting ? 0 : mean * weather(nth, second),
    events_total: waiting ? 0 : Math.round(total),
    dropped_total: 0,
    lag_p50_ms: waiting ? null : 3.1 + (mean % 7),
    lag_p99_ms: waiting ? null : 18 + (mean % 31),
    lag_p999_ms: waiting ? null : 64,
    age_ms: waiting ? null : 1000 / (mean + 2),
    gaps_15m: 0,
    ring_pct: mean / 4000,
  };
}

/**
 * A picture at second `second` of a run.
 *
 * @param change replaces parts of it
 */
export function sampleLive(second = 4211, change: Partial<Live> = {}): Live {
  const at = Date.UTC(2026, 10, 21, 5, 31, 2) + second * 1000;
  const streams = ["binance", "bybit", "okx"].flatMap((exchange, nth) =>
    STREAMS.filter((name) => exchange !== "binance" || name !== "open_interest").map((name, index) =>
      stream(exchange, name, (RATES[index] ?? 1) / (1 + nth / 2), 6 * nth + index, second),
    ),
  );
  const received = streams.reduce((sum, one) => sum + one.events_total, 0);
  const [inRing, inTable, inOutbox, uploading] = [118, 184_220, 92_116, 41_002];
  return {
    at,
    version: "0.1.0",
    run: "tokyo-1-1763701862000000-k3x9",
    instance: "tokyo-1",
    uptime: second,
    state: "READY",
    reason: "all is well",
    since: at - second * 1000 + 1900,
    rss_mb: 412.3,
    streams,
    exchanges: [
      ["binance", 3, 561, 1.24],
      ["bybit", 2, 548, -0.8],
      ["okx", 2, 312, null],
    ].map(([exchange, connections, symbols, offset]) => ({
      exchange: String(exchange),
      connections: Number(connections),
      open: Number(connections),
      subscriptions: Number(symbols) * 4,
      symbols: Number(symbols),
      reconnects_total: 0,
      undecodable_total: 0,
      clock_offset_ms: offset === null ? null : Number(offset),
      clock_error_ms: offset === null ? null : 0.6,
    })),
    queue: { size: 118, maxsize: 1_114_112, pct: 0.0106, fullest: "binance/bbo", fullest_pct: 0.04 },
    windows_15m: { drops: 0, silences: 0, reconnects: 0, gaps: 2 },
    writer: {
      total_written: received - inRing - inTable - inOutbox - uploading,
      files_written: 1204,
      pending_events: inTable,
      active_buffers: 17,
      in_flight_uploads: 2,
      upload_failures: 0,
      last_write: at - 8200,
    },
    outbox: { files: 5, bytes: 3_482_112, max_bytes: 53_687_091_200, age_ms: 14_200 },
    journal: { bytes: 18_482_112, max_bytes: 10_737_418_240 },
    destinations: [
      { destination: "s3", state: "closed", in_flight: 2, window: 16, files: 1204, error: null },
      { destination: "gcs", state: "closed", in_flight: 0, window: 16, files: 0, error: null },
    ],
    balance: {
      received,
      recovered: 0,
      published: received - inRing - inTable - inOutbox - uploading,
      uploading,
      inOutbox,
      inJournal: 0,
      inTable,
      inRing,
      dropped: 0,
      holds: true,
    },
    gaps: [
      {
        at: at - 182_000,
        exchange: "okx",
        stream: "trade",
        symbol: "BTCUSDT",
        reason: "sequence",
        certainty: "lost",
        from: at - 183_120,
        to: at - 183_080,
        missed: 3,
      },
      {
        at: at - 622_000,
        exchange: "bybit",
        stream: "bbo",
        symbol: null,
        reason: "disconnect",
        certainty: "possible",
        from: at - 624_120,
        to: at - 622_080,
        missed: null,
      },
    ],
    logs: [
      {
        at: at - 8200,
        level: "info",
        event: "file_published",
        text: "exchange=binance stream=bbo rows=250000 destination=s3",
      },
      {
        at: at - 21_000,
        level: "info",
        event: "heartbeat",
        text: "state=READY queue_pct=0 drops_15m=0 rss_mb=412.3",
      },
      {
        at: at - 182_000,
        level: "warn",
        event: "gap",
        text: "exchange=okx stream=trade symbol=BTCUSDT reason=sequence missed=3",
      },
      {
        at: at - 622_000,
        level: "info",
        event: "ws_disconnect",
        text: "exchange=bybit connection=4 code=1006 open_s=86210",
      },
    ],
    ...change,
  };
}
