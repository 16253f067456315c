/**
 * THE table of what Prometheus is told: prefix `tapedeck_`, base units (seconds, bytes, ratios), labels exchange and
 * stream, never symbol. docs/metrics.md is generated from it.
 */
import { LAG_BUCKETS, type LagReading, lagUpperEdge } from "../ingest/lag-histogram.ts";
import type { ExchangeStats, GapReason } from "../ingest/messages.ts";
import type { Family, Labels, Sample } from "./exposition.ts";
import { HEALTHS } from "./live.ts";
import {
  droppedByReason,
  fullestOf,
  type GapCount,
  queueOf,
  type Snapshot,
  type StreamStatus,
} from "./snapshot.ts";
import { STATES } from "./state.ts";

/** A family and how its samples are found. */
export interface MetricDescription extends Omit<Family, "samples"> {
  /** Names of its labels, without `le`. */
  readonly labels?: readonly string[];
  readonly samples: (snapshot: Snapshot) => readonly Sample[];
}

/**
 * Edges of the lag histogram, µs: powers of two from 512 µs to 67 s, which are edges of the buckets we count in, so
 * that every number is exact.
 */
const LAG_EDGES = Array.from({ length: 18 }, (_, index) => 2 ** (9 + index));

const one = (value: number): readonly Sample[] => [{ value }];

/** A sample where there is a value. */
const known = (value: number | null, labels: Labels = {}): readonly Sample[] =>
  value === null ? [] : [{ labels, value }];

function metric(
  type: Family["type"],
  name: string,
  help: string,
  samples: (snapshot: Snapshot) => readonly Sample[],
  labels: readonly string[] = [],
): MetricDescription {
  return { type, name: `tapedeck_${name}`, help, samples, labels };
}

function perExchange(
  type: "counter" | "gauge",
  name: string,
  help: string,
  value: (exchange: ExchangeStats) => number,
): MetricDescription {
  return metric(
    type,
    name,
    help,
    ({ exchanges }) =>
      exchanges.map((stats) => ({ labels: { exchange: stats.exchange }, value: value(stats) })),
    ["exchange"],
  );
}

function perStream(
  type: "counter" | "gauge",
  name: string,
  help: string,
  value: (lane: StreamStatus) => number | null,
): MetricDescription {
  return metric(
    type,
    name,
    help,
    ({ lanes }) =>
      lanes.flatMap((lane) => known(value(lane), { exchange: lane.exchange, stream: lane.stream })),
    ["exchange", "stream"],
  );
}

/** Buckets, sum and count of one stream, in seconds. */
function lagSamples({ buckets, sum, count }: LagReading, labels: Labels): Sample[] {
  const samples: Sample[] = [];
  let below = 0;
  let bucket = 0;
  for (const edge of LAG_EDGES) {
    while (bucket < LAG_BUCKETS && lagUpperEdge(bucket) <= edge) below += buckets[bucket++];
    samples.push({ suffix: "_bucket", labels: { ...labels, le: String(edge / 1e6) }, value: below });
  }
  return [
    ...samples,
    { suffix: "_bucket", labels: { ...labels, le: "+Inf" }, value: count },
    { suffix: "_sum", labels, value: sum / 1e6 },
    { suffix: "_count", labels, value: count },
  ];
}

/**
 * Kinds of gaps that are told from the start, as 0: to Prometheus the first value of a counter is no increase of it, so
 * the first gap of a kind would raise no alarm.
 */
const GAP_KINDS: readonly {
  readonly certainty: GapCount["certainty"];
  readonly reasons: readonly GapReason[];
}[] = [
  { certainty: "lost", reasons: ["crash", "sequence", "overflow", "quarantine", "storage"] },
  {
    certainty: "possible",
    reasons: ["disconnect", "silence", "lag", "sequence", "decode_error", "clock"],
  },
];

/** Gaps of each kind, those that have not been as well. */
function gapSamples({ lanes, gapCounts }: Snapshot): readonly Sample[] {
  const samples = new Map<string, Sample>();
  const put = (labels: Labels, value: number) =>
    samples.set(Object.values(labels).join(" "), { labels, value });
  for (const { exchange, stream } of lanes)
    for (const { certainty, reasons } of GAP_KINDS)
      for (const reason of reasons) put({ exchange, stream, reason, certainty }, 0);
  for (const { exchange, stream, reason, certainty, count } of gapCounts)
    put({ exchange, stream, reason, certainty }, count);
  return [...samples.values()];
}

