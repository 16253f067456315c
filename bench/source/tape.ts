/**
 * The frames that the load source sends: Binance bookTicker and aggTrade of the simulator's markets, spelled once and
 * kept as bytes of the wire; times and ids are changed in place when they go out.
 */
import { exchangeInfo } from "../../src/simulator/binance/exchange-info.ts";
import { FrameSpeller, wrapperHead } from "../../src/simulator/binance/frames.ts";
import { type Instrument, simulatedInstruments } from "../../src/simulator/binance/instruments.ts";
import { streamSymbol } from "../../src/simulator/binance/streams.ts";
import { Market } from "../../src/simulator/market.ts";
import { Random } from "../../src/simulator/random.ts";
import { Zipf } from "../../src/simulator/zipf.ts";
import { textFrameHead } from "./websocket.ts";

/** What is on a tape. */
export interface TapeOptions {
  /** Perpetuals that trade. */
  readonly symbols: number;
  /** Frames before it begins anew. */
  readonly frames: number;
  /** Share of bookTicker frames; the rest are aggTrade. */
  readonly quotes: number;
}

/** The mix of the promises: 80 % bookTicker, 20 % aggTrade. */
export const MIX: Omit<TapeOptions, "symbols"> = { frames: 32_768, quotes: 0.8 };

const SEED = "bench";
/** As evenly as the simulator spreads activity unless told otherwise. */
const SKEW = 0.8;
/** What usually stands at the best price, in quote currency. */
const USUAL_QUOTE_VALUE = 20_000;
/** Ids of trades begin here, so that they keep their ten digits. */
const FIRST_TRADE_ID = 2_000_000_000;
/** Ids of quotes are the time of sending, µs: sixteen digits. */
const TIME_DIGITS = 13;
const STAMP_DIGITS = 16;
const TRADE_ID_DIGITS = 10;

const utf8 = new TextEncoder();

/** One frame of the tape. */
export interface TapeFrame {
  /** `btcusdt@bookTicker` */
  readonly channel: string;
  /** Number of the symbol. */
  readonly symbol: number;
  readonly isQuote: boolean;
  /** Payload of the WebSocket frame. */
  readonly text: string;
}

interface Feed {
  readonly symbol: number;
  readonly market: Market;
  readonly speller: FrameSpeller;
  readonly book: string;
  readonly trade: string;
}

/** Instruments that are listed; those that trade are recorded. */
export function tapeInstruments(symbols: number): Instrument[] {
  return simulatedInstruments(symbols, Date.now());
}

/** The list of instruments as the exchange answers it. */
export function instrumentsAnswer(symbols: number): string {
  return JSON.stringify(exchangeInfo(tapeInstruments(symbols), Date.now()));
}

function feedsOf(symbols: number): Feed[] {
  return tapeInstruments(symbols)
    .slice(0, symbols)
    .map((instrument, symbol) => {
      const price = instrument.price / 10 ** instrument.priceDecimals;
      const market = new Market({
        price: instrument.price,
        tick: instrument.tick,
        amount: (USUAL_QUOTE_VALUE / price) * 10 ** instrument.amountDecimals,
        random: new Random(`${SEED}/${instrument.symbol}`),
      });
      market.tradeId = FIRST_TRADE_ID;
      const name = streamSymbol(instrument.symbol);
      return {
        symbol,
        market,
        speller: new FrameSpeller(instrument),
        book: `${name}@bookTicker`,
        trade: `${name}@aggTrade`,
      };
    });
}

/** The frames of a tape, the same for the same options but for their times. */
export function spellTape({ symbols, frames, quotes }: TapeOptions): TapeFrame[] {
  const feeds = feedsOf(symbols);
  const random = new Random(`${SEED}/exchange`);
  const zipf = new Zipf(feeds.length, SKEW);
  const now = Date.now();
  const tape: TapeFrame[] = [];
  let quoted = 0;
  while (tape.length < frames) {
    const feed = feeds[zipf.pick(random)] as Feed;
    const wantsQuote = quoted < quotes * (tape.length + 1);
    // A market has more quotes for each trade than the mix: it goes on until it has what is wanted.
    while (feed.market.step() === wantsQuote);
    if (wantsQuote) quoted++;
    feed.market.updateId = now * 1000;
    const payload = wantsQuote
      ? feed.speller.bookTicker(feed.market, now, now)
      : feed.speller.aggTrade(feed.market, now, now);
    const channel = wantsQuote ? feed.book : feed.trade;
    const text = `${wrapperHead(channel)}${payload}}`;
    tape.push({ channel, symbol: feed.symbol, isQuote: wantsQuote, text });
  }
  return tape;
}

