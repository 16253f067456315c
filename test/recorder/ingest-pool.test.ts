/** Several ingest workers are to the rest as one: nothing is on two of them, and nothing on none. */
import { afterAll, describe, expect, test } from "bun:test";
import { type Settings, settingsSchema } from "../../src/config/schema.ts";
import type { Exchange, Subscription } from "../../src/exchanges/exchange.ts";
import { exchangeByName } from "../../src/exchanges/exchanges.ts";
import type { ExchangeStats, IngestNotice } from "../../src/ingest/messages.ts";
import { Discovery } from "../../src/recorder/discovery.ts";
import { IngestPool, type IngestPoolOptions, sumByExchange } from "../../src/recorder/ingest-pool.ts";
import { createRings, shareOfCapacity } from "../../src/recorder/rings.ts";
import { partsWith, splitSubscriptions, workersOf } from "../../src/recorder/spread.ts";
import { readRing, ringBytes } from "../../src/ring/memory.ts";
import { startBinance } from "../../src/simulator/binance.ts";
import { createLogger } from "../../src/status/log.ts";
import { waitFor, within } from "../helpers/wait.ts";
import { SEED, seeded } from "../lib/seed.ts";

const NAMES = ["binance", "bybit", "okx"] as const;
const WORKERS_MAX = 16;

describe("workers of exchanges", () => {
  test("every exchange has one, no worker is idle, and none has two exchanges while there are enough", () => {
    for (let exchanges = 1; exchanges <= 5; exchanges++) {
      for (let workers = 1; workers <= WORKERS_MAX; workers++) {
        const all = Array.from({ length: exchanges }, (_, e) => workersOf(e, exchanges, workers));
        const what = `${exchanges} exchanges on ${workers} workers: ${JSON.stringify(all)}`;
        const used = all.flat();
        expect(new Set(used).size, what).toBe(workers);
        expect(Math.min(...used) === 0 && Math.max(...used) === workers - 1, what).toBe(true);
        for (const some of all) expect(some.length, what).toBeGreaterThan(0);
        // No worker serves two exchanges, or no exchange is on two workers.
        expect(used.length, what).toBe(Math.max(workers, exchanges));
        expect(Math.max(...all.map(({ length }) => length)), what).toBe(
          Math.max(1, Math.ceil(workers / exchanges)),
        );
      }
    }
  });

  test("as documented", () => {
    expect([0, 1, 2].map((e) => workersOf(e, 3, 1))).toEqual([[0], [0], [0]]);
    // Binance, by far the busiest, has one for itself.
    expect([0, 1, 2].map((e) => workersOf(e, 3, 2))).toEqual([[0], [1], [1]]);
    expect([0, 1, 2, 3, 4].map((e) => workersOf(e, 5, 2))).toEqual([[0], [1], [1], [0], [0]]);
    expect([0, 1, 2].map((e) => workersOf(e, 3, 5))).toEqual([[0, 3], [1, 4], [2]]);
  });
});

/** Ids that a market could list. */
function listing(exchange: Exchange, count: number): string[] {
  return Array.from({ length: count }, (_, i) => exchange.instrumentOf(`C${i}USDT`) ?? `C${i}USDT`);
}

function subscriptionsOf(exchange: Exchange, instruments: readonly string[]): Subscription[] {
  return exchange.subscriptions(
    exchange.streams,
    instruments.map((instrument) => ({ instrument })),
  );
}