/** All of them. */
export const METRICS: readonly MetricDescription[] = [
  metric(
    "info",
    "build",
    "Version of the program, its run and instance.",
    (snapshot) => [
      { labels: { version: snapshot.version, run: snapshot.run, instance: snapshot.instance }, value: 1 },
    ],
    ["version", "run", "instance"],
  ),
  metric("gauge", "uptime_seconds", "Time since the start.", ({ uptime }) => one(uptime)),
  metric(
    "gauge",
    "state",
    "State of the recorder: 1 for the one it is in, 0 for the others.",
    ({ state }) => STATES.map((name) => ({ labels: { state: name }, value: name === state ? 1 : 0 })),
    ["state"],
  ),
  metric("gauge", "state_since_timestamp_seconds", "When the state began.", ({ since }) => one(since / 1000)),
  metric(
    "gauge",
    "check_ok",
    "Whether a check that the state depends on is well.",
    ({ checks }) =>
      checks.map(({ name, fault }) => ({ labels: { check: name }, value: fault === null ? 1 : 0 })),
    ["check"],
  ),
  metric("gauge", "last_event_timestamp_seconds", "When the last event was received.", ({ lastEvent }) =>
    known(lastEvent === null ? null : lastEvent / 1000),
  ),
  metric("gauge", "last_write_timestamp_seconds", "When the last file arrived.", ({ lastWrite }) =>
    known(lastWrite === null ? null : lastWrite / 1000),
  ),

  // The balance: received + recovered = published + uploading + outbox + journal + table + ring + dropped.
  metric("counter", "events_received_total", "Events decoded and wanted.", ({ balance }) =>
    one(balance.received),
  ),
  metric(
    "counter",
    "events_recovered_total",
    "Events taken over from journals of earlier runs.",
    ({ balance }) => one(balance.recovered),
  ),
  metric("counter", "events_published_total", "Events in files that arrived.", ({ balance }) =>
    one(balance.published),
  ),
  metric(
    "counter",
    "events_dropped_total",
    "Events dropped, by reason: no room in a ring, or a journal or file damaged on disk.",
    (snapshot) =>
      Object.entries(droppedByReason(snapshot)).map(([reason, value]) => ({ labels: { reason }, value })),
    ["reason"],
  ),
  metric(
    "gauge",
    "events_waiting",
    "Events on their way, by where they are.",
    ({ balance }) => [
      { labels: { place: "ring" }, value: balance.inRing },
      { labels: { place: "table" }, value: balance.inTable },
      { labels: { place: "journal" }, value: balance.inJournal },
      { labels: { place: "outbox" }, value: balance.inOutbox },
      { labels: { place: "uploading" }, value: balance.uploading },
    ],
    ["place"],
  ),
  metric("gauge", "balance_holds", "Whether every event is accounted for.", ({ balance }) =>
    one(balance.holds ? 1 : 0),
  ),

  perStream(
    "counter",
    "stream_events_total",
    "Events of a stream, dropped ones included.",
    (lane) => lane.offered,
  ),
  metric(
    "counter",
    "stream_dropped_total",
    "Events of a stream dropped, by reason.",
    ({ lanes }) =>
      lanes.map(({ exchange, stream, dropped }) => ({
        labels: { exchange, stream, reason: "ring_full" },
        value: dropped,
      })),
    ["exchange", "stream", "reason"],
  ),
  perStream("gauge", "stream_age_seconds", "Time since the last event of a stream.", ({ age }) =>
    age === null ? null : age / 1000,
  ),
  metric(
    "gauge",
    "stream_health",
    "Health of a stream: 1 for the one it has, 0 for the others.",
    ({ lanes }) =>
      lanes.flatMap(({ exchange, stream, health }) =>
        HEALTHS.map((name) => ({
          labels: { exchange, stream, health: name },
          value: name === health ? 1 : 0,
        })),
      ),
    ["exchange", "stream", "health"],
  ),
  metric(
    "histogram",
    "lag_seconds",
    "Time from publication at the exchange (where its frames do not say: from when it happened) to receipt.",
    ({ lanes }) => lanes.flatMap(({ exchange, stream, lag }) => lagSamples(lag, { exchange, stream })),
    ["exchange", "stream"],
  ),
  perStream(
    "counter",
    "lag_negative_total",
    "Events received before they were published, by the two clocks; 0 in tapedeck_lag_seconds.",
    ({ lag }) => lag.negative,
  ),
  perStream(
    "counter",
    "silence_intervals_total",
    "Intervals longer than silence.threshold without an event of a stream with a fixed rate.",
    (lane) => lane.silences,
  ),
  metric("counter", "gaps_total", "Gaps told of, by reason and certainty.", gapSamples, [
    "exchange",
    "stream",
    "reason",
    "certainty",
  ]),

  perStream("gauge", "ring_events", "Events in the rings of a stream.", (lane) => lane.used),
  perStream("gauge", "ring_capacity_events", "Room in the rings of a stream.", (lane) => lane.capacity),
  perStream(
    "gauge",
    "ring_high_water_events",
    "Highest fill of a ring of a stream so far.",
    (lane) => lane.highWater,
  ),
  perStream(
    "gauge",
    "ring_utilization_ratio",
    "Fill of the fullest ring of a stream.",
    (lane) => lane.ringPct / 100,
  ),
  metric("gauge", "queue_utilization_ratio", "Fill of all rings together.", ({ rings }) =>
    one(queueOf(rings).pct / 100),
  ),
  metric("gauge", "queue_fullest_ratio", "Fill of the fullest ring.", ({ rings }) =>
    one(fullestOf(rings).pct / 100),
  ),

  perExchange(
    "gauge",
    "connections_wanted",
    "Connections that should be open.",
    (stats) => stats.connections,
  ),
  perExchange("gauge", "connections_open", "Connections that are open.", (stats) => stats.open),
  perExchange("gauge", "subscriptions", "Subscriptions on open connections.", (stats) => stats.subscriptions),
  perExchange(
    "counter",
    "reconnects_total",
    "Sockets opened again, planned replacements not counted.",
    (stats) => stats.reconnects,
  ),
  perExchange(
    "counter",
    "planned_replacements_total",
    "Connections replaced as planned.",
    (stats) => stats.replacements,
  ),
  perExchange(
    "counter",
    "duplicates_total",
    "Second copies of events during a replacement, not recorded.",
    (stats) => stats.duplicates,
  ),
  perExchange("counter", "frames_total", "Frames received.", (stats) => stats.frames),
  perExchange("counter", "frame_bytes_total", "Bytes of the frames received.", (stats) => stats.bytes),
  metric(
    "counter",
    "frames_without_event_total",
    "Frames that gave no event, by kind.",
    ({ exchanges }) =>
      exchanges.flatMap(({ exchange, control, ignored, unwanted, undecodable }) =>
        Object.entries({ control, ignored, unwanted, undecodable }).map(([kind, value]) => ({
          labels: { exchange, kind },
          value,
        })),
      ),
    ["exchange", "kind"],
  ),
  perExchange(
    "counter",
    "frames_fallback_total",
    "Frames that took the JSON path though a scanner knows their kind.",
    (stats) => stats.fallback,
  ),
  perExchange(
    "counter",
    "inexact_values_total",
    "Values whose digits a DOUBLE does not hold.",
    (stats) => stats.inexact,
  ),
  perExchange(
    "counter",
    "oversized_integers_total",
    "Integers above 2^53, recorded as NULL.",
    (stats) => stats.oversized,
  ),
  perExchange(
    "counter",
    "snapshot_fetches_total",
    "Subscriptions sent that begin with a snapshot.",
    (stats) => stats.snapshotFetches,
  ),
  perExchange("counter", "snapshots_total", "Snapshot frames received.", (stats) => stats.snapshots),
  perExchange(
    "counter",
    "realigned_symbols_total",
    "Symbols re-based by a snapshot after a reconnect.",
    (stats) => stats.realigned,
  ),
  metric(
    "gauge",
    "exchange_clock_offset_seconds",
    "By how much the exchange's clock is ahead of ours.",
    ({ exchangeClocks }) =>
      Object.entries(exchangeClocks).flatMap(([exchange, clock]) =>
        known(clock === null ? null : clock.offset / 1000, { exchange }),
      ),
    ["exchange"],
  ),
  metric(
    "gauge",
    "exchange_clock_error_seconds",
    "How far that may be off.",
    ({ exchangeClocks }) =>
      Object.entries(exchangeClocks).flatMap(([exchange, clock]) =>
        known(clock === null ? null : clock.error / 1000, { exchange }),
      ),
    ["exchange"],
  ),
  metric(
    "gauge",
    "clock_offset_seconds",
    "By how much the wall clock is ahead of receive time.",
    ({ clockOffset }) => one(clockOffset / 1e6),
  ),
  metric(
    "gauge",
    "symbols",
    "Symbols recorded.",
    ({ symbolCounts }) =>
      Object.entries(symbolCounts).map(([exchange, value]) => ({ labels: { exchange }, value })),
    ["exchange"],
  ),

  metric("gauge", "open_segments", "Segments that are being written.", ({ writer }) =>
    one(writer.activeBuffers),
  ),
  metric("counter", "drain_rebuilds_total", "How often the drain was rebuilt after an error.", ({ drain }) =>
    one(drain.rebuilds),
  ),
  metric("gauge", "journal_bytes", "Journals on disk.", ({ journal }) => one(journal.bytes)),
  metric("gauge", "journal_max_bytes", "Their bound.", ({ journal }) => one(journal.maxBytes)),
  metric("gauge", "outbox_files", "Files that are not at a destination yet.", ({ outbox }) =>
    one(outbox.files),
  ),
  metric("gauge", "outbox_bytes", "Their bytes.", ({ outbox }) => one(outbox.bytes)),
  metric("gauge", "outbox_max_bytes", "Their bound; 0 = none.", ({ outbox }) => one(outbox.maxBytes)),
  metric(
    "gauge",
    "outbox_age_seconds",
    "How long the oldest of them has waited; 0 = none waits.",
    ({ outbox, at }) => one(outbox.since === null ? 0 : Math.max(0, at - outbox.since) / 1000),
  ),
  metric(
    "counter",
    "files_published_total",
    "Files that arrived, by destination.",
    ({ destinations }) =>
      destinations.map(({ destination, files }) => ({ labels: { destination }, value: files })),
    ["destination"],
  ),
  metric("counter", "upload_failures_total", "Attempts to upload that failed.", ({ writer }) =>
    one(writer.uploadFailures),
  ),
  metric(
    "gauge",
    "uploads_in_flight",
    "Files on their way, by destination.",
    ({ destinations }) =>
      destinations.map(({ destination, inFlight }) => ({ labels: { destination }, value: inFlight })),
    ["destination"],
  ),
  metric(
    "gauge",
    "destination_breaker_state",
    "Circuit breaker of a destination: 1 for the state it is in, 0 for the others.",
    ({ destinations }) =>
      destinations.flatMap(({ destination, state }) =>
        (["closed", "open", "half_open"] as const).map((name) => ({
          labels: { destination, state: name },
          value: name === state ? 1 : 0,
        })),
      ),
    ["destination", "state"],
  ),
  metric("counter", "doubles_total", "Files found in two destinations.", ({ doubles }) => one(doubles)),
  metric("gauge", "quarantined_frames", "Undecodable frames kept in quarantine.", ({ quarantine }) =>
    one(quarantine.kept),
  ),
  metric("counter", "frames_not_kept_total", "Undecodable frames that were only counted.", ({ quarantine }) =>
    one(quarantine.notKept),
  ),

  metric("gauge", "drops_15m", "Events dropped in the last 15 minutes.", ({ drops15m }) => one(drops15m)),
  metric("gauge", "silences_15m", "Intervals of silence in the last 15 minutes.", ({ silence15m }) =>
    one(silence15m),
  ),
  metric("gauge", "reconnects_15m", "Reconnects in the last 15 minutes.", ({ reconnects15m }) =>
    one(reconnects15m),
  ),
  metric("gauge", "gaps_15m", "Gaps that were not planned, in the last 15 minutes.", ({ gaps15m }) =>
    one(gaps15m),
  ),
  metric("gauge", "process_resident_memory_bytes", "Memory of the whole process.", ({ rssMb }) =>
    one(rssMb * 2 ** 20),
  ),
  metric("counter", "process_cpu_seconds_total", "CPU time of the whole process.", ({ cpuSeconds }) =>
    one(cpuSeconds),
  ),
  metric("gauge", "process_start_time_seconds", "When the process began to record.", ({ at, uptime }) =>
    one(at / 1000 - uptime),
  ),
];

/** What Prometheus is told at this instant. */
export function familiesOf(snapshot: Snapshot): Family[] {
  return METRICS.map(({ name, type, help, samples }) => ({ name, type, help, samples: samples(snapshot) }));
}