/** The next trade id of each symbol, for all reels: ids go on whichever connection they go over. */
export type TradeIds = Float64Array;

/** Makes them. */
export function newTradeIds(symbols: number): TradeIds {
  return new Float64Array(symbols).fill(FIRST_TRADE_ID);
}

/** What of a tape goes over one connection, as bytes of the wire, to be sent again and again. */
export class Reel {
  readonly frames: number;
  readonly #bytes: Uint8Array;
  /** End of each frame in the bytes. */
  readonly #ends: Int32Array;
  /** Where `E` and `T` stand, and `u` or `a`. */
  readonly #eventTimes: Int32Array;
  readonly #matchTimes: Int32Array;
  readonly #ids: Int32Array;
  /** Symbol of a trade; -1 = a quote. */
  readonly #trades: Int32Array;
  readonly #next: TradeIds;
  readonly #millis = new Uint8Array(TIME_DIGITS);
  readonly #micros = new Uint8Array(STAMP_DIGITS);
  #at = 0;

  constructor(tape: readonly TapeFrame[], next: TradeIds) {
    this.frames = tape.length;
    this.#next = next;
    this.#ends = new Int32Array(tape.length);
    this.#eventTimes = new Int32Array(tape.length);
    this.#matchTimes = new Int32Array(tape.length);
    this.#ids = new Int32Array(tape.length);
    this.#trades = new Int32Array(tape.length).fill(-1);
    const parts: Uint8Array[] = [];
    let at = 0;
    for (const [index, { text, isQuote, symbol }] of tape.entries()) {
      const payload = utf8.encode(text);
      const head = textFrameHead(payload.length);
      parts.push(head, payload);
      at += head.length;
      const find = (key: string) => at + Buffer.from(payload).indexOf(key) + key.length;
      this.#eventTimes[index] = find(',"E":');
      this.#matchTimes[index] = find(',"T":');
      this.#ids[index] = find(isQuote ? '"u":' : ',"a":');
      if (!isQuote) this.#trades[index] = symbol;
      at += payload.length;
      this.#ends[index] = at;
    }
    this.#bytes = new Uint8Array(Buffer.concat(parts));
  }

  /** Frames left before it begins anew. */
  get left(): number {
    return this.frames - this.#at;
  }

  /**
   * The next frames (at most {@link left}) with fresh times and ids, in the reel's own memory: to be sent before the
   * same frames come round again.
   *
   * @param now epoch µs
   */
  take(count: number, now: number): Uint8Array {
    writeDigits(this.#micros, 0, STAMP_DIGITS, now);
    writeDigits(this.#millis, 0, TIME_DIGITS, Math.floor(now / 1000));
    const bytes = this.#bytes;
    const from = this.#at === 0 ? 0 : (this.#ends[this.#at - 1] as number);
    const end = this.#at + count;
    for (let i = this.#at; i < end; i++) {
      copy(bytes, this.#eventTimes[i] as number, this.#millis, TIME_DIGITS);
      copy(bytes, this.#matchTimes[i] as number, this.#millis, TIME_DIGITS);
      const trade = this.#trades[i] as number;
      if (trade < 0) copy(bytes, this.#ids[i] as number, this.#micros, STAMP_DIGITS);
      else writeDigits(bytes, this.#ids[i] as number, TRADE_ID_DIGITS, (this.#next[trade] as number)++);
    }
    this.#at = end === this.frames ? 0 : end;
    return bytes.subarray(from, this.#ends[end - 1]);
  }
}

/** A few bytes: cheaper than `set` of a view. */
function copy(to: Uint8Array, at: number, from: Uint8Array, count: number): void {
  for (let i = 0; i < count; i++) to[at + i] = from[i] as number;
}

function writeDigits(to: Uint8Array, at: number, digits: number, value: number): void {
  let rest = value;
  for (let i = at + digits - 1; i >= at; i--) {
    const next = Math.floor(rest / 10);
    to[i] = 48 + rest - next * 10;
    rest = next;
  }
}
