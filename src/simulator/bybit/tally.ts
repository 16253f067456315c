/**
 * Counts of frames by what they hold: a socket tells how many frames it took, and the shape of a frame tells
 * how many events it held, so that events are counted as exactly as frames.
 */
import { Counters } from "../counters.ts";
import { LIQUIDATIONS_MAX, TICKER, TRADES_MAX } from "./frames.ts";

/** Kinds of frames. */
export const FRAME_KINDS = ["orderbook", "publicTrade", "tickers", "allLiquidation"] as const;
/** One of {@link FRAME_KINDS}. */
export type FrameKind = (typeof FRAME_KINDS)[number];

/** Kinds of events; a ticker holds up to three. */
export const EVENT_KINDS = [
  "orderbook",
  "publicTrade",
  "markPrice",
  "funding",
  "openInterest",
  "allLiquidation",
] as const;
/** One of {@link EVENT_KINDS}. */
export type EventKind = (typeof EVENT_KINDS)[number];

/** Counts by kind. */
export type Tally<Kind extends string> = Record<Kind, number>;

/** A shape: the kind of frame, and how many events of which kind it holds. */
interface Shape {
  readonly frame: FrameKind;
  readonly events: readonly (readonly [EventKind, number])[];
}

const upTo = (most: number) => Array.from({ length: most }, (_, index) => index + 1);
const MARKS = TICKER.MARK | TICKER.INDEX;
const FUNDINGS = TICKER.RATE | TICKER.NEXT;
const INTERESTS = TICKER.INTEREST | TICKER.VALUE;

const SHAPES = new Map<string, Shape>([["book", { frame: "orderbook", events: [["orderbook", 1]] }]]);
for (const count of upTo(TRADES_MAX)) {
  SHAPES.set(`trades${count}`, { frame: "publicTrade", events: [["publicTrade", count]] });
}
for (const count of upTo(LIQUIDATIONS_MAX)) {
  SHAPES.set(`liquidations${count}`, { frame: "allLiquidation", events: [["allLiquidation", count]] });
}
for (let bits = 0; bits < 8; bits++) {
  const kinds: EventKind[] = [];
  if ((bits & 1) !== 0) kinds.push("markPrice");
  if ((bits & 2) !== 0) kinds.push("funding");
  if ((bits & 4) !== 0) kinds.push("openInterest");
  SHAPES.set(`ticker${bits}`, { frame: "tickers", events: kinds.map((kind) => [kind, 1] as const) });
}
const NAMES = [...SHAPES.keys()];

/** Counts of all symbols of a simulated Bybit. */
export class FrameTally {
  readonly #counters: Counters<string>;

  constructor(symbols: readonly string[]) {
    this.#counters = new Counters(symbols, NAMES);
  }

  /** Frames by slot. */
  get counts(): Float64Array {
    return this.#counters.counts;
  }

  /** The symbol and kind of frames of a slot. */
  at(slot: number): { symbol: string; kind: FrameKind } {
    const { symbol, kind } = this.#counters.at(slot);
    return { symbol, kind: (SHAPES.get(kind) as Shape).frame };
  }

  /** Slot of order book frames. */
  bookSlot(symbol: number): number {
    return this.#counters.slot(symbol, "book");
  }

  /** Slot of frames of `count` trades. */
  tradesSlot(symbol: number, count: number): number {
    return this.#counters.slot(symbol, `trades${count}`);
  }

  /** Slot of frames of `count` liquidations. */
  liquidationsSlot(symbol: number, count: number): number {
    return this.#counters.slot(symbol, `liquidations${count}`);
  }

  /** The kinds of events that a frame of this slot holds; each is there once but for trades and liquidations. */
  eventsAt(slot: number): readonly EventKind[] {
    return (SHAPES.get(this.#counters.at(slot).kind) as Shape).events.map(([kind]) => kind);
  }

  /** Slot of tickers with these changes; `funded` = the contract has funding, else its fields are "". */
  tickerSlot(symbol: number, changed: number, funded: boolean): number {
    const bits =
      ((changed & MARKS) !== 0 ? 1 : 0) +
      (funded && (changed & FUNDINGS) !== 0 ? 2 : 0) +
      ((changed & INTERESTS) !== 0 ? 4 : 0);
    return this.#counters.slot(symbol, `ticker${bits}`);
  }

  /** Frames by kind. */
  frames(): Tally<FrameKind> {
    const sums = zero(FRAME_KINDS);
    const totals = this.#counters.totals();
    for (const [name, { frame }] of SHAPES) sums[frame] += totals[name] ?? 0;
    return sums;
  }

  /** Events by kind. */
  events(): Tally<EventKind> {
    return eventsOf(this.#counters.totals());
  }

  /** Events by kind of each symbol that was sent anything. */
  bySymbol(): Record<string, Tally<EventKind>> {
    return Object.fromEntries(
      Object.entries(this.#counters.bySymbol()).map(([symbol, counts]) => [symbol, eventsOf(counts)]),
    );
  }
}

function eventsOf(counts: Readonly<Record<string, number>>): Tally<EventKind> {
  const sums = zero(EVENT_KINDS);
  for (const [name, { events }] of SHAPES) {
    for (const [kind, each] of events) sums[kind] += each * (counts[name] ?? 0);
  }
  return sums;
}

function zero<Kind extends string>(kinds: readonly Kind[]): Tally<Kind> {
  return Object.fromEntries(kinds.map((kind) => [kind, 0])) as Tally<Kind>;
}
