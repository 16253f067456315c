/**
 * A connection that carries more than its line can: it falls behind, is replaced, falls behind again, and is then split
 * in two of about the same rate, without a lost or doubled event. A real lane, real sockets, a front that gives each
 * connection so many bytes a second.
 *
 * By default data must be 3 s (`connection.lag`) later than usual for five bins of a second; here 300 ms for three bins
 * of 200 ms.
 */
import { expect, test } from "bun:test";
import { RawTap } from "../../src/capture/tap.ts";
import { LAYOUTS, SYMBOL } from "../../src/events/layout.ts";
import { binance } from "../../src/exchanges/binance.ts";
import { Collector, type DecodedEvent } from "../../src/exchanges/decoding/collector.ts";
import type { RowWriter } from "../../src/exchanges/decoding/decoder.ts";
import { SymbolTable } from "../../src/exchanges/decoding/symbols.ts";
import { DIRECT } from "../../src/exchanges/dialer.ts";
import { LAG_WATCH } from "../../src/exchanges/watchdog/lag-watch.ts";
import { Clock } from "../../src/ingest/clock.ts";
import { Lane } from "../../src/ingest/lane.ts";
import type { ConnectionNotice, GapNotice, IngestNotice } from "../../src/ingest/messages.ts";
import { startBinance } from "../../src/simulator/binance.ts";
import { TEST_BOUNDS } from "../helpers/connection.ts";
import { Front } from "../helpers/front.ts";
import { still, waitFor } from "../helpers/wait.ts";
import { SEED } from "../lib/seed.ts";

const INSTRUMENTS = 20;
/** Quotes and trades per second. */
const RATE = 600;
/** Of what all quotes need, what one connection is given. */
const SHARE = 0.7;
/** Bytes of a quote, its frame's head included. */
const QUOTE_BYTES = 190;
/** Of all moves of the simulated markets, those that are quotes. */
const QUOTES = 0.87;
const TICK = 50;

type Replaced = Extract<IngestNotice, { event: "connection_replaced" }>;

