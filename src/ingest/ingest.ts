import { discardingWriters } from "../capture/discard.ts";
import type { RawTap } from "../capture/tap.ts";
import type { Clock } from "./clock.ts";
import { Lane, type LaneEvents } from "./lane.ts";
import type {
  ExchangeJob,
  ExchangeStats,
  FromIngest,
  GapNotice,
  RawStats,
  StreamFreshness,
} from "./messages.ts";
import type { UntoldHoles } from "./untold.ts";

/** Gaps that wait to be reported; more are counted, not named. */
const GAPS_MAX = 100_000;
/** The receive clock agrees with the wall clock again within this, µs. */
const CLOCK_AGREES = 10_000;

/**
 * The work of an ingest worker: a lane for each exchange.
 *
 * Rows are staged while a socket read is being worked off and published right after it, or earlier when
 * `publishBatch` frames have come.
 */
export class Ingest {
  readonly #lanes = new Map<string, Lane>();
  readonly #clock: Clock;
  readonly #connectionsChanged: () => void;
  readonly #connectionCounter: Int32Array;
  readonly #publishBatch: number;
  readonly #clockStep: number;
  readonly #post: (message: FromIngest) => void;
  readonly #raw: { readonly tap: RawTap; readonly only: boolean } | null;
  readonly #laneEvents: LaneEvents;
  #quarantineRoom: number;
  #gaps: GapNotice[] = [];
  #gapsNotNamed = 0;
  #framesStaged = 0;
  #publishScheduled = false;
  /** When the receive clock was found to run apart from the wall clock, µs; null = it does not. */
  #clockApartSince: number | null = null;
  #tickedAt = Number.NaN;

  constructor(options: {
    clock: Clock;
    /** A socket opened or ended. */
    connectionsChanged(): void;
    connectionCounter: SharedArrayBuffer;
    publishBatch: number;
    quarantineInFlight: number;
    /** ms */
    clockStep: number;
    /** Takes every frame as received; with `only`, no rows are kept. */
    raw?: { readonly tap: RawTap; readonly only: boolean } | null;
    post(message: FromIngest): void;
  }) {
    this.#clock = options.clock;
    this.#connectionsChanged = options.connectionsChanged;
    this.#connectionCounter = new Int32Array(options.connectionCounter);
    this.#publishBatch = options.publishBatch;
    this.#clockStep = options.clockStep * 1000;
    this.#quarantineRoom = options.quarantineInFlight;
    this.#raw = options.raw ?? null;
    this.#post = options.post;
    this.#laneEvents = this.#listener();
  }

  /** Opens, changes and closes connections so that they carry exactly what the job wants. */
  apply(job: ExchangeJob): void {
    let lane = this.#lanes.get(job.exchange);
    if (lane === undefined) {
      const raw = this.#raw;
      lane = new Lane({
        job,
        raw: raw === null ? null : { tap: raw.tap, writers: raw.only ? discardingWriters() : null },
        events: this.#laneEvents,
      });
      this.#lanes.set(job.exchange, lane);
      if (this.#clockApartSince !== null) lane.clockApart(this.#clockApartSince);
    }
    lane.apply(job);
  }

  #listener(): LaneEvents {
    return {
      now: () => this.#clock.now(),
      nextNumber: () => Atomics.add(this.#connectionCounter, 0, 1),
      notice: (notice) => this.#post({ type: "notice", notice }),
      gaps: (gaps) => {
        const room = Math.max(0, GAPS_MAX - this.#gaps.length);
        this.#gaps.push(...gaps.slice(0, room));
        this.#gapsNotNamed += Math.max(0, gaps.length - room);
      },
      ended: (ended) => this.#post({ type: "connection", ended }),
      instrumentsChanged: (exchange) => this.#post({ type: "instruments", exchange }),
      quarantine: (exchange, connection, local, reason, frame) => {
        if (frame.length > this.#quarantineRoom) return false;
        this.#quarantineRoom -= frame.length;
        const copy = new Uint8Array(frame);
        this.#post({
          type: "quarantine",
          frame: { exchange, connection, local, reason, frame: copy },
        });
        return true;
      },
      staged: () => this.#staged(),
      connectionsChanged: () => this.#connectionsChanged(),
    };
  }

  #staged(): void {
    if (++this.#framesStaged >= this.#publishBatch) {
      this.publish();
    } else if (!this.#publishScheduled) {
      this.#publishScheduled = true;
      // Runs when all frames of the current socket read have been handed over.
      setImmediate(() => {
        this.#publishScheduled = false;
        this.publish();
      });
    }
  }

