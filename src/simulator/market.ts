/** The market of one symbol: a seeded random walk on its tick grid, free of any exchange's frames. */
import type { Random } from "./random.ts";

/** Quote changes per trade, as measured on Binance futures (bookTicker against aggTrade). */
export const QUOTES_PER_TRADE = 6.7;

/** Grid and start of a market; prices and amounts are integers of the smallest spelled decimal. */
export interface MarketOptions {
  /** First mid price in price units (10^-price decimals). */
  readonly price: number;
  /** Price units per tick. */
  readonly tick: number;
  /** Usual amount of a quote in amount units (10^-amount decimals). */
  readonly amount: number;
  /** This market's own random sequence: its moves depend on nothing else. */
  readonly random: Random;
}

/** Amounts spread over about three decades around the usual one; a table spares a power per event. */
const AMOUNT_FACTORS = Float64Array.from({ length: 256 }, (_, i) => 10 ** ((i / 255) * 3 - 2));
const TRADE_SHARE = 1 / (1 + QUOTES_PER_TRADE);
const MOVE_SHARE = 0.35;
const PULL_HOME = 4;
const FILLS_MAX = 6;
const TRADE_AMOUNT_SHARE = 0.2;
const RPI_SHARE = 0.05;

/** One symbol's state; `step` moves it by one event, `liquidate` draws a liquidation. */
export class Market {
  /** Best bid and ask in price units, and what stands there in amount units. */
  bid: number;
  ask: number;
  bidAmount: number;
  askAmount: number;
  /** Grows with each quote by an uneven step, as an id space shared by all symbols does. */
  updateId: number;
  /** Id of the last trade event, consecutive. */
  tradeId: number;
  /** First and last fill of the last trade; the next one starts at `lastFill + 1`. */
  firstFill: number;
  lastFill: number;
  /** The last trade: price, amount, and the part of it that is not retail price improvement. */
  price: number;
  amount: number;
  ordinaryAmount: number;
  /** True when the seller was the aggressor. */
  buyerIsMaker = false;
  /** The last drawn liquidation: is it a sell order, its amount and its limit price. */
  liquidationSells = false;
  liquidationAmount = 0;
  liquidationPrice = 0;

  readonly #random: Random;
  readonly #tick: number;
  readonly #home: number;
  readonly #usualAmount: number;
  readonly #usualSpread: number;
  #midTicks: number;

  constructor({ price, tick, amount, random }: MarketOptions) {
    this.#random = random;
    this.#tick = tick;
    this.#home = Math.max(4, Math.round(price / tick));
    this.#midTicks = this.#home;
    this.#usualAmount = Math.max(1, amount);
    this.#usualSpread = 1 + random.below(2);
    this.updateId = 300_000_000_000 + random.below(4e9) * 10;
    this.tradeId = 1_000_000 + random.below(4e9);
    this.lastFill = this.tradeId * 2 + random.below(1e6);
    this.firstFill = this.lastFill;
    this.bid = this.#midTicks * tick;
    this.ask = this.bid + this.#usualSpread * tick;
    this.bidAmount = this.#drawAmount(1);
    this.askAmount = this.#drawAmount(1);
    this.price = this.bid;
    this.amount = 1;
    this.ordinaryAmount = 1;
  }

  /** The middle between bid and ask in price units; may be half a unit. */
  get mid(): number {
    return (this.bid + this.ask) / 2;
  }

  /** Moves the market by one event and says which: true = a trade, false = a quote. */
  step(): boolean {
    if (this.#random.unit() < TRADE_SHARE) {
      this.#trade();
      return true;
    }
    this.#quote();
    return false;
  }

  /** Draws the liquidation that goes with the last trade, or says false; `share` = how often. */
  liquidate(share: number): boolean {
    if (this.#random.unit() >= share) return false;
    const distance = 1 + this.#random.below(Math.max(1, Math.floor(this.#midTicks / 200)));
    this.liquidationSells = this.#random.unit() < 0.5;
    this.liquidationAmount = this.#drawAmount(1);
    const away = this.#midTicks + (this.liquidationSells ? -distance : distance);
    this.liquidationPrice = Math.max(1, away) * this.#tick;
    return true;
  }

  #quote(): void {
    const random = this.#random;
    this.updateId += 1 + random.below(5000);
    if (random.unit() < MOVE_SHARE) {
      // The further from home the likelier the way back: prices stay plausible for days of walking.
      const drift = (PULL_HOME * (this.#midTicks - this.#home)) / this.#home;
      const up = random.unit() < 0.5 - Math.max(-0.45, Math.min(0.45, drift));
      const ticks = random.unit() < 0.9 ? 1 : 2 + random.below(3);
      this.#midTicks = Math.max(2, this.#midTicks + (up ? ticks : -ticks));
      const spread = random.unit() < 0.9 ? this.#usualSpread : this.#usualSpread + 1 + random.below(4);
      this.bid = this.#midTicks * this.#tick;
      this.ask = this.bid + spread * this.#tick;
      this.bidAmount = this.#drawAmount(1);
      this.askAmount = this.#drawAmount(1);
    } else if (random.unit() < 0.5) {
      this.bidAmount = this.#drawAmount(1);
    } else {
      this.askAmount = this.#drawAmount(1);
    }
  }

  #trade(): void {
    const random = this.#random;
    const fills = random.unit() < 0.6 ? 1 : 1 + random.below(FILLS_MAX);
    this.tradeId += 1;
    this.firstFill = this.lastFill + 1;
    this.lastFill += fills;
    this.buyerIsMaker = random.unit() < 0.5;
    this.price = this.buyerIsMaker ? this.bid : this.ask;
    this.amount = Math.max(fills, this.#drawAmount(TRADE_AMOUNT_SHARE));
    const improved = random.unit() < RPI_SHARE;
    this.ordinaryAmount = improved ? random.below(this.amount) : this.amount;
  }

  #drawAmount(share: number): number {
    const factor = AMOUNT_FACTORS[this.#random.uint32() & 255] ?? 1;
    return Math.max(1, Math.round(this.#usualAmount * share * factor));
  }
}
