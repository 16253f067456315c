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
  caFile,
  choice,
  duration,
  namesOf,
  onOff,
  optionalSetting,
  powerOfTwo,
  proxyUrl,
  section,
  setting,
  size,
  text,
  textsOf,
  webUrl,
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

/** Kinds of destinations. */
export const BACKENDS = ["local", "s3", "gcs"] as const;

/** Kinds of what people are told of. */
const NEWS = ["state", "gap", "run"] as const;

/** A bucket of S3, or of whatever speaks its protocol. */
function bucketSection(name: "s3" | "gcs", defaults: { endpoint: string | null; region: string }) {
  const endpoint = baseUrl(["https", "http"]);
  const secret = (what: string, without: string) =>
    optionalSetting(text(/^[\x21-\x7e]{1,4096}$/, "a key without spaces"), {
      meaning: what,
      defaultText: without,
      secret: true,
    });
  const usual = name === "s3" ? "the SDK's usual chain: environment, profile, role" : "none";
  return section({
    endpoint:
      defaults.endpoint === null
        ? optionalSetting(endpoint, {
            meaning: "Where an S3-compatible store is; buckets are then part of the path.",
            defaultText: "that of AWS in s3.region",
          })
        : setting(endpoint, defaults.endpoint, {
            meaning: "Where the S3-compatible XML API of GCS is, or another store.",
          }),
    access_key: secret(name === "s3" ? "Access key." : "Access id of an HMAC key.", usual),
    secret_key: secret(name === "s3" ? "Secret of the access key." : "Secret of the HMAC key.", usual),
    session_token: secret("Session token of temporary credentials.", "none"),
    bucket: optionalSetting(
      text(
        /^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$/,
        "the name of a bucket: 3 to 222 of a-z, 0-9, dot, dash, _",
      ),
      { meaning: "Name of the bucket.", defaultText: "none" },
    ),
    prefix: setting(
      text(
        /^$|^(?!\/)(?!.*\/\/)[A-Za-z0-9!_.*'()=/-]{1,512}$/,
        "a path such as lake or team/lake, without / in front",
      ),
      "",
      { meaning: "Folder in the bucket that is the lake.", defaultText: "none: the lake is the bucket" },
    ),
    region: setting(text(/^[A-Za-z0-9-]{1,64}$/, "the name of a region"), defaults.region, {
      meaning: "Region of the bucket, which is part of what is signed.",
    }),
  });
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
  layout: setting(choice(["flat", "symbol"]), "flat", {
    meaning:
      "flat: a file holds the rows of all symbols, sorted by symbol. symbol: each symbol has files of its own, in folders symbol=…; many times as many uploads, see docs/operating.md.",
  }),
  data: setting(text(/^[^\0]{1,4096}$/, "the path of a folder"), "./data", {
    meaning: "Data folder: lake, journal, outbox, quarantine.",
  }),
  cache: optionalSetting(text(/^[^\0]{1,4096}$/, "the path of a folder"), {
    meaning:
      "Folder for the native parts that the single executable writes once. Others are tried when it will not do.",
    defaultText: "tapedeck in the user's cache folder",
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
        proxy: optionalSetting(proxyUrl(), {
          meaning: `Proxy for all connections to ${name}, WebSocket and REST. HTTPS_PROXY and NO_PROXY have no say.`,
          defaultText: "none: connections are direct",
        }),
        ca_file: optionalSetting(caFile(), {
          meaning: `Certificates of authorities that are believed besides the usual ones, for connections to ${name} and its proxy; read at the start.`,
          defaultText: "none but the usual ones",
        }),
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
    /** ms */
    ping_interval: setting(duration("1ms", "10m"), "20s", {
      meaning: "Time between two pings where the exchange itself names none.",
    }),
    /** ms */
    pong_timeout: setting(duration("1ms", "10m"), "10s", {
      meaning: "A connection on which nothing at all came for this long after a ping was due is given up.",
    }),
    /** bytes */
    turn_bytes: setting(size("4KiB", "1MiB"), "64KiB", {
      meaning:
        "Bytes of one connection that are worked off before all others of its ingest worker have their turn. By way of a proxy there are no turns.",
    }),
    /** bytes */
    max_message_bytes: setting(size("64KiB", "1GiB"), "64MiB", {
      meaning: "A connection that is sent a longer message than this is given up.",
    }),
    /** ms */
    silence: setting(duration("1ms", "15m"), "8s", {
      meaning:
        "A connection without data for this long is given up; longer where its own rhythm is slower, up to silence_max.",
    }),
    /** ms */
    silence_max: setting(duration("1ms", "1d"), "15m", {
      meaning: "The longest silence of a connection or a symbol that is waited for.",
    }),
    /** ms */
    first_data: setting(duration("1ms", "1d"), "9s", {
      meaning:
        "A new connection must bring data within this time; doubles with each one that brings nothing.",
    }),
    /** ms */
    first_data_quiet: setting(duration("1ms", "1d"), "5m", {
      meaning: "The same for connections that carry only trades and liquidations, which may be quiet.",
    }),
    /** ms */
    symbol_silence: setting(duration("1ms", "15m"), "5s", {
      meaning:
        "A symbol silent for this long beside living ones is asked for again; longer where its own rhythm is slower.",
    }),
    /** ms */
    lag: setting(duration("1ms", "1h"), "3s", {
      meaning: "A connection whose data are later than usual by this much, for five seconds, is replaced.",
    }),
    /** ms; undefined = as the exchange demands */
    max_age: optionalSetting(duration("1ms", LONGEST), {
      meaning: "Age before which a connection is replaced, without a hole.",
      defaultText: "as the exchange cuts: 24h on binance, none elsewhere",
    }),
    /** ms */
    overlap: setting(duration("1ms", "10m"), "5s", {
      meaning: "How long the old and the new connection run side by side when one is replaced.",
    }),
    /** ms */
    replace_timeout: setting(duration("1ms", "1h"), "60s", {
      meaning: "How long a new connection may take to be complete before the old one stays.",
    }),
  }),
  ring: section({
    backing: setting(choice(["memory", "file"]), "memory", {
      meaning:
        "Where rings are: in memory, or in mapped files, with which kill -9 loses no event that was accepted.",
    }),
    folder: optionalSetting(text(/^[^\0]{1,4096}$/, "the path of a folder"), {
      meaning: "Folder of these files; one in memory, such as /dev/shm, spares the disk.",
      defaultText: "rings in the data folder",
    }),
    /** events */
    capacity: section(
      perStream((stream) =>
        setting(powerOfTwo(RING_CAPACITY_MIN, RING_CAPACITY_MAX), RING_CAPACITY[stream], {
          meaning: `Events of ${stream} that wait before new ones are dropped; exchanges, and ingest workers of each, share it.`,
        }),
      ),
    ),
  }),
  ingest: section({
    /** threads */
    workers: setting(wholeNumber(1, 16), 1, {
      meaning:
        "Threads that receive and decode. Exchanges are spread over them; an exchange has several when there are more of them than exchanges.",
    }),
    /** events */
    publish_batch: setting(wholeNumber(1, 4096), 64, {
      meaning: "Events staged before the ring's head is published, even inside one socket read.",
    }),
    /** µs */
    time_slice: setting(wholeNumber(0, 100_000), 100, {
      meaning:
        "Time slice (µs) that these threads ask Linux for, from 6.12 on: a shorter one than others have lets a frame be received at once on a machine whose processors are all busy. 0 = as it is.",
    }),
    /** ms */
    clock_step: setting(duration("1ms", "1h"), "500ms", {
      meaning: "A step of the system clock of at least this much is written down as a gap.",
    }),
  }),
  drain: section({
    /** ms */
    poll: setting(duration("1ms", "1s"), "5ms", { meaning: "Pause of the drain when all rings are empty." }),
  }),
  journal: section({
    fsync: setting(choice(["interval", "always", "off"]), "interval", {
      meaning:
        "When journals are brought to disk: every journal.fsync_interval, at each append, or only when a segment is sealed.",
    }),
    /** ms */
    fsync_interval: setting(duration("10ms", "1h"), "1s", {
      meaning: "How often journals are brought to disk: what a power loss may cost.",
    }),
    /** bytes */
    max_bytes: setting(size("1MiB", "16TiB"), "8GiB", {
      meaning: "Journals together; beyond, rows stay in the rings until files have been written.",
    }),
  }),
  flush: section({
    /** rows */
    rows: setting(wholeNumber(1, ROWS_MAX), 250_000, { meaning: "A segment is sealed at this many rows." }),
    /** bytes */
    bytes: setting(size("1KiB", "16GiB"), "64MiB", {
      meaning:
        "A segment is sealed when its rows would take this much memory, or a fifth of duckdb.memory_limit if that is less.",
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
      meaning:
        "Memory that DuckDB may use to check files and to write those of datasets; rows of a segment take at most a fifth of it.",
    }),
    /** threads */
    threads: setting(wholeNumber(1, 256), 1, {
      meaning:
        "Threads of DuckDB, which checks files. More than one cost more: those that have nothing to do spin.",
    }),
  }),
  sql: section({
    /** bytes */
    memory_limit: setting(size("64MiB", "1TiB"), "1GiB", {
      meaning: "Memory that DuckDB may use for a query of `tapedeck sql`; beyond, it uses temporary files.",
    }),
    /** threads */
    threads: setting(wholeNumber(1, 256), 4, { meaning: "Threads of DuckDB for a query." }),
    /** bytes */
    temp_bytes: setting(size("0B", "16TiB"), "8GiB", {
      meaning: "Temporary files of a query that needs more than sql.memory_limit.",
    }),
    /** bytes */
    download_bytes: setting(size("64KiB", "16TiB"), "4GiB", {
      meaning:
        "What a query may download from buckets, into temporary files; one that needs more is refused.",
    }),
    /** requests */
    downloads: setting(wholeNumber(1, 256), 16, {
      meaning: "Requests to buckets that a query has under way.",
    }),
    /** files */
    max_files: setting(wholeNumber(1, 1_000_000), 50_000, {
      meaning: "Files that a query may read; one that needs more is refused.",
    }),
    whole_files: setting(onOff(), false, {
      meaning: "Download files as a whole, instead of the columns and row groups that a query reads.",
    }),
    /** ms */
    timeout: setting(duration("1ms", "1d"), "10m", {
      meaning: "How long a query may run once its files are at hand.",
    }),
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
      meaning: "Frames on their way from each ingest worker to quarantine; beyond they are only counted.",
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
      meaning: "Raw frames on their way from each ingest worker to the disk; beyond they are only counted.",
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
    backend: setting(choice(BACKENDS), "local", { meaning: "Where files are published." }),
    fallback: setting(choice(["none", ...BACKENDS]), "none", {
      meaning: "Where files go while storage.backend cannot be reached.",
    }),
    preflight: setting(onOff(), true, {
      meaning: "At the start, write, read and delete a small object at each destination.",
    }),
  }),
  s3: bucketSection("s3", { endpoint: null, region: "us-east-1" }),
  gcs: bucketSection("gcs", { endpoint: "https://storage.googleapis.com", region: "auto" }),
  lake: section({
    /** bytes; 0 = none */
    disk_floor: setting(size("0B", "1024TiB"), "16MiB", {
      meaning: "With less free disk space than this nothing is published to a local lake; 0 = no floor.",
    }),
    /** ms; undefined = for ever */
    retention: optionalSetting(duration("1ms", "36500d"), {
      meaning: "Days of a local lake that ended longer ago than this are deleted.",
      defaultText: "none: nothing is deleted",
    }),
  }),
  outbox: section({
    /** bytes; 0 = unbounded */
    max_bytes: setting(size("0B", "1024TiB"), "64GiB", {
      meaning:
        "Files that wait for a destination may take this much; beyond, the state is ERROR. 0 = no bound.",
    }),
  }),
  upload: section({
    /** files */
    max_in_flight: setting(wholeNumber(1, 16), 16, {
      meaning: "Files on their way at once; reached step by step, and less where a destination is slow.",
    }),
    /** bytes */
    max_bytes_in_flight: setting(size("1MiB", "16GiB"), "256MiB", {
      meaning: "Bytes of the files on their way at once; a file larger than this goes alone.",
    }),
    /** bytes */
    part_size: setting(size("5MiB", "8MB"), "8MB", {
      meaning: "A file larger than this is uploaded in parts of this size.",
    }),
    /** ms */
    timeout: setting(duration("1ms", "1h"), "60s", {
      meaning: "How long the upload of one file or part may take.",
    }),
    /** ms */
    connect_timeout: setting(duration("1ms", "10m"), "5s", {
      meaning: "How long a connection to a bucket may take to be made.",
    }),
    /** ms */
    request_timeout: setting(duration("1ms", "10m"), "10s", {
      meaning: "How long a request without content, such as HEAD or DELETE, may take.",
    }),
    /** ms */
    retry_min: setting(duration("1ms", "1h"), "500ms", {
      meaning:
        "Back-off before a file is sent again; doubles until storage.retry_max, with full jitter, for each file alone.",
    }),
    breaker_failures: setting(wholeNumber(1, 1000), 5, {
      meaning:
        "A destination that fails this often in a row is left alone for a while; a fallback takes over.",
    }),
    /** ms */
    breaker_pause: setting(duration("1ms", "1h"), "5s", {
      meaning: "How long it is left alone before one file tries it again; doubles until breaker_pause_max.",
    }),
    /** ms */
    breaker_pause_max: setting(duration("1ms", "1h"), "60s", {
      meaning: "Longest time that a destination is left alone.",
    }),
  }),
  destinations: section({
    reconcile: setting(choice(["remove", "report"]), "remove", {
      meaning: "What becomes of the fallback's copy of a file that turns out to stand in both destinations.",
    }),
    /** ms */
    recheck: setting(duration("1ms", "1d"), "1m", {
      meaning:
        "Time after which a destination is asked whether an upload of unknown outcome has arrived after all; then after 4 and 16 times this.",
    }),
    /** ms */
    manifest_interval: setting(duration("1ms", "1d"), "5m", {
      meaning: "How often the day's manifest in a bucket is brought up to date.",
    }),
  }),
  verify: section({
    /** ms */
    grace: setting(duration("1ms", LONGEST), "1h", {
      meaning:
        "What is younger than this may still be on its way: verify waits for it before it calls a segment, or the row of gaps of a hole, missing.",
    }),
    max_faults: setting(wholeNumber(1, 1_000_000), 10_000, {
      meaning: "Faults that verify names; beyond, they are only counted.",
    }),
    parallel: setting(wholeNumber(1, 64), 4, {
      meaning: "Files whose rows verify reads, or fetches from a bucket, at once.",
    }),
  }),
  compaction: section({
    /** rows */
    rows: setting(wholeNumber(2, ROWS_MAX), 5_000_000, {
      meaning: "Rows that a compacted file has at most; a single larger file is left as it is.",
    }),
    /** bytes */
    bytes: setting(size("1KiB", "64GiB"), "256MiB", {
      meaning:
        "Size of the files that become one, together; about as much is needed on the disk, for a bucket twice.",
    }),
    /** ms */
    grace: setting(duration("1ms", LONGEST), "1h", {
      meaning: "A day may be compacted this long after its end.",
    }),
    /** bytes */
    spill: setting(size("1MiB", "1TiB"), "20GiB", {
      meaning: "Disk that sorting may use beyond duckdb.memory_limit, in the data folder.",
    }),
    /** ms */
    lock_ttl: setting(duration("1ms", "1d"), "10m", {
      meaning:
        "A compaction's lock in a bucket is renewed four times in this; one that was not is taken for dead.",
    }),
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
    /** ms */
    refresh: setting(duration("0ms", "10s"), "100ms", {
      meaning: "An answer of the status API is at most this old: however many ask, it is made this often.",
    }),
    max_connections: setting(wholeNumber(1, 10_000), 256, {
      meaning:
        "Connections to the status API at once. For a further one that is closed which has asked for nothing for the longest time.",
    }),
    /** a second */
    max_requests: setting(wholeNumber(1, 1_000_000), 200, {
      meaning: "Requests that the status API answers in a second; more wait their turn.",
    }),
    max_streams: setting(wholeNumber(0, 10_000), 32, {
      meaning: "Clients of the status API that may listen to live events at once.",
    }),
    /** bytes */
    max_header: setting(size("1KiB", "64KiB"), "8KiB", {
      meaning: "Size of a request's headers that the status API takes.",
    }),
    /** ms */
    header_timeout: setting(duration("10ms", "10m"), "5s", {
      meaning: "How long a request to the status API may take to arrive, however it drips.",
    }),
    /** ms */
    idle_timeout: setting(duration("10ms", "10m"), "30s", {
      meaning: "A connection to the status API on which nothing moves for this long is closed.",
    }),
  }),
  silence: section({
    /** ms */
    threshold: setting(duration("1ms", "1d"), "10s", {
      meaning:
        "An interval without events of mark_price, funding or open_interest longer than this counts as silence.",
    }),
  }),
  notify: section({
    webhook_url: optionalSetting(webUrl(), {
      meaning: "Where messages to people are POSTed as JSON; a secret, since such URLs hold tokens.",
      defaultText: "none",
      secret: true,
    }),
    telegram_token: optionalSetting(
      text(/^\d{1,20}:[A-Za-z0-9_-]{8,128}$/, "the token of a bot, such as 123456:ABC…"),
      { meaning: "Token of the Telegram bot that sends messages.", defaultText: "none", secret: true },
    ),
    telegram_chat: optionalSetting(
      text(/^(-?\d{1,20}|@[A-Za-z]\w{3,63})$/, "the id of a chat, such as -1001234567890, or @channel"),
      { meaning: "Telegram chat that gets them.", defaultText: "none" },
    ),
    telegram_url: setting(baseUrl(["https", "http"]), "https://api.telegram.org", {
      meaning: "Where Telegram's Bot API is.",
    }),
    events: setting(namesOf("kind of message", NEWS), NEWS, {
      meaning: "What is told: changes of state, gaps (not the planned ones), starts and ends of runs.",
      defaultText: "all",
    }),
    /** ms */
    interval: setting(duration("0ms", "1d"), "60s", {
      meaning: "Shortest time between two messages; what happens meanwhile goes out together.",
    }),
    /** ms */
    gather: setting(duration("0ms", "1h"), "2s", {
      meaning: "What happens within this time goes out together.",
    }),
    /** lines */
    max_lines: setting(wholeNumber(1, 100), 20, {
      meaning: "Lines of a message; what is older is only counted. Also bounds what waits.",
    }),
    /** ms */
    timeout: setting(duration("10ms", "10m"), "10s", { meaning: "How long a request may take." }),
    /** ms */
    retry_min: setting(duration("1ms", "1h"), "1s", {
      meaning: "Back-off before a message is sent again; doubles until retry_max, with full jitter.",
    }),
    /** ms */
    retry_max: setting(duration("1ms", "1d"), "5m", { meaning: "Longest back-off before it is sent again." }),
    /** ms */
    stop_timeout: setting(duration("0ms", "1m"), "3s", {
      meaning: "How long the end of the program waits for the last message.",
    }),
  }),
  log: section({
    format: setting(choice(["json", "pretty"]), "json", { meaning: "Form of the log." }),
    level: setting(choice(["debug", "info", "warn", "error"]), "info", {
      meaning: "The least severe log line that is written.",
    }),
    /** ms */
    heartbeat: setting(duration("10ms", "1h"), "30s", {
      meaning: "How often a line says that the recorder lives, and how it is.",
    }),
  }),
});

