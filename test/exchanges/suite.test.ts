/**
 * What every exchange has to do, whichever it is: run over all registered ones, each against its simulated
 * twin, over real sockets. A new exchange is in here as soon as it is registered.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Stream } from "../../src/events/streams.ts";
import { ConnectGate } from "../../src/exchanges/connect-gate.ts";
import { Connection } from "../../src/exchanges/connection.ts";
import { Collector, type DecodedEvent } from "../../src/exchanges/decoding/collector.ts";
import { type Decoder, FRAME, type FrameClass } from "../../src/exchanges/decoding/decoder.ts";
import { SymbolTable } from "../../src/exchanges/decoding/symbols.ts";
import type { Exchange, Instrument } from "../../src/exchanges/exchange.ts";
import { EXCHANGES } from "../../src/exchanges/exchanges.ts";
import { planChanges } from "../../src/exchanges/planner.ts";
import { restReader } from "../../src/recorder/instruments.ts";
import {
  SIMULATED_EXCHANGES,
  type SimulatedExchange,
  type SimulatedName,
} from "../../src/simulator/exchanges.ts";
import { SEED } from "../lib/seed.ts";
import { until } from "../lib/until.ts";

const INSTRUMENTS = 25;
/** Frames kept for the tests that decode them again. */
const FRAMES_KEPT = 5000;

/** One exchange being recorded into lists. */
interface Bench {
  readonly found: readonly Instrument[];
  readonly wanted: readonly Instrument[];
  readonly rows: DecodedEvent[];
  readonly frames: {
    readonly bytes: Uint8Array;
    readonly kind: FrameClass;
    readonly rows: readonly DecodedEvent[];
  }[];
  readonly faults: string[];
  readonly counters: { fallback: number; inexact: number; oversized: number };
  readonly connections: readonly Connection[];
  readonly stop: () => Promise<void>;
}

/** A decoder that keeps what it was given and what came of it. */
function keeping(decoder: Decoder, collector: Collector, bench: Pick<Bench, "frames" | "rows">): Decoder {
  return {
    counters: decoder.counters,
    snapshots: decoder.snapshots,
    get reason() {
      return decoder.reason;
    },
    decode(frame, local, connection) {
      const kind = decoder.decode(frame, local, connection);
      const rows = collector.take();
      bench.rows.push(...rows);
      if (bench.frames.length < FRAMES_KEPT) bench.frames.push({ bytes: Uint8Array.from(frame), kind, rows });
      return kind;
    },
  };
}

/** Starts the twin, discovers, connects and subscribes, one channel of each route being a bad one. */
async function open(exchange: Exchange): Promise<Bench> {
  const twin: SimulatedExchange = SIMULATED_EXCHANGES[exchange.name as SimulatedName]({
    seed: SEED,
    instruments: INSTRUMENTS,
    rate: 4000,
  });
  const signal = new AbortController().signal;
  const found = await exchange.fetchInstruments(restReader({ restUrl: twin.restUrl, timeout: 5000, signal }));
  const wanted = found.filter(({ recordable }) => recordable);
  const symbols = new SymbolTable();
  for (const { instrument } of wanted) {
    for (const id of [instrument, ...exchange.companions(instrument)])
      symbols.add(id, symbols.instruments.length);
  }
  const counters = { fallback: 0, inexact: 0, oversized: 0 };
  const lists = { rows: [], frames: [], faults: [] } as Pick<Bench, "rows" | "frames" | "faults">;
  const collector = new Collector(exchange, symbols);
  const decoder = exchange.createDecoder({ symbols, writers: collector.writers, counters });
  const ids = [...wanted.map(({ instrument }) => instrument), `NOPE${wanted[0]?.instrument}`];
  const { open: plans } = planChanges([], exchange.subscriptions(exchange.streams, ids), {
    channels: 200,
    characters: exchange.limits.charactersPerConnection,
  });
  const gate = new ConnectGate(exchange.limits.connectsPerSecond);
  let number = 0;
  const connections = plans.map(
    (plan) =>
      new Connection({
        exchange,
        wsUrl: twin.url,
        plan,
        gate,
        decoder: keeping(decoder, collector, lists),
        bounds: {
          handshakeTimeout: 5000,
          backoffMin: 50,
          backoffMax: 500,
          ackTimeout: 3000,
          refusedRetry: 60_000,
        },
        events: {
          nextNumber: () => number++,
          now: () => Date.now() * 1000,
          opened: () => undefined,
          closed: (_, { reason, retryIn }) => {
            if (retryIn !== null) lists.faults.push(`closed: ${reason}`);
          },
          decoded: () => undefined,
          instrumentsChanged: () => undefined,
          undecodable: (_, __, ___, reason) => lists.faults.push(`undecodable: ${reason}`),
          refused: (_, channels) => {
            for (const channel of channels)
              if (!channel.includes("NOPE") && !channel.includes("nope"))
                lists.faults.push(`refused: ${channel}`);
          },
        },
      }),
  );
  for (const connection of connections) connection.start();
  const stop = async () => {
    for (const connection of connections) connection.stop();
    await twin.stop();
  };
  return { found, wanted, ...lists, counters, connections, stop };
}