test("a connection that lags again after it was replaced is split in two by rate, without a lost event", async () => {
  console.log(`lane split: TAPEDECK_TEST_SEED=${SEED}`);
  await using stack = new AsyncDisposableStack();
  const exchange = startBinance({ seed: SEED, instruments: INSTRUMENTS, rate: RATE, account: true });
  stack.defer(() => exchange.stop());
  const rate = RATE * QUOTES * QUOTE_BYTES * SHARE;
  const front = stack.use(await new Front(exchange.port, { rate }).listen());

  const names = exchange.instruments
    .map(({ symbol }) => symbol)
    .filter((name) => /^[A-Z0-9]+USDT$/.test(name));
  const symbols = new SymbolTable();
  for (const [number, name] of names.entries()) symbols.add(name, number);
  const rows = new Collector(binance, symbols);
  /** The connection that brought the last row of each symbol. */
  const carriers = new Map<string, number>();
  const { bbo } = rows.writers;
  if (bbo === undefined) throw new Error("no writer of bbo");
  const { numbers } = bbo.row;
  const writer: RowWriter = {
    ...bbo,
    commit: () => {
      carriers.set(names[numbers[SYMBOL]], numbers[LAYOUTS.bbo.connection]);
      return bbo.commit();
    },
  };
  const notices: IngestNotice[] = [];
  const gaps: GapNotice[] = [];
  const ended: ConnectionNotice[] = [];
  const clock = new Clock();
  let number = 0;
  const tap = new RawTap(1 << 20, () => undefined);
  stack.defer(() => tap.end());
  const job = {
    exchange: "binance",
    wsUrl: front.url,
    subscriptions: binance
      .subscriptions(
        ["bbo"],
        names.map((instrument) => ({ instrument })),
      )
      .filter(({ streams }) => streams.length > 0),
    limits: { channels: 200, characters: null },
    instruments: names.map((instrument, number) => ({ instrument, number })),
    rings: [],
    bounds: {
      ...TEST_BOUNDS,
      lag: { ...LAG_WATCH, limit: 300, bins: 3, binsMin: 3, bin: 200 },
      overlap: 500,
    },
    dialing: DIRECT,
    since: clock.now(),
  };
  const lane = new Lane({
    job,
    raw: { tap, writers: { bbo: writer } },
    events: {
      now: () => clock.now(),
      nextNumber: () => number++,
      notice: (notice) => notices.push(notice),
      gaps: (some) => gaps.push(...some),
      ended: (one) => ended.push(one),
      instrumentsChanged: () => undefined,
      quarantine: () => true,
      staged: () => undefined,
      connectionsChanged: () => undefined,
    },
  });
  stack.defer(() => lane.stop());
  lane.apply(job);
  const ticking = setInterval(() => lane.tick(clock.now(), false), TICK);
  stack.defer(() => clearInterval(ticking));

  const events: DecodedEvent[] = [];
  const replaced = () => notices.filter((one): one is Replaced => one.event === "connection_replaced");
  const state = () => `${JSON.stringify(notices, null, 1)}\n${JSON.stringify(lane.stats())}`;
  await waitFor("two replacements", () => replaced().length === 2, { timeout: 90_000, state });
  // What the two bring now is not late any more.
  const lagging = () => notices.filter(({ event }) => event === "connection_lagging").length;
  await Bun.sleep(4000);
  expect(replaced()).toMatchObject([
    { connection: 0, by: [1], why: "lag", failed: false, unmatched: 0 },
    { connection: 1, by: [2, 3], why: "lag", failed: false, unmatched: 0 },
  ]);
  expect(lagging()).toBe(2);
  expect(lane.stats()).toMatchObject({
    connections: 2,
    open: 2,
    reconnects: 0,
    replacements: 2,
    undecodable: 0,
  });

  await exchange.pause();
  await still(
    "events",
    () => {
      events.push(...rows.take());
      return events.length;
    },
    { every: 100 },
  );
  lane.stop();

  // Every event of every symbol from its first one on, once. While old and new bring it, the old one is later: rows are
  // in the order in which they came.
  const found = Map.groupBy(events, ({ instrument }) => String(instrument));
  const expected = Map.groupBy(
    exchange.account?.events({ kind: "bookTicker" }) ?? [],
    ({ symbol }) => symbol,
  );
  const rates = new Map<string, number>();
  for (const name of names) {
    const made = (expected.get(name) ?? []).filter(({ sent }) => sent.length > 0).map(({ id }) => id);
    const recorded = (found.get(name) ?? []).map(({ update_id }) => String(update_id));
    expect(recorded.toSorted(), name).toEqual(made.toSorted());
    rates.set(name, made.length);
  }
  expect(events.length).toBeGreaterThan(RATE);

  // Two of about the same rate: the loudest symbol is all that may lie between them.
  const carried = new Map<number, number>();
  for (const [name, connection] of carriers) {
    carried.set(connection, (carried.get(connection) ?? 0) + (rates.get(name) ?? 0));
  }
  console.log(`events of what each connection carries after the split: ${JSON.stringify([...carried])}`);
  expect([...carried.keys()].sort()).toEqual([2, 3]);
  const [a = 0, b = 0] = carried.values();
  expect(Math.abs(a - b)).toBeLessThanOrEqual(1.2 * Math.max(...rates.values()));

  // Each time a gap says from when data were late, and that it is over.
  const lag = gaps.filter(({ reason }) => reason === "lag");
  expect(lag.length).toBeGreaterThanOrEqual(2);
  for (const gap of lag) {
    expect(gap).toMatchObject({ stream: "bbo", certainty: "possible" });
    expect(Number(gap.to)).toBeGreaterThan(Number(gap.from));
  }
  expect(gaps.filter(({ reason }) => reason !== "lag" && reason !== "start")).toEqual([]);
  // Sockets: the first and its successor were closed by us.
  expect(ended.map(({ connection, code, reason }) => [connection, code, reason]).slice(0, 2)).toEqual([
    [0, 1000, "replaced (lag)"],
    [1, 1000, "replaced (lag)"],
  ]);
}, 180_000);
