/**
 * THE schema of all settings. Flags, environment variables, tapedeck.toml, `config`, `--help` and the docs
 * derive from it; nothing else knows which settings there are.
 *
 * After resolution durations are milliseconds and sizes bytes, always whole numbers.
 */
import { hostname } from "node:os";
import { z } from "zod";
import { STREAM_NAMES, type Stream } from "../events/streams.ts";
import { EXCHANGE_DEFAULTS, EXCHANGE_NAMES, type ExchangeDefaults, type ExchangeName } from "./exchanges.ts";
import {
  baseUrl,
  choice,
  duration,
  namesOf,
  onOff,
  optionalSetting,
  powerOfTwo,
  section,
  setting,
  size,
  text,
  textsOf,
  wholeNumber,
} from "./leaf.ts";

/** The smallest and the largest ring, in events. */
export const RING_CAPACITY_MIN = 2;
/** See {@link RING_CAPACITY_MIN}. */
export const RING_CAPACITY_MAX = 4_194_304;

/** Streams whose segments may stay open for `flush.slow_interval`, since few rows arrive. */
export const SLOW_STREAMS: readonly Stream[] = ["funding", "open_interest", "liquidation"];

/** A timer of JavaScript holds at most 2^31 - 1 ms (24.8 days) and fires at once beyond; so no duration is longer. */
const LONGEST = "24d";

/** The most events or rows that a bound may allow. */
const ROWS_MAX = 100_000_000;

/** Ring capacities unless set otherwise, in events; together more than 500,000. */
const RING_CAPACITY: Readonly<Record<Stream, number>> = {
  bbo: 262_144,
  trade: 131_072,
  mark_price: 65_536,
  funding: 65_536,
  open_interest: 32_768,
  liquidation: 16_384,
};

/** A host name as an instance: lower case, other characters become a dash, at most 32 characters. */
export function instanceFromHost(host: string): string {
  const name = host
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, 32)
    .replace(/^-+|-+$/g, "");
  return name === "" ? "tapedeck" : name;
}

function perStream<T>(make: (stream: Stream) => T): Record<Stream, T> {
  return Object.fromEntries(STREAM_NAMES.map((stream) => [stream, make(stream)])) as Record<Stream, T>;
}

function perExchange<T>(
  make: (defaults: ExchangeDefaults, name: ExchangeName) => T,
): Record<ExchangeName, T> {
  const entries = EXCHANGE_NAMES.map((name) => [name, make(EXCHANGE_DEFAULTS[name], name)]);
  return Object.fromEntries(entries) as Record<ExchangeName, T>;
}

