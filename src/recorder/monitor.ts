import type { Settings } from "../config/schema.ts";
import { STREAM_NAMES, type Stream } from "../events/streams.ts";
import { readRing } from "../ring/memory.ts";
import { balanceOf } from "../status/balance.ts";
import type { Logger } from "../status/log.ts";
import { PACED_STREAMS, SilenceCounter } from "../status/silence.ts";
import { queueOf, type RingStatus, type Snapshot } from "../status/snapshot.ts";
import { type State, stateOf } from "../status/state.ts";
import { RollingCount, RollingRate } from "../status/windows.ts";
import type { OutboxFile, Publisher } from "../storage/publisher.ts";
import type { Quarantine } from "../storage/quarantine.ts";
import type { DrainThread } from "./drain-thread.ts";
import type { IngestThread } from "./ingest-thread.ts";
import { type RunRing, streamsOf } from "./rings.ts";

/** Span of the windows that the status contract names, ms. */
const WINDOW = 15 * 60_000;
/** Span of events per second, ms. */
const RATE_SPAN = 10_000;
/** How often counters are sampled, ms. */
const SAMPLE_INTERVAL = 250;
/** How often a heartbeat is logged, ms. */
const HEARTBEAT_INTERVAL = 30_000;

/** Watches the counters of all threads and makes the recorder's picture of itself. It reports; it does not act. */
export class Monitor {
  /** Why the recorder cannot go on; null when all is well. */
  fatal: string | null = null;
  /** Why segments cannot be written at the moment. */
  copyFault: string | null = null;
  /** Recorded symbols by exchange. */
  readonly symbols = new Map<string, readonly string[]>();
  readonly #settings: Settings;
  readonly #log: Logger;
  readonly #rings: readonly RunRing[];
  readonly #publisher: Publisher;
  readonly #drain: DrainThread;
  readonly #ingest: IngestThread;
  readonly #quarantine: Quarantine;
  /** Undecodable frames that were not kept, as last told. */
  #notKept = 0;
  readonly #startedAt = performance.now();
  readonly #rates: Record<Stream, RollingRate>;
  readonly #silence: SilenceCounter;
  readonly #drops = new RollingCount(WINDOW);
  readonly #reconnects = new RollingCount(WINDOW);
  #state: State = "OFFLINE";
  #reason = "starting";
  #since = Date.now();
  #lastWrite: number | null = null;
  #filesWritten = 0;
  #timers: ReturnType<typeof setInterval>[] = [];

  constructor(options: {
    settings: Settings;
    log: Logger;
    rings: readonly RunRing[];
    publisher: Publisher;
    drain: DrainThread;
    ingest: IngestThread;
    quarantine: Quarantine;
  }) {
    this.#settings = options.settings;
    this.#log = options.log;
    this.#rings = options.rings;
    this.#publisher = options.publisher;
    this.#drain = options.drain;
    this.#ingest = options.ingest;
    this.#quarantine = options.quarantine;
    this.#silence = new SilenceCounter(options.settings.silence.threshold, WINDOW);
    const rates = STREAM_NAMES.map((stream) => [stream, new RollingRate(RATE_SPAN)] as const);
    this.#rates = Object.fromEntries(rates) as Record<Stream, RollingRate>;
  }

