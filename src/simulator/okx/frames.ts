/** Frames of OKX v5, key for key and spelled as on the wire. Almost every value is a text. */
import { integer } from "../decimals.ts";
import type { Market } from "../market.ts";
import { PlainMemo, plain } from "./decimals.ts";
import type { Instrument } from "./instruments.ts";

const HOUR_MS = 3_600_000;
const RATE_DECIMALS = 16;

/** What moves once a second beside the market. */
export interface SlowState {
  /** Mark and index price in price units. */
  mark: number;
  index: number;
  /** Index price when the day began. */
  readonly open: number;
  /** Funding rates as fractions: the one that comes and the last one. */
  rate: number;
  settledRate: number;
  /** Open contracts in amount units. */
  interest: number;
}

/** Spells one instrument's frames; the parts that never change are joined once. */
export class FrameSpeller {
  readonly #instrument: Instrument;
  readonly #bookHead: string;
  readonly #tradeHead: string;
  readonly #bid: PlainMemo;
  readonly #ask: PlainMemo;
  readonly #bidAmount: PlainMemo;
  readonly #askAmount: PlainMemo;

  constructor(instrument: Instrument) {
    const { instId, priceDecimals, amountDecimals } = instrument;
    this.#instrument = instrument;
    this.#bookHead = `${head("bbo-tbt", instId)}"asks":[["`;
    this.#tradeHead = `${head("trades", instId)}"instId":${JSON.stringify(instId)},"tradeId":"`;
    this.#bid = new PlainMemo(priceDecimals);
    this.#ask = new PlainMemo(priceDecimals);
    this.#bidAmount = new PlainMemo(amountDecimals);
    this.#askAmount = new PlainMemo(amountDecimals);
  }

  /**
   * `{"arg":{"channel":"bbo-tbt","instId":"BTC-USDT-SWAP"},"data":[{"asks":[["84120.5","61.3","0","7"]],
   * "bids":[["84120.4","411.8","0","2"]],"ts":"1795170600871","seqId":371004512}]}`
   */
  book(market: Market, ms: number): string {
    const ask = this.#ask.spell(market.ask);
    const askAmount = this.#askAmount.spell(market.askAmount);
    const bid = this.#bid.spell(market.bid);
    const bidAmount = this.#bidAmount.spell(market.bidAmount);
    return `${this.#bookHead}${ask}","${askAmount}","0","${orders(market.askAmount)}"]],"bids":[["${bid}","${bidAmount}","0","${orders(
      market.bidAmount,
    )}"]],"ts":"${integer(ms)}","seqId":${integer(market.updateId)}}]}`;
  }

  /**
   * `{"arg":{"channel":"trades","instId":"BTC-USDT-SWAP"},"data":[{"instId":"BTC-USDT-SWAP",
   * "tradeId":"8200613","px":"84120.5","sz":"2.7","side":"sell","ts":"1795170600911","count":"3",
   * "source":"0","seqId":371004512}]}`; the id is that of the last of `count` fills.
   */
  trade(market: Market, ms: number): string {
    const { priceDecimals, amountDecimals } = this.#instrument;
    const side = market.buyerIsMaker ? "sell" : "buy";
    const source = market.ordinaryAmount === market.amount ? "0" : "1";
    return `${this.#tradeHead}${integer(market.lastFill)}","px":"${plain(market.price, priceDecimals)}","sz":"${plain(
      market.amount,
      amountDecimals,
    )}","side":"${side}","ts":"${integer(ms)}","count":"${market.lastFill - market.firstFill + 1}","source":"${source}","seqId":${integer(
      market.updateId,
    )}}]}`;
  }

  /**
   * `{"arg":{"channel":"mark-price","instId":"BTC-USDT-SWAP"},"data":[{"instId":"BTC-USDT-SWAP",
   * "instType":"SWAP","markPx":"84118.2","ts":"1795170605000"}]}`
   */
  mark({ mark }: SlowState, ms: number): string {
    const { instId, priceDecimals } = this.#instrument;
    return frame("mark-price", instId, {
      instId,
      instType: "SWAP",
      markPx: plain(mark, priceDecimals),
      ts: String(ms),
    });
  }