describe.each(NAMES)("subscriptions of %s", (name) => {
  const exchange = exchangeByName(name);

  test("each is on exactly one worker, all of an instrument on the same, and all workers have some", () => {
    const subscriptions = subscriptionsOf(exchange, listing(exchange, 500));
    for (let parts = 1; parts <= WORKERS_MAX; parts++) {
      const split = splitSubscriptions(exchange, subscriptions, parts);
      expect(split.length).toBe(parts);
      const channels = split.flat().map(({ channel }) => channel);
      expect(channels.toSorted()).toEqual(subscriptions.map(({ channel }) => channel).toSorted());
      const homes = new Map<string, number>();
      for (const [part, some] of split.entries()) {
        // Neither far too few nor far too many.
        expect(some.length).toBeGreaterThan((0.4 * subscriptions.length) / parts);
        expect(some.length).toBeLessThan((1.8 * subscriptions.length) / parts);
        for (const { instrument } of some) {
          if (instrument === null) continue;
          const symbol = exchange.normalizeSymbol(instrument);
          expect(homes.get(symbol) ?? part, symbol).toBe(part);
          homes.set(symbol, part);
        }
      }
      expect(homes.size).toBe(500);
    }
  });

  test("a listing or delisting moves nothing else, and no order does", () => {
    const random = seeded(`split ${name}`);
    const instruments = listing(exchange, 300);
    for (let round = 0; round < 20; round++) {
      const parts = 2 + random.below(WORKERS_MAX - 1);
      const some = instruments
        .filter(() => random.below(3) > 0)
        .map((instrument) => ({ instrument, place: random.below(1e9) }))
        .toSorted((a, b) => a.place - b.place)
        .map(({ instrument }) => instrument);
      const homes = new Map(
        splitSubscriptions(exchange, subscriptionsOf(exchange, instruments), parts).flatMap((list, part) =>
          list.map(({ channel }) => [channel, part] as const),
        ),
      );
      for (const [part, list] of splitSubscriptions(
        exchange,
        subscriptionsOf(exchange, some),
        parts,
      ).entries()) {
        for (const { channel } of list) expect(homes.get(channel), channel).toBe(part);
      }
    }
  });

  test("each stream has a ring where its channels are, and nowhere else", () => {
    for (let parts = 1; parts <= WORKERS_MAX; parts++) {
      const split = splitSubscriptions(exchange, subscriptionsOf(exchange, listing(exchange, 500)), parts);
      for (const stream of exchange.streams) {
        const found = split.flatMap((list, part) =>
          list.some(({ streams }) => streams.includes(stream)) ? [part] : [],
        );
        expect(partsWith(exchange, stream, parts), `${stream} on ${parts}`).toEqual(found);
      }
    }
  });
});

function settingsOf(workers: number, more: object = {}): Settings {
  return settingsSchema.parse({ ingest: { workers }, record: { exchanges: NAMES }, ...more });
}