  start(): void {
    this.#sample();
    this.#timers = [
      setInterval(() => this.#sample(), SAMPLE_INTERVAL),
      setInterval(() => this.#heartbeat(), HEARTBEAT_INTERVAL),
    ];
  }

  stop(): void {
    for (const timer of this.#timers) clearInterval(timer);
  }

  /** A file has arrived at the destination. */
  filePublished(_file: OutboxFile): void {
    this.#filesWritten++;
    this.#lastWrite = Date.now();
  }

  #sample(): void {
    const now = performance.now();
    const received = Object.fromEntries(STREAM_NAMES.map((stream) => [stream, 0])) as Record<Stream, number>;
    let dropped = 0;
    for (const { exchange, stream, handle, views } of this.#rings) {
      const reading = readRing(handle, views);
      received[stream] += reading.offered;
      dropped += reading.dropped;
      if (PACED_STREAMS.includes(stream)) this.#silence.sample(`${exchange}/${stream}`, reading.offered, now);
    }
    for (const stream of STREAM_NAMES) this.#rates[stream].sample(received[stream], now);
    this.#drops.add(dropped - this.#drops.total, now);
    const reconnects = this.#ingest.exchanges.reduce((sum, one) => sum + one.reconnects, 0);
    this.#reconnects.add(reconnects - this.#reconnects.total, now);
    const notKept = this.#framesNotKept();
    if (notKept > this.#notKept) {
      this.#log.warn("frames_not_kept", {
        count: notKept - this.#notKept,
        total: notKept,
        mend: "raise quarantine.max_bytes or quarantine.in_flight, or clear the quarantine folder",
      });
    }
    this.#notKept = notKept;
    this.#judge(this.#readRings(), now);
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
    let fullest: RingStatus | null = null;
    for (const ring of rings) {
      if (fullest === null || ring.used / ring.capacity > fullest.used / fullest.capacity) fullest = ring;
    }
    const { state, reason } = stateOf({
      fault: this.fatal ?? this.copyFault,
      open: exchanges.reduce((sum, one) => sum + one.open, 0),
      fullestRingPct: fullest === null ? 0 : (100 * fullest.used) / fullest.capacity,
      fullestRing: fullest === null ? "" : `${fullest.exchange}/${fullest.stream}`,
      drops15m: this.#drops.recent(now),
      exchangesOffline: this.#settings.record.exchanges.filter(
        (name) => !exchanges.some((one) => one.exchange === name && one.open > 0),
      ),
      destinationFault: this.#publisher.fault,
    });
    if (state !== this.#state) {
      this.#log.info("state_change", { from: this.#state, to: state, reason });
      this.#since = Date.now();
    }
    this.#state = state;
    this.#reason = reason;
  }

  #heartbeat(): void {
    const { rings, balance, silence15m, drops15m, reconnects15m, rssMb, state, exchanges } = this.snapshot();
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
    });
  }

  /** Everything that is known at this instant. */
  snapshot(): Snapshot {
    const now = performance.now();
    // Before the rings: rows only move forward, so what was published then is filed in every reading after.
    const { uploadingRows } = this.#publisher;
    const rings = this.#readRings();
    const published = rings.reduce((sum, ring) => sum + ring.published, 0);
    this.#judge(rings, now);
    const { exchanges } = this.#ingest;
    const lastEvents = exchanges.map((one) => one.lastEvent).filter((at) => at !== null);
    const rates = STREAM_NAMES.map((stream) => [stream, this.#rates[stream].perSecond]);
    return {
      uptime: (now - this.#startedAt) / 1000,
      state: this.#state,
      reason: this.#reason,
      since: this.#since,
      lastEvent: lastEvents.length === 0 ? null : Math.floor(Math.max(...lastEvents) / 1000),
      lastWrite: this.#lastWrite,
      symbols: [...new Set([...this.symbols.values()].flat())].sort(),
      streams: Object.fromEntries(
        this.#settings.record.exchanges.map((name) => [name, streamsOf(name, this.#settings)]),
      ),
      rings,
      exchanges,
      quarantine: { kept: this.#quarantine.kept, notKept: this.#framesNotKept() },
      balance: balanceOf(rings, published, uploadingRows),
      eventsPerSecond: Object.fromEntries(rates) as Record<Stream, number>,
      silence15m: this.#silence.intervals.recent(now),
      silenceTotal: this.#silence.intervals.total,
      drops15m: this.#drops.recent(now),
      reconnects15m: this.#reconnects.recent(now),
      reconnects: Object.fromEntries(
        this.#settings.record.exchanges.map((name) => [
          name,
          exchanges.find((one) => one.exchange === name)?.reconnects ?? 0,
        ]),
      ),
      writer: {
        filesWritten: this.#filesWritten,
        activeBuffers: this.#drain.stats.openSegments,
        inFlightUploads: this.#publisher.inFlight,
        uploadFailures: this.#publisher.failures,
      },
      rssMb: process.memoryUsage.rss() / 2 ** 20,
    };
  }
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
