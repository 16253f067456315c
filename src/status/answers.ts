/**
 * The answers of the status API: schemas from which their types, `/openapi.json` and the tests' contract derive, and the
 * functions that make them from a snapshot. Names and meaning are a contract (docs/api.md).
 */
import { z } from "zod";
import type { ExchangeStats, StreamFreshness } from "../ingest/messages.ts";
import { amount, balanceSchema, count, destinationSchema, liveStreamSchema } from "./live.ts";
import { destinationsOf, streamRowsOf, writerOf } from "./live-view.ts";
import { droppedByReason, queueOf, type Snapshot } from "./snapshot.ts";
import { STATES } from "./state.ts";

/** `GET /health` */
export const healthSchema = z.strictObject({
  status: z.literal("ok").describe("The process answers."),
  uptime: amount.describe("Seconds."),
  last_event_ts: count
    .nullable()
    .describe("Receive time of the last event, epoch ms; null before the first."),
  last_write_ts: count
    .nullable()
    .describe("When the last file arrived at its destination, epoch ms; null before the first."),
});

/** When a symbol was last heard. */
const freshnessSchema = z.strictObject({
  last_event_ts: z.number().nullable().describe("Receive time of its last event, epoch ms."),
  age_ms: amount.nullable(),
  events_total: count,
  silent: z.boolean().describe("Whether it is silent for longer than its own rhythm allows."),
});

/** `GET /streams` */
export const streamsSchema = z.strictObject({
  symbols: z.array(z.string()),
  streams: z.record(z.string(), z.array(z.string())).describe("Recorded streams, by exchange."),
});

/** `GET /streams?verbose` */
export const streamsVerboseSchema = streamsSchema.extend({
  health: z.array(liveStreamSchema),
  freshness: z
    .record(z.string(), z.record(z.string(), z.record(z.string(), freshnessSchema)))
    .describe("By exchange, stream and symbol."),
  complete: z.boolean().describe("Whether every ingest worker has answered in time."),
});

const perExchange = z.record(z.string(), count);

const framesSchema = z.strictObject({
  received: count,
  bytes: count,
  control: count,
  ignored: count,
  unwanted: count,
  undecodable: count,
  json_fallback: count,
  inexact_values: count,
  oversized_integers: count,
});

