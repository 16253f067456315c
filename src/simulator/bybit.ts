/** Bybit v5 linear on loopback: generated markets behind the exchange's own route, acks and rules. */
import { Account, type Made } from "./account/account.ts";
import { BybitDialect, type SubscriptionSink } from "./bybit/dialect.ts";
import { Feed, GENERATED, type Generated } from "./bybit/feed.ts";
import { bybitInstruments, type Instrument, type Status } from "./bybit/instruments.ts";
import {
  EVENT_KINDS,
  type EventKind,
  FRAME_KINDS,
  type FrameKind,
  FrameTally,
  type Tally,
} from "./bybit/tally.ts";
import { topicOf } from "./bybit/topics.ts";
import { Clock } from "./clock.ts";
import type { Connection } from "./connection.ts";
import { extras } from "./control.ts";
import { Faults } from "./faults/faults.ts";
import { Generation } from "./generation.ts";
import { Random } from "./random.ts";
import { type ExchangeServer, serveExchange } from "./server.ts";
import {
  ACCOUNT_EVENTS_MAX,
  type SimulatedExchange,
  type SimulationOptions,
  type SimulationStats,
} from "./simulation.ts";
import { Zipf } from "./zipf.ts";

/** Settings of {@link startBybit}; all have defaults. */
export interface BybitOptions extends SimulationOptions {
  /** USDT perpetuals that trade; a dated contract and a USDC perpetual are listed besides. */
  readonly instruments?: number;
  /** Perpetuals that are not listed before {@link SimulatedBybit.setStatus} lets them trade. */
  readonly preLaunch?: number;
  /**
   * Moves of the markets per second over all instruments, whoever subscribed what: a quote is a frame of
   * orderbook.1, an order one of publicTrade with one trade or a few. Tickers, liquidations and books
   * pushed again come on top. "max" = as fast as the slowest subscriber takes them.
   */
  readonly rate?: number | "max";
  /** Liquidations per order that trades. */
  readonly liquidationShare?: number;
  /** A book that has not changed for this long is pushed again; looked at once a second. */
  readonly bookResendMs?: number;
  /** A connection from which nothing came for this long is cut. */
  readonly idleTimeoutMs?: number;
  /** Most characters of all args of a connection, as a list in JSON. */
  readonly argsCharsMax?: number;
  /** Most instruments on a page of instruments-info, whatever the client asks for. */
  readonly pageSize?: number;
  /** Symbols for which allLiquidation has no handler, so that asking for it fails a request. */
  readonly withoutLiquidations?: readonly string[];
}

/** What a simulated Bybit has done. */
export interface BybitStats extends SimulationStats {
  /** Events handed to subscribers: each trade and each liquidation of a frame, each stream of a ticker. */
  readonly sent: Tally<EventKind>;
  /** Frames handed to subscribers; a frame with two subscribers counts twice. */
  readonly frames: Tally<FrameKind>;
  /** `sent` by symbol, where there was anything. */
  readonly symbols: Record<string, Tally<EventKind>>;
  /** Pings answered. */
  readonly pingsTotal: number;
  /** Subscribe requests refused as a whole. */
  readonly refusedRequestsTotal: number;
  /** Connections cut because they said nothing for too long. */
  readonly idleTotal: number;
}

/** A running simulated Bybit. */
export interface SimulatedBybit extends SimulatedExchange<BybitStats> {
  /** As they are now. */
  readonly instruments: readonly Instrument[];
  /**
   * Lists an instrument ("Trading"), or takes it off the list: "Closed" ends its events and its topics,
   * which stay subscribed and silent. Throws for a symbol that does not exist.
   */
  setStatus(symbol: string, status: Status): void;
}

const MATCH_LAG_MS = 3;
const TRADE_LAG_MS = 20;
const LIQUIDATION_EVERY_MS = 500;
const MESSAGES_PER_SECOND = 100;
const IDLE_CHECK_MS_MAX = 1000;

/** Starts the exchange. Throws (EADDRINUSE) when the port is taken. */
export function startBybit(options: BybitOptions = {}): SimulatedBybit {
  return new Simulation(options);
}

class Simulation implements SimulatedBybit, SubscriptionSink {
  readonly finished: Promise<void>;
  readonly faults: Faults;
  readonly account: Account | undefined;