const sections = z.strictObject({
  instance: setting(
    text(/^[a-z0-9-]{1,32}$/, "1 to 32 of the characters a-z, 0-9 and -"),
    () => instanceFromHost(hostname()),
    {
      meaning: "Name of this recorder; part of every run and file name.",
      defaultText: "the host's name",
    },
  ),
  data: setting(text(/^[^\0]{1,4096}$/, "the path of a folder"), "./data", {
    meaning: "Data folder: lake, journal, outbox, quarantine.",
  }),
  record: section({
    exchanges: setting(namesOf("exchange", EXCHANGE_NAMES), EXCHANGE_NAMES, {
      meaning: "Exchanges to record.",
      defaultText: "all",
    }),
    streams: setting(namesOf("stream", STREAM_NAMES), STREAM_NAMES, {
      meaning: "Streams to record.",
      defaultText: "all",
    }),
    symbols: setting(
      textsOf(/^[^\s\p{Cc},]{1,64}$/u, "a list of symbols such as BTCUSDT, without spaces", 0, 10_000),
      [],
      { meaning: "Symbols to record.", defaultText: "all USDT perpetuals" },
    ),
    /** ms; undefined = for ever. */
    duration: optionalSetting(duration("1ms", LONGEST), {
      meaning: "How long to record.",
      defaultText: "until it is stopped",
    }),
    raw: setting(onOff(), false, {
      meaning: "Also keep every frame as received, with its receive time, below DIR/raw.",
    }),
  }),
  exchanges: section(
    perExchange((defaults, name) =>
      section({
        ws_url: setting(baseUrl(["wss", "ws"]), defaults.wsUrl, {
          meaning: `Base of the WebSocket endpoints of ${name}, to which its own paths are added.`,
        }),
        rest_url: setting(baseUrl(["https", "http"]), defaults.restUrl, {
          meaning: `Base of the REST endpoints of ${name} (instruments).`,
        }),
        streams_per_connection: setting(
          wholeNumber(1, defaults.streamsPerConnectionMax),
          defaults.streamsPerConnection,
          { meaning: `Streams that one connection to ${name} carries.` },
        ),
      }),
    ),
  ),
  connection: section({
    /** ms */
    handshake_timeout: setting(duration("1ms", "10m"), "10s", {
      meaning: "How long a WebSocket handshake may take.",
    }),
    /** ms */
    backoff_min: setting(duration("1ms", "1h"), "500ms", {
      meaning: "Back-off before the first reconnect; doubles until backoff_max, with full jitter.",
    }),
    /** ms */
    backoff_max: setting(duration("1ms", "1h"), "30s", { meaning: "Longest back-off before a reconnect." }),
    /** ms */
    ack_timeout: setting(duration("1ms", "10m"), "10s", {
      meaning: "How long the answer to a subscription may take before it is sent again.",
    }),
    /** ms */
    refused_retry: setting(duration("1ms", "1d"), "60s", {
      meaning: "Time after which a subscription that the exchange refused is asked for again.",
    }),
  }),
  ring: section({
    /** events */
    capacity: section(
      perStream((stream) =>
        setting(powerOfTwo(RING_CAPACITY_MIN, RING_CAPACITY_MAX), RING_CAPACITY[stream], {
          meaning: `Events that the ring of ${stream} holds before new ones are dropped.`,
        }),
      ),
    ),
  }),
  ingest: section({
    /** events */
    publish_batch: setting(wholeNumber(1, 4096), 64, {
      meaning: "Events staged before the ring's head is published, even inside one socket read.",
    }),
  }),
  drain: section({
    /** ms */
    poll: setting(duration("1ms", "1s"), "5ms", { meaning: "Pause of the drain when all rings are empty." }),
    /** rows */
    max_open_rows: setting(wholeNumber(1, ROWS_MAX), 1_000_000, {
      meaning:
        "Rows in open and unwritten segments, over all rings together; they also stay below half of duckdb.memory_limit.",
    }),
    /** segments */
    max_sealed: setting(wholeNumber(1, 10_000), 64, {
      meaning: "Sealed segments that wait for their file before rows stay in the rings.",
    }),
  }),
  flush: section({
    /** rows */
    rows: setting(wholeNumber(1, ROWS_MAX), 250_000, { meaning: "A segment is sealed at this many rows." }),
    /** bytes */
    bytes: setting(size("1KiB", "16GiB"), "64MiB", {
      meaning:
        "A segment is sealed at this size in memory, or at a fifth of duckdb.memory_limit if that is less.",
    }),
    /** ms */
    interval: setting(duration("1ms", "1d"), "300s", { meaning: "A segment is sealed at this age." }),
    /** ms */
    slow_interval: setting(duration("1ms", "1d"), "900s", {
      meaning: `The same for streams with few rows: ${SLOW_STREAMS.join(", ")}.`,
    }),
    /** ms; 0 = none */
    min_gap: setting(duration("0ms", "1h"), "5s", {
      meaning: "Pause between two seals by age, so that not all rings are written at once.",
    }),
    streams: section(
      perStream((stream) =>
        section({
          /** rows; undefined = flush.rows */
          rows: optionalSetting(wholeNumber(1, ROWS_MAX), {
            meaning: `flush.rows for ${stream} alone.`,
            defaultText: "as flush.rows",
          }),
          /** bytes; undefined = flush.bytes */
          bytes: optionalSetting(size("1KiB", "16GiB"), {
            meaning: `flush.bytes for ${stream} alone.`,
            defaultText: "as flush.bytes",
          }),
          /** ms; undefined = flush.interval or flush.slow_interval */
          interval: optionalSetting(duration("1ms", "1d"), {
            meaning: `The age at which a segment of ${stream} is sealed.`,
            defaultText: SLOW_STREAMS.includes(stream) ? "as flush.slow_interval" : "as flush.interval",
          }),
        }),
      ),
    ),
  }),
  duckdb: section({
    /** bytes */
    memory_limit: setting(size("64MiB", "1TiB"), "192MiB", {
      meaning: "Memory that DuckDB may use for tables and sorting.",
    }),
    /** threads */
    threads: setting(wholeNumber(1, 256), 2, { meaning: "Threads of DuckDB." }),
  }),
  discovery: section({
    /** ms */
    interval: setting(duration("10ms", "1h"), "60s", {
      meaning: "How often the lists of instruments are read again, so that listings are taken up.",
    }),
    /** ms */
    timeout: setting(duration("1ms", "10m"), "20s", {
      meaning: "How long the answer to a request for the list of instruments may take.",
    }),
    /** ms */
    retry_max: setting(duration("10ms", "1h"), "60s", {
      meaning: "Longest wait before an exchange that did not answer is asked again.",
    }),
  }),
  quarantine: section({
    /** bytes; 0 = keep none */
    max_bytes: setting(size("0B", "1TiB"), "256MiB", {
      meaning: "Frames that cannot be decoded are kept up to this size; beyond they are only counted.",
    }),
    /** bytes */
    in_flight: setting(size("1KiB", "1GiB"), "32MiB", {
      meaning: "Frames on their way from an ingest worker to quarantine; beyond they are only counted.",
    }),
  }),
  raw: section({
    /** bytes */
    segment_bytes: setting(size("64KiB", "16GiB"), "256MiB", {
      meaning: "A file of raw frames is closed at this size.",
    }),
    /** ms */
    interval: setting(duration("1ms", "1d"), "15m", {
      meaning: "A file of raw frames is closed at this age.",
    }),
    /** bytes; 0 = unbounded */
    max_bytes: setting(size("0B", "1024TiB"), "64GiB", {
      meaning: "Raw frames are kept up to this size in all; beyond they are only counted. 0 = no bound.",
    }),
    /** bytes */
    in_flight: setting(size("1MiB", "16GiB"), "64MiB", {
      meaning: "Raw frames on their way from an ingest worker to the disk; beyond they are only counted.",
    }),
    /** bytes */
    block_bytes: setting(size("4KiB", "64MiB"), "1MiB", {
      meaning: "Raw frames compressed together: what a torn end of a file may cost.",
    }),
    /** ms */
    block_interval: setting(duration("10ms", "1h"), "1s", {
      meaning: "Raw frames are in their file at the latest after this time.",
    }),
    /** of zstd */
    level: setting(wholeNumber(1, 19), 3, { meaning: "Compression level of zstd for raw frames." }),
  }),
  storage: section({
    /** ms */
    retry_max: setting(duration("10ms", "1h"), "30s", {
      meaning: "Longest wait before a file that could not be written or published is tried again.",
    }),
    backend: setting(choice(["local"], ["s3", "gcs"]), "local", { meaning: "Where files are published." }),
  }),
  stop: section({
    /** ms */
    timeout: setting(duration("1ms", "1h"), "20s", {
      meaning: "Time that a graceful stop has for what need not be done before the end.",
    }),
  }),
  status: section({
    host: setting(text(/^[A-Za-z0-9.:_%[\]-]{1,255}$/, "a host name or an IP address"), "127.0.0.1", {
      meaning: "Address that the status API binds to.",
    }),
    port: setting(wholeNumber(0, 65_535), 9100, { meaning: "Port of the status API; 0 = any free one." }),
  }),
  silence: section({
    /** ms */
    threshold: setting(duration("1ms", "1d"), "10s", {
      meaning:
        "An interval without events of mark_price, funding or open_interest longer than this counts as silence.",
    }),
  }),
  log: section({
    format: setting(choice(["json", "pretty"]), "json", { meaning: "Form of the log." }),
    level: setting(choice(["debug", "info", "warn", "error"]), "info", {
      meaning: "The least severe log line that is written.",
    }),
  }),
});

