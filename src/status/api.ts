/** The status API: read-only answers derived from a snapshot. Names and meaning are a contract (docs/api.md). */
import { Hono } from "hono";
import type { ExchangeStats } from "../ingest/messages.ts";
import { queueOf, type Snapshot } from "./snapshot.ts";

/** `GET /health` */
export function healthOf(snapshot: Snapshot) {
  return {
    status: "ok",
    uptime: snapshot.uptime,
    last_event_ts: snapshot.lastEvent,
    last_write_ts: snapshot.lastWrite,
  };
}

/** `GET /streams` */
export function streamsOf(snapshot: Snapshot) {
  return { symbols: snapshot.symbols, streams: snapshot.streams };
}

/** What became of the frames of each exchange: counted beside the events, never as drops. */
export function framesOf({ exchanges }: Snapshot) {
  return Object.fromEntries(
    exchanges.map((one) => [
      one.exchange,
      {
        received: one.frames,
        bytes: one.bytes,
        control: one.control,
        ignored: one.ignored,
        unwanted: one.unwanted,
        undecodable: one.undecodable,
        json_fallback: one.fallback,
        inexact_values: one.inexact,
        oversized_integers: one.oversized,
      },
    ]),
  );
}

/** `GET /metrics` */
export function metricsOf(snapshot: Snapshot) {
  const { balance, rings, writer } = snapshot;
  const queue = queueOf(rings);
  const total = (count: (exchange: ExchangeStats) => number) =>
    snapshot.exchanges.reduce((sum, exchange) => sum + count(exchange), 0);
  return {
    queue_size: queue.used,
    queue_maxsize: queue.capacity,
    queue_utilization_pct: queue.pct,
    dropped_events_total: balance.dropped,
    silence_intervals_15m: snapshot.silence15m,
    silence_intervals_total: snapshot.silenceTotal,
    ws_reconnect_total: snapshot.reconnects,
    snapshot_fetches_total: total((exchange) => exchange.snapshotFetches),
    snapshot_events_seen: total((exchange) => exchange.snapshots),
    gap_alignment_corrections: total((exchange) => exchange.realigned),
    effective_data_loss_rate_pct: balance.received === 0 ? 0 : (100 * balance.dropped) / balance.received,
    events_per_sec: snapshot.eventsPerSecond,
    total_events: balance.received - balance.dropped,
    writer: {
      total_written: balance.published,
      files_written: writer.filesWritten,
      pending_events: balance.inTable,
      active_buffers: writer.activeBuffers,
      in_flight_uploads: writer.inFlightUploads,
      upload_failures: writer.uploadFailures,
    },
    balance,
    frames: framesOf(snapshot),
    quarantine: { kept: snapshot.quarantine.kept, not_kept: snapshot.quarantine.notKept },
  };
}

/** `GET /status` */
export function statusOf(snapshot: Snapshot) {
  return {
    state: snapshot.state,
    reason: snapshot.reason,
    since: new Date(snapshot.since).toISOString().replace("Z", "+00:00"),
    metrics: {
      queue_pct: queueOf(snapshot.rings).pct,
      silence_15m: snapshot.silence15m,
      drops_15m: snapshot.drops15m,
      reconnects_15m: snapshot.reconnects15m,
      rss_mb: snapshot.rssMb,
    },
  };
}

/** The app. GET and HEAD only; nothing is ever cached. */
export function createStatusApp(snapshot: () => Snapshot): Hono {
  const app = new Hono();
  app.use(async (context, next) => {
    context.header("cache-control", "no-store");
    if (context.req.method !== "GET" && context.req.method !== "HEAD") {
      return context.json({ error: `${context.req.method} is not allowed; use GET` }, 405, {
        allow: "GET, HEAD",
      });
    }
    await next();
    return undefined;
  });
  app.get("/health", (context) => context.json(healthOf(snapshot())));
  app.get("/streams", (context) => context.json(streamsOf(snapshot())));
  app.get("/metrics", (context) => context.json(metricsOf(snapshot())));
  app.get("/status", (context) => context.json(statusOf(snapshot())));
  app.notFound((context) =>
    context.json({ error: `no ${context.req.path}; there are /health, /streams, /metrics and /status` }, 404),
  );
  return app;
}
