import type { Settings } from "../config/schema.ts";
import { type Redactor, redactorOf } from "../config/secrets.ts";
import { formatSize } from "../config/units.ts";
import { STREAM_NAMES, type Stream } from "../events/streams.ts";
import { readLags } from "../ingest/lag-histogram.ts";
import type { ExchangeStats } from "../ingest/messages.ts";
import { readRing } from "../ring/memory.ts";
import { balanceOf } from "../status/balance.ts";
import { GapBook } from "../status/gap-book.ts";
import { healthOf } from "../status/health.ts";
import { LagWindow, lagQuantile } from "../status/lag.ts";
import type { Logger } from "../status/log.ts";
import { PACED_STREAMS, SilenceCounter } from "../status/silence.ts";
import { fullestOf, queueOf, type RingStatus, type Snapshot, type StreamStatus } from "../status/snapshot.ts";
import { type Check, checksOf, type State, stateOf } from "../status/state.ts";
import { RollingCount, RollingRate } from "../status/windows.ts";
import type { Quarantine } from "../storage/quarantine.ts";
import type { RecoveredCounters } from "../storage/recovered.ts";
import type { Uploader } from "../storage/upload/uploader.ts";
import { ClockOffset } from "./clock-offset.ts";
import type { DrainThread } from "./drain-thread.ts";
import type { NamedGap } from "./gap-lines.ts";
import type { IngestPool } from "./ingest-pool.ts";
import { type RunRing, streamsOf } from "./rings.ts";
import { VERSION } from "./version.ts";

/** Span of the windows that the status contract names, ms. */
const WINDOW = 15 * 60_000;
/** Span of events per second, ms. */
const RATE_SPAN = 10_000;
/** Span of the quantiles of lags, ms, and how often they are found. */
const LAG_SPAN = 60_000;
const LAG_INTERVAL = 1000;
/** How often counters are sampled, ms. */
const SAMPLE_INTERVAL = 250;

/** A stream of an exchange: its rings, and what is known of it over time. */
interface Lane {
  readonly exchange: string;
  readonly stream: Stream;
  /** Numbers of its rings. */
  readonly rings: readonly number[];
  readonly lags: readonly Float64Array[];
  readonly rate: RollingRate;
  readonly window: LagWindow;
  /** Quantiles of the last minute, ms. */
  p50: number | null;
  p99: number | null;
  p999: number | null;
}

/** What the monitor reads of the parts of a recorder. */
export interface MonitorOptions {
  readonly settings: Settings;
  readonly log: Logger;
  readonly rings: readonly RunRing[];
  readonly uploader: Pick<
    Uploader,
    "failures" | "uploadingRows" | "doubles" | "inFlight" | "outbox" | "oldest" | "full" | "lanes" | "fault"
  >;
  readonly drain: Pick<DrainThread, "stats">;
  readonly ingest: Pick<IngestPool, "exchanges" | "clockOffset">;
  readonly quarantine: Pick<Quarantine, "kept" | "notKept">;
  readonly recovered: Pick<RecoveredCounters, "read">;
  readonly run: string;
  /** Monotonic, ms. */
  readonly now?: () => number;
}

