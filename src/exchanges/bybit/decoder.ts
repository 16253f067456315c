import { LAYOUTS, slotsOf, TIMESTAMP } from "../../events/layout.ts";
import { SIDE_BUY, SIDE_SELL } from "../../events/streams.ts";
import { Row } from "../../ring/row.ts";
import { FRAME, type FrameClass, type RowWriter } from "../decoding/decoder.ts";
import { ABSENT, BAIL, FrameDecoder, type Scanned, UNSCANNED } from "../decoding/frame-decoder.ts";
import { BYTES } from "../decoding/frame-memory.ts";
import { type Fields, FrameError, isObject } from "../decoding/json.ts";
import { KeyTable } from "../decoding/key-table.ts";
import { literal } from "../decoding/literal.ts";
import type { Scanner } from "../decoding/scanner.ts";
import { SymbolLiterals } from "../decoding/symbol-literals.ts";
import { UsualHeads } from "../decoding/usual-heads.ts";
import { kindOfTopic } from "./topics.ts";

const BBO = slotsOf("bbo");
const TRADE = slotsOf("trade");
const MARK = slotsOf("mark_price");
const FUNDING = slotsOf("funding");
const INTEREST = slotsOf("open_interest");
const LIQUIDATION = slotsOf("liquidation");

/** Most characters of a topic that are quoted in the reason of a frame that cannot be decoded. */
const TOPIC_SHOWN_MAX = 80;

const L = {
  topic: literal('{"topic":"'),
  trades: literal("publicTrade."),
  book: literal("orderbook.1."),
  tickers: literal("tickers."),
  liquidations: literal("allLiquidation."),
  type: literal(',"type":"'),
  sent: literal(',"ts":'),
  snapshotSent: literal(',"type":"snapshot","ts":'),
  list: literal(',"data":['),
  listEnd: literal("]}"),
  next: literal(","),
  close: literal("}"),
  time: literal('{"T":'),
  symbol: literal(',"s":"'),
  side: literal(',"S":"'),
  buy: literal('Buy"'),
  sell: literal('Sell"'),
  amount: literal(',"v":"'),
  price: literal(',"p":"'),
  direction: literal(',"L":"'),
  id: literal(',"i":"'),
  block: literal(',"BT":'),
  rpi: literal(',"RPI":'),
  ordinary: literal(',"BT":false,"RPI":false,"seq":'),
  retail: literal(',"BT":false,"RPI":true,"seq":'),
  yes: literal("true"),
  no: literal("false"),
  sequence: literal(',"seq":'),
  bookData: literal(',"data":{"s":"'),
  bids: literal(',"b":['),
  asks: literal(',"a":['),
  level: literal('["'),
  levelAmount: literal(',"'),
  levelEnd: literal("]]"),
  none: literal("]"),
  updateId: literal(',"u":'),
  matched: literal(',"cts":'),
  tickerData: literal(',"data":{'),
  quote: literal('"'),
  firstTrade: literal(',"data":[{"T":'),
  nextTrade: literal('},{"T":'),
  lastTrade: literal("}]}"),
  bought: literal('Buy","v":"'),
  sold: literal('Sell","v":"'),
  usualAsks: literal(']],"a":[["'),
  usualUpdateId: literal(']],"u":'),
  usualMatched: literal('},"cts":'),
  usualDelta: literal('delta","data":'),
  usualSnapshot: literal('snapshot","data":'),
  crossSequence: literal(',"cs":'),
} as const;

const LETTER = { a: 0x61, o: 0x6f, p: 0x70, t: 0x74 } as const;

/** Keys of a ticker that are recorded, in the order of their slots in `#ticker`. */
const TICKER_FIELDS = [
  "markPrice",
  "indexPrice",
  "fundingRate",
  "nextFundingTime",
  "fundingIntervalHour",
  "openInterest",
  "openInterestValue",
  "singleOpenInterest",
] as const;
const [MARK_PRICE, INDEX_PRICE, RATE, NEXT_FUNDING, INTERVAL, OPEN, VALUE, SINGLE] = TICKER_FIELDS.keys();
/** Slot of the key `symbol`, after the recorded ones. */
const TICKER_SYMBOL = TICKER_FIELDS.length;

