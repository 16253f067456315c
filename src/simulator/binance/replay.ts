/** Captured Binance USD-M frames: which stream each belongs to, and which instruments they tell of. */
import { z } from "zod";
import type { Connection } from "../connection.ts";
import type { Topic } from "../faults/gate.ts";
import type { Captured, ReplayProtocol, ReplaySink } from "../replay-protocol.ts";
import { BinanceDialect } from "./dialect.ts";
import { wrapperHead } from "./frames.ts";
import { type Instrument, PERPETUAL_DELIVERY_MS } from "./instruments.ts";
import { type Route, routeOf, streamSymbol, topicOf } from "./streams.ts";

const WRAPPED = z.object({ stream: z.string(), data: z.unknown() });
/** The fields by which a payload tells its stream. */
const EVENT = z.object({
  e: z.string(),
  E: z.number().optional(),
  s: z.string().optional(),
  st: z.number().optional(),
  o: z.unknown().optional(),
  k: z.unknown().optional(),
  p: z.unknown().optional(),
  q: z.unknown().optional(),
  b: z.unknown().optional(),
  B: z.unknown().optional(),
});
type Event = z.infer<typeof EVENT>;
const ORDER = z.object({ s: z.string(), st: z.number().optional(), p: z.string(), q: z.string() });
const KLINE = z.object({ i: z.string() });
const DECIMAL = /^\d+(?:\.(\d+))?$/;
const DELIVERY = /^(.+)_(\d{2})(\d{2})(\d{2})$/;
const QUOTES = ["USDT", "USDC", "FDUSD", "BUSD", "USD1", "BTC", "ETH", "BNB"];
const COIN_MARGINED = 2;
const DEFAULT_DECIMALS = 2;

/** What the frames of one symbol showed of it. */
interface Seen {
  firstMs: number;
  priceDecimals: number;
  amountDecimals: number;
}

/** One replay of Binance USD-M futures. */
export class BinanceReplay implements ReplayProtocol {
  readonly #seen = new Map<string, Seen>();

  read(raw: string): Captured {
    const json = parse(raw);
    if (isControl(json)) return { kind: "control" };
    const wrapped = WRAPPED.safeParse(json);
    if (wrapped.success) {
      const { stream, data } = wrapped.data;
      return {
        kind: "frame",
        streams: [stream],
        text: (_, connection) => (connection.endpoint.wrapped ? raw : payloadOf(raw, data)),
      };
    }
    const [first, ...others] = streamsOf(json);
    if (first === undefined) return { kind: "unknown" };
    return {
      kind: "frame",
      streams: [first, ...others],
      text: (stream: string, connection: Connection) =>
        connection.endpoint.wrapped ? `${wrapperHead(stream)}${raw}}` : raw,
    };
  }

  learn(raw: string): void {
    const json = parse(raw);
    const wrapped = WRAPPED.safeParse(json);
    const payload = wrapped.success ? wrapped.data.data : json;
    for (const item of Array.isArray(payload) ? payload : [payload]) this.#learnEvent(item);
  }

  routeOf(stream: string): Route | undefined {
    return routeOf(stream);
  }

  topic(stream: string): Topic | undefined {
    return topicOf(stream);
  }

  dialect(sink: ReplaySink, stats: () => unknown): BinanceDialect {
    const refuses = sink.refuses.bind(sink);
    return new BinanceDialect({ instruments: this.instruments(), sink, stats, refuses });
  }

  /** Instruments of the symbols seen so far, in the order of their first frame. */
  instruments(): Instrument[] {
    return [...this.#seen].flatMap(([symbol, seen]) => instrument(symbol, seen) ?? []);
  }

  #learnEvent(item: unknown): void {
    const event = EVENT.safeParse(item);
    if (!event.success) return;
    const order = ORDER.safeParse(event.data.o);
    const symbol = event.data.s ?? (order.success ? order.data.s : undefined);
    // COIN-M contracts come along on `!…@arr` streams; they are not instruments of this host.
    const st = event.data.st ?? (order.success ? order.data.st : undefined);
    if (symbol === undefined || st === COIN_MARGINED) return;
    let seen = this.#seen.get(symbol);
    if (seen === undefined) {
      seen = { firstMs: event.data.E ?? 0, priceDecimals: 0, amountDecimals: 0 };
      this.#seen.set(symbol, seen);
    }
    const { e, b, B, p, q } = event.data;
    const prices = e === "bookTicker" ? [b] : e === "aggTrade" || e === "trade" ? [p] : [];
    const amounts = e === "bookTicker" ? [B] : e === "aggTrade" || e === "trade" ? [q] : [];
    if (order.success) {
      prices.push(order.data.p);
      amounts.push(order.data.q);
    }
    seen.priceDecimals = Math.max(seen.priceDecimals, ...prices.map(decimals));
    seen.amountDecimals = Math.max(seen.amountDecimals, ...amounts.map(decimals));
  }
}