/** Pairs of settings of which the first must not be above the second. */
const NOT_ABOVE: readonly (readonly [string, string])[] = [
  ["connection.backoff_min", "connection.backoff_max"],
  ["flush.rows", "drain.max_open_rows"],
  ["flush.bytes", "duckdb.memory_limit"],
  ...STREAM_NAMES.flatMap((stream) => [
    [`flush.streams.${stream}.rows`, "drain.max_open_rows"] as const,
    [`flush.streams.${stream}.bytes`, "duckdb.memory_limit"] as const,
  ]),
];

/** The value at a dotted path; undefined where there is none. */
export function valueAt(tree: unknown, path: string): unknown {
  let value = tree;
  for (const key of path.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return value;
}

/** All settings with defaults, bounds and cross-checks; reads what a user wrote, gives {@link Settings}. */
export const settingsSchema = NOT_ABOVE.reduce(
  (schema, [low, high]) =>
    schema.refine(
      (tree) => {
        const [a, b] = [valueAt(tree, low), valueAt(tree, high)];
        // A value that is no number is a fault of its own already.
        return typeof a !== "number" || typeof b !== "number" || !(a > b);
      },
      // `when`: also beside other faults, so that all of them are reported at once.
      {
        path: low.split("."),
        when: () => true,
        params: { high },
        error: `must not be above ${high}`,
      },
    ),
  sections,
);

/** The resolved settings. Durations in ms, sizes in bytes. */
export type Settings = z.output<typeof settingsSchema>;
