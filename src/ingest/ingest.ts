import { discardingWriters } from "../capture/discard.ts";
import type { RawTap } from "../capture/tap.ts";
import { TappedDecoder } from "../capture/tapped-decoder.ts";
import { LAYOUTS } from "../events/layout.ts";
import type { Stream } from "../events/streams.ts";
import { ConnectGate } from "../exchanges/connect-gate.ts";
import { Connection, type ConnectionCounters, type ConnectionEvents } from "../exchanges/connection.ts";
import type { DecodeCounters, Decoder, RowWriter } from "../exchanges/decoding/decoder.ts";
import { SequenceFollower } from "../exchanges/decoding/sequence.ts";
import { SymbolTable } from "../exchanges/decoding/symbols.ts";
import type { Exchange } from "../exchanges/exchange.ts";
import { exchangeByName } from "../exchanges/exchanges.ts";
import { planChanges } from "../exchanges/planner.ts";
import { RingProducer } from "../ring/producer.ts";
import type { Clock } from "./clock.ts";
import type {
  ExchangeJob,
  ExchangeStats,
  FromIngest,
  GapNotice,
  IngestNotice,
  RawStats,
} from "./messages.ts";

/** Gaps that wait to be reported; more are counted, not named. */
const GAPS_MAX = 10_000;

const NOTHING: ConnectionCounters = {
  frames: 0,
  bytes: 0,
  control: 0,
  ignored: 0,
  unwanted: 0,
  undecodable: 0,
  reconnects: 0,
  snapshotFetches: 0,
};
const COUNTED = Object.keys(NOTHING) as (keyof ConnectionCounters)[];

interface Lane {
  readonly exchange: Exchange;
  readonly symbols: SymbolTable;
  readonly decoder: Decoder;
  readonly gate: ConnectGate;
  readonly events: ConnectionEvents;
  connections: Connection[];
  /** What connections counted that are no longer needed. */
  readonly past: ConnectionCounters;
  readonly counters: DecodeCounters;
  notKept: number;
  lastEvent: number | null;
}

/**
 * The work of an ingest worker: connections, decoders, rings.
 *
 * Rows are staged while a socket read is being worked off and published right after it, or earlier when
 * `publishBatch` frames have come.
 */
export class Ingest {
  readonly #lanes = new Map<string, Lane>();
  readonly #producers: RingProducer[] = [];
  readonly #clock: Clock;
  readonly #connectionsChanged: () => void;
  readonly #connectionCounter: Int32Array;
  readonly #publishBatch: number;
  readonly #post: (message: FromIngest) => void;
  readonly #raw: { readonly tap: RawTap; readonly only: boolean } | null;
  #quarantineRoom: number;
  #gaps: GapNotice[] = [];
  #gapsNotNamed = 0;
  #framesStaged = 0;
  #publishScheduled = false;

  constructor(options: {
    clock: Clock;
    /** A socket opened or ended. */
    connectionsChanged(): void;
    connectionCounter: SharedArrayBuffer;
    publishBatch: number;
    quarantineInFlight: number;
    /** Takes every frame as received; with `only`, no rows are kept. */
    raw?: { readonly tap: RawTap; readonly only: boolean } | null;
    post(message: FromIngest): void;
  }) {
    this.#clock = options.clock;
    this.#connectionsChanged = options.connectionsChanged;
    this.#connectionCounter = new Int32Array(options.connectionCounter);
    this.#publishBatch = options.publishBatch;
    this.#quarantineRoom = options.quarantineInFlight;
    this.#raw = options.raw ?? null;
    this.#post = options.post;
  }

  /** Opens, changes and closes connections so that they carry exactly what the job wants. */
  apply(job: ExchangeJob): void {
    const lane = this.#lanes.get(job.exchange) ?? this.#open(job);
    for (const { instrument, number } of job.instruments) lane.symbols.add(instrument, number);
    const { updates, open } = planChanges(lane.connections, job.subscriptions, job.limits);
    lane.connections.forEach((connection, index) => {
      const update = updates[index];
      if (update !== undefined) connection.update(update.add, update.remove);
    });
    this.#closeIdle(lane);
    for (const plan of open) {
      const { wsUrl, bounds } = job;
      const { exchange, decoder, events, gate } = lane;
      const connection = new Connection({ exchange, wsUrl, plan, decoder, bounds, events, gate });
      lane.connections.push(connection);
      connection.start();
    }
  }