for (const exchange of EXCHANGES) {
  describe(`every exchange: ${exchange.name}`, () => {
    let bench: Bench;

    beforeAll(async () => {
      console.log(`suite ${exchange.name}: TAPEDECK_TEST_SEED=${SEED}`);
      bench = await open(exchange);
      const seen = (stream: Stream) => bench.rows.filter((row) => row.stream === stream);
      await until(
        () =>
          exchange.streams.every((stream) => seen(stream).length > 0) &&
          new Set(seen("bbo").map(({ symbol }) => symbol)).size === INSTRUMENTS,
        `all streams of ${exchange.name}, and a quote of each symbol`,
        30_000,
      );
    }, 60_000);

    afterAll(() => bench.stop());

    test("lists its instruments: each once, those that trade against USDT recordable, others not", () => {
      const ids = bench.found.map(({ instrument }) => instrument);
      expect(new Set(ids).size).toBe(ids.length);
      expect(bench.wanted.length).toBe(INSTRUMENTS);
      expect(bench.found.length).toBeGreaterThan(INSTRUMENTS);
      for (const one of bench.found) {
        expect([one.instrument, exchange.normalizeSymbol(one.instrument)]).toEqual([
          one.instrument,
          one.symbol,
        ]);
        expect([one.instrument, one.raw === null || typeof one.raw !== "object"]).toEqual([
          one.instrument,
          false,
        ]);
      }
      for (const one of bench.wanted) expect([one.symbol, one.settle]).toEqual([one.symbol, "USDT"]);
    });

    test("delivers every stream that it says it has, and no other", () => {
      expect([...new Set(bench.rows.map(({ stream }) => stream))].sort()).toEqual(
        [...exchange.streams].sort(),
      );
    });

    test("brings rows of wanted symbols alone, one beyond ASCII among them", () => {
      const symbols = new Set(bench.wanted.map(({ symbol }) => symbol));
      expect(bench.rows.filter(({ symbol }) => !symbols.has(String(symbol)))).toEqual([]);
      expect(bench.rows.some(({ symbol }) => /[^\x20-\x7e]/.test(String(symbol)))).toBe(true);
    });

    test("is not taken down by a channel that does not exist", () => {
      expect(bench.faults).toEqual([]);
      expect(bench.connections.every(({ isOpen }) => isOpen)).toBe(true);
    });

    test("scans the hot shapes without a fallback, and loses no digit", () => {
      expect(bench.counters).toEqual({ fallback: 0, inexact: 0, oversized: 0 });
    });

    test("reads each frame by itself: a decoder that saw no other frame gives the same rows", () => {
      const events = bench.frames.filter(({ kind }) => kind === FRAME.EVENTS);
      expect(events.length).toBeGreaterThan(100);
      for (const { bytes, rows } of events) {
        const symbols = new SymbolTable({ open: true });
        const collector = new Collector(exchange, symbols);
        const counters = { fallback: 0, inexact: 0, oversized: 0 };
        const decoder = exchange.createDecoder({ symbols, writers: collector.writers, counters });
        decoder.decode(bytes, Date.now() * 1000, 0);
        // What is history is told by the place of a frame in its connection, not by the frame.
        const told = ({ is_history: _, ...row }: DecodedEvent) => row;
        expect(collector.take().map(told)).toEqual(rows.map(told));
      }
    });

    test("reads each frame the same way by its scanner and by JSON", () => {
      for (const { bytes, kind, rows } of bench.frames) {
        const symbols = new SymbolTable();
        for (const { instrument } of bench.wanted) {
          for (const id of [instrument, ...exchange.companions(instrument)])
            symbols.add(id, symbols.instruments.length);
        }
        const collector = new Collector(exchange, symbols);
        const counters = { fallback: 0, inexact: 0, oversized: 0 };
        const writers = collector.writers;
        const decoder = exchange.createDecoder({ symbols, writers, counters, scanners: false });
        const told = ({ is_history: _, ...row }: DecodedEvent) => row;
        expect(decoder.decode(bytes, Date.now() * 1000, 0)).toBe(kind);
        expect(collector.take().map(told)).toEqual(rows.map(told));
      }
    });

    test("answers what keeps a connection open with a frame that is no event", async () => {
      const { keepalive } = exchange;
      if (keepalive === null) return;
      expect(keepalive.interval).toBeLessThanOrEqual(25_000);
      const socket = new WebSocket(bench.connections[0].url);
      const answers: string[] = [];
      socket.onmessage = ({ data }) => answers.push(String(data));
      socket.onopen = () => socket.send(keepalive.message);
      await until(() => answers.length > 0, "the answer to a ping");
      socket.close();
      const symbols = new SymbolTable();
      const counters = { fallback: 0, inexact: 0, oversized: 0 };
      const decoder = exchange.createDecoder({ symbols, writers: {}, counters });
      expect(decoder.decode(new TextEncoder().encode(answers[0]), 1, 0)).toBe(FRAME.CONTROL);
    });
  });
}
