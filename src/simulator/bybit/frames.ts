/** Frames of Bybit v5 linear, key for key and spelled as on the wire. */
import { FixedMemo, fixed, integer } from "../decimals.ts";
import type { Market } from "../market.ts";
import type { Instrument } from "./instruments.ts";

/** Most trades that one frame of the simulator holds. */
export const TRADES_MAX = 8;
/** Most liquidations that one frame of the simulator holds. */
export const LIQUIDATIONS_MAX = 8;

const RATE_DECIMALS = 8;
const VALUE_DECIMALS = 2;
const BLOCK_EVERY = 997;

/** What a ticker may tell of; a delta carries those that changed. */
export const TICKER = {
  LAST: 1,
  MARK: 2,
  INDEX: 4,
  INTEREST: 8,
  VALUE: 16,
  RATE: 32,
  NEXT: 64,
  BOOK: 128,
} as const;

/** State of a ticker beside its market. */
export interface TickerState {
  /** Price units. */
  mark: number;
  /** Price units. */
  index: number;
  /** Amount units, one side. */
  interest: number;
  /** Units of the eighth digit. */
  rate: number;
  /** ms; 0 = no funding. */
  nextFundingMs: number;
}

/** A drawn liquidation. */
export interface Liquidation {
  readonly ms: number;
  /** Whether the position was long: then the order sold, and Bybit says Buy. */
  readonly long: boolean;
  /** Amount units. */
  readonly amount: number;
  /** Price units. */
  readonly price: number;
}

/** Spells one instrument's frames; the parts that never change are joined once. */
export class FrameSpeller {
  readonly #instrument: Instrument;
  readonly #symbol: string;
  readonly #uuidHead: string;
  readonly #bid: FixedMemo;
  readonly #ask: FixedMemo;
  readonly #bidAmount: FixedMemo;
  readonly #askAmount: FixedMemo;

  /** @param uuidHead first 24 characters of this symbol's trade ids */
  constructor(instrument: Instrument, uuidHead: string) {
    this.#instrument = instrument;
    this.#symbol = instrument.symbol;
    this.#uuidHead = uuidHead;
    this.#bid = new FixedMemo(instrument.priceDecimals);
    this.#ask = new FixedMemo(instrument.priceDecimals);
    this.#bidAmount = new FixedMemo(instrument.amountDecimals);
    this.#askAmount = new FixedMemo(instrument.amountDecimals);
  }

  /**
   * `{"topic":"orderbook.1.BTCUSDT","ts":1795170600873,"type":"snapshot","data":{"s":"BTCUSDT",
   * "b":[["84120.40","4.118"]],"a":[["84120.50","0.905"]],"u":71004512,"seq":371004512},"cts":1795170600871}`
   */
  book(market: Market, updateId: number, matchedMs: number, sentMs: number): string {
    const bid = this.#bid.spell(market.bid);
    const bidAmount = this.#bidAmount.spell(market.bidAmount);
    const ask = this.#ask.spell(market.ask);
    const askAmount = this.#askAmount.spell(market.askAmount);
    return `{"topic":"orderbook.1.${this.#symbol}","ts":${integer(sentMs)},"type":"snapshot","data":{"s":"${this.#symbol}","b":[["${bid}","${bidAmount}"]],"a":[["${ask}","${askAmount}"]],"u":${integer(updateId)},"seq":${integer(market.updateId)}},"cts":${integer(matchedMs)}}`;
  }

  /** The id of a trade, given by the number of its fill. */
  tradeId(fill: number): string {
    return this.#uuidHead + fill.toString(16).padStart(12, "0");
  }

  /** How many trades the market's last event is: its fills. */
  tradesOf(market: Market): number {
    return Math.min(TRADES_MAX, market.lastFill - market.firstFill + 1);
  }

  /**
   * `{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1795170601034,"data":[{"T":1795170600911,
   * "s":"BTCUSDT","S":"Sell","v":"0.027","p":"84120.50","L":"MinusTick",
   * "i":"9b2f0c11-5d0e-5a44-8f00-000000a1b2c3","BT":false,"RPI":false,"seq":371004513}]}`: the fills of one
   * order, at one price and time, with one `seq`.
   */
  trades(market: Market, tradedMs: number, sentMs: number): string {
    const { priceDecimals, amountDecimals } = this.#instrument;
    const count = this.tradesOf(market);
    const side = market.buyerIsMaker ? "Sell" : "Buy";
    const tick = market.buyerIsMaker ? "MinusTick" : "PlusTick";
    const head = `{"T":${integer(tradedMs)},"s":"${this.#symbol}","S":"${side}","v":"`;
    const price = fixed(market.price, priceDecimals);
    const rpi = market.ordinaryAmount !== market.amount;
    const seq = integer(market.updateId);
    const share = Math.floor(market.amount / count);
    let items = "";
    for (let i = 0; i < count; i++) {
      const fill = market.firstFill + i;
      const units = i === 0 ? market.amount - share * (count - 1) : share;
      const id = this.tradeId(fill);
      items += `${i === 0 ? "" : ","}${head}${fixed(units, amountDecimals)}","p":"${price}","L":"${i === 0 ? "" : "Zero"}${tick}","i":"${id}","BT":${fill % BLOCK_EVERY === 0},"RPI":${rpi && i === 0},"seq":${seq}}`;
    }
    return `{"topic":"publicTrade.${this.#symbol}","type":"snapshot","ts":${integer(sentMs)},"data":[${items}]}`;
  }