  /** Makes everything staged visible to the drain. */
  publish(): void {
    this.#framesStaged = 0;
    for (const { producers } of this.#lanes.values()) for (const producer of producers) producer.publish();
  }

  /**
   * Looks after everything that time alone brings about; to be called every `interval` ms.
   */
  tick(interval: number): void {
    this.#disciplineClock();
    const now = this.#clock.now();
    const stalled = now - this.#tickedAt > 4 * interval * 1000;
    this.#tickedAt = now;
    for (const lane of this.#lanes.values()) lane.tick(now, stalled);
    this.#reportGaps();
  }

  /** Follows the wall clock, and takes note of a step of it. */
  #disciplineClock(): void {
    const offset = this.#clock.offset();
    const before = this.#clock.now();
    this.#clock.discipline();
    // Ahead it goes at once, so that everything seems later by as much.
    if (offset >= this.#clockStep) for (const lane of this.#lanes.values()) lane.clockStepped(offset);
    if (this.#clockApartSince === null) {
      if (Math.abs(offset) < this.#clockStep) return;
      this.#clockApartSince = before;
      for (const lane of this.#lanes.values()) lane.clockApart(before);
    }
    if (Math.abs(this.#clock.offset()) > CLOCK_AGREES) return;
    const now = this.#clock.now();
    for (const lane of this.#lanes.values()) lane.clockAgrees(now);
    this.#clockApartSince = null;
  }

  /** Sends the gaps found since the last call, and the holes that are still to become some. */
  #reportGaps(): void {
    const told = new Set(this.#gaps.map(({ exchange }) => exchange));
    const untold: UntoldHoles[] = [];
    for (const [exchange, lane] of this.#lanes) {
      const holes = lane.untold(this.#clock.now(), told.has(exchange));
      if (holes !== null) untold.push(holes);
    }
    if (this.#gaps.length === 0 && this.#gapsNotNamed === 0 && untold.length === 0) return;
    this.#post({ type: "gaps", gaps: this.#gaps, notNamed: this.#gapsNotNamed, untold });
    this.#gaps = [];
    this.#gapsNotNamed = 0;
  }

  /** Room for undecodable frames that the main thread has given back, bytes. */
  quarantined(bytes: number): void {
    this.#quarantineRoom += bytes;
  }

  /** What was counted, per exchange. */
  stats(): ExchangeStats[] {
    return [...this.#lanes.values()].map((lane) => lane.stats());
  }

  /** When each symbol of each stream was last heard. */
  freshness(): StreamFreshness[] {
    return [...this.#lanes.values()].flatMap((lane) => lane.freshness());
  }

  /** What the tap of raw frames counted, per exchange. */
  rawStats(): RawStats[] {
    if (this.#raw === null) return [];
    return [...this.#raw.tap.counts].map(([exchange, counts]) => ({ exchange, ...counts }));
  }

  /** Closes all sockets, publishes what was staged, and tells what is still to be told. */
  stop(): void {
    for (const lane of this.#lanes.values()) lane.stop();
    const now = this.#clock.now();
    for (const lane of this.#lanes.values()) lane.clockAgrees(now);
    this.publish();
    this.#raw?.tap.end();
    this.#reportGaps();
  }
}