/** `GET /metrics` */
export const metricsSchema = z.strictObject({
  queue_size: count,
  queue_maxsize: count,
  queue_utilization_pct: amount,
  dropped_events_total: count,
  dropped_by_reason: z
    .strictObject({ ring_full: count, damaged: count })
    .describe("The dropped of the balance: no room in a ring; journal or file damaged on disk."),
  silence_intervals_15m: count,
  silence_intervals_total: count,
  ws_reconnect_total: perExchange,
  snapshot_fetches_total: count,
  snapshot_events_seen: count,
  gap_alignment_corrections: count,
  effective_data_loss_rate_pct: amount,
  events_per_sec: z.record(z.string(), amount),
  total_events: count,
  writer: z.strictObject({
    total_written: z.int(),
    files_written: count,
    pending_events: z.int(),
    active_buffers: count,
    in_flight_uploads: count,
    upload_failures: count,
  }),
  outbox: z.strictObject({ files: count, bytes: count, max_bytes: count, age_ms: amount.nullable() }),
  journal: z.strictObject({ bytes: count, max_bytes: count }),
  drain: z.strictObject({ rebuilds: count }),
  destinations: z.array(destinationSchema),
  doubles_total: count,
  balance: balanceSchema,
  streams: z.array(
    liveStreamSchema.extend({
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
  frames: z.record(z.string(), framesSchema),
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
  exchange_clocks: z.record(
    z.string(),
    z.strictObject({ offset_ms: z.number(), error_ms: amount }).nullable(),
  ),
  quarantine: z.strictObject({ kept: count, not_kept: count }),
  process: z.strictObject({ rss_bytes: count, cpu_seconds: amount }),
});

/** `GET /status` */
export const statusSchema = z.strictObject({
  state: z.enum(STATES),
  reason: z.string(),
  since: z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00$/),
  metrics: z.strictObject({
    queue_pct: amount,
    silence_15m: count,
    drops_15m: count,
    reconnects_15m: count,
    rss_mb: amount.describe("MiB, whole process."),
  }),
});

/** `GET /livez`, `GET /readyz` */
export const probeSchema = z.strictObject({
  status: z.enum(["ok", "failed"]),
  checks: z
    .array(
      z.strictObject({
        name: z.string(),
        ok: z.boolean(),
        required: z.boolean().describe("Whether its failure fails the answer."),
        excluded: z.boolean(),
        fault: z.string().nullable(),
      }),
    )
    .optional()
    .describe("With ?verbose, and where it failed."),
  unknown_excludes: z.array(z.string()).optional().describe("Names in ?exclude= that no check has."),
});
/** See {@link probeSchema}. */
export type Probe = z.infer<typeof probeSchema>;

/** Whatever is not answered. */
export const errorSchema = z.strictObject({ error: z.string() });

/** See {@link healthSchema}. */
export function healthAnswer(snapshot: Snapshot): z.infer<typeof healthSchema> {
  return {
    status: "ok",
    uptime: snapshot.uptime,
    last_event_ts: snapshot.lastEvent,
    last_write_ts: snapshot.lastWrite,
  };
}

/** See {@link streamsSchema}. */
export function streamsAnswer({ symbols, streams }: Snapshot): z.infer<typeof streamsSchema> {
  return {
    symbols: [...symbols],
    streams: Object.fromEntries(Object.entries(streams).map(([name, list]) => [name, [...list]])),
  };
}

/** See {@link streamsVerboseSchema}; several workers may tell of one stream. */
export function streamsVerboseAnswer(
  snapshot: Snapshot,
  told: readonly StreamFreshness[],
  complete: boolean,
): z.infer<typeof streamsVerboseSchema> {
  const freshness: z.infer<typeof streamsVerboseSchema>["freshness"] = {};
  const now = Date.now();
  for (const { exchange, stream, symbols } of told) {
    freshness[exchange] ??= {};
    const streams = freshness[exchange];
    streams[stream] ??= {};
    const known = streams[stream];
    for (const { symbol, last, events, silent } of symbols) {
      const at = last === null ? null : last / 1000;
      const age_ms = at === null ? null : Math.max(0, now - at);
      const before = known[symbol];
      const later = before === undefined || (at ?? 0) >= (before.last_event_ts ?? 0);
      const events_total = events + (before?.events_total ?? 0);
      known[symbol] = later
        ? { last_event_ts: at, age_ms, events_total, silent }
        : { ...before, events_total };
    }
  }
  return { ...streamsAnswer(snapshot), health: streamRowsOf(snapshot), freshness, complete };
}

/** What became of the frames of each exchange: counted beside the events, never as drops. */
export function framesOf({
  exchanges,
}: Pick<Snapshot, "exchanges">): Record<string, z.infer<typeof framesSchema>> {
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

/** See {@link metricsSchema}. */
export function metricsAnswer(snapshot: Snapshot): z.infer<typeof metricsSchema> {
  const { balance, rings, exchanges, lanes } = snapshot;
  const queue = queueOf(rings);
  const total = (of: (exchange: ExchangeStats) => number) => exchanges.reduce((sum, one) => sum + of(one), 0);
  const dropped = rings.reduce((sum, ring) => sum + ring.dropped, 0);
  const { last_write: _, ...writer } = writerOf(snapshot);
  return {
    queue_size: queue.used,
    queue_maxsize: queue.capacity,
    queue_utilization_pct: queue.pct,
    dropped_events_total: dropped,
    dropped_by_reason: droppedByReason(snapshot),
    silence_intervals_15m: snapshot.silence15m,
    silence_intervals_total: snapshot.silenceTotal,
    ws_reconnect_total: { ...snapshot.reconnects },
    snapshot_fetches_total: total((exchange) => exchange.snapshotFetches),
    snapshot_events_seen: total((exchange) => exchange.snapshots),
    gap_alignment_corrections: total((exchange) => exchange.realigned),
    effective_data_loss_rate_pct: balance.received === 0 ? 0 : (100 * dropped) / balance.received,
    events_per_sec: { ...snapshot.eventsPerSecond },
    total_events: balance.received - dropped,
    writer,
    outbox: {
      files: snapshot.outbox.files,
      bytes: snapshot.outbox.bytes,
      max_bytes: snapshot.outbox.maxBytes,
      age_ms: outboxAge(snapshot),
    },
    journal: { bytes: snapshot.journal.bytes, max_bytes: snapshot.journal.maxBytes },
    drain: { rebuilds: snapshot.drain.rebuilds },
    destinations: destinationsOf(snapshot),
    doubles_total: snapshot.doubles,
    balance: { ...balance },
    streams: streamRowsOf(snapshot).map((row, index) => ({
      ...row,
      lag_count: lanes[index]?.lag.count ?? 0,
      lag_negative_total: lanes[index]?.lag.negative ?? 0,
      ring_capacity: lanes[index]?.capacity ?? 0,
      ring_high_water: lanes[index]?.highWater ?? 0,
      silence_intervals_total: lanes[index]?.silences ?? 0,
    })),
    gaps_15m: snapshot.gaps15m,
    gaps_total: snapshot.gapCounts.map((one) => ({ ...one })),
    frames: framesOf(snapshot),
    connections: Object.fromEntries(
      exchanges.map((one) => [
        one.exchange,
        {
          wanted: one.connections,
          open: one.open,
          subscriptions: one.subscriptions,
          planned_replacements: one.replacements,
          duplicates: one.duplicates,
        },
      ]),
    ),
    clock_offset_us: snapshot.clockOffset,
    exchange_clocks: Object.fromEntries(
      Object.entries(snapshot.exchangeClocks).map(([name, clock]) => [
        name,
        clock === null ? null : { offset_ms: clock.offset, error_ms: clock.error },
      ]),
    ),
    quarantine: { kept: snapshot.quarantine.kept, not_kept: snapshot.quarantine.notKept },
    process: { rss_bytes: Math.round(snapshot.rssMb * 2 ** 20), cpu_seconds: snapshot.cpuSeconds },
  };
}

/** How long the oldest file has been waiting, ms; null = none waits. */
export function outboxAge({ outbox, at }: Snapshot): number | null {
  return outbox.since === null ? null : Math.max(0, at - outbox.since);
}

/** See {@link statusSchema}. */
export function statusAnswer(snapshot: Snapshot): z.infer<typeof statusSchema> {
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

/** States of which a failed check fails each probe: the world outside never makes a process dead. */
const REQUIRED = { livez: ["threads"], readyz: ["ERROR", "OFFLINE"] } as const;

/**
 * See {@link probeSchema}.
 *
 * @param snapshot null while the recorder is starting
 */
export function probeAnswer(
  probe: "livez" | "readyz",
  snapshot: Snapshot | null,
  { verbose, exclude }: { readonly verbose: boolean; readonly exclude: readonly string[] },
): Probe {
  const started = {
    name: "started",
    state: "ERROR" as const,
    fault: snapshot === null ? "the recorder is starting" : null,
  };
  const looked = [started, ...(snapshot?.checks ?? [])];
  const required: readonly string[] = REQUIRED[probe];
  const checks = looked.map(({ name, state, fault }) => ({
    name,
    ok: fault === null,
    required: required.includes(probe === "livez" ? name : state),
    excluded: exclude.includes(name),
    fault,
  }));
  const failed = checks.some((one) => one.required && !one.ok && !one.excluded);
  const unknown = exclude.filter((name) => !checks.some((one) => one.name === name));
  return {
    status: failed ? "failed" : "ok",
    ...(verbose || failed ? { checks } : {}),
    ...(unknown.length > 0 ? { unknown_excludes: unknown } : {}),
  };
}
