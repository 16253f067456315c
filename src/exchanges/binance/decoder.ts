import { LAYOUTS, slotsOf } from "../../events/layout.ts";
import { SIDE_BUY, SIDE_SELL } from "../../events/streams.ts";
import { FRAME, type FrameClass, type RowWriter } from "../decoding/decoder.ts";
import { ABSENT, BAIL, FrameDecoder, type Scanned, UNSCANNED } from "../decoding/frame-decoder.ts";
import { WORDS } from "../decoding/frame-memory.ts";
import { type Fields, FrameError, isObject } from "../decoding/json.ts";
import { literal } from "../decoding/literal.ts";
import type { Scanner } from "../decoding/scanner.ts";
import { SymbolLiterals } from "../decoding/symbol-literals.ts";
import { UsualHeads } from "../decoding/usual-heads.ts";

const BBO = slotsOf("bbo");
const TRADE = slotsOf("trade");
const MARK = slotsOf("mark_price");
const FUNDING = slotsOf("funding");
const LIQUIDATION = slotsOf("liquidation");

/** Largest INTEGER of the schema. */
const COUNT_MAX = 2 ** 31 - 1;

/** Event types that exist on these routes and are not recorded. */
const NOT_RECORDED: ReadonlySet<string> = new Set([
  "depthUpdate",
  "kline",
  "continuous_kline",
  "24hrTicker",
  "24hrMiniTicker",
  "assetIndexUpdate",
  "compositeIndex",
  "serverShutdown",
]);

const L = {
  stream: literal('{"stream":"'),
  data: literal(',"data":'),
  event: literal('{"e":"'),
  close: literal("}"),
  eventTime: literal(',"E":'),
  tradeTime: literal(',"T":'),
  symbol: literal(',"s":"'),
  pair: literal(',"ps":"'),
  type: literal(',"st":'),
  bookTicker: literal('bookTicker","u":'),
  bid: literal(',"b":"'),
  bidAmount: literal(',"B":"'),
  ask: literal(',"a":"'),
  askAmount: literal(',"A":"'),
  aggTrade: literal('aggTrade","E":'),
  aggId: literal(',"a":'),
  price: literal(',"p":"'),
  quantity: literal(',"q":"'),
  normalQuantity: literal(',"nq":"'),
  firstId: literal(',"f":'),
  lastId: literal(',"l":'),
  maker: literal(',"m":'),
  yes: literal("true"),
  no: literal("false"),
  markPrice: literal('markPriceUpdate","E":'),
  average: literal(',"ap":"'),
  settlement: literal(',"P":"'),
  index: literal(',"i":"'),
  rate: literal(',"r":"'),
  forceOrder: literal('forceOrder","E":'),
  order: literal(',"o":{"s":"'),
  side: literal(',"S":"'),
  buy: literal('BUY"'),
  sell: literal('SELL"'),
  orderType: literal(',"o":"'),
  inForce: literal(',"f":"'),
  status: literal(',"X":"'),
  lastFill: literal(',"l":"'),
  filled: literal(',"z":"'),
  usualEnd: literal(',"st":1}}'),
  makerEnd: literal(',"m":true,"st":1}}'),
  takerEnd: literal(',"m":false,"st":1}}'),
} as const;

const LETTER = { a: 0x61, b: 0x62, f: 0x66, m: 0x6d } as const;

/** Shapes whose usual form is known, in the order of their heads. */
const USUAL = { bookTicker: 0, aggTrade: 1 } as const;