/** Watches the counters of all threads and makes the recorder's picture of itself. It reports; it does not act. */
export class Monitor {
  /** Why the recorder cannot go on; null when all is well. */
  fatal: string | null = null;
  /** Why segments cannot be written at the moment. */
  copyFault: string | null = null;
  /** Why journals cannot be written at the moment. */
  journalFault: string | null = null;
  /** Error from which the drain is being rebuilt. */
  drainFault: string | null = null;
  /** Rows of earlier runs' journals that have arrived at the destination. */
  recoveredPublished = 0;
  /** Events in files that earlier runs left in the outbox and that have arrived. */
  earlierPublished = 0;
  /** Rows of earlier runs that were taken over and then lost on disk. */
  recoveredSpoiled = 0;
  /** Recorded symbols by exchange. */
  readonly symbols = new Map<string, readonly string[]>();
  readonly #run: string;
  readonly #now: () => number;
  readonly #settings: Settings;
  readonly #redact: Redactor;
  readonly #log: Logger;
  readonly #rings: readonly RunRing[];
  readonly #uploader: MonitorOptions["uploader"];
  readonly #drain: MonitorOptions["drain"];
  readonly #ingest: MonitorOptions["ingest"];
  readonly #quarantine: MonitorOptions["quarantine"];
  readonly #recovered: MonitorOptions["recovered"];
  /** Undecodable frames that were not kept, as last told. */
  #notKept = 0;
  readonly #startedAt: number;
  readonly #lanes: readonly Lane[];
  #lagsAt = Number.NEGATIVE_INFINITY;
  readonly #clocks = new Map<string, ClockOffset>();
  readonly #gaps = new GapBook(WINDOW);
  readonly #rates: Record<Stream, RollingRate>;
  readonly #silence: SilenceCounter;
  readonly #drops = new RollingCount(WINDOW);
  readonly #reconnects = new RollingCount(WINDOW);
  #state: State = "OFFLINE";
  #reason = "starting";
  #checks: readonly Check[] = [];
  #since = Date.now();
  #lastWrite: number | null = null;
  #filesWritten = 0;
  #timers: ReturnType<typeof setInterval>[] = [];

