import { LAYOUTS, slotsOf } from "../../events/layout.ts";
import { SIDE_BUY, SIDE_SELL } from "../../events/streams.ts";
import { FRAME, type FrameClass, type RowWriter } from "../decoding/decoder.ts";
import { ABSENT, BAIL, FrameDecoder, type Scanned, UNSCANNED } from "../decoding/frame-decoder.ts";
import { WORDS } from "../decoding/frame-memory.ts";
import { type Fields, FrameError, isObject } from "../decoding/json.ts";
import type { Scanner } from "../decoding/scanner.ts";
import { SymbolLiterals } from "../decoding/symbol-literals.ts";
import { UsualHeads } from "../decoding/usual-heads.ts";
import { EVENTS, isPong } from "./answer.ts";
import { isNotRecorded } from "./channels.ts";
import { bestOf, closingSide, each, holdsDetails, listOf, requireAny, sideOf } from "./fields.ts";
import { FirstPushes } from "./history.ts";
import { L } from "./literals.ts";

const BBO = slotsOf("bbo");
const TRADE = slotsOf("trade");
const MARK = slotsOf("mark_price");
const FUNDING = slotsOf("funding");
const INTEREST = slotsOf("open_interest");
const LIQUIDATION = slotsOf("liquidation");

/** Channel whose first push after subscribing is history. */
const LIQUIDATIONS = "liquidation-orders";

/** What an arg of a channel by type is of; "" = it does not say. */
const typeOf = ({ instType }: Fields): string => (typeof instType === "string" ? instType : "");

/** Largest INTEGER of the schema. */
const COUNT_MAX = 2 ** 31 - 1;

/** Shapes whose usual form is known, in the order of their heads. */
const USUAL = { bbo: 0, trades: 1, markPrice: 2 } as const;