/** All keys of a ticker that the scanner passes, all with text as value; entries are slots. */
const TICKER_KEYS = new KeyTable([
  ...TICKER_FIELDS,
  "symbol",
  "tickDirection",
  "price24hPcnt",
  "lastPrice",
  "prevPrice24h",
  "highPrice24h",
  "lowPrice24h",
  "prevPrice1h",
  "turnover24h",
  "volume24h",
  "fundingCap",
  "singleOpenInterestValue",
  "bid1Price",
  "bid1Size",
  "ask1Price",
  "ask1Size",
  "deliveryTime",
  "basis",
  "basisRate",
  "basisRateYear",
  "deliveryFeeRate",
  "predictedDeliveryPrice",
  "preOpenPrice",
  "preQty",
  "curPreListingPhase",
]);

/** First letter of "snapshot"; the other type is "delta". */
const LETTER_S = 0x73;

const COMMA = 0x2c;

/** Shapes whose usual form is known, in the order of their heads. */
const USUAL = { trades: 0, book: 1, ticker: 2 } as const;

/** Decodes frames of `/v5/public/linear`, and those of the other categories that mean the same. */
export class BybitDecoder extends FrameDecoder {
  /** Values of the ticker in hand by slot; NaN = not in the frame. */
  readonly #ticker = new Float64Array(TICKER_FIELDS.length);

  /** The row of a trade; where trades are not wanted, one that goes nowhere. */
  readonly #tradeRow =
    this.writers.trade?.row ?? new Row(LAYOUTS.trade.numbers.length, LAYOUTS.trade.texts.length);