  constructor(options: MonitorOptions) {
    this.#run = options.run;
    this.#now = options.now ?? (() => performance.now());
    this.#startedAt = this.#now();
    this.#recovered = options.recovered;
    this.#settings = options.settings;
    this.#redact = redactorOf(options.settings);
    this.#log = options.log;
    this.#rings = options.rings;
    this.#uploader = options.uploader;
    this.#drain = options.drain;
    this.#ingest = options.ingest;
    this.#quarantine = options.quarantine;
    this.#silence = new SilenceCounter(options.settings.silence.threshold, WINDOW);
    const rates = STREAM_NAMES.map((stream) => [stream, new RollingRate(RATE_SPAN)] as const);
    this.#rates = Object.fromEntries(rates) as Record<Stream, RollingRate>;
    const lanes = Map.groupBy(options.rings, ({ exchange, stream }) => `${exchange}/${stream}`);
    this.#lanes = [...lanes.values()].map((rings) => ({
      exchange: rings[0].exchange,
      stream: rings[0].stream,
      rings: rings.map(({ ring }) => ring),
      lags: rings.map(({ lag }) => new Float64Array(lag)),
      rate: new RollingRate(RATE_SPAN),
      window: new LagWindow(LAG_SPAN),
      p50: null,
      p99: null,
      p999: null,
    }));
  }

  /** Gaps were found. */
  gapsFound(gaps: readonly NamedGap[]): void {
    const now = this.#now();
    const at = Date.now();
    for (const { gap, symbol } of gaps) {
      const { exchange, stream, reason, certainty, from, to, missed } = gap;
      const [fromMs, toMs] = [from, to].map((time) => (time === null ? null : time / 1000));
      this.#gaps.add(
        { at, exchange, stream, symbol, reason, certainty, from: fromMs ?? null, to: toMs ?? null, missed },
        now,
      );
    }
  }

  /** An exchange told the time of its clock; see {@link ClockOffset.add}. */
  clockTold(exchange: string, asked: number, took: number, server: number): void {
    const clock = this.#clocks.get(exchange) ?? new ClockOffset();
    this.#clocks.set(exchange, clock);
    clock.add(asked, took, server);
  }

  start(): void {
    this.sample();
    this.#timers = [
      setInterval(() => this.sample(), SAMPLE_INTERVAL),
      setInterval(() => this.#heartbeat(), this.#settings.log.heartbeat),
    ];
  }

  stop(): void {
    for (const timer of this.#timers) clearInterval(timer);
  }

  /** A file has arrived at the destination. */
  filePublished(): void {
    this.#filesWritten++;
    this.#lastWrite = Date.now();
  }

  /** Reads the counters of all threads; done by itself every {@link SAMPLE_INTERVAL} once it is started. */
  sample(): void {
    const now = this.#now();
    const received = Object.fromEntries(STREAM_NAMES.map((stream) => [stream, 0])) as Record<Stream, number>;
    // Paced streams over all workers: one instrument that goes on is life.
    const paced = new Map<string, number>();
    const offered: number[] = [];
    const rings = this.#readRings();
    for (const { exchange, stream, ...reading } of rings) {
      received[stream] += reading.offered;
      offered.push(reading.offered);
      if (!PACED_STREAMS.includes(stream)) continue;
      const name = `${exchange}/${stream}`;
      paced.set(name, (paced.get(name) ?? 0) + reading.offered);
    }
    for (const [name, offered] of paced) this.#silence.sample(name, offered, now);
    for (const stream of STREAM_NAMES) this.#rates[stream].sample(received[stream], now);
    this.#sampleLanes(offered, now);
    this.#count(rings, this.#spoiledRows(), now);
    const notKept = this.#framesNotKept();
    if (notKept > this.#notKept) {
      this.#log.warn("frames_not_kept", {
        count: notKept - this.#notKept,
        total: notKept,
        mend: "raise quarantine.max_bytes or quarantine.in_flight, or clear the quarantine folder",
      });
    }
    this.#notKept = notKept;
    this.#judge(rings, now);
  }

  /**
   * Takes up what was dropped and opened again since the last reading.
   *
   * @param spoiled what was damaged on disk is lost as well, and stands in the balance beside what found no room
   */
  #count(rings: readonly RingStatus[], spoiled: number, now: number): void {
    const dropped = rings.reduce((sum, ring) => sum + ring.dropped, spoiled);
    this.#drops.add(dropped - this.#drops.total, now);
    const reconnects = this.#ingest.exchanges.reduce((sum, one) => sum + one.reconnects, 0);
    this.#reconnects.add(reconnects - this.#reconnects.total, now);
  }

  /** @param offered events by number of ring */
  #sampleLanes(offered: readonly number[], now: number): void {
    const lagsToo = now - this.#lagsAt >= LAG_INTERVAL;
    if (lagsToo) this.#lagsAt = now;
    for (const lane of this.#lanes) {
      lane.rate.sample(
        lane.rings.reduce((sum, ring) => sum + (offered[ring] ?? 0), 0),
        now,
      );
      if (!lagsToo) continue;
      const recent = lane.window.add(readLags(lane.lags), now);
      const quantile = (share: number) => millis(lagQuantile(recent, share));
      lane.p50 = quantile(0.5);
      lane.p99 = quantile(0.99);
      lane.p999 = quantile(0.999);
    }
  }

  /** Rows whose journal or file was damaged on disk. */
  #spoiledRows(): number {
    return this.#rings.reduce((sum, ring) => sum + ring.spoiled, this.recoveredSpoiled);
  }

  /** Undecodable frames that are counted only: too many or too large at once, or the quarantine was full. */
  #framesNotKept(): number {
    return this.#ingest.exchanges.reduce((sum, one) => sum + one.notKept, this.#quarantine.notKept);
  }

  #readRings(): RingStatus[] {
    return this.#rings.map(({ ring, exchange, stream, handle, views, published }) => ({
      ring,
      exchange,
      stream,
      published,
      ...readRing(handle, views),
    }));
  }

  #judge(rings: readonly RingStatus[], now: number): void {
    const { exchanges } = this.#ingest;
    const fullest = fullestOf(rings);
    const input = {
      fatal: this.#shown(this.fatal),
      drainFault: this.#shown(this.drainFault),
      journalFault: this.#shown(this.journalFault),
      copyFault: this.#shown(this.copyFault),
      outboxFault: this.#outboxFault(),
      open: exchanges.reduce((sum, one) => sum + one.open, 0),
      fullestRingPct: fullest.pct,
      fullestRing: fullest.name,
      drops15m: this.#drops.recent(now),
      exchanges: this.#recorded.map((name) => ({
        exchange: name,
        online: isOnline(exchanges, name),
      })),
      destinationFault: this.#shown(this.#uploader.fault),
    };
    const { state, reason } = stateOf(input);
    this.#checks = checksOf(input);
    if (state !== this.#state) {
      this.#log.info("state_change", { from: this.#state, to: state, reason });
      this.#since = Date.now();
    }
    this.#state = state;
    this.#reason = reason;
  }

  /** An error as it may be shown: its words may be those of a server that was given a secret. */
  #shown(fault: string | null): string | null {
    return fault === null ? null : this.#redact(fault);
  }

  #outboxFault(): string | null {
    if (!this.#uploader.full) return null;
    const bytes = formatSize(this.#uploader.outbox.bytes);
    const bound = formatSize(this.#settings.outbox.max_bytes);
    return `the outbox has reached its bound: ${bytes} wait, outbox.max_bytes is ${bound}`;
  }

  #heartbeat(): void {
    const { rings, balance, silence15m, drops15m, reconnects15m, rssMb, state, exchanges, outbox } =
      this.snapshot();
    this.#log.info("heartbeat", {
      state,
      queue_pct: round(queueOf(rings).pct),
      silence_15m: silence15m,
      drops_15m: drops15m,
      drops_total: balance.dropped,
      reconnects_15m: reconnects15m,
      reconnects_total: this.#reconnects.total,
      rss_mb: round(rssMb),
      events_total: balance.received - balance.dropped,
      undecodable_total: exchanges.reduce((sum, one) => sum + one.undecodable, 0),
      balance_holds: balance.holds,
      outbox_files: outbox.files,
      outbox_bytes: outbox.bytes,
    });
  }

  /** Exchanges of which anything is recorded. */
  get #recorded(): readonly string[] {
    return this.#settings.record.exchanges.filter((name) => streamsOf(name, this.#settings).length > 0);
  }

  #laneStatus(lane: Lane, rings: readonly RingStatus[], now: number): StreamStatus {
    const { exchange, stream, p50, p99, p999 } = lane;
    const own = lane.rings.map((ring) => rings[ring]);
    const sum = (of: (ring: RingStatus) => number) => own.reduce((total, ring) => total + of(ring), 0);
    const lag = readLags(lane.lags);
    const age = lag.last === null ? null : Math.max(0, Date.now() - lag.last / 1000);
    const offered = sum((ring) => ring.offered);
    return {
      exchange,
      stream,
      health: healthOf({
        stream,
        online: isOnline(this.#ingest.exchanges, exchange),
        age,
        interval: offered === 0 ? null : (now - this.#startedAt) / offered,
        lag: p50,
        offset: this.#clocks.get(exchange)?.estimate?.offset ?? null,
        silence: this.#settings.silence.threshold,
        lagMax: this.#settings.connection.lag,
      }),
      perSecond: lane.rate.perSecond,
      offered,
      dropped: sum((ring) => ring.dropped),
      used: sum((ring) => ring.used),
      capacity: sum((ring) => ring.capacity),
      highWater: Math.max(...own.map((ring) => ring.highWater)),
      ringPct: fullestOf(own).pct,
      age,
      lag,
      lagP50: p50,
      lagP99: p99,
      lagP999: p999,
      gaps15m: this.#gaps.recentOf(exchange, stream, now),
      silences: this.#silence.of(`${exchange}/${stream}`),
    };
  }

  /** How full the rings are and what went through them: far less work than a {@link snapshot}. */
  rings(): RingStatus[] {
    return this.#readRings();
  }

  /** Everything that is known at this instant. */
  snapshot(): Snapshot {
    const now = this.#now();
    // Before the rings: rows only move forward, so what was published then is filed in every reading after.
    const { uploadingRows } = this.#uploader;
    const { recoveredPublished } = this;
    const recovered = this.#recovered.read();
    const spoiled = this.#spoiledRows();
    const rings = this.#readRings();
    const published = rings.reduce((sum, ring) => sum + ring.published, recoveredPublished);
    // Not only every so often: an answer that shows a drop or a reconnect has it in its windows and its state as well.
    this.#count(rings, spoiled, now);
    this.#judge(rings, now);
    const { exchanges } = this.#ingest;
    const lastEvents = exchanges.map((one) => one.lastEvent).filter((at) => at !== null);
    const rates = STREAM_NAMES.map((stream) => [stream, this.#rates[stream].perSecond]);
    return {
      version: VERSION,
      run: this.#run,
      instance: this.#settings.instance,
      at: Date.now(),
      uptime: (now - this.#startedAt) / 1000,
      state: this.#state,
      reason: this.#reason,
      since: this.#since,
      checks: this.#checks,
      lastEvent: lastEvents.length === 0 ? null : Math.floor(Math.max(...lastEvents) / 1000),
      lastWrite: this.#lastWrite,
      symbols: [...new Set([...this.symbols.values()].flat())].sort(),
      streams: Object.fromEntries(
        this.#settings.record.exchanges.map((name) => [name, streamsOf(name, this.#settings)]),
      ),
      symbolCounts: Object.fromEntries(
        this.#settings.record.exchanges.map((name) => [name, this.symbols.get(name)?.length ?? 0]),
      ),
      rings,
      lanes: this.#lanes.map((lane) => this.#laneStatus(lane, rings, now)),
      exchanges,
      exchangeClocks: Object.fromEntries(
        this.#settings.record.exchanges.map((name) => [name, this.#clocks.get(name)?.estimate ?? null]),
      ),
      clockOffset: this.#ingest.clockOffset,
      quarantine: { kept: this.#quarantine.kept, notKept: this.#framesNotKept() },
      balance: balanceOf(rings, recovered, published, uploadingRows, spoiled),
      eventsPerSecond: Object.fromEntries(rates) as Record<Stream, number>,
      silence15m: this.#silence.intervals.recent(now),
      silenceTotal: this.#silence.intervals.total,
      drops15m: this.#drops.recent(now),
      reconnects15m: this.#reconnects.recent(now),
      gaps15m: this.#gaps.recentOfAll(now),
      gapCounts: this.#gaps.counts,
      recentGaps: this.#gaps.recent,
      recentLogs: this.#log.recent,
      reconnects: Object.fromEntries(
        this.#settings.record.exchanges.map((name) => [
          name,
          exchanges.find((one) => one.exchange === name)?.reconnects ?? 0,
        ]),
      ),
      writer: {
        filesWritten: this.#filesWritten,
        earlierRows: this.earlierPublished,
        activeBuffers: this.#drain.stats.openSegments,
        inFlightUploads: this.#uploader.inFlight,
        uploadFailures: this.#uploader.failures,
      },
      journal: { bytes: this.#drain.stats.journalBytes, maxBytes: this.#settings.journal.max_bytes },
      drain: { rebuilds: this.#drain.stats.rebuilds },
      outbox: {
        ...this.#uploader.outbox,
        maxBytes: this.#settings.outbox.max_bytes,
        since: this.#uploader.oldest,
      },
      destinations: this.#uploader.lanes.map((lane) => ({ ...lane, fault: this.#shown(lane.fault) })),
      doubles: this.#uploader.doubles,
      rssMb: process.memoryUsage.rss() / 2 ** 20,
      cpuSeconds: cpuSeconds(),
    };
  }
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

/** µs as ms. */
function millis(us: number | null): number | null {
  return us === null ? null : us / 1000;
}

function isOnline(exchanges: readonly ExchangeStats[], name: string): boolean {
  return exchanges.some((one) => one.exchange === name && one.open > 0);
}

/** CPU time of all threads of the process. */
function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
