/**
 * What every exchange has to do, whichever it is: run over all registered ones, each against its simulated
 * twin, over real sockets. A new exchange is in here as soon as it is registered.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { basename } from "node:path";
import { z } from "zod";
import type { Stream } from "../../src/events/streams.ts";
import { ConnectGate } from "../../src/exchanges/connect-gate.ts";
import { Connection } from "../../src/exchanges/connection.ts";
import { Collector, type DecodedEvent } from "../../src/exchanges/decoding/collector.ts";
import { type Decoder, FRAME, type FrameClass } from "../../src/exchanges/decoding/decoder.ts";
import { SymbolTable } from "../../src/exchanges/decoding/symbols.ts";
import type { Exchange, Instrument } from "../../src/exchanges/exchange.ts";
import { EXCHANGES } from "../../src/exchanges/exchanges.ts";
import { type ConnectionPlan, planChanges } from "../../src/exchanges/planner.ts";
import type { RestGet } from "../../src/exchanges/rest.ts";
import { InstrumentList, restReader } from "../../src/recorder/instruments.ts";
import {
  SIMULATED_EXCHANGES,
  type SimulatedExchange,
  type SimulatedName,
} from "../../src/simulator/exchanges.ts";
import { dialDirectly, LIVELY, TEST_BOUNDS, unheard } from "../helpers/connection.ts";
import { FIXTURES_NOTE, fixtureFilesOf, fixtureLines, HAVE_FIXTURES } from "../lib/fixtures.ts";
import { answered } from "../lib/rest.ts";
import { SEED } from "../lib/seed.ts";
import { until } from "../lib/until.ts";

/** A line of a recorded `rest` file. */
const recordedAnswer = z.object({ request: z.string(), body: z.unknown() });

const INSTRUMENTS = 25;
/** Frames kept for the tests that decode them again. */
const FRAMES_KEPT = 5000;

/** Channels of a connection. */
const CHANNELS_MAX = 200;

/** One exchange being recorded into lists. */
interface Bench {
  readonly twin: SimulatedExchange;
  readonly get: RestGet;
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
  /** How often the exchange said that its instruments have changed. */
  readonly announced: () => number;
  /** From now on these are recorded, and no others. */
  readonly want: (instruments: readonly Instrument[]) => void;
  readonly stop: () => Promise<void>;
}