  readonly #heads = new UsualHeads({
    kindAt: 10,
    nameAt: 20,
    shapes: [
      new SymbolLiterals(
        this.symbols,
        (symbol) => `{"topic":"publicTrade.${symbol}","type":"snapshot","ts":`,
      ),
      new SymbolLiterals(this.symbols, (symbol) => `{"topic":"orderbook.1.${symbol}","ts":`),
      new SymbolLiterals(this.symbols, (symbol) => `{"topic":"tickers.${symbol}","type":"`),
    ],
  });
  readonly #toSide = new SymbolLiterals(this.symbols, (symbol) => `,"s":"${symbol}","S":"`);
  readonly #toTickerFields = new SymbolLiterals(this.symbols, (symbol) => `{"symbol":"${symbol}",`);
  readonly #toBid = new SymbolLiterals(
    this.symbols,
    (symbol) => `,"type":"snapshot","data":{"s":"${symbol}","b":[["`,
  );

  // ── The byte scanners: one per hot shape, nothing kept of a frame that is not accepted whole ─────────

  protected override scan(scan: Scanner): Scanned {
    const usual = this.#scanUsual(scan);
    if (usual !== BAIL) return usual;
    scan.restart();
    return this.#scanAny(scan);
  }

  /** Takes frames of the hot shapes that are wholly as usual; BAIL = it is not, and nothing is committed. */
  #scanUsual(scan: Scanner): Scanned {
    switch (this.#heads.pass(scan)) {
      case USUAL.trades:
        return this.#scanUsualTrades(scan, this.#heads.entry);
      case USUAL.book:
        return this.#scanUsualBook(scan, this.#heads.entry);
      case USUAL.ticker:
        return this.#scanUsualTicker(scan, this.#heads.entry);
      default:
        return BAIL;
    }
  }

  #scanAny(scan: Scanner): Scanned {
    scan.literal(L.topic);
    switch (scan.peek()) {
      case LETTER.p:
        return this.#scanTrades(scan);
      case LETTER.o:
        return scan.optional(L.book) ? this.#scanBook(scan) : UNSCANNED;
      case LETTER.t:
        return this.#scanTicker(scan);
      case LETTER.a:
        return scan.optional(L.liquidations) ? this.#scanLiquidations(scan) : UNSCANNED;
      default:
        return scan.failed ? BAIL : UNSCANNED;
    }
  }

  /** Passes `"type"`, which tells nothing here, and `"ts"`, in either order; answers the time. */
  #scanHead(scan: Scanner): number {
    if (scan.optional(L.snapshotSent)) return scan.time();
    const typeFirst = scan.optional(L.type);
    if (typeFirst) scan.word();
    scan.literal(L.sent);
    const sent = scan.time();
    if (!typeFirst) {
      scan.literal(L.type);
      scan.word();
    }
    return sent;
  }

  /** A boolean as 1 and 0. */
  #scanFlag(scan: Scanner): number {
    if (scan.optional(L.yes)) return 1;
    scan.literal(L.no);
    return 0;
  }

  /** `Buy` or `Sell` with its closing quote; true = Buy. */
  #scanBuy(scan: Scanner): boolean {
    if (scan.optional(L.buy)) return true;
    scan.literal(L.sell);
    return false;
  }

  /** The frame of {@link #scanTrades}. */
  #scanUsualTrades(scan: Scanner, entry: number): Scanned {
    const sent = scan.time();
    const row = this.#tradeRow;
    scan.literal(L.firstTrade);
    for (let rows = 0; ; rows++) {
      const traded = scan.time();
      scan.literalOf(this.#toSide, entry);
      const side = scan.optional(L.bought) ? SIDE_BUY : SIDE_SELL;
      if (side === SIDE_SELL) scan.literal(L.sold);
      const amount = scan.decimal();
      scan.literal(L.price);
      const price = scan.decimal();
      scan.literal(L.direction);
      scan.word();
      scan.literal(L.id);
      scan.idInto(row, TRADE.id);
      const rpi = scan.optional(L.ordinary) ? 0 : 1;
      if (rpi === 1) scan.literal(L.retail);
      const sequence = scan.integer();
      const more = scan.optional(L.nextTrade);
      if (!more) scan.literal(L.lastTrade);
      if (scan.failed || !(more || scan.complete)) return this.#bail(rows);
      // Rows before a fault have to be taken back: only then is the place needed.
      if (more && rows === 0) this.writers.trade?.mark();
      if (rows === 0) this.#beginTrades(entry, sent);
      this.#commitTrade(traded, side, price, amount, sequence, 0, rpi);
      if (!more) return this.writers.trade === undefined ? FRAME.UNWANTED : FRAME.EVENTS;
    }
  }

  /** Leaves a frame of which `rows` trades were committed. */
  #bail(rows: number): Scanned {
    if (rows > 0) this.writers.trade?.rewind();
    return BAIL;
  }

  /** Begins the rows of a frame, with what is the same in all of them. */
  #beginTrades(entry: number, sent: number): void {
    const writer = this.writers.trade;
    if (writer !== undefined) this.begin(writer, LAYOUTS.trade, this.symbols.numberOf(entry), ABSENT, sent);
  }

  /** Commits a row that was begun for the frame and has its id. */
  #commitTrade(
    traded: number,
    side: number,
    price: number,
    amount: number,
    sequence: number,
    block: number,
    rpi: number,
  ): void {
    const writer = this.writers.trade;
    if (writer === undefined) return;
    const row = writer.row.numbers;
    row[TIMESTAMP] = traded;
    row[TRADE.side] = side;
    row[TRADE.price] = price;
    row[TRADE.amount] = amount;
    row[TRADE.sequence] = sequence;
    row[TRADE.is_block] = block;
    row[TRADE.is_rpi] = rpi;
    writer.commit();
  }

  /**
   * `{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1791457528912,"data":[{"T":1791457528911,
   * "s":"BTCUSDT","S":"Buy","v":"0.011","p":"82642.90","L":"PlusTick",
   * "i":"5be1261b-d231-533b-89cd-0653c4f333be","BT":false,"RPI":false,"seq":822323446907}]}`;
   * `RPI` and `seq` came in 2024/25. Trades stay in the order of the array.
   */
  #scanTrades(scan: Scanner): Scanned {
    scan.literal(L.trades);
    const entry = scan.symbol(this.symbols);
    const sent = this.#scanHead(scan);
    scan.literal(L.list);
    if (scan.failed) return BAIL;
    this.mark();
    this.#beginTrades(entry, sent);
    do {
      scan.literal(L.time);
      const traded = scan.time();
      scan.literal(L.symbol);
      scan.sameSymbol(this.symbols, entry);
      scan.literal(L.side);
      const side = this.#scanBuy(scan) ? SIDE_BUY : SIDE_SELL;
      scan.literal(L.amount);
      const amount = scan.decimal();
      scan.literal(L.price);
      const price = scan.decimal();
      if (scan.optional(L.direction)) scan.word();
      scan.literal(L.id);
      scan.idInto(this.#tradeRow, TRADE.id);
      let block = 0;
      let rpi = 0;
      let sequence: number = ABSENT;
      // Nearly all of them, in one go.
      if (scan.optional(L.ordinary)) {
        sequence = scan.integer();
      } else {
        scan.literal(L.block);
        block = this.#scanFlag(scan);
        rpi = scan.optional(L.rpi) ? this.#scanFlag(scan) : ABSENT;
        if (scan.optional(L.sequence)) sequence = scan.integer();
      }
      scan.literal(L.close);
      if (scan.failed) break;
      this.#commitTrade(traded, side, price, amount, sequence, block, rpi);
    } while (scan.optional(L.next));
    const scanned = this.#scanListEnd(scan, this.writers.trade);
    if (scanned !== BAIL) this.#heads.learn(USUAL.trades, entry, scan.begin);
    return scanned;
  }

  /** Ends a frame of many rows: all of them, or none. */
  #scanListEnd(scan: Scanner, writer: RowWriter | undefined): Scanned {
    scan.literal(L.listEnd);
    if (scan.complete) return writer === undefined ? FRAME.UNWANTED : FRAME.EVENTS;
    this.rewind();
    return BAIL;
  }

  /** The frame of {@link #scanBook}, with both sides. */
  #scanUsualBook(scan: Scanner, entry: number): Scanned {
    const sent = scan.time();
    scan.literalOf(this.#toBid, entry);
    const bidPrice = scan.decimal();
    scan.literal(L.levelAmount);
    const bidAmount = scan.decimal();
    scan.literal(L.usualAsks);
    const askPrice = scan.decimal();
    scan.literal(L.levelAmount);
    const askAmount = scan.decimal();
    scan.literal(L.usualUpdateId);
    const updateId = scan.integer();
    scan.literal(L.sequence);
    const sequence = scan.integer();
    scan.literal(L.usualMatched);
    const matched = scan.time();
    scan.literal(L.close);
    if (!scan.complete) return BAIL;
    return this.#commitBook(
      entry,
      matched,
      sent,
      bidPrice,
      bidAmount,
      askPrice,
      askAmount,
      updateId,
      sequence,
    );
  }

  /**
   * `{"topic":"orderbook.1.BTCUSDT","ts":1786613159819,"type":"snapshot","data":{"s":"BTCUSDT",
   * "b":[["63705.3","2.014151"]],"a":[["63705.4","2.334566"]],"u":72212458,"seq":112603120305},
   * "cts":1786613159817}`; a side may be empty. `cts` and `seq` are missing in old recordings.
   */
  #scanBook(scan: Scanner): Scanned {
    const entry = scan.symbol(this.symbols);
    const sent = this.#scanHead(scan);
    scan.literal(L.bookData);
    scan.sameSymbol(this.symbols, entry);
    scan.literal(L.bids);
    let bidPrice = ABSENT;
    let bidAmount = ABSENT;
    if (!scan.optional(L.none)) {
      scan.literal(L.level);
      bidPrice = scan.decimal();
      scan.literal(L.levelAmount);
      bidAmount = scan.decimal();
      scan.literal(L.levelEnd);
    }
    scan.literal(L.asks);
    let askPrice = ABSENT;
    let askAmount = ABSENT;
    if (!scan.optional(L.none)) {
      scan.literal(L.level);
      askPrice = scan.decimal();
      scan.literal(L.levelAmount);
      askAmount = scan.decimal();
      scan.literal(L.levelEnd);
    }
    scan.literal(L.updateId);
    const updateId = scan.integer();
    const sequence = scan.optional(L.sequence) ? scan.integer() : ABSENT;
    scan.literal(L.close);
    const matched = scan.optional(L.matched) ? scan.time() : ABSENT;
    scan.literal(L.close);
    if (!scan.complete) return BAIL;
    this.#heads.learn(USUAL.book, entry, scan.begin);
    return this.#commitBook(
      entry,
      matched,
      sent,
      bidPrice,
      bidAmount,
      askPrice,
      askAmount,
      updateId,
      sequence,
    );
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
    sequence: number,
  ): Scanned {
    const writer = this.writers.bbo;
    if (writer === undefined) return FRAME.UNWANTED;
    const row = this.begin(writer, LAYOUTS.bbo, this.symbols.numberOf(entry), matched, sent);
    row[BBO.bid_price] = bidPrice;
    row[BBO.bid_amount] = bidAmount;
    row[BBO.ask_price] = askPrice;
    row[BBO.ask_amount] = askAmount;
    row[BBO.update_id] = updateId;
    row[BBO.sequence] = sequence;
    writer.commit();
    return FRAME.EVENTS;
  }

  /** The frame of {@link #scanTicker}, with the symbol first. */
  #scanUsualTicker(scan: Scanner, entry: number): Scanned {
    const isDelta = scan.optional(L.usualDelta);
    if (!isDelta) scan.literal(L.usualSnapshot);
    scan.literalOf(this.#toTickerFields, entry);
    return this.#scanTickerFields(scan, entry, !isDelta, 1 << TICKER_SYMBOL);
  }

  /**
   * `{"topic":"tickers.BTCUSDT","type":"delta","data":{"symbol":"BTCUSDT","markPrice":"86716.30",
   * "indexPrice":"86756.70","openInterestValue":"5250990127.10","singleOpenInterestValue":"2625495106.91"},
   * "cs":814547789569,"ts":1790134712383}`: known keys in any order, those that are read once each.
   */
  #scanTicker(scan: Scanner): Scanned {
    scan.literal(L.tickers);
    const entry = scan.symbol(this.symbols);
    scan.literal(L.type);
    scan.word();
    const isSnapshot = BYTES[scan.from] === LETTER_S;
    scan.literal(L.tickerData);
    const scanned = this.#scanTickerFields(scan, entry, isSnapshot, 0);
    if (scanned !== BAIL) this.#heads.learn(USUAL.ticker, entry, scan.begin);
    return scanned;
  }

  /** The frame from its first key on, or from a later one: `passed` has a bit for each key that was. */
  #scanTickerFields(scan: Scanner, entry: number, isSnapshot: boolean, passed: number): Scanned {
    const ticker = this.#ticker;
    for (let slot = 0; slot < ticker.length; slot++) ticker[slot] = ABSENT;
    let seen = passed;
    let key = -1;
    do {
      key = scan.key(TICKER_KEYS, key);
      if (scan.failed) return BAIL;
      if (key > TICKER_SYMBOL) {
        scan.word();
        continue;
      }
      const bit = 1 << key;
      if ((seen & bit) !== 0) return BAIL;
      seen |= bit;
      if (key === TICKER_SYMBOL) {
        scan.sameSymbol(this.symbols, entry);
      } else if (!scan.optional(L.quote)) {
        ticker[key] = key === NEXT_FUNDING ? this.#scanTimeText(scan) : scan.decimal();
      }
    } while (scan.optionalByte(COMMA));
    scan.literal(L.close);
    if (scan.optional(L.crossSequence)) scan.integer();
    scan.literal(L.sent);
    const sent = scan.time();
    scan.literal(L.close);
    if (!scan.complete || (seen & (1 << TICKER_SYMBOL)) === 0) return BAIL;
    const symbol = this.symbols.numberOf(entry);
    if (isSnapshot) this.snapshotOf(symbol);
    return this.#commitTicker(symbol, sent);
  }

  /** A time in ms as text, up to and with its closing quote. */
  #scanTimeText(scan: Scanner): number {
    const time = scan.time();
    scan.literal(L.quote);
    return time;
  }

  /** Commits what `#ticker` holds: a row for each stream of which it has a field, and no other. */
  #commitTicker(symbol: number, sent: number): FrameClass {
    const ticker = this.#ticker;
    const marked = hasOne(ticker, MARK_PRICE, INDEX_PRICE);
    const funded = hasOne(ticker, RATE, INTERVAL);
    const interested = hasOne(ticker, OPEN, SINGLE);
    if (!marked && !funded && !interested) return FRAME.IGNORED;
    let kind: FrameClass = FRAME.UNWANTED;
    const { mark_price, funding, open_interest } = this.writers;
    if (marked && mark_price !== undefined) {
      const row = this.begin(mark_price, LAYOUTS.mark_price, symbol, ABSENT, sent);
      row[MARK.mark_price] = ticker[MARK_PRICE];
      row[MARK.index_price] = ticker[INDEX_PRICE];
      mark_price.commit();
      kind = FRAME.EVENTS;
    }
    if (funded && funding !== undefined) {
      const row = this.begin(funding, LAYOUTS.funding, symbol, ABSENT, sent);
      row[FUNDING.funding_rate] = ticker[RATE];
      row[FUNDING.next_funding_timestamp] = ticker[NEXT_FUNDING];
      row[FUNDING.funding_interval_hours] = ticker[INTERVAL];
      funding.commit();
      kind = FRAME.EVENTS;
    }
    if (interested && open_interest !== undefined) {
      const row = this.begin(open_interest, LAYOUTS.open_interest, symbol, ABSENT, sent);
      row[INTEREST.open_interest] = ticker[OPEN];
      row[INTEREST.open_interest_value] = ticker[VALUE];
      row[INTEREST.open_interest_single] = ticker[SINGLE];
      open_interest.commit();
      kind = FRAME.EVENTS;
    }
    return kind;
  }

  /**
   * `{"topic":"allLiquidation.ICPUSDT","type":"snapshot","ts":1789670094412,"data":[{"T":1789670094099,
   * "s":"ICPUSDT","S":"Buy","v":"19.7","p":"2.585"}]}`. `S` is the side of the position: Buy = a long was
   * liquidated, so the order sold.
   */
  #scanLiquidations(scan: Scanner): Scanned {
    const entry = scan.symbol(this.symbols);
    const sent = this.#scanHead(scan);
    scan.literal(L.list);
    if (scan.failed) return BAIL;
    const writer = this.writers.liquidation;
    const symbol = this.symbols.numberOf(entry);
    this.mark();
    do {
      scan.literal(L.time);
      const liquidated = scan.time();
      scan.literal(L.symbol);
      scan.sameSymbol(this.symbols, entry);
      scan.literal(L.side);
      const side = this.#scanBuy(scan) ? SIDE_SELL : SIDE_BUY;
      scan.literal(L.amount);
      const amount = scan.decimal();
      scan.literal(L.price);
      const price = scan.decimal();
      scan.literal(L.close);
      if (scan.failed) break;
      if (writer !== undefined)
        this.#commitLiquidation(writer, symbol, liquidated, sent, side, price, amount);
    } while (scan.optional(L.next));
    return this.#scanListEnd(scan, writer);
  }

  #commitLiquidation(
    writer: RowWriter,
    symbol: number,
    liquidated: number,
    sent: number,
    side: number,
    price: number,
    amount: number,
  ): void {
    const row = this.begin(writer, LAYOUTS.liquidation, symbol, liquidated, sent);
    row[LIQUIDATION.side] = side;
    row[LIQUIDATION.price] = price;
    row[LIQUIDATION.amount] = amount;
    writer.commit();
  }

  // ── The JSON path: whatever the scanners do not know ───────────────────────────────────────────────

  protected override parse(frame: unknown): FrameClass {
    if (!isObject(frame)) throw new FrameError("not an object");
    const { topic } = frame;
    if (topic === undefined) {
      if (isAnswer(frame)) return FRAME.CONTROL;
      throw new FrameError("neither a topic nor an answer");
    }
    if (typeof topic !== "string") throw new FrameError("topic is not text");
    switch (kindOfTopic(topic)) {
      case "trades":
        return this.#parseList(frame, (item, sent) => this.#parseTrade(item, sent));
      case "liquidations":
        return this.#parseList(frame, (item, sent) => this.#parseLiquidation(item, sent));
      case "book":
        return this.#parseBook(frame);
      case "ticker":
        return this.#parseTicker(frame);
      case "ignored":
        return FRAME.IGNORED;
      case "ended":
        throw new FrameError(`topic ${shown(topic)} is of a protocol that Bybit has ended`);
      case "unknown":
        throw new FrameError(`unknown topic ${shown(topic)}`);
    }
  }

  /** One event per element of `data`, in its order; the frame is what its best element is. */
  #parseList(frame: Fields, parse: (item: Fields, sent: number) => FrameClass): FrameClass {
    const sent = this.read.time(frame, "ts");
    const { data } = frame;
    if (!Array.isArray(data)) throw new FrameError("data is not an array");
    let kind: FrameClass = FRAME.IGNORED;
    for (const item of data as readonly unknown[]) {
      if (!isObject(item)) throw new FrameError("an element of data is not an object");
      const one = parse(item, sent);
      if (one === FRAME.EVENTS || kind !== FRAME.EVENTS) kind = one;
    }
    return kind;
  }

  #parseTrade(fields: Fields, sent: number): FrameClass {
    const read = this.read;
    const symbol = this.symbols.find(read.text(fields, "s"));
    const writer = this.writers.trade;
    if (symbol < 0 || writer === undefined) return FRAME.UNWANTED;
    const row = this.begin(writer, LAYOUTS.trade, symbol, read.time(fields, "T"), sent);
    const price = read.decimal(fields, "p");
    const amount = read.decimal(fields, "v");
    if (Number.isNaN(price) || Number.isNaN(amount)) throw new FrameError("trade without p or v");
    this.setText(writer, TRADE.id, read.id(fields, "i"), "i");
    const buy = buyOf(fields);
    row[TRADE.side] = buy === null ? ABSENT : buy ? SIDE_BUY : SIDE_SELL;
    row[TRADE.price] = price;
    row[TRADE.amount] = amount;
    row[TRADE.sequence] = read.integer(fields, "seq");
    row[TRADE.is_block] = read.flag(fields, "BT");
    row[TRADE.is_rpi] = read.flag(fields, "RPI");
    writer.commit();
    return FRAME.EVENTS;
  }

  #parseLiquidation(fields: Fields, sent: number): FrameClass {
    const read = this.read;
    const symbol = this.symbols.find(read.text(fields, "s"));
    const writer = this.writers.liquidation;
    if (symbol < 0 || writer === undefined) return FRAME.UNWANTED;
    const buy = buyOf(fields);
    if (buy === null) throw new FrameError("liquidation without S");
    const side = buy ? SIDE_SELL : SIDE_BUY;
    const time = read.time(fields, "T");
    const price = read.decimal(fields, "p");
    this.#commitLiquidation(writer, symbol, time, sent, side, price, read.decimal(fields, "v"));
    return FRAME.EVENTS;
  }

  #parseBook(frame: Fields): FrameClass {
    const read = this.read;
    const { data } = frame;
    if (!isObject(data)) throw new FrameError("data is not an object");
    const symbol = this.symbols.find(read.text(data, "s"));
    const writer = this.writers.bbo;
    if (symbol < 0 || writer === undefined) return FRAME.UNWANTED;
    if (data.b === undefined && data.a === undefined) throw new FrameError("orderbook.1 without b and a");
    const row = this.begin(writer, LAYOUTS.bbo, symbol, read.time(frame, "cts"), read.time(frame, "ts"));
    this.#parseSide(data, "b", row, BBO.bid_price, BBO.bid_amount);
    this.#parseSide(data, "a", row, BBO.ask_price, BBO.ask_amount);
    row[BBO.update_id] = read.integer(data, "u");
    row[BBO.sequence] = read.integer(data, "seq");
    writer.commit();
    return FRAME.EVENTS;
  }

  /**
   * The best level of a side; an empty one stays NULL. A delta of an old recording may delete a level
   * (amount "0") and set another: then the one that stays is the best.
   */
  #parseSide(data: Fields, key: "b" | "a", row: Float64Array, priceSlot: number, amountSlot: number): void {
    const levels = data[key];
    if (levels === undefined || levels === null) return;
    if (!Array.isArray(levels)) throw new FrameError(`${key} is not an array`);
    let found = false;
    for (const level of levels as readonly unknown[]) {
      if (!Array.isArray(level)) throw new FrameError(`a level of ${key} is not an array`);
      const fields = { price: level[0] as unknown, amount: level[1] as unknown };
      const price = this.read.decimal(fields, "price");
      const amount = this.read.decimal(fields, "amount");
      if (Number.isNaN(price) || Number.isNaN(amount)) {
        throw new FrameError(`a level of ${key} without price or amount`);
      }
      if (found && (row[amountSlot] !== 0 || amount === 0)) continue;
      row[priceSlot] = price;
      row[amountSlot] = amount;
      found = true;
    }
  }

  #parseTicker(frame: Fields): FrameClass {
    const read = this.read;
    const { data } = frame;
    if (!isObject(data)) throw new FrameError("data is not an object");
    // Spot tickers, and deltas of other fields: not even a new symbol.
    if (TICKER_FIELDS.every((key) => !isGiven(data[key]))) return FRAME.IGNORED;
    const symbol = this.symbols.find(read.text(data, "symbol"));
    if (symbol < 0) return FRAME.UNWANTED;
    TICKER_FIELDS.forEach((key, slot) => {
      this.#ticker[slot] = slot === NEXT_FUNDING ? read.time(data, key) : read.decimal(data, key);
    });
    const sent = read.time(frame, "ts");
    if (frame.type === "snapshot") this.snapshotOf(symbol);
    return this.#commitTicker(symbol, sent);
  }
}

/** Whether one of the values from slot `first` to `last` is there. */
function hasOne(values: Float64Array, first: number, last: number): boolean {
  for (let slot = first; slot <= last; slot++) if (!Number.isNaN(values[slot])) return true;
  return false;
}

/** Answers to subscribe, unsubscribe and ping, of linear, inverse and spot (`success`) and option (`type`). */
function isAnswer(frame: Fields): boolean {
  return typeof frame.success === "boolean" || typeof frame.op === "string" || frame.type === "COMMAND_RESP";
}

/** Whether a field is there and says something. */
function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null && value !== "";
}

/** `S`: true = Buy, false = Sell, null = absent. @throws FrameError when it is something else. */
function buyOf({ S }: Fields): boolean | null {
  if (!isGiven(S)) return null;
  if (S === "Buy") return true;
  if (S === "Sell") return false;
  throw new FrameError("S is neither Buy nor Sell");
}

function shown(topic: string): string {
  return JSON.stringify(topic.slice(0, TOPIC_SHOWN_MAX));
}
