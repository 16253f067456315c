/**
 * Payloads of Binance USD-M futures, key for key and spelled as on the wire.
 *
 * Each function returns the payload of a raw `/ws` connection; `/stream` wraps it as
 * `{"stream":"btcusdt@aggTrade","data":<payload>}`.
 */
import { FixedMemo, fixed, integer } from "../decimals.ts";
import type { Market } from "../market.ts";
import type { Instrument } from "./instruments.ts";

/** Digits of prices in markPrice frames, whatever the instrument. */
const MARK_DECIMALS = 8;

/** The start of a wrapped frame; the payload and one `}` follow. */
export function wrapperHead(stream: string): string {
  return `{"stream":${JSON.stringify(stream)},"data":`;
}

/**
 * `{"e":"contractInfo","E":1795170600871,"s":"BTCUSDT","ps":"BTCUSDT","ct":"PERPETUAL","dt":4133404800000,
 * "ot":1569398400000,"cs":"TRADING"}`; brackets (`bks`) come only when those have changed.
 */
export function contractInfo(instrument: Instrument, sentMs: number): string {
  return JSON.stringify({
    e: "contractInfo",
    E: sentMs,
    s: instrument.symbol,
    ps: instrument.pair,
    ct: instrument.contractType,
    dt: instrument.deliveryMs,
    ot: instrument.onboardMs,
    cs: instrument.status,
  });
}

/** State of the mark price of one symbol, moved once a second. */
export interface MarkState {
  /** Prices in quote currency. */
  mark: number;
  average: number;
  index: number;
  settlement: number;
  /** Funding rate as a fraction. */
  rate: number;
}

/** Spells one instrument's payloads; the parts that never change are joined once. */
export class FrameSpeller {
  readonly #instrument: Instrument;
  readonly #symbol: string;
  readonly #bookHead: string;
  readonly #names: string;
  readonly #bid: FixedMemo;
  readonly #ask: FixedMemo;
  readonly #bidAmount: FixedMemo;
  readonly #askAmount: FixedMemo;

  constructor(instrument: Instrument) {
    this.#instrument = instrument;
    this.#symbol = JSON.stringify(instrument.symbol);
    const pair = JSON.stringify(instrument.pair);
    this.#bookHead = `,"s":${this.#symbol},"ps":${pair},"b":"`;
    this.#names = `"ps":${pair},"st":1}}`;
    this.#bid = new FixedMemo(instrument.priceDecimals);
    this.#ask = new FixedMemo(instrument.priceDecimals);
    this.#bidAmount = new FixedMemo(instrument.amountDecimals);
    this.#askAmount = new FixedMemo(instrument.amountDecimals);
  }

  /**
   * `{"e":"bookTicker","u":371004512,"s":"BTCUSDT","ps":"BTCUSDT","b":"84120.40","B":"4.118",
   * "a":"84120.50","A":"0.905","T":1795170600871,"E":1795170600871,"st":1}`
   */
  bookTicker(market: Market, matchedMs: number, sentMs: number): string {
    const bid = this.#bid.spell(market.bid);
    const bidAmount = this.#bidAmount.spell(market.bidAmount);
    const ask = this.#ask.spell(market.ask);
    const askAmount = this.#askAmount.spell(market.askAmount);
    return `{"e":"bookTicker","u":${integer(market.updateId)}${this.#bookHead}${bid}","B":"${bidAmount}","a":"${ask}","A":"${askAmount}","T":${integer(matchedMs)},"E":${integer(sentMs)},"st":1}`;
  }

  /**
   * `{"e":"aggTrade","E":1795170601034,"a":3500417,"s":"BTCUSDT","p":"84120.50","q":"0.027","nq":"0.027",
   * "f":8200611,"l":8200613,"T":1795170600911,"m":true,"st":1}`
   */
  aggTrade(market: Market, tradedMs: number, sentMs: number): string {
    const { priceDecimals, amountDecimals } = this.#instrument;
    const price = fixed(market.price, priceDecimals);
    const amount = fixed(market.amount, amountDecimals);
    const ordinary =
      market.ordinaryAmount === market.amount ? amount : fixed(market.ordinaryAmount, amountDecimals);
    return `{"e":"aggTrade","E":${integer(sentMs)},"a":${integer(market.tradeId)},"s":${this.#symbol},"p":"${price}","q":"${amount}","nq":"${ordinary}","f":${integer(market.firstFill)},"l":${integer(market.lastFill)},"T":${integer(tradedMs)},"m":${market.buyerIsMaker},"st":1}`;
  }

  /**
   * `{"e":"markPriceUpdate","E":1795170605000,"s":"BTCUSDT","p":"84118.21000000","ap":"84118.21000000",
   * "P":"84119.77310042","i":"84131.06500000","r":"0.00010000","T":1795190400000,"st":1}`; a dated
   * contract has no funding: `"r":"","T":0`.
   */
  markPrice(state: MarkState, sentMs: number): string {
    const { fundingHours } = this.#instrument;
    const spell = (price: number): string => price.toFixed(MARK_DECIMALS);
    const interval = fundingHours * 3_600_000;
    const next = interval === 0 ? 0 : (Math.floor(sentMs / interval) + 1) * interval;
    // A tiny negative rate would be spelled "-0.00000000", which Binance does not send.
    const rate = interval === 0 ? "" : spell(state.rate).replace(/^-(0\.0+)$/, "$1");
    return `{"e":"markPriceUpdate","E":${sentMs},"s":${this.#symbol},"p":"${spell(state.mark)}","ap":"${spell(
      state.average,
    )}","P":"${spell(state.settlement)}","i":"${spell(state.index)}","r":"${rate}","T":${next},"st":1}`;
  }

  /**
   * `{"e":"forceOrder","E":1795170611055,"o":{"s":"BTCUSDT","S":"SELL","o":"LIMIT","f":"IOC","q":"0.214",
   * "p":"83702.10","ap":"84007.60","X":"FILLED","l":"0.133","z":"0.214","T":1795170610418,"ps":"BTCUSDT","st":1}}`
   */
  forceOrder(market: Market, orderedMs: number, sentMs: number): string {
    const { priceDecimals, amountDecimals } = this.#instrument;
    const amount = fixed(market.liquidationAmount, amountDecimals);
    const lastFill = fixed(Math.ceil(market.liquidationAmount * 0.8), amountDecimals);
    const side = market.liquidationSells ? "SELL" : "BUY";
    const average = fixed(market.liquidationSells ? market.bid : market.ask, priceDecimals);
    return `{"e":"forceOrder","E":${sentMs},"o":{"s":${this.#symbol},"S":"${side}","o":"LIMIT","f":"IOC","q":"${amount}","p":"${fixed(
      market.liquidationPrice,
      priceDecimals,
    )}","ap":"${average}","X":"FILLED","l":"${lastFill}","z":"${amount}","T":${orderedMs},${this.#names}`;
  }
}
