/**
 * What the page at `/` shows, and `GET /events` sends once a second: one picture of the recorder, small enough to be
 * sent whole. It is made once for all clients.
 *
 * Times are epoch ms, lags and ages ms, sizes bytes; null = not known (yet), never 0 instead.
 */
import { z } from "zod";
import { STATES } from "./state.ts";

/** Whole and not negative. */
export const count = z.int().nonnegative();
/** Not negative. */
export const amount = z.number().nonnegative();

/** Gaps and log lines of which the last ones are shown. */
export const RECENT_MAX = 50;

/** How a stream of an exchange is doing; `waiting`: nothing has come yet. */
export const HEALTHS = ["fresh", "silent", "lagging", "waiting", "offline"] as const;
/** One of them. */
export type Health = (typeof HEALTHS)[number];

/** Where every event is; see status/balance.ts. */
export const balanceSchema = z.strictObject({
  received: count,
  recovered: count,
  published: z.int(),
  uploading: z.int(),
  inOutbox: z.int(),
  inJournal: z.int(),
  inTable: z.int(),
  inRing: z.int(),
  dropped: count,
  holds: z.boolean().describe("Whether the sum is right and no part is negative."),
});

/** One way to a destination. */
export const destinationSchema = z.strictObject({
  destination: z.string().describe("local, s3 or gcs"),
  state: z.enum(["closed", "open", "half_open"]).describe("Of the circuit breaker: closed = in use."),
  in_flight: count,
  window: count,
  files: count.describe("Files that arrived in this run."),
  error: z.string().nullable().describe("Of the last attempt; null when it went through."),
});

/** A stream of an exchange: one row of the table. */
export const liveStreamSchema = z.strictObject({
  exchange: z.string(),
  stream: z.string(),
  health: z.enum(HEALTHS),
  events_per_sec: amount.describe("Over the last 10 s."),
  events_total: count.describe("Received, dropped ones included."),
  dropped_total: count,
  lag_p50_ms: z.number().nullable().describe("Published (else happened) to received, over the last minute."),
  lag_p99_ms: z.number().nullable(),
  lag_p999_ms: z.number().nullable(),
  age_ms: amount.nullable().describe("Since the last event was received."),
  gaps_15m: count,
  ring_pct: amount.describe("Fill of its fullest ring, per cent."),
});
/** See {@link liveStreamSchema}. */
export type LiveStream = z.infer<typeof liveStreamSchema>;

/** An exchange. */
export const liveExchangeSchema = z.strictObject({
  exchange: z.string(),
  connections: count.describe("Connections that should be open."),
  open: count,
  subscriptions: count,
  symbols: count,
  reconnects_total: count,
  undecodable_total: count,
  clock_offset_ms: z
    .number()
    .nullable()
    .describe("By how much the exchange's clock is ahead of ours; null = not known."),
  clock_error_ms: amount.nullable().describe("The offset is right to this much."),
});

/** A gap, as its row in the lake says it. */
export const liveGapSchema = z.strictObject({
  at: count.describe("When it was told."),
  exchange: z.string(),
  stream: z.string(),
  symbol: z.string().nullable().describe("null = all"),
  reason: z.string(),
  certainty: z.enum(["lost", "possible", "planned"]),
  from: z.number().nullable().describe("null = open to that side"),
  to: z.number().nullable(),
  missed: count.nullable().describe("Events, where the number is known."),
});
/** See {@link liveGapSchema}. */
export type LiveGap = z.infer<typeof liveGapSchema>;

/** A line of the log; secrets are masked in it. */
export const liveLogSchema = z.strictObject({
  at: count,
  level: z.enum(["debug", "info", "warn", "error"]),
  event: z.string(),
  text: z.string().describe("The line's fields, for people: name=value, at most 500 characters."),
});
/** See {@link liveLogSchema}. */
export type LiveLog = z.infer<typeof liveLogSchema>;

/** `GET /events`: the data of each message. */
export const liveSchema = z.strictObject({
  at: count.describe("When this picture was made."),
  version: z.string(),
  run: z.string(),
  instance: z.string(),
  uptime: amount.describe("Seconds."),
  state: z.enum(STATES),
  reason: z.string(),
  since: count,
  rss_mb: amount.describe("MiB, whole process."),
  streams: z.array(liveStreamSchema),
  exchanges: z.array(liveExchangeSchema),
  queue: z.strictObject({
    size: count,
    maxsize: count,
    pct: amount,
    fullest: z.string().describe("exchange/stream of the fullest ring"),
    fullest_pct: amount,
  }),
  windows_15m: z.strictObject({ drops: count, silences: count, reconnects: count, gaps: count }),
  writer: z.strictObject({
    total_written: z.int(),
    files_written: count,
    pending_events: z.int(),
    active_buffers: count,
    in_flight_uploads: count,
    upload_failures: count,
    last_write: count.nullable(),
  }),
  outbox: z.strictObject({
    files: count,
    bytes: count,
    max_bytes: count.describe("0 = no bound"),
    age_ms: amount.nullable().describe("Of the oldest file; null = there is none."),
  }),
  journal: z.strictObject({ bytes: count, max_bytes: count }),
  destinations: z.array(destinationSchema),
  balance: balanceSchema,
  gaps: z.array(liveGapSchema).max(RECENT_MAX).describe("Last first."),
  logs: z.array(liveLogSchema).max(RECENT_MAX).describe("Last first."),
});
/** See {@link liveSchema}. */
export type Live = z.infer<typeof liveSchema>;