describe("rings", () => {
  test("one worker: one for each exchange and stream, all of a stream together as large as set", () => {
    const settings = settingsOf(1);
    const rings = createRings(settings);
    expect(rings.map(({ exchange, stream }) => `${exchange} ${stream}`)).toEqual(
      NAMES.flatMap((name) => exchangeByName(name).streams.map((stream) => `${name} ${stream}`)),
    );
    expect(rings.map(({ ring }) => ring)).toEqual(rings.map((_, i) => i));
    for (const { worker, stream, handle } of rings) {
      expect(worker).toBe(0);
      const sharing = rings.filter((ring) => ring.stream === stream).length;
      expect(handle.capacity).toBe(shareOfCapacity(settings.ring.capacity[stream], sharing));
    }
  });

  test("unless set otherwise: 500,000 events in all, each ring 250 ms of its peak, whichever exchanges are recorded", () => {
    /** Events a second and exchange in a worst minute. */
    const PEAK = { bbo: 300_000, trade: 100_000, mark_price: 10_000, funding: 10_000 } as const;
    for (const exchanges of [...NAMES.map((name) => [name]), NAMES.slice(1), NAMES]) {
      const rings = createRings(settingsSchema.parse({ record: { exchanges } }));
      const total = rings.reduce((sum, { handle }) => sum + handle.capacity, 0);
      expect(total).toBeGreaterThanOrEqual(500_000);
      for (const [stream, peak] of Object.entries(PEAK)) {
        for (const ring of rings.filter((one) => one.stream === stream))
          expect(ring.handle.capacity).toBeGreaterThanOrEqual(peak / 4);
      }
    }
  });

  test("exchanges share memory: three take less than twice what one takes", () => {
    const bytesOf = (exchanges: readonly string[]) =>
      createRings(settingsSchema.parse({ record: { exchanges } })).reduce(
        (sum, { handle }) => sum + ringBytes(handle),
        0,
      );
    for (const name of NAMES) expect(bytesOf(NAMES)).toBeLessThan(2 * bytesOf([name]));
  });

  test.each([2, 3, 5, 16])("%d workers: each its own, together as large as set", (workers) => {
    const settings = settingsOf(workers, { ring: { capacity: { bbo: 4096, liquidation: 2 } } });
    const rings = createRings(settings);
    expect(rings.map(({ ring }) => ring)).toEqual(rings.map((_, i) => i));
    for (const [index, name] of NAMES.entries()) {
      for (const stream of exchangeByName(name).streams) {
        const some = rings.filter((ring) => ring.exchange === name && ring.stream === stream);
        const sharing = new Set(
          rings.filter((ring) => ring.stream === stream).map(({ exchange }) => exchange),
        );
        const own = some.map(({ worker }) => worker);
        expect(new Set(own).size).toBe(own.length);
        for (const worker of own) expect(workersOf(index, NAMES.length, workers)).toContain(worker);
        const total = some.reduce((sum, { handle }) => sum + handle.capacity, 0);
        const wanted = shareOfCapacity(settings.ring.capacity[stream], sharing.size);
        expect(total).toBeGreaterThanOrEqual(wanted);
        expect(total).toBeLessThan(2 * Math.max(wanted, 2 * own.length));
      }
    }
  });

  test("shares of a capacity are powers of two that hold it together", () => {
    for (let capacity = 2; capacity <= 4_194_304; capacity *= 2) {
      for (let parts = 1; parts <= WORKERS_MAX; parts++) {
        const share = shareOfCapacity(capacity, parts);
        expect(Number.isInteger(Math.log2(share))).toBe(true);
        expect(share).toBeGreaterThanOrEqual(2);
        expect(share).toBeLessThanOrEqual(capacity);
        expect(share * parts).toBeGreaterThanOrEqual(capacity);
      }
    }
  });
});

function statsOf(exchange: string, count: number, lastEvent: number | null): ExchangeStats {
  return {
    exchange,
    frames: count,
    bytes: count * 100,
    control: 1,
    ignored: 2,
    unwanted: 3,
    undecodable: 4,
    fallback: 5,
    inexact: 6,
    oversized: 7,
    notKept: 8,
    reconnects: 9,
    snapshotFetches: 10,
    snapshots: 11,
    realigned: 12,
    replacements: 13,
    duplicates: 14,
    connections: 2,
    open: 1,
    subscriptions: count,
    lastEvent,
  };
}

describe("statistics", () => {
  test("what several workers count for an exchange is one count; the last event is the latest", () => {
    const okx = statsOf("okx", 7, null);
    const sums = sumByExchange([
      [statsOf("binance", 10, 500), okx],
      [],
      [statsOf("binance", 30, 200)],
      [statsOf("binance", 2, null)],
    ]);
    expect(sums).toEqual([
      {
        exchange: "binance",
        frames: 42,
        bytes: 4200,
        control: 3,
        ignored: 6,
        unwanted: 9,
        undecodable: 12,
        fallback: 15,
        inexact: 18,
        oversized: 21,
        notKept: 24,
        reconnects: 27,
        snapshotFetches: 30,
        snapshots: 33,
        realigned: 36,
        replacements: 39,
        duplicates: 42,
        connections: 6,
        open: 3,
        subscriptions: 42,
        lastEvent: 500,
      },
      okx,
    ]);
    expect(sumByExchange([[], []])).toEqual([]);
  });
});