/** Decodes frames of `/stream` (wrapped) and `/ws` (raw). */
export class BinanceDecoder extends FrameDecoder {
  readonly #heads = new UsualHeads({
    kindAt: 27,
    nameAt: 11,
    shapes: [
      new SymbolLiterals(this.symbols, (symbol) => headOf(symbol, "bookTicker", "u")),
      new SymbolLiterals(this.symbols, (symbol) => headOf(symbol, "aggTrade", "E")),
    ],
  });
  readonly #toBid = new SymbolLiterals(this.symbols, (symbol) => `,"s":"${symbol}","ps":"${symbol}","b":"`);
  readonly #toPrice = new SymbolLiterals(this.symbols, (symbol) => `,"s":"${symbol}","p":"`);

  // ── The byte scanners: one per hot shape, nothing committed before the whole frame is accepted ──────

  protected override scan(scan: Scanner): Scanned {
    const usual = this.#scanUsual(scan);
    if (usual !== BAIL) return usual;
    scan.restart();
    return this.#scanAny(scan);
  }

  /** Takes frames of the hot shapes that are wholly as usual; BAIL = it is not, and nothing is committed. */
  #scanUsual(scan: Scanner): Scanned {
    switch (this.#heads.pass(scan)) {
      case USUAL.bookTicker:
        return this.#scanUsualBookTicker(scan, this.#heads.entry);
      case USUAL.aggTrade:
        return this.#scanUsualAggTrade(scan, this.#heads.entry);
      default:
        return BAIL;
    }
  }

  #scanAny(scan: Scanner): Scanned {
    const wrapped = scan.optional(L.stream);
    if (wrapped) {
      scan.name();
      scan.literal(L.data);
    }
    scan.literal(L.event);
    switch (scan.peek()) {
      case LETTER.b:
        return this.#scanBookTicker(scan, wrapped);
      case LETTER.a:
        return this.#scanAggTrade(scan, wrapped);
      case LETTER.m:
        return this.#scanMarkPrice(scan, wrapped);
      case LETTER.f:
        return this.#scanForceOrder(scan, wrapped);
      default:
        // Another kind, or not even up to here the usual shape: then nobody knows the kind yet.
        return scan.failed ? BAIL : UNSCANNED;
    }
  }

  /** Passes `"ps"`, which repeats the symbol on perpetuals. */
  #scanPair(scan: Scanner, entry: number): void {
    if (scan.optional(L.pair)) scan.sameSymbol(this.symbols, entry);
  }

  /** Passes `"st"`; 2 = COIN-M, which the JSON path sorts out. */
  #scanType(scan: Scanner): void {
    if (scan.optional(L.type) && scan.integer() !== 1) scan.fail();
  }

  #scanEnd(scan: Scanner, wrapped: boolean, entry: number): boolean {
    scan.literal(L.close);
    if (wrapped) scan.literal(L.close);
    if (wrapped) scan.nameBelongsTo(this.symbols, entry);
    return scan.complete;
  }

  /** The frame of {@link #scanBookTicker}. */
  #scanUsualBookTicker(scan: Scanner, entry: number): Scanned {
    const updateId = scan.integer();
    scan.literalOf(this.#toBid, entry);
    const bidPrice = scan.decimal();
    scan.literal(L.bidAmount);
    const bidAmount = scan.decimal();
    scan.literal(L.ask);
    const askPrice = scan.decimal();
    scan.literal(L.askAmount);
    const askAmount = scan.decimal();
    scan.literal(L.tradeTime);
    const matched = scan.time();
    scan.literal(L.eventTime);
    const sent = scan.time();
    scan.literal(L.usualEnd);
    if (!scan.complete) return BAIL;
    return this.#commitBook(entry, matched, sent, bidPrice, bidAmount, askPrice, askAmount, updateId);
  }

  /**
   * `{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":359220650272,"s":"BTCUSDT","ps":"BTCUSDT",
   * "b":"64336.00","B":"73.3346","a":"64346.70","A":"589.8026","T":1785048483771,"E":1785048483771,"st":1}}`
   */
  #scanBookTicker(scan: Scanner, wrapped: boolean): Scanned {
    scan.literal(L.bookTicker);
    const updateId = scan.integer();
    scan.literal(L.symbol);
    const entry = scan.symbol(this.symbols);
    this.#scanPair(scan, entry);
    scan.literal(L.bid);
    const bidPrice = scan.decimal();
    scan.literal(L.bidAmount);
    const bidAmount = scan.decimal();
    scan.literal(L.ask);
    const askPrice = scan.decimal();
    scan.literal(L.askAmount);
    const askAmount = scan.decimal();
    scan.literal(L.tradeTime);
    const matched = scan.time();
    scan.literal(L.eventTime);
    const sent = scan.time();
    this.#scanType(scan);
    if (!this.#scanEnd(scan, wrapped, entry)) return BAIL;
    if (wrapped) this.#heads.learn(USUAL.bookTicker, entry, scan.begin);
    return this.#commitBook(entry, matched, sent, bidPrice, bidAmount, askPrice, askAmount, updateId);
  }

  #commitBook(
    entry: number,
    matched: number,
    sent: number,
    bidPrice: number,
    bidAmount: number,
    askPrice: number,
    askAmount: number,
    updateId: number,
  ): Scanned {
    const writer = this.writers.bbo;
    if (writer === undefined) return FRAME.UNWANTED;
    const row = this.begin(writer, LAYOUTS.bbo, this.symbols.numberOf(entry), matched, sent);
    row[BBO.bid_price] = bidPrice;
    row[BBO.bid_amount] = bidAmount;
    row[BBO.ask_price] = askPrice;
    row[BBO.ask_amount] = askAmount;
    row[BBO.update_id] = updateId;
    writer.commit();
    return FRAME.EVENTS;
  }

  /** The frame of {@link #scanAggTrade}. */
  #scanUsualAggTrade(scan: Scanner, entry: number): Scanned {
    const sent = scan.time();
    scan.literal(L.aggId);
    const id = scan.digits();
    const idFrom = scan.from;
    const idTo = scan.to;
    scan.literalOf(this.#toPrice, entry);
    const price = scan.decimal();
    scan.literal(L.quantity);
    const amount = scan.decimal();
    scan.literal(L.normalQuantity);
    this.#passDecimal(scan);
    scan.literal(L.firstId);
    const first = scan.integer();
    scan.literal(L.lastId);
    const last = scan.integer();
    scan.literal(L.tradeTime);
    const traded = scan.time();
    const side = scan.optional(L.makerEnd) ? SIDE_SELL : SIDE_BUY;
    if (side === SIDE_BUY) scan.literal(L.takerEnd);
    if (!scan.complete) return BAIL;
    return this.#commitTrade(entry, traded, sent, id, idFrom, idTo, side, price, amount, first, last);
  }

  /**
   * `{"e":"aggTrade","E":1791391082024,"a":3478018549,"s":"BTCUSDT","p":"83434.40","q":"0.016","nq":"0.016",
   * "f":8154045700,"l":8154045704,"T":1791391081874,"m":true,"st":1}`; `nq` and `st` came in 2025/26.
   */
  #scanAggTrade(scan: Scanner, wrapped: boolean): Scanned {
    scan.literal(L.aggTrade);
    const sent = scan.time();
    scan.literal(L.aggId);
    const id = scan.digits();
    const idFrom = scan.from;
    const idTo = scan.to;
    scan.literal(L.symbol);
    const entry = scan.symbol(this.symbols);
    scan.literal(L.price);
    const price = scan.decimal();
    scan.literal(L.quantity);
    const amount = scan.decimal();
    if (scan.optional(L.normalQuantity)) this.#passDecimal(scan);
    scan.literal(L.firstId);
    const first = scan.integer();
    scan.literal(L.lastId);
    const last = scan.integer();
    scan.literal(L.tradeTime);
    const traded = scan.time();
    scan.literal(L.maker);
    const side = scan.optional(L.yes) ? SIDE_SELL : SIDE_BUY;
    if (side === SIDE_BUY) scan.literal(L.no);
    this.#scanType(scan);
    if (!this.#scanEnd(scan, wrapped, entry)) return BAIL;
    if (wrapped) this.#heads.learn(USUAL.aggTrade, entry, scan.begin);
    return this.#commitTrade(entry, traded, sent, id, idFrom, idTo, side, price, amount, first, last);
  }

  #commitTrade(
    entry: number,
    traded: number,
    sent: number,
    id: number,
    idFrom: number,
    idTo: number,
    side: number,
    price: number,
    amount: number,
    first: number,
    last: number,
  ): Scanned {
    const count = last - first + 1;
    if (!(count >= 1 && count <= COUNT_MAX)) return BAIL;
    const writer = this.writers.trade;
    if (writer === undefined) return FRAME.UNWANTED;
    const symbol = this.symbols.numberOf(entry);
    const row = this.begin(writer, LAYOUTS.trade, symbol, traded, sent);
    if (!writer.row.setTextFrom(TRADE.id, WORDS, idFrom, idTo)) return BAIL;
    row[TRADE.side] = side;
    row[TRADE.price] = price;
    row[TRADE.amount] = amount;
    row[TRADE.count] = count;
    row[TRADE.first_id] = first;
    writer.commit();
    if (id <= Number.MAX_SAFE_INTEGER) this.follow(symbol, id, id);
    return FRAME.EVENTS;
  }

  /** Passes a decimal that is not recorded: it does not count as inexact. */
  #passDecimal(scan: Scanner): void {
    const inexact = scan.inexact;
    scan.decimal();
    scan.inexact = inexact;
  }

  /**
   * `{"e":"markPriceUpdate","E":1789467508000,"s":"BTCUSDT","p":"76986.40000000","ap":"76986.40000000",
   * "P":"76996.91044964","i":"77014.72500000","r":"0.00010000","T":1789488000000,"st":1}`; `ap` is newer.
   */
  #scanMarkPrice(scan: Scanner, wrapped: boolean): Scanned {
    scan.literal(L.markPrice);
    const sent = scan.time();
    scan.literal(L.symbol);
    const entry = scan.symbol(this.symbols);
    scan.literal(L.price);
    const mark = scan.decimal();
    const average = scan.optional(L.average) ? scan.decimal() : ABSENT;
    scan.literal(L.settlement);
    const settlement = scan.decimal();
    scan.literal(L.index);
    const index = scan.decimal();
    scan.literal(L.rate);
    const rate = scan.decimal();
    scan.literal(L.tradeTime);
    const next = scan.time();
    this.#scanType(scan);
    if (!this.#scanEnd(scan, wrapped, entry)) return BAIL;
    const symbol = this.symbols.numberOf(entry);
    const marked = this.#commitMarkPrice(symbol, sent, mark, index, settlement, average);
    const funded = this.#commitFunding(symbol, sent, rate, next);
    return marked || funded ? FRAME.EVENTS : FRAME.UNWANTED;
  }

  #commitMarkPrice(
    symbol: number,
    sent: number,
    mark: number,
    index: number,
    settlement: number,
    average: number,
  ): boolean {
    const writer = this.writers.mark_price;
    if (writer === undefined) return false;
    const row = this.begin(writer, LAYOUTS.mark_price, symbol, ABSENT, sent);
    row[MARK.mark_price] = mark;
    row[MARK.index_price] = index;
    row[MARK.settlement_price] = settlement;
    row[MARK.average_price] = average;
    writer.commit();
    return true;
  }

  #commitFunding(symbol: number, sent: number, rate: number, next: number): boolean {
    const writer = this.writers.funding;
    if (writer === undefined) return false;
    const row = this.begin(writer, LAYOUTS.funding, symbol, ABSENT, sent);
    row[FUNDING.funding_rate] = rate;
    row[FUNDING.next_funding_timestamp] = next;
    writer.commit();
    return true;
  }

  /**
   * `{"e":"forceOrder","E":1791565603055,"o":{"s":"BTCUSDT","S":"SELL","o":"LIMIT","f":"IOC","q":"0.190",
   * "p":"82338.30","ap":"82651.90","X":"FILLED","l":"0.155","z":"0.190","T":1791565602120,"ps":"BTCUSDT","st":1}}`
   * `S` is the side of the liquidation order: SELL closes a long.
   */
  #scanForceOrder(scan: Scanner, wrapped: boolean): Scanned {
    scan.literal(L.forceOrder);
    const sent = scan.time();
    scan.literal(L.order);
    const entry = scan.symbol(this.symbols);
    scan.literal(L.side);
    const side = scan.optional(L.sell) ? SIDE_SELL : SIDE_BUY;
    if (side === SIDE_BUY) scan.literal(L.buy);
    scan.literal(L.orderType);
    scan.word();
    scan.literal(L.inForce);
    scan.word();
    scan.literal(L.quantity);
    const amount = scan.decimal();
    scan.literal(L.price);
    const price = scan.decimal();
    scan.literal(L.average);
    const average = scan.decimal();
    scan.literal(L.status);
    scan.word();
    scan.literal(L.lastFill);
    this.#passDecimal(scan);
    scan.literal(L.filled);
    const filled = scan.decimal();
    scan.literal(L.tradeTime);
    const ordered = scan.time();
    this.#scanPair(scan, entry);
    this.#scanType(scan);
    scan.literal(L.close);
    if (!this.#scanEnd(scan, wrapped, entry)) return BAIL;
    const writer = this.writers.liquidation;
    if (writer === undefined) return FRAME.UNWANTED;
    const symbol = this.symbols.numberOf(entry);
    this.#commitLiquidation(writer, symbol, ordered, sent, side, price, amount, average, filled);
    return FRAME.EVENTS;
  }

  #commitLiquidation(
    writer: RowWriter,
    symbol: number,
    ordered: number,
    sent: number,
    side: number,
    price: number,
    amount: number,
    average: number,
    filled: number,
  ): void {
    const row = this.begin(writer, LAYOUTS.liquidation, symbol, ordered, sent);
    row[LIQUIDATION.side] = side;
    row[LIQUIDATION.price] = price;
    row[LIQUIDATION.amount] = amount;
    row[LIQUIDATION.average_price] = average;
    row[LIQUIDATION.filled_amount] = filled;
    writer.commit();
  }

  // ── The JSON path: whatever the scanners do not know ───────────────────────────────────────────────

  protected override parse(frame: unknown): FrameClass {
    return this.#parsePayload(isObject(frame) && "data" in frame ? frame.data : frame);
  }

  #parsePayload(payload: unknown): FrameClass {
    if (Array.isArray(payload)) {
      // `!markPrice@arr`: one event per element; the frame is what its best element is.
      let kind: FrameClass = FRAME.IGNORED;
      for (const element of payload) {
        const one = this.#parsePayload(element);
        if (one === FRAME.EVENTS || (one === FRAME.UNWANTED && kind !== FRAME.EVENTS)) kind = one;
      }
      return kind;
    }
    if (!isObject(payload)) throw new FrameError("neither an object nor an array");
    const event = payload.e;
    if (event === undefined) {
      if ("result" in payload || "error" in payload || "code" in payload) return FRAME.CONTROL;
      throw new FrameError("no event type");
    }
    switch (event) {
      case "bookTicker":
        return this.#parseBookTicker(payload);
      case "aggTrade":
        return this.#parseTrade(payload, "a");
      case "trade":
        return this.#parseTrade(payload, "t");
      case "markPriceUpdate":
        return this.#parseMarkPrice(payload);
      case "forceOrder":
        return this.#parseForceOrder(payload);
      case "contractInfo":
        return FRAME.INSTRUMENTS;
      default:
        if (typeof event === "string" && NOT_RECORDED.has(event)) return FRAME.IGNORED;
        throw new FrameError(`unknown event type ${JSON.stringify(event)}`);
    }
  }

  /** Number of the symbol; -1 when it is COIN-M (`st` 2) or was not asked for. */
  #symbolOf(fields: Fields): number {
    const instrument = this.read.text(fields, "s");
    if (this.read.integer(fields, "st") === 2) return -1;
    return this.symbols.find(instrument);
  }

  #parseBookTicker(fields: Fields): FrameClass {
    const read = this.read;
    const symbol = this.#symbolOf(fields);
    const writer = this.writers.bbo;
    if (symbol < 0 || writer === undefined) return FRAME.UNWANTED;
    const row = this.begin(writer, LAYOUTS.bbo, symbol, read.time(fields, "T"), read.time(fields, "E"));
    const bid = read.decimal(fields, "b");
    const ask = read.decimal(fields, "a");
    if (Number.isNaN(bid) && Number.isNaN(ask)) throw new FrameError("bookTicker without b and a");
    row[BBO.bid_price] = bid;
    row[BBO.bid_amount] = read.decimal(fields, "B");
    row[BBO.ask_price] = ask;
    row[BBO.ask_amount] = read.decimal(fields, "A");
    row[BBO.update_id] = read.integer(fields, "u");
    writer.commit();
    return FRAME.EVENTS;
  }

  /**
   * aggTrade, and the undocumented `trade`: one fill each, `X` telling MARKET from insurance fund and ADL;
   * only MARKET means the same as an aggTrade.
   */
  #parseTrade(fields: Fields, idKey: "a" | "t"): FrameClass {
    const read = this.read;
    const symbol = this.#symbolOf(fields);
    if (fields.X !== undefined && fields.X !== "MARKET") return FRAME.IGNORED;
    const writer = this.writers.trade;
    if (symbol < 0 || writer === undefined) return FRAME.UNWANTED;
    const row = this.begin(writer, LAYOUTS.trade, symbol, read.time(fields, "T"), read.time(fields, "E"));
    const price = read.decimal(fields, "p");
    const amount = read.decimal(fields, "q");
    if (Number.isNaN(price) || Number.isNaN(amount)) throw new FrameError("trade without p or q");
    const id = read.id(fields, idKey);
    this.setText(writer, TRADE.id, id, idKey);
    const maker = read.flag(fields, "m");
    const first = read.integer(fields, "f");
    const last = read.integer(fields, "l");
    row[TRADE.side] = Number.isNaN(maker) ? ABSENT : maker === 1 ? SIDE_SELL : SIDE_BUY;
    row[TRADE.price] = price;
    row[TRADE.amount] = amount;
    row[TRADE.count] = this.#countOf(first, last);
    row[TRADE.first_id] = first;
    writer.commit();
    // Only aggTrade ids are consecutive: `trade` leaves out what is not MARKET.
    const number = idKey === "a" ? Number(id ?? Number.NaN) : Number.NaN;
    if (Number.isSafeInteger(number)) this.follow(symbol, number, number);
    return FRAME.EVENTS;
  }

  /** Fills from the first id to the last; a number that cannot be one is NULL and counted. */
  #countOf(first: number, last: number): number {
    const count = last - first + 1;
    if (count >= 1 && count <= COUNT_MAX) return count;
    if (!Number.isNaN(count)) this.read.oversized++;
    return ABSENT;
  }

  #parseMarkPrice(fields: Fields): FrameClass {
    const read = this.read;
    const symbol = this.#symbolOf(fields);
    if (symbol < 0) return FRAME.UNWANTED;
    const sent = read.time(fields, "E");
    const mark = read.decimal(fields, "p");
    const index = read.decimal(fields, "i");
    const settlement = read.decimal(fields, "P");
    const average = read.decimal(fields, "ap");
    const rate = read.decimal(fields, "r");
    const next = read.time(fields, "T");
    const priced = ![mark, index, settlement, average].every(Number.isNaN);
    const marked = priced && this.#commitMarkPrice(symbol, sent, mark, index, settlement, average);
    // Dated futures have no funding: r is "" (or zero, in old frames) and T is 0. Absent, not zero.
    const none = Number.isNaN(next) && (Number.isNaN(rate) || rate === 0);
    if (!priced && none) throw new FrameError("markPriceUpdate without a value");
    const funded = !none && this.#commitFunding(symbol, sent, rate, next);
    return marked || funded ? FRAME.EVENTS : FRAME.UNWANTED;
  }

  #parseForceOrder(fields: Fields): FrameClass {
    const read = this.read;
    const order = fields.o;
    if (!isObject(order)) throw new FrameError("forceOrder without o");
    const symbol = this.#symbolOf(order);
    const writer = this.writers.liquidation;
    if (symbol < 0 || writer === undefined) return FRAME.UNWANTED;
    const side = order.S === "SELL" ? SIDE_SELL : order.S === "BUY" ? SIDE_BUY : null;
    if (side === null) throw new FrameError("forceOrder: S is neither SELL nor BUY");
    this.#commitLiquidation(
      writer,
      symbol,
      read.time(order, "T"),
      read.time(fields, "E"),
      side,
      read.decimal(order, "p"),
      read.decimal(order, "q"),
      read.decimal(order, "ap"),
      read.decimal(order, "z"),
    );
    return FRAME.EVENTS;
  }
}

/** How frames of a stream begin, up to the value of the second key. */
function headOf(symbol: string, stream: string, key: string): string {
  return `{"stream":"${symbol.toLowerCase()}@${stream}","data":{"e":"${stream}","${key}":`;
}
