import { LAYOUTS } from "../events/layout.ts";
import type { Stream } from "../events/streams.ts";
import { Connection, type ConnectionEvents } from "../exchanges/connection.ts";
import type { DecodeCounters, RowWriter } from "../exchanges/decoding/decoder.ts";
import { SymbolTable } from "../exchanges/decoding/symbols.ts";
import { exchangeByName } from "../exchanges/exchanges.ts";
import { RingProducer } from "../ring/producer.ts";
import type { Clock } from "./clock.ts";
import type { ExchangeJob, ExchangeStats, FromIngest } from "./messages.ts";

interface Lane {
  readonly exchange: string;
  readonly connections: Connection[];
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
  readonly #lanes: Lane[] = [];
  readonly #producers: RingProducer[] = [];
  readonly #clock: Clock;
  readonly #connectionCounter: Int32Array;
  readonly #publishBatch: number;
  readonly #post: (message: FromIngest) => void;
  #quarantineRoom: number;
  #framesStaged = 0;
  #publishScheduled = false;

  constructor(options: {
    clock: Clock;
    connectionCounter: SharedArrayBuffer;
    publishBatch: number;
    quarantineInFlight: number;
    post(message: FromIngest): void;
  }) {
    this.#clock = options.clock;
    this.#connectionCounter = new Int32Array(options.connectionCounter);
    this.#publishBatch = options.publishBatch;
    this.#quarantineRoom = options.quarantineInFlight;
    this.#post = options.post;
  }

  /** Opens the connections of an exchange. */
  add(job: ExchangeJob): void {
    const exchange = exchangeByName(job.exchange);
    const symbols = new SymbolTable();
    for (const { instrument, number } of job.instruments) symbols.add(instrument, number);
    const writers: Partial<Record<Stream, RowWriter>> = {};
    for (const { stream, handle } of job.rings) {
      const producer = new RingProducer(handle, LAYOUTS[stream].seq);
      this.#producers.push(producer);
      writers[stream] = producer;
    }
    const counters: DecodeCounters = { fallback: 0, inexact: 0, oversized: 0 };
    const lane: Lane = { exchange: job.exchange, connections: [], counters, notKept: 0, lastEvent: null };
    this.#lanes.push(lane);
    const decoder = exchange.createDecoder({ symbols, writers, counters });
    const events = this.#eventsOf(lane);
    for (const plan of job.plans) {
      const connection = new Connection({
        exchange,
        wsUrl: job.wsUrl,
        plan,
        decoder,
        bounds: job.bounds,
        events,
      });
      lane.connections.push(connection);
      connection.start();
    }
  }

  #eventsOf(lane: Lane): ConnectionEvents {
    const { exchange } = lane;
    return {
      nextNumber: () => Atomics.add(this.#connectionCounter, 0, 1),
      now: () => this.#clock.now(),
      opened: ({ number, url, subscriptions }) =>
        this.#post({
          type: "notice",
          notice: { event: "ws_connect", exchange, connection: number, url, subscriptions },
        }),
      closed: ({ number, url }, why) =>
        this.#post({
          type: "notice",
          notice: { event: "ws_disconnect", exchange, connection: number, url, ...why },
        }),
      decoded: (_connection, local) => {
        lane.lastEvent = local;
        this.#staged();
      },
      undecodable: ({ number }, frame, local, reason) => {
        if (frame.length > this.#quarantineRoom) {
          lane.notKept++;
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
        this.#post({
          type: "notice",
          notice: { event: "subscription_refused", exchange, connection: number, channels, error },
        }),
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
    for (const producer of this.#producers) producer.publish();
  }

  /** Room for undecodable frames that the main thread has given back, bytes. */
  quarantined(bytes: number): void {
    this.#quarantineRoom += bytes;
  }

  /** What was counted, per exchange. */
  stats(): ExchangeStats[] {
    return this.#lanes.map((lane) => {
      const sum = (count: (connection: Connection) => number) =>
        lane.connections.reduce((total, connection) => total + count(connection), 0);
      return {
        exchange: lane.exchange,
        frames: sum((c) => c.counters.frames),
        bytes: sum((c) => c.counters.bytes),
        control: sum((c) => c.counters.control),
        ignored: sum((c) => c.counters.ignored),
        unwanted: sum((c) => c.counters.unwanted),
        undecodable: sum((c) => c.counters.undecodable),
        ...lane.counters,
        notKept: lane.notKept,
        reconnects: sum((c) => c.counters.reconnects),
        connections: lane.connections.length,
        open: sum((c) => (c.isOpen ? 1 : 0)),
        subscriptions: sum((c) => (c.isOpen ? c.subscriptions : 0)),
        lastEvent: lane.lastEvent,
      };
    });
  }

  /** Closes all sockets and publishes what was staged. */
  stop(): void {
    for (const lane of this.#lanes) for (const connection of lane.connections) connection.stop();
    this.publish();
  }
}