  /**
   * `{"arg":{"channel":"index-tickers","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","idxPx":"84131",
   * "open24h":"83434.4","high24h":"84131","low24h":"83434.4","sodUtc0":"83434.4","sodUtc8":"83434.4",
   * "ts":"1795170605000"}]}`
   */
  index({ index, open }: SlowState, ms: number): string {
    const { index: instId, priceDecimals } = this.#instrument;
    const spell = (price: number): string => plain(price, priceDecimals);
    return frame("index-tickers", instId, {
      instId,
      idxPx: spell(index),
      open24h: spell(open),
      high24h: spell(Math.max(index, open)),
      low24h: spell(Math.min(index, open)),
      sodUtc0: spell(open),
      sodUtc8: spell(open),
      ts: String(ms),
    });
  }

  /** `fundingTime` is the settlement that comes; the rate after it is not known: `"nextFundingRate":""`. */
  funding({ rate, settledRate }: SlowState, ms: number): string {
    const { instId, fundingHours } = this.#instrument;
    const interval = fundingHours * HOUR_MS;
    const next = (Math.floor(ms / interval) + 1) * interval;
    return frame("funding-rate", instId, {
      formulaType: "withRate",
      fundingRate: spellRate(rate),
      fundingTime: String(next),
      impactValue: "20000.0000000000000000",
      instId,
      instType: "SWAP",
      interestRate: "0.0001000000000000",
      maxFundingRate: "0.00375",
      method: "current_period",
      minFundingRate: "-0.00375",
      nextFundingRate: "",
      nextFundingTime: String(next + interval),
      premium: spellRate(rate - 0.0001),
      prevFundingTime: String(next - interval),
      settFundingRate: spellRate(settledRate),
      settState: "settled",
      ts: String(ms),
    });
  }

  /**
   * `{"arg":{"channel":"open-interest","instId":"BTC-USDT-SWAP"},"data":[{"instId":"BTC-USDT-SWAP",
   * "instType":"SWAP","oi":"2216113.01","oiCcy":"22161.1301","oiUsd":"1864204102.61","ts":"1795170606000"}]}`
   */
  interest({ interest, mark }: SlowState, ms: number): string {
    const { instId, priceDecimals, amountDecimals, contractPower } = this.#instrument;
    const coins = interest * 10 ** (contractPower - amountDecimals);
    return frame("open-interest", instId, {
      instId,
      instType: "SWAP",
      oi: plain(interest, amountDecimals),
      oiCcy: plain(interest, amountDecimals - contractPower),
      oiUsd: (coins * mark * 10 ** -priceDecimals).toFixed(2),
      ts: String(ms),
    });
  }

  /**
   * `{"arg":{"channel":"liquidation-orders","instType":"SWAP"},"data":[{"details":[{"bkLoss":"0",
   * "bkPx":"83702.1","ccy":"","posSide":"long","side":"sell","sz":"21.4","ts":"1795170610418"}],
   * "instFamily":"BTC-USDT","instId":"BTC-USDT-SWAP","instType":"SWAP","uly":"BTC-USDT"}]}`
   */
  liquidation(market: Market, ms: number): string {
    const { priceDecimals, amountDecimals } = this.#instrument;
    return this.#liquidation(
      plain(market.liquidationPrice, priceDecimals),
      plain(market.liquidationAmount, amountDecimals),
      market.liquidationSells,
      ms,
    );
  }

  /** A liquidation of long ago: what a subscription begins with. */
  pastLiquidation(ms: number): string {
    return this.#liquidation(plain(this.#instrument.price, this.#instrument.priceDecimals), "1", true, ms);
  }

  #liquidation(bkPx: string, sz: string, sells: boolean, ms: number): string {
    const { instId, index } = this.#instrument;
    const side = sells ? "sell" : "buy";
    const posSide = sells ? "long" : "short";
    const details = [{ bkLoss: "0", bkPx, ccy: "", posSide, side, sz, ts: String(ms) }];
    return JSON.stringify({
      arg: { channel: "liquidation-orders", instType: "SWAP" },
      data: [{ details, instFamily: index, instId, instType: "SWAP", uly: index }],
    });
  }
}

function head(channel: string, instId: string): string {
  return `{"arg":${JSON.stringify({ channel, instId })},"data":[{`;
}

function frame(channel: string, instId: string, entry: object): string {
  return JSON.stringify({ arg: { channel, instId }, data: [entry] });
}

/** How many orders make up an amount: any number will do that stays when the amount stays. */
function orders(amount: number): number {
  return 1 + (amount % 9);
}

/** A tiny negative rate would be spelled "-0.00…", which is not sent. */
function spellRate(rate: number): string {
  return rate.toFixed(RATE_DECIMALS).replace(/^-(0\.0+)$/, "$1");
}