/** Decodes frames of `/ws/v5/public`, and `trades-all` of `/ws/v5/business`. */
export class OkxDecoder extends FrameDecoder {
  readonly #liquidationPushes = new FirstPushes();
  /** Of each trade of this frame: number of the symbol, first and last id. Followed once all are accepted. */
  readonly #traded: number[] = [];
  readonly #heads = new UsualHeads({
    kindAt: 19,
    nameAt: 37,
    shapes: [
      new SymbolLiterals(this.symbols, (symbol) => `${headOf("bbo-tbt", symbol)}"asks":[["`),
      new SymbolLiterals(
        this.symbols,
        (symbol) => `${headOf("trades", symbol)}"instId":"${symbol}","tradeId":"`,
      ),
      new SymbolLiterals(
        this.symbols,
        (symbol) => `${headOf("mark-price", symbol)}"instId":"${symbol}","instType":"SWAP","markPx":"`,
      ),
    ],
  });
  #connection = 0;
  /** What {@link #scanSide} passed. */
  #price: number = ABSENT;
  #amount: number = ABSENT;

  override decode(
    data: Uint8Array,
    local: number,
    connection: number,
    from: number = 0,
    to: number = data.length,
  ): FrameClass {
    if (isPong(data, from, to)) return FRAME.CONTROL;
    this.#connection = connection;
    return super.decode(data, local, connection, from, to);
  }

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
      case USUAL.bbo:
        return this.#scanUsualBbo(scan, this.#heads.entry);
      case USUAL.trades:
        return this.#scanUsualTrade(scan, this.#heads.entry);
      case USUAL.markPrice:
        return this.#scanUsualMarkPrice(scan, this.#heads.entry);
      default:
        return BAIL;
    }
  }

  #scanAny(scan: Scanner): Scanned {
    scan.literal(L.head);
    if (scan.optional(L.bbo)) return this.#scanBbo(scan);
    if (scan.optional(L.trades)) return this.#scanTrades(scan);
    if (scan.optional(L.markPrice)) return this.#scanMarkPrice(scan);
    if (scan.optional(L.index)) return this.#scanIndex(scan);
    if (scan.optional(L.interest)) return this.#scanInterest(scan);
    // Another kind, or not even up to here the usual shape: then nobody knows the kind yet.
    return scan.failed ? BAIL : UNSCANNED;
  }

  /** `"<ms>"`, behind its opening quote. */
  #scanTime(scan: Scanner): number {
    const time = scan.time();
    scan.literal(L.quote);
    return time;
  }

  /** The instrument that an entry of `data` names again. */
  #scanSame(scan: Scanner, entry: number): void {
    scan.sameSymbol(this.symbols, entry);
  }

  /** One side with one level or none: `["111.06","55154","0","2"]]` or `]`. */
  #scanSide(scan: Scanner): void {
    if (scan.optional(L.noLevel)) {
      this.#price = ABSENT;
      this.#amount = ABSENT;
      return;
    }
    scan.literal(L.level);
    this.#price = scan.decimal();
    scan.literal(L.more);
    this.#amount = scan.decimal();
    scan.literal(L.more);
    scan.word();
    scan.literal(L.more);
    scan.word();
    scan.literal(L.levelEnd);
  }

  /** The frame of {@link #scanBbo}, with both sides. */
  #scanUsualBbo(scan: Scanner, entry: number): Scanned {
    const askPrice = scan.decimal();
    scan.literal(L.more);
    const askAmount = scan.decimal();
    scan.literal(L.usualMore);
    scan.word();
    scan.literal(L.usualBids);
    const bidPrice = scan.decimal();
    scan.literal(L.more);
    const bidAmount = scan.decimal();
    scan.literal(L.usualMore);
    scan.word();
    scan.literal(L.usualBookTime);
    const time = scan.time();
    scan.literal(L.usualSequence);
    const sequence = scan.integer();
    scan.literal(L.end);
    if (!scan.complete) return BAIL;
    return this.#commitBook(entry, time, bidPrice, bidAmount, askPrice, askAmount, sequence);
  }

  /**
   * `{"arg":{"channel":"bbo-tbt","instId":"BCH-USDT-SWAP"},"data":[{"asks":[["111.06","55154","0","2"]],
   * "bids":[["111.05","57745","0","2"]],"ts":"1670324386802","seqId":363996337}]}`
   */
  #scanBbo(scan: Scanner): Scanned {
    const entry = scan.symbol(this.symbols);
    scan.literal(L.book);
    this.#scanSide(scan);
    const askPrice = this.#price;
    const askAmount = this.#amount;
    scan.literal(L.bids);
    this.#scanSide(scan);
    scan.literal(L.time);
    const time = this.#scanTime(scan);
    const sequence = scan.optional(L.sequence) ? scan.integer() : ABSENT;
    scan.literal(L.end);
    if (!scan.complete) return BAIL;
    this.#heads.learn(USUAL.bbo, entry, scan.begin);
    return this.#commitBook(entry, time, this.#price, this.#amount, askPrice, askAmount, sequence);
  }

  #commitBook(
    entry: number,
    time: number,
    bidPrice: number,
    bidAmount: number,
    askPrice: number,
    askAmount: number,
    sequence: number,
  ): Scanned {
    const writer = this.writers.bbo;
    if (writer === undefined) return FRAME.UNWANTED;
    const row = this.begin(writer, LAYOUTS.bbo, this.symbols.numberOf(entry), time, ABSENT);
    row[BBO.bid_price] = bidPrice;
    row[BBO.bid_amount] = bidAmount;
    row[BBO.ask_price] = askPrice;
    row[BBO.ask_amount] = askAmount;
    row[BBO.sequence] = sequence;
    writer.commit();
    return FRAME.EVENTS;
  }

  /** The frame of {@link #scanTrades}, with one trade that was no price improvement. */
  #scanUsualTrade(scan: Scanner, entry: number): Scanned {
    const id = scan.digits();
    const idFrom = scan.from;
    const idTo = scan.to;
    scan.literal(L.price);
    const price = scan.decimal();
    scan.literal(L.amount);
    const amount = scan.decimal();
    const side = scan.optional(L.bought) ? SIDE_BUY : SIDE_SELL;
    if (side === SIDE_SELL) scan.literal(L.sold);
    const time = scan.time();
    scan.literal(L.usualCount);
    const count = scan.integer();
    scan.literal(L.usualSource);
    const sequence = scan.integer();
    scan.literal(L.end);
    if (!scan.complete || count > COUNT_MAX) return BAIL;
    if (this.writers.trade === undefined) return FRAME.UNWANTED;
    this.#traded.length = 0;
    if (!this.#commitTrade(entry, time, id, idFrom, idTo, side, price, amount, count, sequence, 0))
      return BAIL;
    this.#followTrades();
    return FRAME.EVENTS;
  }

  /** false = the id is too long for a row. */
  #commitTrade(
    entry: number,
    time: number,
    id: number,
    idFrom: number,
    idTo: number,
    side: number,
    price: number,
    amount: number,
    count: number,
    sequence: number,
    improved: number,
  ): boolean {
    const writer = this.writers.trade;
    if (writer === undefined) return true;
    const symbol = this.symbols.numberOf(entry);
    const row = this.begin(writer, LAYOUTS.trade, symbol, time, ABSENT);
    if (!writer.row.setTextFrom(TRADE.id, WORDS, idFrom, idTo)) return false;
    row[TRADE.side] = side;
    row[TRADE.price] = price;
    row[TRADE.amount] = amount;
    row[TRADE.count] = count;
    row[TRADE.sequence] = sequence;
    row[TRADE.is_rpi] = improved;
    writer.commit();
    this.#note(symbol, id, count);
    return true;
  }

  /**
   * `{"arg":{"channel":"trades","instId":"SOL-USDT-SWAP"},"data":[{"instId":"SOL-USDT-SWAP",
   * "tradeId":"1632918528","px":"120.6","sz":"391.07","side":"sell","ts":"1790394876983","count":"26",
   * "source":"0","seqId":92286018766}]}`; the last three are newer; `data` may hold several.
   */
  #scanTrades(scan: Scanner): Scanned {
    const entry = scan.symbol(this.symbols);
    scan.literal(L.row);
    this.#traded.length = 0;
    for (let rows = 0; ; rows++) {
      this.#scanSame(scan, entry);
      scan.literal(L.tradeId);
      const id = scan.digits();
      const idFrom = scan.from;
      const idTo = scan.to;
      scan.literal(L.price);
      const price = scan.decimal();
      scan.literal(L.amount);
      const amount = scan.decimal();
      scan.literal(L.side);
      const side = scan.optional(L.sell) ? SIDE_SELL : SIDE_BUY;
      if (side === SIDE_BUY) scan.literal(L.buy);
      scan.literal(L.time);
      const time = this.#scanTime(scan);
      const count = this.#scanCount(scan);
      const improved = this.#scanSource(scan);
      const sequence = scan.optional(L.sequence) ? scan.integer() : ABSENT;
      const more = scan.optional(L.nextRow);
      if (!more) scan.literal(L.end);
      if (scan.failed || !(more || scan.complete)) return this.#bail(rows);
      // Rows before a fault have to be taken back: only then is the place needed.
      if (more && rows === 0) this.mark();
      if (!this.#commitTrade(entry, time, id, idFrom, idTo, side, price, amount, count, sequence, improved)) {
        return this.#bail(rows);
      }
      if (!more) break;
    }
    this.#heads.learn(USUAL.trades, entry, scan.begin);
    this.#followTrades();
    return this.writers.trade === undefined ? FRAME.UNWANTED : FRAME.EVENTS;
  }

  #scanCount(scan: Scanner): number {
    if (!scan.optional(L.count)) return ABSENT;
    const count = scan.integer();
    scan.literal(L.quote);
    if (count > COUNT_MAX) scan.fail();
    return count;
  }

  #scanSource(scan: Scanner): number {
    if (!scan.optional(L.source)) return ABSENT;
    if (scan.optional(L.ordinary)) return 0;
    scan.literal(L.improved);
    return 1;
  }

  /** Leaves a frame of which `rows` rows were committed to the JSON path. */
  #bail(rows: number): Scanned {
    if (rows > 0 && this.writers.trade !== undefined) this.rewind();
    return BAIL;
  }

  /** The frame of {@link #scanMarkPrice}, of a swap. */
  #scanUsualMarkPrice(scan: Scanner, entry: number): Scanned {
    const price = scan.decimal();
    scan.literal(L.time);
    const time = scan.time();
    scan.literal(L.usualEnd);
    if (!scan.complete) return BAIL;
    return this.#commitPrice(this.symbols.numberOf(entry), time, price, ABSENT);
  }

  /**
   * `{"arg":{"channel":"mark-price","instId":"WNCG-USDT-SWAP"},"data":[{"instId":"WNCG-USDT-SWAP",
   * "instType":"SWAP","markPx":"2.1729","ts":"1640131259180"}]}`
   */
  #scanMarkPrice(scan: Scanner): Scanned {
    const entry = scan.symbol(this.symbols);
    scan.literal(L.row);
    this.#scanSame(scan, entry);
    scan.literal(L.type);
    scan.word();
    scan.literal(L.mark);
    const price = scan.decimal();
    scan.literal(L.time);
    const time = this.#scanTime(scan);
    scan.literal(L.end);
    if (!scan.complete) return BAIL;
    this.#heads.learn(USUAL.markPrice, entry, scan.begin);
    return this.#commitPrice(this.symbols.numberOf(entry), time, price, ABSENT);
  }

  /**
   * `{"arg":{"channel":"index-tickers","instId":"BTC-USD"},"data":[{"instId":"BTC-USD","idxPx":"64280",
   * "open24h":"63848.2","high24h":"64360.7","low24h":"63265.5","sodUtc0":"63465.3","sodUtc8":"64075.9",
   * "ts":"1785870839964"}]}`
   */
  #scanIndex(scan: Scanner): Scanned {
    const entry = scan.symbol(this.symbols);
    scan.literal(L.row);
    this.#scanSame(scan, entry);
    scan.literal(L.indexPrice);
    const price = scan.decimal();
    scan.literal(L.open);
    scan.word();
    scan.literal(L.high);
    scan.word();
    scan.literal(L.low);
    scan.word();
    scan.literal(L.openUtc0);
    scan.word();
    scan.literal(L.openUtc8);
    scan.word();
    scan.literal(L.time);
    const time = this.#scanTime(scan);
    scan.literal(L.end);
    if (!scan.complete) return BAIL;
    return this.#commitPrice(this.symbols.numberOf(entry), time, ABSENT, price);
  }

  #commitPrice(symbol: number, time: number, mark: number, index: number): FrameClass {
    const writer = this.writers.mark_price;
    if (writer === undefined) return FRAME.UNWANTED;
    const row = this.begin(writer, LAYOUTS.mark_price, symbol, time, ABSENT);
    row[MARK.mark_price] = mark;
    row[MARK.index_price] = index;
    writer.commit();
    return FRAME.EVENTS;
  }

  /**
   * `{"arg":{"channel":"open-interest","instId":"WNCG-USDT-SWAP"},"data":[{"instId":"WNCG-USDT-SWAP",
   * "instType":"SWAP","oi":"644195","oiCcy":"644195","ts":"1640131258756"}]}`; `oiUsd` is newer.
   */
  #scanInterest(scan: Scanner): Scanned {
    const entry = scan.symbol(this.symbols);
    scan.literal(L.row);
    this.#scanSame(scan, entry);
    scan.literal(L.type);
    scan.word();
    scan.literal(L.contracts);
    const contracts = scan.decimal();
    scan.literal(L.coins);
    const coins = scan.decimal();
    const value = scan.optional(L.value) ? scan.decimal() : ABSENT;
    scan.literal(L.time);
    const time = this.#scanTime(scan);
    scan.literal(L.end);
    if (!scan.complete) return BAIL;
    const writer = this.writers.open_interest;
    if (writer === undefined) return FRAME.UNWANTED;
    return this.#commitInterest(writer, this.symbols.numberOf(entry), time, contracts, coins, value);
  }

  #commitInterest(
    writer: RowWriter,
    symbol: number,
    time: number,
    contracts: number,
    coins: number,
    value: number,
  ): FrameClass {
    const row = this.begin(writer, LAYOUTS.open_interest, symbol, time, ABSENT);
    row[INTEREST.open_interest] = contracts;
    row[INTEREST.open_interest_base] = coins;
    row[INTEREST.open_interest_value] = value;
    writer.commit();
    return FRAME.EVENTS;
  }

  // ── The JSON path: whatever the scanners do not know ───────────────────────────────────────────────

  protected override parse(frame: unknown): FrameClass {
    this.#traded.length = 0;
    const kind = this.#parseFrame(frame);
    this.#followTrades();
    return kind;
  }

  #parseFrame(frame: unknown): FrameClass {
    if (!isObject(frame)) throw new FrameError("not an object");
    const { event, arg } = frame;
    if (event !== undefined) {
      if (typeof event === "string" && EVENTS.has(event)) {
        if (event === "subscribe" && isObject(arg) && arg.channel === LIQUIDATIONS) {
          this.#liquidationPushes.begins(this.#connection, typeOf(arg));
        }
        return FRAME.CONTROL;
      }
      throw new FrameError(`unknown event ${JSON.stringify(event)}`);
    }
    if (!isObject(arg)) throw new FrameError("neither event nor arg");
    const channel = this.read.text(arg, "channel");
    switch (channel) {
      case "bbo-tbt":
        return each(listOf(frame, "data"), (row) => this.#parseBbo(row, arg));
      case "trades":
        // Without a count it is not known which fills a row stands for.
        return each(listOf(frame, "data"), (row) => this.#parseTrade(row, arg, ABSENT));
      case "trades-all":
        return each(listOf(frame, "data"), (row) => this.#parseTrade(row, arg, 1));
      case "mark-price":
        return each(listOf(frame, "data"), (row) => this.#parsePrice(row, arg, "markPx"));
      case "index-tickers":
        return each(listOf(frame, "data"), (row) => this.#parsePrice(row, arg, "idxPx"));
      case "funding-rate":
        return each(listOf(frame, "data"), (row) => this.#parseFunding(row, arg));
      case "open-interest":
        return each(listOf(frame, "data"), (row) => this.#parseInterest(row, arg));
      case LIQUIDATIONS: {
        const data = listOf(frame, "data");
        // One without details says nothing, so that the history is still to come.
        const first = holdsDetails(data) && this.#liquidationPushes.isFirst(this.#connection, typeOf(arg));
        return each(data, (row) =>
          each(listOf(row, "details"), (order) => this.#parseLiquidation(row, order, first)),
        );
      }
      case "instruments":
        return FRAME.INSTRUMENTS;
      default:
        if (isNotRecorded(channel)) return FRAME.IGNORED;
        throw new FrameError(`unknown channel ${JSON.stringify(channel)}`);
    }
  }

  /** Number of the symbol that an entry of `data` is of: its own instrument, or else that of the arg; -1 = not asked for. */
  #symbolOf(row: Fields, arg: Fields): number {
    const own = row.instId !== undefined && row.instId !== null && row.instId !== "";
    return this.symbols.find(this.read.text(own ? row : arg, "instId"));
  }

  #parseBbo(fields: Fields, arg: Fields): FrameClass {
    const { read } = this;
    const symbol = this.#symbolOf(fields, arg);
    const writer = this.writers.bbo;
    if (symbol < 0 || writer === undefined) return FRAME.UNWANTED;
    requireAny(fields, "asks", "bids");
    const row = this.begin(writer, LAYOUTS.bbo, symbol, read.time(fields, "ts"), ABSENT);
    const bid = bestOf(fields, "bids");
    const ask = bestOf(fields, "asks");
    row[BBO.bid_price] = read.decimal(bid, "price");
    row[BBO.bid_amount] = read.decimal(bid, "amount");
    row[BBO.ask_price] = read.decimal(ask, "price");
    row[BBO.ask_amount] = read.decimal(ask, "amount");
    row[BBO.sequence] = read.integer(fields, "seqId");
    writer.commit();
    return FRAME.EVENTS;
  }

  /** @param usualCount fills of a row that does not say it */
  #parseTrade(fields: Fields, arg: Fields, usualCount: number): FrameClass {
    const { read } = this;
    const symbol = this.#symbolOf(fields, arg);
    const writer = this.writers.trade;
    if (symbol < 0 || writer === undefined) return FRAME.UNWANTED;
    const row = this.begin(writer, LAYOUTS.trade, symbol, read.time(fields, "ts"), ABSENT);
    const price = read.decimal(fields, "px");
    const amount = read.decimal(fields, "sz");
    if (Number.isNaN(price) || Number.isNaN(amount)) throw new FrameError("trade without px or sz");
    const id = read.id(fields, "tradeId");
    this.setText(writer, TRADE.id, id, "tradeId");
    const count = this.#countOf(fields);
    const source = read.id(fields, "source");
    row[TRADE.side] = sideOf(fields);
    row[TRADE.price] = price;
    row[TRADE.amount] = amount;
    row[TRADE.count] = count;
    row[TRADE.sequence] = read.integer(fields, "seqId");
    row[TRADE.is_rpi] = source === "0" ? 0 : source === "1" ? 1 : ABSENT;
    writer.commit();
    if (id !== null && /^\d+$/.test(id))
      this.#note(symbol, Number(id), fields.count === undefined ? usualCount : count);
    return FRAME.EVENTS;
  }

  /** Number of fills; one that an INTEGER does not hold is NULL and counted. */
  #countOf(fields: Fields): number {
    const count = this.read.integer(fields, "count");
    if (Number.isNaN(count) || Math.abs(count) <= COUNT_MAX) return count;
    this.read.oversized++;
    return ABSENT;
  }

  /** Takes note of a trade; `id` is the last of its `count` fills. */
  #note(symbol: number, id: number, count: number): void {
    if (Number.isSafeInteger(id) && count >= 1) this.#traded.push(symbol, id - count + 1, id);
  }

  /** Follows the ids of the frame's trades, now that none of them can be taken back. */
  #followTrades(): void {
    const traded = this.#traded;
    for (let i = 0; i < traded.length; i += 3) this.follow(traded[i], traded[i + 1], traded[i + 2]);
  }

  #parsePrice(fields: Fields, arg: Fields, key: "markPx" | "idxPx"): FrameClass {
    const symbol = this.#symbolOf(fields, arg);
    if (symbol < 0 || this.writers.mark_price === undefined) return FRAME.UNWANTED;
    requireAny(fields, key);
    const price = this.read.decimal(fields, key);
    if (Number.isNaN(price)) return FRAME.IGNORED;
    const time = this.read.time(fields, "ts");
    const [mark, index] = key === "markPx" ? [price, ABSENT] : [ABSENT, price];
    return this.#commitPrice(symbol, time, mark, index);
  }

  /**
   * `{"arg":{"channel":"funding-rate","instId":"BTC-USD_UM_XPERP-310404"},"data":[{"formulaType":"withRate",
   * "fundingRate":"-0.0004270396398519","fundingTime":"1785888000000","impactValue":"10000.0000000000000000",
   * "instId":"BTC-USD_UM_XPERP-310404","instType":"FUTURES","interestRate":"0.0001000000000000",
   * "maxFundingRate":"0.00375","method":"current_period","minFundingRate":"-0.00375","nextFundingRate":"",
   * "nextFundingTime":"1785916800000","premium":"-0.0008949500017283","prevFundingTime":"1785859200000",
   * "settFundingRate":"-0.0001996513270201","settState":"settled","ts":"1785870855692"}]}`.
   * A frame a minute and swap: no scanner.
   */
  #parseFunding(fields: Fields, arg: Fields): FrameClass {
    const { read } = this;
    const symbol = this.#symbolOf(fields, arg);
    const writer = this.writers.funding;
    if (symbol < 0 || writer === undefined) return FRAME.UNWANTED;
    requireAny(fields, "fundingRate", "fundingTime", "nextFundingRate", "settFundingRate");
    const rate = read.decimal(fields, "fundingRate");
    const next = read.time(fields, "fundingTime");
    const predicted = read.decimal(fields, "nextFundingRate");
    const settled = read.decimal(fields, "settFundingRate");
    if ([rate, next, predicted, settled].every(Number.isNaN)) return FRAME.IGNORED;
    const row = this.begin(writer, LAYOUTS.funding, symbol, read.time(fields, "ts"), ABSENT);
    row[FUNDING.funding_rate] = rate;
    row[FUNDING.next_funding_timestamp] = next;
    row[FUNDING.predicted_funding_rate] = predicted;
    row[FUNDING.settled_funding_rate] = settled;
    writer.commit();
    return FRAME.EVENTS;
  }

  #parseInterest(fields: Fields, arg: Fields): FrameClass {
    const { read } = this;
    const symbol = this.#symbolOf(fields, arg);
    const writer = this.writers.open_interest;
    if (symbol < 0 || writer === undefined) return FRAME.UNWANTED;
    requireAny(fields, "oi", "oiCcy", "oiUsd");
    const contracts = read.decimal(fields, "oi");
    const coins = read.decimal(fields, "oiCcy");
    const value = read.decimal(fields, "oiUsd");
    if ([contracts, coins, value].every(Number.isNaN)) return FRAME.IGNORED;
    return this.#commitInterest(writer, symbol, read.time(fields, "ts"), contracts, coins, value);
  }

  /**
   * `{"arg":{"channel":"liquidation-orders","instType":"SWAP"},"data":[{"details":[{"bkLoss":"0",
   * "bkPx":"82655.7","ccy":"","posSide":"long","side":"sell","sz":"8.55","ts":"1791565600771"}],
   * "instFamily":"BTC-USDT","instId":"BTC-USDT-SWAP","instType":"SWAP","uly":"BTC-USDT"}]}`.
   * The first frame with details after subscribing is history, whatever its times: `first` tells that it is one of that.
   */
  #parseLiquidation(fields: Fields, order: Fields, first: boolean): FrameClass {
    const { read } = this;
    const symbol = this.symbols.find(read.text(fields, "instId"));
    const writer = this.writers.liquidation;
    if (symbol < 0 || writer === undefined) return FRAME.UNWANTED;
    requireAny(order, "bkPx", "sz");
    const row = this.begin(writer, LAYOUTS.liquidation, symbol, read.time(order, "ts"), ABSENT);
    const side = sideOf(order);
    row[LIQUIDATION.side] = Number.isNaN(side) ? closingSide(order) : side;
    row[LIQUIDATION.price] = read.decimal(order, "bkPx");
    row[LIQUIDATION.amount] = read.decimal(order, "sz");
    row[LIQUIDATION.is_history] = Number(first);
    writer.commit();
    return FRAME.EVENTS;
  }
}

/** How frames of a channel begin, up to the first entry of their data. */
function headOf(channel: string, instrument: string): string {
  return `{"arg":{"channel":"${channel}","instId":"${instrument}"},"data":[{`;
}