  #open(job: ExchangeJob): Lane {
    const exchange = exchangeByName(job.exchange);
    const symbols = new SymbolTable();
    const writers: Partial<Record<Stream, RowWriter>> = this.#raw?.only ? discardingWriters() : {};
    for (const { stream, handle } of job.rings) {
      const producer = new RingProducer(handle, LAYOUTS[stream].seq);
      this.#producers.push(producer);
      writers[stream] = producer;
    }
    const counters: DecodeCounters = { fallback: 0, inexact: 0, oversized: 0 };
    const tradeSequence = new SequenceFollower(({ symbol, ...gap }) => {
      const instrument = symbols.instrumentOf(symbol);
      if (this.#gaps.length >= GAPS_MAX || instrument === null) this.#gapsNotNamed++;
      else this.#gaps.push({ exchange: exchange.name, stream: "trade", instrument, ...gap });
    });
    const decoder = exchange.createDecoder({ symbols, writers, counters, tradeSequence });
    const lane: Lane = {
      exchange,
      symbols,
      decoder: this.#raw === null ? decoder : new TappedDecoder(exchange.name, decoder, this.#raw.tap),
      events: this.#eventsOf(job.exchange),
      gate: new ConnectGate(exchange.limits.connectsPerSecond),
      connections: [],
      past: { ...NOTHING },
      counters,
      notKept: 0,
      lastEvent: null,
    };
    this.#lanes.set(job.exchange, lane);
    return lane;
  }

  /** Closes connections that have nothing left to carry; what they counted stays counted. */
  #closeIdle(lane: Lane): void {
    const idle = lane.connections.filter(({ channels }) => channels.size === 0);
    for (const connection of idle) {
      connection.stop();
      for (const key of COUNTED) lane.past[key] += connection.counters[key];
    }
    lane.connections = lane.connections.filter((connection) => !idle.includes(connection));
  }

  #eventsOf(exchange: string): ConnectionEvents {
    const lane = () => this.#lanes.get(exchange);
    return {
      nextNumber: () => Atomics.add(this.#connectionCounter, 0, 1),
      now: () => this.#clock.now(),
      opened: ({ number, url, channels }) => {
        const subscriptions = channels.size;
        this.#raw?.tap.opened(exchange, number, url);
        this.#notice({ event: "ws_connect", exchange, connection: number, url, subscriptions });
        this.#connectionsChanged();
      },
      closed: ({ number, url }, why) => {
        this.#notice({ event: "ws_disconnect", exchange, connection: number, url, ...why });
        this.#connectionsChanged();
      },
      decoded: (_connection, local) => {
        const here = lane();
        if (here !== undefined) here.lastEvent = local;
        this.#staged();
      },
      instrumentsChanged: () => this.#post({ type: "instruments", exchange }),
      undecodable: ({ number }, frame, local, reason) => {
        if (frame.length > this.#quarantineRoom) {
          const here = lane();
          if (here !== undefined) here.notKept++;
          return;
        }
        this.#quarantineRoom -= frame.length;
        const copy = new Uint8Array(frame);
        this.#post({
          type: "quarantine",
          frame: { exchange, connection: number, local, reason, frame: copy },
        });
      },
      refused: ({ number }, channels, error) =>
        this.#notice({ event: "subscription_refused", exchange, connection: number, channels, error }),
    };
  }

  #notice(notice: IngestNotice): void {
    this.#post({ type: "notice", notice });
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
    for (const producer of this.#producers) producer.publish();
  }

  /** Sends the gaps found since the last call. */
  reportGaps(): void {
    if (this.#gaps.length === 0 && this.#gapsNotNamed === 0) return;
    this.#post({ type: "gaps", gaps: this.#gaps, notNamed: this.#gapsNotNamed });
    this.#gaps = [];
    this.#gapsNotNamed = 0;
  }

  /** Room for undecodable frames that the main thread has given back, bytes. */
  quarantined(bytes: number): void {
    this.#quarantineRoom += bytes;
  }

  /** What was counted, per exchange. */
  stats(): ExchangeStats[] {
    return [...this.#lanes.values()].map((lane) => {
      const counted = { ...lane.past };
      for (const { counters } of lane.connections) for (const key of COUNTED) counted[key] += counters[key];
      const open = lane.connections.filter(({ isOpen }) => isOpen);
      return {
        exchange: lane.exchange.name,
        ...counted,
        ...lane.counters,
        snapshots: lane.decoder.snapshots.frames,
        realigned: lane.decoder.snapshots.realigned,
        notKept: lane.notKept,
        connections: lane.connections.length,
        open: open.length,
        subscriptions: open.reduce((sum, { channels }) => sum + channels.size, 0),
        lastEvent: lane.lastEvent,
      };
    });
  }

  /** What the tap of raw frames counted, per exchange. */
  rawStats(): RawStats[] {
    if (this.#raw === null) return [];
    return [...this.#raw.tap.counts].map(([exchange, counts]) => ({ exchange, ...counts }));
  }

  /** Closes all sockets and publishes what was staged. */
  stop(): void {
    for (const { connections } of this.#lanes.values()) for (const one of connections) one.stop();
    this.publish();
    this.#raw?.tap.end();
  }
}