/** A decoder that keeps what it was given and what came of it. */
function keeping(decoder: Decoder, collector: Collector, bench: Pick<Bench, "frames" | "rows">): Decoder {
  return {
    counters: decoder.counters,
    snapshots: decoder.snapshots,
    get snapshot() {
      return decoder.snapshot;
    },
    get reason() {
      return decoder.reason;
    },
    decode(data, local, connection, from = 0, to = data.length) {
      const kind = decoder.decode(data, local, connection, from, to);
      const rows = collector.take();
      bench.rows.push(...rows);
      if (bench.frames.length < FRAMES_KEPT) bench.frames.push({ bytes: data.slice(from, to), kind, rows });
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
  const get = restReader({ restUrl: twin.restUrl, timeout: 60_000, signal });
  const found = await exchange.fetchInstruments(get);
  const wanted = found.filter(({ recordable }) => recordable);
  const symbols = new SymbolTable();
  const counters = { fallback: 0, inexact: 0, oversized: 0 };
  const lists = { rows: [], frames: [], faults: [] } as Pick<Bench, "rows" | "frames" | "faults">;
  const collector = new Collector(exchange, symbols);
  const decoder = exchange.createDecoder({ symbols, writers: collector.writers, counters });
  const gate = new ConnectGate(exchange.limits);
  let number = 0;
  let announced = 0;
  const connections: Connection[] = [];
  const create = (plan: ConnectionPlan) =>
    new Connection({
      exchange,
      wsUrl: twin.url,
      plan,
      gate,
      decoder: keeping(decoder, collector, lists),
      bounds: { ...TEST_BOUNDS, backoffMax: 500, ackTimeout: 3000 },
      dial: dialDirectly,
      judged: LIVELY,
      events: {
        ...unheard(),
        nextNumber: () => number++,
        instrumentsChanged: () => announced++,
        closed: (_, { reason, retryIn }) => {
          if (retryIn !== null) lists.faults.push(`closed: ${reason}`);
        },
        undecodable: (_, __, ___, reason) => lists.faults.push(`undecodable: ${reason}`),
        refused: (_, channels) => {
          for (const channel of channels)
            if (!channel.includes("NOPE") && !channel.includes("nope"))
              lists.faults.push(`refused: ${channel}`);
        },
      },
    });
  const want = (instruments: readonly Instrument[]) => {
    for (const one of instruments) {
      for (const id of [one.instrument, ...exchange.companions(one)])
        if (symbols.find(id) < 0) symbols.add(id, symbols.instruments.length);
    }
    const asked = [...instruments, { instrument: `NOPE${wanted[0]?.instrument}` }];
    const { updates, open: plans } = planChanges(
      connections,
      exchange.subscriptions(exchange.streams, asked),
      { channels: CHANNELS_MAX, characters: exchange.limits.charactersPerConnection },
    );
    updates.forEach(({ add, remove }, index) => {
      connections[index]?.update(add, remove);
    });
    for (const plan of plans) {
      const connection = create(plan);
      connections.push(connection);
      connection.start();
    }
  };
  want(wanted);
  const stop = async () => {
    for (const connection of connections) connection.stop();
    await twin.stop();
  };
  return {
    twin,
    get,
    found,
    wanted,
    ...lists,
    counters,
    connections,
    announced: () => announced,
    want,
    stop,
  };
}

/** Perpetuals as each exchange writes them: an everyday one, multipliers, figures that are none, beyond ASCII. */
const PERPETUALS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  binance: {
    BTCUSDT: "BTCUSDT",
    "1000PEPEUSDT": "1000PEPEUSDT",
    "1000000MOGUSDT": "1000000MOGUSDT",
    "1MBABYDOGEUSDT": "1MBABYDOGEUSDT",
    "1INCHUSDT": "1INCHUSDT",
    BTCUSDC: "BTCUSDC",
    币安人生USDT: "币安人生USDT",
  },
  bybit: {
    BTCUSDT: "BTCUSDT",
    "1000PEPEUSDT": "1000PEPEUSDT",
    SHIB1000USDT: "SHIB1000USDT",
    "1MBABYDOGEUSDT": "1MBABYDOGEUSDT",
    "1INCHUSDT": "1INCHUSDT",
    BTCPERP: "BTCPERP",
    币安人生USDT: "币安人生USDT",
  },
  okx: {
    "BTC-USDT-SWAP": "BTCUSDT",
    "PEPE-USDT-SWAP": "PEPEUSDT",
    "1000PEPE-USDT-SWAP": "1000PEPEUSDT",
    "1MBABYDOGE-USDT-SWAP": "1MBABYDOGEUSDT",
    "1INCH-USDT-SWAP": "1INCHUSDT",
    "USDC-USDT-SWAP": "USDCUSDT",
    "BTC-USD-SWAP": "BTCUSD",
    "BTC-USD_UM-SWAP": "BTCUSD_UM",
    "币安人生-USDT-SWAP": "币安人生USDT",
  },
};

describe.each([...EXCHANGES])("symbols both ways: $name", (exchange) => {
  const files = fixtureFilesOf(exchange.name);

  /** What an id is to come to: itself, where it is a perpetual; else nothing, or another id of the same symbol. */
  const check = (id: string, perpetual: boolean) => {
    const symbol = exchange.normalizeSymbol(id);
    const back = exchange.instrumentOf(symbol);
    if (perpetual) expect([symbol, back]).toEqual([symbol, id]);
    else if (back !== null) expect([id, exchange.normalizeSymbol(back)]).toEqual([id, symbol]);
  };

  test("own perpetuals", () => {
    const own = Object.entries(PERPETUALS[exchange.name] ?? {});
    expect(own.length).toBeGreaterThan(4);
    for (const [id, symbol] of own) {
      expect([id, exchange.normalizeSymbol(id)]).toEqual([id, symbol]);
      check(id, true);
    }
    expect(exchange.instrumentOf("BTCUSDT_261225")).toBeNull();
  });

  test.skipIf(!HAVE_FIXTURES)(`the recorded lists of instruments${FIXTURES_NOTE}`, async () => {
    const rest = files.filter((file) => basename(file).startsWith("rest.")).flatMap(fixtureLines);
    const answers = rest.map((line) => recordedAnswer.parse(JSON.parse(line)));
    const get = async (path: string) => {
      const { pathname } = new URL(path, "http://host");
      const found = answers.find(
        ({ request }) => new URL(request.slice(4), "http://host").pathname === pathname,
      );
      if (found === undefined) throw new Error(`${pathname} is not recorded`);
      return answered(found.body);
    };
    const found = await exchange.fetchInstruments(get);
    expect(found.some(({ recordable }) => recordable)).toBe(true);
    for (const { instrument, recordable } of found) check(instrument, recordable);
  });

  test.skipIf(!HAVE_FIXTURES)(`the instruments of all recorded frames${FIXTURES_NOTE}`, () => {
    const symbols = new SymbolTable({ open: true });
    const counters = { fallback: 0, inexact: 0, oversized: 0 };
    const { writers } = new Collector(exchange, symbols);
    const decoder = exchange.createDecoder({ symbols, writers, counters });
    const frames = files.filter((file) => !basename(file).startsWith("rest.")).flatMap(fixtureLines);
    for (const frame of frames) decoder.decode(new TextEncoder().encode(frame), 1, 0);
    expect(symbols.instruments.length).toBeGreaterThan(5);
    for (const id of symbols.instruments) check(id, /^[^-_\d]+(?:-USDT-SWAP|(?<!-)USDT)$/.test(id));
  });
});

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
        90_000,
      );
    }, 180_000);

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
        expect(JSON.parse(one.raw ?? "null")).toBeObject();
        expect(one.raw).toContain(`"${one.instrument}"`);
      }
      for (const one of bench.wanted) {
        expect([one.symbol, one.settle]).toEqual([one.symbol, "USDT"]);
        expect(exchange.instrumentOf(one.symbol)).toBe(one.instrument);
      }
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
        for (const one of bench.wanted) {
          for (const id of [one.instrument, ...exchange.companions(one)])
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

    test("takes up what is listed and gives up what is delisted, each as one row of instruments", async () => {
      const { twin, get, wanted, rows, want, connections } = bench;
      const announces = exchange
        .subscriptions(exchange.streams, wanted)
        .some(({ streams }) => streams.length === 0);
      const list = new InstrumentList(exchange, []);
      expect((await list.read(get)).wanted.length).toBe(INSTRUMENTS);
      const before = bench.announced();

      const listing = twin.faults.inject({ kind: "list" });
      await listing.ended;
      if (announces) await until(() => bench.announced() > before, "the announcement of the listing");
      const [fresh = ""] = listing.record.symbols;
      const reading = await list.read(get);
      expect([reading.listed, reading.delisted, reading.same]).toEqual([[fresh], [], false]);
      expect(reading.changed.map(({ instrument }) => instrument)).toEqual([fresh]);
      expect(reading.fresh.map(({ instrument }) => instrument)).toContain(fresh);
      want(reading.wanted);
      const symbol = exchange.normalizeSymbol(fresh);
      // The rest may not happen for minutes to one that is seldom traded.
      const prompt = exchange.promptStreams;
      await until(
        () => prompt.every((stream) => rows.some((row) => row.stream === stream && row.symbol === symbol)),
        `${prompt.join(", ")} of ${fresh}`,
      );

      const gone = wanted[1]?.instrument ?? "";
      const announcedBefore = bench.announced();
      await twin.faults.inject({ kind: "delist", symbol: gone }).ended;
      if (announces)
        await until(() => bench.announced() > announcedBefore, "the announcement of the delisting");
      // A status counts at once; what a list leaves out, when the next one does so too.
      const readings = [await list.read(get), await list.read(get), await list.read(get)];
      expect(readings.flatMap(({ delisted }) => delisted)).toEqual([gone]);
      expect(readings.flatMap(({ listed }) => listed)).toEqual([]);
      expect(readings.flatMap(({ changed }) => changed).map(({ instrument }) => instrument)).toEqual([gone]);
      expect(readings[2].wanted.length).toBe(INSTRUMENTS);
      want(readings[2].wanted);
      await until(() => connections.every(({ settled }) => settled), "an answer for every channel");
      const at = rows.length;
      const others = new Set(readings[2].wanted.map((one) => one.symbol));
      const seen = () => new Set(rows.slice(at).map((row) => row.symbol));
      await until(() => seen().size >= others.size / 2, "rows of the others");
      expect([...seen()].filter((one) => !others.has(String(one)))).toEqual([]);
      expect(bench.faults).toEqual([]);
      expect(bench.counters).toEqual({ fallback: 0, inexact: 0, oversized: 0 });
    }, 180_000);

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