describe("a pool", () => {
  const binance = startBinance({ seed: SEED, instruments: 40, rate: 2000, liquidationShare: 0.1 });
  afterAll(() => binance.stop());
  const settings = settingsOf(3, {
    exchanges: { binance: { ws_url: binance.url, rest_url: binance.restUrl, streams_per_connection: 30 } },
    record: { exchanges: ["binance"] },
  });
  const silent = createLogger({ format: "json", level: "error", write: () => undefined });

  /** A pool that is told by discovery what to do. */
  function start(rings: IngestPoolOptions["rings"]) {
    const notices: IngestNotice[] = [];
    const died = Promise.withResolvers<{ worker: string; why: string }>();
    const pool = new IngestPool(
      { settings, rings, raw: null },
      {
        notice: (notice) => notices.push(notice),
        gaps: () => undefined,
        connectionEnded: () => undefined,
        instrumentsChanged: () => undefined,
        quarantine: () => Promise.resolve(),
        died: (worker, why) => died.resolve({ worker, why }),
      },
    );
    const discovery = new Discovery({
      settings,
      log: silent,
      events: { read: () => Promise.resolve(), wanted: (job) => pool.apply(job) },
    });
    discovery.start();
    return { pool, notices, died: died.promise, discovery };
  }

  test("three workers record an exchange together: every event once, connections numbered in common", async () => {
    await binance.pause();
    const rings = createRings(settings);
    const { pool, notices, discovery } = start(rings);
    const wanted = 3 * 40 + 1;
    const one = () => pool.exchanges[0];
    await waitFor("all subscriptions", () => binance.stats().subscriptions === wanted);
    binance.resume();
    await waitFor("events", () => (one()?.frames ?? 0) > 2000);
    await binance.pause();
    const { sent } = binance.stats();
    const frames = sent.bookTicker + sent.aggTrade + sent.markPrice + sent.forceOrder;
    await waitFor("all frames", () => {
      const { frames: all = 0, control = 0, ignored = 0 } = one() ?? {};
      return all - control - ignored === frames;
    });
    expect(pool.exchanges.length).toBe(1);
    expect(one()).toMatchObject({ undecodable: 0, reconnects: 0, connections: one()?.open });
    expect(Math.abs(pool.clockOffset)).toBeLessThan(10_000_000);
    discovery.stop();
    await pool.stop(5000);
    const connected = notices.flatMap((notice) => (notice.event === "ws_connect" ? [notice] : []));
    expect(connected.map(({ connection }) => connection).toSorted((a, b) => a - b)).toEqual(
      connected.map((_, i) => i),
    );
    // Also what is subscribed is there once; announcements besides.
    expect(connected.reduce((sum, { subscriptions }) => sum + subscriptions, 0)).toBe(wanted + 1);
    const offered: Record<string, number> = {};
    const filled = new Map<string, number>();
    for (const { stream, handle, views } of rings) {
      const reading = readRing(handle, views);
      expect(reading.dropped).toBe(0);
      offered[stream] = (offered[stream] ?? 0) + reading.offered;
      if (reading.offered > 0) filled.set(stream, (filled.get(stream) ?? 0) + 1);
    }
    // Liquidations of other contracts come on the same channel.
    expect(offered.liquidation).toBeGreaterThan(0);
    expect(offered.liquidation).toBeLessThanOrEqual(sent.forceOrder);
    expect(offered).toMatchObject({
      bbo: sent.bookTicker,
      trade: sent.aggTrade,
      mark_price: sent.markPrice,
      funding: sent.markPrice,
    });
    expect(Object.fromEntries(filled)).toEqual({
      bbo: 3,
      trade: 3,
      mark_price: 3,
      funding: 3,
      liquidation: 1,
    });
  }, 180_000);

  test("a worker that dies is named", async () => {
    const rings = createRings(settings).map((ring) =>
      ring.worker === 1 ? { ...ring, handle: { ...ring.handle, memory: new SharedArrayBuffer(8) } } : ring,
    );
    const { pool, died, discovery } = start(rings);
    const { worker, why } = await within("a death", died);
    expect(worker).toBe("ingest worker 1");
    expect(why).not.toBe("");
    discovery.stop();
    await pool.stop(2000);
  }, 180_000);

  test("without a port for each worker, raw frames would be missing: it does not start", () => {
    const events = {
      notice: () => undefined,
      gaps: () => undefined,
      connectionEnded: () => undefined,
      instrumentsChanged: () => undefined,
      quarantine: () => Promise.resolve(),
      died: () => undefined,
    };
    expect(() => new IngestPool({ settings, rings: [], raw: { ports: [], only: true } }, events)).toThrow(
      "no port for the raw frames of ingest worker 0",
    );
  });
});