  readonly #clock = new Clock();
  readonly #server: ExchangeServer;
  readonly #dialect: BybitDialect;
  readonly #generation: Generation;
  readonly #tally: FrameTally;
  readonly #instruments: Map<string, Instrument>;
  readonly #feeds: readonly Feed[];
  readonly #feedBySymbol: ReadonlyMap<string, Feed>;
  /** Feeds whose liquidations wait for their frame. */
  readonly #liquidated = new Set<Feed>();
  readonly #random: Random;
  /** Apart from `#random`, so that who listens does not change which symbol moves next. */
  readonly #lags: Random;
  readonly #zipf: Zipf;
  readonly #liquidationShare: number;
  readonly #bookResendMs: number;
  readonly #idleCheck: ReturnType<typeof setInterval>;
  #idle = 0;

  constructor({
    seed = 1,
    instruments = 200,
    preLaunch = 1,
    skew = 0.8,
    liquidationShare = 0.002,
    bookResendMs = 3000,
    idleTimeoutMs = 600_000,
    argsCharsMax,
    pageSize,
    withoutLiquidations = [],
    account = false,
    accountEventsMax = ACCOUNT_EVENTS_MAX,
    ...common
  }: BybitOptions) {
    const list = bybitInstruments(instruments, preLaunch, Date.now());
    this.#instruments = new Map(list.map((instrument) => [instrument.symbol, instrument]));
    const symbols = list.map(({ symbol }) => symbol);
    this.#tally = new FrameTally(symbols);
    this.#feeds = list.map((instrument, index) => new Feed(instrument, index, seed));
    this.faults = new Faults(seed);
    this.account = account
      ? new Account({
          symbols,
          kinds: EVENT_KINDS,
          eventsMax: accountEventsMax,
          id: (symbol, kind, id) => this.#idText(symbol, kind, id),
        })
      : undefined;
    this.#feedBySymbol = new Map(this.#feeds.map((feed) => [feed.instrument.symbol, feed]));
    this.#random = new Random(`${seed}/exchange`);
    this.#lags = new Random(`${seed}/lags`);
    this.#zipf = new Zipf(this.#feeds.length, skew);
    this.#liquidationShare = liquidationShare;
    this.#bookResendMs = bookResendMs;
    this.#dialect = new BybitDialect({
      instruments: this.#instruments,
      sink: this,
      stats: () => this.stats(),
      withoutLiquidations,
      now: () => this.#clock.now(),
      refuses: (connection, topic) => this.faults.refuses(connection, topic),
      ...(argsCharsMax === undefined ? {} : { argsCharsMax }),
      ...(pageSize === undefined ? {} : { pageSize }),
    });
    this.#server = serveExchange(
      this.#dialect,
      {
        messagesPerSecond: MESSAGES_PER_SECOND,
        // Bybit neither pings nor documents a lifetime.
        pingIntervalMs: Number.POSITIVE_INFINITY,
        lifetimeMs: Number.POSITIVE_INFINITY,
        ...common,
      },
      extras(this.faults, this.#dialect, this.account),
    );
    this.#generation = new Generation(common, {
      connections: this.#server.connections,
      counts: this.#tally.counts,
      clock: this.#clock,
      restless: account,
      events: (count, ms) => this.#events(count, ms),
      second: (_wallMs, ms) => this.#second(ms),
    });
    const { connections, wire } = this.#server;
    this.faults.attach({
      connections,
      kinds: FRAME_KINDS,
      clock: this.#clock,
      ...(wire === undefined ? {} : { wire }),
      symbols: () => this.#feeds.filter(({ active }) => active).map(({ instrument }) => instrument.symbol),
      describe: (slot) => this.#tally.at(slot),
      topic: topicOfFrames,
      flush: (connection) => this.#generation.flushOne(connection),
      listen: (on) => this.#server.listen(on),
      clockStepped: () => {
        for (const feed of this.#feeds) feed.forgetTimes();
      },
      list: () => this.#listNext(),
      delist: (symbol) => this.setStatus(symbol, "Closed"),
    });
    this.finished = this.#generation.finished;
    this.#idleCheck = setInterval(
      () => this.#cutIdle(idleTimeoutMs),
      Math.min(IDLE_CHECK_MS_MAX, idleTimeoutMs),
    );
  }

  get instruments(): readonly Instrument[] {
    return [...this.#instruments.values()];
  }

  get port(): number {
    return this.#server.port;
  }

  get url(): string {
    return this.#server.url;
  }

  get restUrl(): string {
    return this.#server.restUrl;
  }

  stats(): BybitStats {
    return {
      sent: this.#tally.events(),
      frames: this.#tally.frames(),
      ...this.#generation.stats(),
      pingsTotal: this.#dialect.pings,
      refusedRequestsTotal: this.#dialect.refusals,
      idleTotal: this.#idle,
      ...this.#server.stats(),
      symbols: this.#tally.bySymbol(),
    };
  }

  setStatus(symbol: string, status: Status): void {
    const instrument = this.#instruments.get(symbol);
    const feed = this.#feedBySymbol.get(symbol);
    if (instrument === undefined || feed === undefined) throw new Error(`there is no instrument ${symbol}`);
    this.#instruments.set(symbol, { ...instrument, status });
    feed.active = status === "Trading";
  }

  pause(): Promise<void> {
    return this.#generation.pause();
  }

  resume(): void {
    this.#generation.resume();
  }

  async stop(): Promise<void> {
    this.#generation.stop();
    await this.faults.stop();
    clearInterval(this.#idleCheck);
    await this.#server.stop();
  }

  /** The snapshot of a book or ticker leaves at once, before the ack, as it can on the exchange. */
  subscribed(connection: Connection, topic: string): void {
    this.faults.subscribed(connection, topic);
    const found = this.#find(topic);
    if (found === undefined) {
      this.#generation.subscribed(false);
      return;
    }
    const { feed, kind } = found;
    feed.subscribers[kind].push(connection);
    if (this.account !== undefined) feed.wanted.add(kind);
    const ms = this.#clock.now();
    if (feed.active && kind === "orderbook.1") {
      if (feed.matchedMs === 0) feed.matchedMs = ms;
      const made = this.#accountBook(feed, ms, true);
      connection.queue(bookFrame(feed, ms), this.#tally.bookSlot(feed.index), made);
    } else if (feed.active && kind === "tickers") {
      // Later it moves with a delta, so that every subscriber hears of it.
      if (feed.ticker.nextFundingMs === 0) feed.ticker.nextFundingMs = feed.nextFunding(ms);
      const frame = feed.speller.tickerSnapshot(feed.market, feed.ticker, ms);
      const slot = this.#tickerSlot(feed, 255);
      connection.queue(frame, slot, this.#accountTicker(feed, slot, ms, true));
    }
    this.#generation.flushOne(connection);
    this.#generation.subscribed(true);
  }

  unsubscribed(connection: Connection, topic: string): void {
    this.faults.unsubscribed(connection, topic);
    const found = this.#find(topic);
    if (found === undefined) {
      this.#generation.unsubscribed(connection, false);
      return;
    }
    const subscribers = found.feed.subscribers[found.kind];
    subscribers.splice(subscribers.indexOf(connection), 1);
    this.#generation.unsubscribed(connection, true);
  }

  #find(text: string): { feed: Feed; kind: Generated } | undefined {
    const topic = topicOf(text);
    const kind = GENERATED.find((generated) => generated === topic?.kind);
    const feed = this.#feedBySymbol.get(topic?.symbol ?? "");
    return kind === undefined || feed === undefined ? undefined : { feed, kind };
  }

  #events(count: number, ms: number): void {
    for (let i = 0; i < count; i++) {
      const feed = this.#feeds[this.#zipf.pick(this.#random)] as Feed;
      if (!feed.active) continue;
      if (feed.market.step()) this.#trade(feed, ms);
      else this.#quote(feed, ms);
    }
    this.#liquidations(ms, this.#generation.ended);
  }

  #quote(feed: Feed, ms: number): void {
    feed.updateId++;
    if (!feed.wants("orderbook.1")) return;
    feed.matchedMs = Math.max(feed.matchedMs, ms - this.#lags.below(MATCH_LAG_MS));
    this.#book(feed, ms);
  }

  #book(feed: Feed, ms: number): void {
    const made = this.#accountBook(feed, ms, false);
    deliver(feed.subscribers["orderbook.1"], bookFrame(feed, ms), this.#tally.bookSlot(feed.index), made);
  }

  #trade(feed: Feed, ms: number): void {
    const { market, speller, index } = feed;
    if (market.liquidate(this.#liquidationShare)) this.#liquidate(feed, ms);
    if (!feed.wants("publicTrade")) return;
    feed.tradedMs = Math.max(feed.tradedMs, ms - this.#lags.below(TRADE_LAG_MS));
    const count = speller.tradesOf(market);
    const made = this.account?.frame();
    const series = this.account?.series(index, "publicTrade") ?? 0;
    for (let i = 0; i < count; i++) made?.add(series, market.firstFill + i, ms);
    const frame = speller.trades(market, feed.tradedMs, ms);
    deliver(feed.subscribers.publicTrade, frame, this.#tally.tradesSlot(index, count), made);
  }

  #liquidate(feed: Feed, ms: number): void {
    if (!feed.wants("allLiquidation")) return;
    const { liquidationSells, liquidationAmount, liquidationPrice } = feed.market;
    if (feed.liquidations.length === 0) feed.liquidationsDueMs = ms + LIQUIDATION_EVERY_MS;
    feed.keepLiquidation({ ms, long: liquidationSells, amount: liquidationAmount, price: liquidationPrice });
    this.#liquidated.add(feed);
  }

  /** Sends the liquidations that are due, or all. */
  #liquidations(ms: number, all: boolean): void {
    for (const feed of this.#liquidated) {
      if (!all && ms < feed.liquidationsDueMs) continue;
      this.#liquidated.delete(feed);
      const frame = feed.speller.liquidations(feed.liquidations, ms);
      const slot = this.#tally.liquidationsSlot(feed.index, feed.liquidations.length);
      const made = this.account?.frame();
      const series = this.account?.series(feed.index, "allLiquidation") ?? 0;
      for (const liquidation of feed.liquidations) made?.add(series, liquidation.ms, ms);
      feed.liquidations = [];
      deliver(feed.subscribers.allLiquidation, frame, slot, made);
    }
  }

  /** Tickers that changed, and books that did not. */
  #second(ms: number): void {
    for (const feed of this.#feeds) {
      if (!feed.active) continue;
      const changed = feed.moveTicker(ms);
      if (changed !== 0 && feed.wants("tickers")) {
        const frame = feed.speller.tickerDelta(feed.market, feed.ticker, changed, ms);
        const slot = this.#tickerSlot(feed, changed);
        deliver(feed.subscribers.tickers, frame, slot, this.#accountTicker(feed, slot, ms, false));
      }
      if (feed.wants("orderbook.1") && ms - feed.bookSentMs >= this.#bookResendMs) this.#book(feed, ms);
    }
    this.#liquidations(ms, false);
  }

  #accountBook({ index, updateId }: Feed, ms: number, first: boolean): Made | undefined {
    return this.account?.frame(first).add(this.account.series(index, "orderbook"), updateId, ms);
  }

  /** A ticker is one event for each stream whose fields it carries; none has an id, `cs` is nearest to one. */
  #accountTicker({ index, market }: Feed, slot: number, ms: number, first: boolean): Made | undefined {
    const { account } = this;
    if (account === undefined) return undefined;
    const made = account.frame(first);
    for (const kind of this.#tally.eventsAt(slot)) {
      made.add(account.series(index, kind), market.updateId, ms);
    }
    return made;
  }

  #idText(symbol: number, kind: string, id: number): string {
    const feed = kind === "publicTrade" ? this.#feeds[symbol] : undefined;
    return feed === undefined ? String(id) : feed.speller.tradeId(id);
  }

  /** Lets the next perpetual that has not traded yet do so. */
  #listNext(): string {
    const next = this.instruments.find(({ status }) => status === "PreLaunch");
    if (next === undefined) {
      throw new Error("no perpetual waits to be listed: start with more of them (preLaunch)");
    }
    this.setStatus(next.symbol, "Trading");
    return next.symbol;
  }

  #tickerSlot(feed: Feed, changed: number): number {
    return this.#tally.tickerSlot(feed.index, changed, feed.instrument.fundingHours > 0);
  }

  #cutIdle(idleTimeoutMs: number): void {
    const now = performance.now();
    for (const connection of this.#server.connections) {
      if (!connection.open || this.#dialect.silentMs(connection, now) < idleTimeoutMs) continue;
      this.#idle++;
      connection.close(1001, "idle");
    }
  }
}

/** The book as it stands; remembers when it was sent. */
function bookFrame(feed: Feed, sentMs: number): string {
  feed.bookSentMs = sentMs;
  return feed.speller.book(feed.market, feed.updateId, feed.matchedMs, sentMs);
}

/** One frame to all subscribers of a topic. */
function deliver(
  subscribers: readonly Connection[],
  frame: string,
  slot: number,
  made: Made | undefined,
): void {
  for (const connection of subscribers) connection.queue(frame, slot, made);
}

/** What a topic brings, by the kinds in which frames are counted. */
function topicOfFrames(text: string): { symbol: string; kind: FrameKind } | undefined {
  const topic = topicOf(text);
  const kind = FRAME_KINDS.find(
    (known) => known === (topic?.kind === "orderbook.1" ? "orderbook" : topic?.kind),
  );
  return topic === undefined || kind === undefined ? undefined : { symbol: topic.symbol, kind };
}
