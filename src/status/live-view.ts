/** Makes the picture of {@link liveSchema} from a snapshot. */
import type { Live, LiveLog, LiveStream } from "./live.ts";
import type { LogLine } from "./log.ts";
import { fullestOf, queueOf, type Snapshot } from "./snapshot.ts";

/** Characters of a log line that are shown. */
const LOG_TEXT_MAX = 500;

/** The table: a row for each stream of each exchange. */
export function streamRowsOf({ lanes }: Snapshot): LiveStream[] {
  return lanes.map((lane) => ({
    exchange: lane.exchange,
    stream: lane.stream,
    health: lane.health,
    events_per_sec: lane.perSecond,
    events_total: lane.offered,
    dropped_total: lane.dropped,
    lag_p50_ms: lane.lagP50,
    lag_p99_ms: lane.lagP99,
    lag_p999_ms: lane.lagP999,
    age_ms: lane.age,
    gaps_15m: lane.gaps15m,
    ring_pct: lane.ringPct,
  }));
}

/** The ways to the destinations, the primary first. */
export function destinationsOf({ destinations }: Snapshot): Live["destinations"] {
  return destinations.map((one) => ({
    destination: one.destination,
    state: one.state,
    in_flight: one.inFlight,
    window: one.window,
    files: one.files,
    error: one.fault,
  }));
}

/** What has been written, and what is on its way. */
export function writerOf({ balance, writer, lastWrite }: Snapshot): Live["writer"] {
  return {
    total_written: balance.published + writer.earlierRows,
    files_written: writer.filesWritten,
    pending_events: balance.inJournal + balance.inTable,
    active_buffers: writer.activeBuffers,
    in_flight_uploads: writer.inFlightUploads,
    upload_failures: writer.uploadFailures,
    last_write: lastWrite,
  };
}

function logLineOf({ at, level, event, fields }: LogLine): LiveLog {
  const parts = Object.entries(fields).map(
    ([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  return { at, level, event, text: [...parts.join(" ")].slice(0, LOG_TEXT_MAX).join("") };
}

/** See the head of the file. */
export function liveOf(snapshot: Snapshot): Live {
  const { exchanges, rings } = snapshot;
  const queue = queueOf(rings);
  const fullest = fullestOf(rings);
  return {
    at: snapshot.at,
    version: snapshot.version,
    run: snapshot.run,
    instance: snapshot.instance,
    uptime: snapshot.uptime,
    state: snapshot.state,
    reason: snapshot.reason,
    since: snapshot.since,
    rss_mb: snapshot.rssMb,
    streams: streamRowsOf(snapshot),
    exchanges: exchanges.map((one) => {
      const clock = snapshot.exchangeClocks[one.exchange] ?? null;
      return {
        exchange: one.exchange,
        connections: one.connections,
        open: one.open,
        subscriptions: one.subscriptions,
        symbols: snapshot.symbolCounts[one.exchange] ?? 0,
        reconnects_total: one.reconnects,
        undecodable_total: one.undecodable,
        clock_offset_ms: clock?.offset ?? null,
        clock_error_ms: clock?.error ?? null,
      };
    }),
    queue: {
      size: queue.used,
      maxsize: queue.capacity,
      pct: queue.pct,
      fullest: fullest.name,
      fullest_pct: fullest.pct,
    },
    windows_15m: {
      drops: snapshot.drops15m,
      silences: snapshot.silence15m,
      reconnects: snapshot.reconnects15m,
      gaps: snapshot.gaps15m,
    },
    writer: writerOf(snapshot),
    outbox: {
      files: snapshot.outbox.files,
      bytes: snapshot.outbox.bytes,
      max_bytes: snapshot.outbox.maxBytes,
      age_ms: snapshot.outbox.since === null ? null : Math.max(0, snapshot.at - snapshot.outbox.since),
    },
    journal: { bytes: snapshot.journal.bytes, max_bytes: snapshot.journal.maxBytes },
    destinations: destinationsOf(snapshot),
    balance: { ...snapshot.balance },
    gaps: snapshot.recentGaps.map((gap) => ({ ...gap })),
    logs: snapshot.recentLogs.map(logLineOf).reverse(),
  };
}
