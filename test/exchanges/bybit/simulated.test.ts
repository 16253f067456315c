/** The exchange as the recorder uses it against the simulated Bybit: every event sent is a row. */
import { expect, test } from "bun:test";
import { bybit } from "../../../src/exchanges/bybit.ts";
import { ConnectGate } from "../../../src/exchanges/connect-gate.ts";
import { Connection } from "../../../src/exchanges/connection.ts";
import { Collector, type DecodedEvent } from "../../../src/exchanges/decoding/collector.ts";
import { SymbolTable } from "../../../src/exchanges/decoding/symbols.ts";
import { startBybit } from "../../../src/simulator/bybit.ts";
import { dialDirectly, LIVELY, TEST_BOUNDS, unheard } from "../../helpers/connection.ts";
import { asking } from "../../lib/rest.ts";
import { SEED } from "../../lib/seed.ts";
import { until } from "../../lib/until.ts";

/** Kinds that the simulated exchange counts, by stream. */
const KINDS = {
  bbo: "orderbook",
  trade: "publicTrade",
  mark_price: "markPrice",
  funding: "funding",
  open_interest: "openInterest",
  liquidation: "allLiquidation",
} as const;

test("all instruments, all streams, one topic that has no handler", async () => {
  console.log(`simulated Bybit: TAPEDECK_TEST_SEED=${SEED}`);
  const exchange = startBybit({
    seed: SEED,
    instruments: 40,
    pageSize: 15,
    rate: "max",
    events: 30_000,
    liquidationShare: 0.05,
    withoutLiquidations: ["ETHUSDT"],
  });
  await exchange.pause();
  const found = await bybit.fetchInstruments(asking(exchange.restUrl));
  const recorded = found.filter(({ recordable }) => recordable);
  const wanted = recorded.map(({ instrument }) => instrument);
  expect([found.length, wanted.length]).toEqual([42, 40]);
  const symbols = new SymbolTable();
  wanted.forEach((instrument, number) => {
    symbols.add(instrument, number);
  });
  const collector = new Collector(bybit, symbols);
  const counters = { fallback: 0, inexact: 0, oversized: 0 };
  const rows: DecodedEvent[] = [];
  const refused: (readonly string[])[] = [];
  const faults: string[] = [];
  const subscriptions = bybit.subscriptions(bybit.streams, recorded);
  const connection = new Connection({
    exchange: bybit,
    wsUrl: exchange.url,
    plan: { route: subscriptions[0].route, channels: subscriptions.map(({ channel }) => channel) },
    decoder: bybit.createDecoder({ symbols, writers: collector.writers, counters }),
    gate: new ConnectGate({ connectsPerSecond: 1000, connectsPerFiveMinutes: null }),
    bounds: TEST_BOUNDS,
    dial: dialDirectly,
    judged: LIVELY,
    events: {
      ...unheard(),
      now: () => 1,
      closed: (_, { reason }) => faults.push(reason),
      decoded: () => rows.push(...collector.take()),
      instrumentsChanged: () => faults.push("instruments"),
      undecodable: (_, __, ___, reason) => faults.push(reason),
      refused: (_, channels) => refused.push(channels),
    },
  });
  connection.start();
  await until(() => exchange.stats().subscriptions === subscriptions.length - 1, "all subscriptions but one");
  expect(refused).toEqual([["allLiquidation.ETHUSDT"]]);
  exchange.resume();
  await exchange.finished;
  await exchange.pause();
  const { sent, refusedRequestsTotal } = exchange.stats();
  const total = Object.values(sent).reduce((sum, count) => sum + count, 0);
  await until(() => rows.length >= total, "every event");
  expect(faults).toEqual([]);
  connection.stop();
  await exchange.stop();
  for (const [stream, kind] of Object.entries(KINDS)) {
    const own = rows.filter((row) => row.stream === stream);
    expect([stream, own.length]).toEqual([stream, sent[kind]]);
    expect([stream, own.length > 30]).toEqual([stream, true]);
  }
  expect(refusedRequestsTotal).toBe(1);
  expect(rows.some(({ symbol }) => symbol === "币安人生USDT")).toBe(true);
  expect(
    rows.filter(({ stream }) => stream === "liquidation").some(({ symbol }) => symbol === "ETHUSDT"),
  ).toBe(false);
  // The scanners know every frame of today.
  expect(counters).toEqual({ fallback: 0, inexact: 0, oversized: 0 });
}, 180_000);
