/** Captured Bybit v5 frames: which topic each belongs to, and which instruments they tell of. */
import { z } from "zod";
import type { Topic } from "../faults/gate.ts";
import type { Captured, ReplayProtocol, ReplaySink } from "../replay-protocol.ts";
import { BybitDialect } from "./dialect.ts";
import type { Instrument } from "./instruments.ts";
import { ROUTE, topicOf } from "./topics.ts";

const FRAME = z.object({ topic: z.string(), ts: z.number().optional(), data: z.unknown() });
const TRADES = z.array(z.object({ p: z.string(), v: z.string() }));
const LEVELS = z.array(z.tuple([z.string(), z.string()], z.unknown()));
const BOOK = z.object({ b: LEVELS, a: LEVELS });
const DECIMAL = /^\d+(?:\.(\d+))?$/;
const DATED = /^(.+)-(\d{1,2})([A-Z]{3})(\d{2})$/;
const MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DEFAULT_DECIMALS = 2;
const DELIVERY_HOUR = 8;

/** What the frames of one symbol showed of it. */
interface Seen {
  readonly firstMs: number;
  priceDecimals: number;
  amountDecimals: number;
}

/** One replay of Bybit v5; frames of all categories are served on the linear route. */
export class BybitReplay implements ReplayProtocol {
  readonly #seen = new Map<string, Seen>();

  read(raw: string): Captured {
    const json = parse(raw);
    const frame = FRAME.safeParse(json);
    if (frame.success) return { kind: "frame", streams: [frame.data.topic], text: () => raw };
    return { kind: isAnswer(json) ? "control" : "unknown" };
  }

  learn(raw: string): void {
    const frame = FRAME.safeParse(parse(raw));
    const topic = frame.success ? topicOf(frame.data.topic) : undefined;
    if (!frame.success || topic === undefined) return;
    let seen = this.#seen.get(topic.symbol);
    if (seen === undefined) {
      seen = { firstMs: frame.data.ts ?? 0, priceDecimals: 0, amountDecimals: 0 };
      this.#seen.set(topic.symbol, seen);
    }
    for (const [price, amount] of levelsOf(frame.data.data)) {
      seen.priceDecimals = Math.max(seen.priceDecimals, decimals(price));
      seen.amountDecimals = Math.max(seen.amountDecimals, decimals(amount));
    }
  }

  routeOf(stream: string): string | undefined {
    return topicOf(stream) === undefined ? undefined : ROUTE;
  }

  topic(stream: string): Topic | undefined {
    return topicOf(stream);
  }

  dialect(sink: ReplaySink, stats: () => unknown): BybitDialect {
    const refuses = sink.refuses.bind(sink);
    return new BybitDialect({ instruments: this.instruments(), sink, stats, refuses });
  }

  /** Instruments of the symbols seen so far by symbol, in the order of their first frame. */
  instruments(): Map<string, Instrument> {
    return new Map(
      [...this.#seen].map(([symbol, seen], index) => [symbol, instrumentOf(symbol, index + 1, seen)]),
    );
  }
}

/** Acks and pongs; `op` alone is the pong of the option endpoint. */
function isAnswer(json: unknown): boolean {
  if (typeof json !== "object" || json === null) return false;
  return "success" in json || "op" in json;
}

/** Prices and amounts that a frame shows: its trades or liquidations, or the levels of its book. */
function levelsOf(data: unknown): [string, string][] {
  const trades = TRADES.safeParse(data);
  if (trades.success) return trades.data.map(({ p, v }) => [p, v]);
  const book = BOOK.safeParse(data);
  if (!book.success) return [];
  return [...book.data.b, ...book.data.a].map(([price, amount]) => [price, amount]);
}

/** BTCUSDT is a perpetual, BTCPERP one in USDC, BTCUSDT-27DEC24 dated; others are taken as in USD. */
function instrumentOf(symbol: string, symbolId: number, seen: Seen): Instrument {
  const [, pair = symbol, day, month = "", year] = DATED.exec(symbol) ?? [];
  const dated = day !== undefined;
  const usdc = pair.endsWith("PERP");
  const quote = usdc ? "USDC" : pair.endsWith("USDT") ? "USDT" : "USD";
  const base = usdc ? pair.slice(0, -4) : pair.endsWith(quote) ? pair.slice(0, -quote.length) : pair;
  return {
    symbol,
    symbolId,
    base,
    quote,
    settle: quote === "USD" ? base : quote,
    contractType: dated ? "LinearFutures" : "LinearPerpetual",
    status: "Trading",
    priceDecimals: seen.priceDecimals || DEFAULT_DECIMALS,
    tick: 1,
    amountDecimals: seen.amountDecimals,
    price: 0,
    launchMs: seen.firstMs,
    deliveryMs: dated ? Date.UTC(2000 + Number(year), MONTHS.indexOf(month), Number(day), DELIVERY_HOUR) : 0,
    fundingHours: dated ? 0 : 8,
  };
}

function decimals(text: string): number {
  return DECIMAL.exec(text)?.[1]?.length ?? 0;
}

function parse(raw: string): unknown {
  try {
    return JSON.parse(raw);
  } catch {
    return undefined;
  }
}
