/** One symbol of the simulated Bybit: its market, its ticker, its topics and who has subscribed them. */
import type { Connection } from "../connection.ts";
import { Market } from "../market.ts";
import { Random } from "../random.ts";
import { FrameSpeller, LIQUIDATIONS_MAX, type Liquidation, TICKER, type TickerState } from "./frames.ts";
import type { Instrument } from "./instruments.ts";

/** What usually stands at the best price, in quote currency. */
const USUAL_QUOTE_VALUE = 20_000;
/** Open interest of one side, in quote currency. */
const USUAL_INTEREST_VALUE = 40_000_000;
/** Funding rates in units of the eighth digit. */
const RATE_STEP = 200;
const RATE_MAX = 300_000;
const HOUR_MS = 3_600_000;

/** Topics that have generated frames. */
export const GENERATED = ["orderbook.1", "publicTrade", "tickers", "allLiquidation"] as const;
/** One of {@link GENERATED}. */
export type Generated = (typeof GENERATED)[number];

/** What changes in a second, and how often. */
const CHANGES: readonly (readonly [share: number, changed: number])[] = [
  [0.35, TICKER.MARK | TICKER.INDEX | TICKER.VALUE],
  [0.15, TICKER.MARK],
  [0.1, TICKER.INDEX],
  [0.1, TICKER.INTEREST | TICKER.VALUE],
  [0.05, TICKER.RATE],
  [0.15, TICKER.LAST | TICKER.BOOK],
  [0.05, TICKER.LAST | TICKER.MARK | TICKER.INDEX | TICKER.INTEREST | TICKER.VALUE | TICKER.RATE],
];

/** See the head of the file. */
export class Feed {
  readonly instrument: Instrument;
  /** Number of the symbol among the counts. */
  readonly index: number;
  readonly market: Market;
  readonly speller: FrameSpeller;
  readonly ticker: TickerState;
  readonly subscribers: Readonly<Record<Generated, Connection[]>> = {
    "orderbook.1": [],
    publicTrade: [],
    tickers: [],
    allLiquidation: [],
  };
  /** Topics whose events are made even if nobody is subscribed: for the account, once somebody was. */
  readonly wanted = new Set<Generated>();
  /** Whether it trades. */
  active: boolean;
  /** Number of the book's last change. */
  updateId: number;
  /** When the book last changed, and when its frame was last sent, ms. */
  matchedMs = 0;
  bookSentMs = 0;
  tradedMs = 0;
  /** Liquidations that wait for their frame, and when that is due, ms. */
  liquidations: Liquidation[] = [];
  liquidationsDueMs = 0;
  readonly #random: Random;

  constructor(instrument: Instrument, index: number, seed: string | number) {
    const { symbol, price, tick, priceDecimals, amountDecimals } = instrument;
    const quoted = price / 10 ** priceDecimals;
    const random = new Random(`${seed}/${symbol}/ticker`);
    const ids = new Random(`${seed}/${symbol}/ids`);
    this.instrument = instrument;
    this.index = index;
    this.#random = random;
    this.active = instrument.status === "Trading";
    this.market = new Market({
      price,
      tick,
      amount: (USUAL_QUOTE_VALUE / quoted) * 10 ** amountDecimals,
      random: new Random(`${seed}/${symbol}`),
    });
    this.updateId = 1_000_000 + ids.below(100_000_000);
    this.speller = new FrameSpeller(instrument, uuidHead(ids));
    this.ticker = {
      mark: price,
      index: price,
      interest: Math.round((USUAL_INTEREST_VALUE / quoted) * (0.5 + random.unit()) * 10 ** amountDecimals),
      rate: random.below(10_000),
      nextFundingMs: 0,
    };
  }

  /** The next funding after `ms`; 0 = none. */
  nextFunding(ms: number): number {
    const interval = this.instrument.fundingHours * HOUR_MS;
    return interval === 0 ? 0 : (Math.floor(ms / interval) + 1) * interval;
  }

  /** Moves the ticker by a second; answers what changed, a sum of {@link TICKER}, maybe nothing. */
  moveTicker(wallMs: number): number {
    const { ticker, instrument } = this;
    const random = this.#random;
    let changed = 0;
    let draw = random.unit();
    for (const [share, change] of CHANGES) {
      if (draw < share) {
        changed = change;
        break;
      }
      draw -= share;
    }
    const near = (spread: number) =>
      Math.max(1, Math.round(this.market.mid * (1 + (random.unit() - 0.5) * spread)));
    const mark = near(0.0001);
    const index = near(0.0004);
    const step = random.unit() - 0.5;
    if ((changed & TICKER.MARK) !== 0) ticker.mark = mark;
    if ((changed & TICKER.INDEX) !== 0) ticker.index = index;
    if ((changed & TICKER.INTEREST) !== 0) {
      ticker.interest = Math.max(1, Math.round(ticker.interest * (1 + step * 0.001)));
    }
    if (instrument.fundingHours === 0) return changed & ~(TICKER.RATE | TICKER.NEXT);
    if ((changed & TICKER.RATE) !== 0) {
      const rate = ticker.rate + Math.round(step * 2 * RATE_STEP);
      ticker.rate = Math.max(-RATE_MAX, Math.min(RATE_MAX, rate));
    }
    const next = this.nextFunding(wallMs);
    if (next !== ticker.nextFundingMs) {
      ticker.nextFundingMs = next;
      changed |= TICKER.NEXT;
    }
    return changed;
  }

  /** Whether somebody is to be told. */
  wants(kind: Generated): boolean {
    return this.subscribers[kind].length > 0 || this.wanted.has(kind);
  }

  /** The clock was set: times may go back this once. */
  forgetTimes(): void {
    this.matchedMs = 0;
    this.bookSentMs = 0;
    this.tradedMs = 0;
    this.liquidationsDueMs = 0;
  }

  /** Keeps a liquidation for the next frame; one too many before it is due is left out. */
  keepLiquidation(liquidation: Liquidation): void {
    if (this.liquidations.length < LIQUIDATIONS_MAX) this.liquidations.push(liquidation);
  }
}

/** Begin of a UUID of version 5, with 12 digits to come. */
function uuidHead(random: Random): string {
  const hex = (length: number) => random.uint32().toString(16).padStart(8, "0").slice(0, length);
  return `${hex(8)}-${hex(4)}-5${hex(3)}-8${hex(3)}-`;
}