  /**
   * `{"topic":"allLiquidation.BTCUSDT","type":"snapshot","ts":1795170611055,"data":[{"T":1795170610618,
   * "s":"BTCUSDT","S":"Buy","v":"0.214","p":"83702.10"}]}`
   */
  liquidations(liquidations: readonly Liquidation[], sentMs: number): string {
    const { priceDecimals, amountDecimals } = this.#instrument;
    const items = liquidations.map(
      ({ ms, long, amount, price }) =>
        `{"T":${ms},"s":"${this.#symbol}","S":"${long ? "Buy" : "Sell"}","v":"${fixed(amount, amountDecimals)}","p":"${fixed(price, priceDecimals)}"}`,
    );
    return `{"topic":"allLiquidation.${this.#symbol}","type":"snapshot","ts":${sentMs},"data":[${items.join(",")}]}`;
  }

  /** A whole ticker; a dated contract has no funding: both fields "". */
  tickerSnapshot(market: Market, state: TickerState, sentMs: number): string {
    return this.#ticker("snapshot", market, state, 255, sentMs);
  }

  /**
   * `{"topic":"tickers.BTCUSDT","type":"delta","data":{"symbol":"BTCUSDT","markPrice":"84118.21"},
   * "cs":371004513,"ts":1795170605000}`; `changed` is a sum of {@link TICKER}.
   */
  tickerDelta(market: Market, state: TickerState, changed: number, sentMs: number): string {
    return this.#ticker("delta", market, state, changed, sentMs);
  }

  #ticker(
    type: "snapshot" | "delta",
    market: Market,
    state: TickerState,
    changed: number,
    sentMs: number,
  ): string {
    const { priceDecimals, amountDecimals, fundingHours } = this.#instrument;
    const whole = type === "snapshot";
    const price = (units: number) => fixed(units, priceDecimals);
    const amount = (units: number) => fixed(units, amountDecimals);
    const last = price(market.price);
    const oneSide = (state.interest / 10 ** amountDecimals) * (state.mark / 10 ** priceDecimals);
    const fields: [string, string][] = [["symbol", this.#symbol]];
    const has = (group: number) => (changed & group) !== 0;
    if (has(TICKER.LAST)) fields.push(["tickDirection", "PlusTick"], ["price24hPcnt", "0.00512"]);
    if (has(TICKER.LAST)) fields.push(["lastPrice", last]);
    if (whole) {
      for (const key of ["prevPrice24h", "highPrice24h", "lowPrice24h", "prevPrice1h"]) {
        fields.push([key, last]);
      }
    }
    if (has(TICKER.MARK)) fields.push(["markPrice", price(state.mark)]);
    if (has(TICKER.INDEX)) fields.push(["indexPrice", price(state.index)]);
    if (has(TICKER.INTEREST)) fields.push(["openInterest", amount(state.interest * 2)]);
    if (has(TICKER.VALUE)) fields.push(["openInterestValue", (oneSide * 2).toFixed(VALUE_DECIMALS)]);
    if (whole) fields.push(["turnover24h", "1000000.0000"], ["volume24h", "1000.0000"]);
    if (whole && fundingHours > 0) {
      fields.push(["fundingIntervalHour", String(fundingHours)], ["fundingCap", "0.005"]);
    }
    if (has(TICKER.INTEREST)) fields.push(["singleOpenInterest", amount(state.interest)]);
    if (has(TICKER.VALUE)) fields.push(["singleOpenInterestValue", oneSide.toFixed(VALUE_DECIMALS)]);
    const funded = fundingHours > 0;
    if (has(TICKER.NEXT)) fields.push(["nextFundingTime", funded ? String(state.nextFundingMs) : ""]);
    if (has(TICKER.RATE)) fields.push(["fundingRate", funded ? rateText(state.rate) : ""]);
    if (has(TICKER.BOOK)) {
      fields.push(["bid1Price", price(market.bid)], ["bid1Size", amount(market.bidAmount)]);
      fields.push(["ask1Price", price(market.ask)], ["ask1Size", amount(market.askAmount)]);
    }
    const data = fields.map(([key, value]) => `"${key}":"${value}"`).join(",");
    return `{"topic":"tickers.${this.#symbol}","type":"${type}","data":{${data}},"cs":${integer(market.updateId)},"ts":${integer(sentMs)}}`;
  }
}

/** A signed fraction without trailing zeros, as the exchange has them. */
function rateText(units: number): string {
  const text = fixed(Math.abs(units), RATE_DECIMALS).replace(/\.?0+$/, "");
  return units < 0 ? `-${text}` : text;
}