/** Acks have a `result` key and are the only frames that do; errors have `error`, or `code` and `msg`. */
function isControl(json: unknown): boolean {
  if (typeof json !== "object" || json === null || "stream" in json || "e" in json) return false;
  return "result" in json || "error" in json || ("code" in json && "msg" in json);
}

/** Streams that may have carried an unwrapped payload. */
function streamsOf(json: unknown): string[] {
  if (Array.isArray(json)) {
    const first = EVENT.safeParse(json[0]);
    if (!first.success) return [];
    if (first.data.e === "markPriceUpdate") return ["!markPrice@arr@1s", "!markPrice@arr"];
    if (first.data.e === "24hrTicker") return ["!ticker@arr"];
    return first.data.e === "24hrMiniTicker" ? ["!miniTicker@arr"] : [];
  }
  const event = EVENT.safeParse(json);
  return event.success ? eventStreams(event.data) : [];
}

function eventStreams({ e, s, o, k }: Event): string[] {
  if (e === "contractInfo") return ["!contractInfo"];
  if (e === "forceOrder") {
    const order = ORDER.safeParse(o);
    return order.success ? ["!forceOrder@arr", `${streamSymbol(order.data.s)}@forceOrder`] : [];
  }
  if (s === undefined) return [];
  const name = streamSymbol(s);
  switch (e) {
    case "aggTrade":
    case "trade":
      return [`${name}@${e}`];
    case "bookTicker":
      return [`${name}@bookTicker`, "!bookTicker"];
    case "markPriceUpdate":
      return [`${name}@markPrice@1s`, `${name}@markPrice`];
    case "24hrTicker":
      return [`${name}@ticker`, "!ticker@arr"];
    case "24hrMiniTicker":
      return [`${name}@miniTicker`, "!miniTicker@arr"];
    case "kline": {
      const kline = KLINE.safeParse(k);
      return kline.success ? [`${name}@kline_${kline.data.i}`] : [];
    }
    // Diffs and top-N look alike without a wrapper; diffs are by far the commoner capture.
    case "depthUpdate":
      return ["@100ms", "", "@250ms", "@500ms"].map((speed) => `${name}@depth${speed}`);
    default:
      return [];
  }
}

/** The payload's own bytes out of a wrapped frame; printed anew only where the wrapper is an unusual one. */
function payloadOf(raw: string, data: unknown): string {
  const head = /^\s*\{\s*"stream"\s*:\s*"(?:[^"\\]|\\.)*"\s*,\s*"data"\s*:\s*/.exec(raw);
  const end = raw.lastIndexOf("}");
  return head === null ? JSON.stringify(data) : raw.slice(head[0].length, end).trimEnd();
}

/** A USDT pair is a trading perpetual, `BTCUSDT_261225` a quarterly; other names are no USD-M contracts. */
function instrument(symbol: string, seen: Seen): Instrument | undefined {
  const [, pair = symbol, year, month, day] = DELIVERY.exec(symbol) ?? [];
  const quote = QUOTES.find((asset) => pair.endsWith(asset) && pair !== asset);
  if (quote === undefined) return undefined;
  const dated = year !== undefined;
  return {
    symbol,
    pair,
    base: pair.slice(0, -quote.length),
    quote,
    margin: quote,
    contractType: dated ? "CURRENT_QUARTER" : "PERPETUAL",
    status: "TRADING",
    priceDecimals: seen.priceDecimals || DEFAULT_DECIMALS,
    tick: 1,
    amountDecimals: seen.amountDecimals,
    price: 0,
    onboardMs: seen.firstMs,
    deliveryMs: dated
      ? Date.UTC(2000 + Number(year), Number(month) - 1, Number(day), 8)
      : PERPETUAL_DELIVERY_MS,
    fundingHours: dated ? 0 : 8,
  };
}

function decimals(text: unknown): number {
  return typeof text === "string" ? (DECIMAL.exec(text)?.[1]?.length ?? 0) : 0;
}

function parse(raw: string): unknown {
  try {
    return JSON.parse(raw);
  } catch {
    return undefined;
  }
}