/** Pairs of settings of which the first must not be above the second. */
const NOT_ABOVE: readonly (readonly [string, string])[] = [
  ["connection.backoff_min", "connection.backoff_max"],
  ["connection.silence", "connection.silence_max"],
  ["connection.first_data", "connection.silence_max"],
  ["connection.first_data_quiet", "connection.silence_max"],
  ["connection.symbol_silence", "connection.silence_max"],
  ["upload.breaker_pause", "upload.breaker_pause_max"],
  ["notify.retry_min", "notify.retry_max"],
  ["flush.bytes", "duckdb.memory_limit"],
  ...STREAM_NAMES.map((stream) => [`flush.streams.${stream}.bytes`, "duckdb.memory_limit"] as const),
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

/** Settings of buckets that have to be there, or not, given the others: where, what is wrong. */
const BUCKET_RULES: readonly {
  readonly path: string;
  readonly error: string;
  /** @param uses whether it is the backend or the fallback */
  readonly wrong: (bucket: Record<string, unknown>, uses: boolean) => boolean;
}[] = (["s3", "gcs"] as const).flatMap((name) => {
  const used = `must be set, since storage.backend or storage.fallback is ${name}`;
  const missing = (value: unknown) => value === undefined;
  const half = "must be set, since the other half of the key is";
  return [
    { path: `${name}.bucket`, error: used, wrong: ({ bucket }, uses) => uses && missing(bucket) },
    {
      path: `${name}.access_key`,
      error: name === "gcs" ? `${used} (HMAC keys: docs/providers.md)` : half,
      wrong: ({ access_key, secret_key }, uses) =>
        missing(access_key) && (!missing(secret_key) || (name === "gcs" && uses)),
    },
    {
      path: `${name}.secret_key`,
      error: name === "gcs" ? `${used} (HMAC keys: docs/providers.md)` : half,
      wrong: ({ access_key, secret_key }, uses) =>
        missing(secret_key) && (!missing(access_key) || (name === "gcs" && uses)),
    },
    {
      path: `${name}.session_token`,
      error: `is of no use without ${name}.access_key and ${name}.secret_key`,
      wrong: ({ access_key, session_token }) => !missing(session_token) && missing(access_key),
    },
  ];
});

const bounded = NOT_ABOVE.reduce(
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

const withBuckets = BUCKET_RULES.reduce(
  (schema, { path, error, wrong }) =>
    schema.refine(
      (tree) => {
        const [name = ""] = path.split(".");
        const bucket = valueAt(tree, name);
        if (typeof bucket !== "object" || bucket === null) return true;
        const backends = [valueAt(tree, "storage.backend"), valueAt(tree, "storage.fallback")];
        return !wrong(bucket as Record<string, unknown>, backends.includes(name));
      },
      { path: path.split("."), when: () => true, error },
    ),
  bounded,
).refine((tree) => valueAt(tree, "storage.backend") !== valueAt(tree, "storage.fallback"), {
  path: ["storage", "fallback"],
  when: () => true,
  error:
    "must be another one than storage.backend; two stores of one kind: one goes under the name of the other",
});

/** All settings with defaults, bounds and cross-checks; reads what a user wrote, gives {@link Settings}. */
export const settingsSchema = (
  [
    ["telegram_token", "telegram_chat"],
    ["telegram_chat", "telegram_token"],
  ] as const
).reduce(
  (schema, [missing, given]) =>
    schema.refine(
      (tree) =>
        valueAt(tree, `notify.${given}`) === undefined || valueAt(tree, `notify.${missing}`) !== undefined,
      { path: ["notify", missing], when: () => true, error: `must be set, since notify.${given} is` },
    ),
  withBuckets,
);

/** The resolved settings. Durations in ms, sizes in bytes. */
export type Settings = z.output<typeof settingsSchema>;
