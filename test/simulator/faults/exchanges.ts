/** The three simulated exchanges behind one face, for tests of what they have in common: their faults. */
import { afterEach } from "bun:test";
import { z } from "zod";
import { startBinance } from "../../../src/simulator/binance.ts";
import { startBybit } from "../../../src/simulator/bybit.ts";
import type { SimulatedExchange, SimulationOptions } from "../../../src/simulator/exchanges.ts";
import { startOkx } from "../../../src/simulator/okx.ts";
import { Peer } from "./peer.ts";

export const SEED = 20_261_122;

/** One exchange as a client speaks to it. */
export interface Face {
  readonly name: "binance" | "bybit" | "okx";
  start(options: SimulationOptions): SimulatedExchange;
  /** Kinds of streams, as faults and account call them. */
  readonly book: string;
  readonly trade: string;
  readonly btc: string;
  readonly eth: string;
  path(kind: string): string;
  /** What is asked for: a stream, topic or arg. */
  topic(kind: string, symbol: string): unknown;
  request(op: "subscribe" | "unsubscribe", topics: readonly unknown[], id: number): string;
  /** Whether a text is the answer to a request: a good one, a refusal, or none. */
  answer(text: string): "good" | "bad" | undefined;
  /** The symbol of an event frame; undefined = another kind of text. */
  symbolOf(text: string): string | undefined;
  /** Ids in an event frame of a book or trade, as the account spells them. */
  ids(text: string): string[];
  /** The time in an event frame, ms. */
  timeOf(text: string): number;
}

const BINANCE = z.object({
  stream: z.string(),
  data: z.looseObject({
    e: z.string(),
    s: z.string(),
    E: z.number(),
    a: z.unknown(),
    u: z.number().optional(),
  }),
});
const BYBIT = z.object({
  topic: z.string(),
  ts: z.number(),
  data: z.union([z.array(z.looseObject({ i: z.string() })), z.looseObject({ u: z.number() })]),
});
const OKX = z.object({
  arg: z.object({ channel: z.string(), instId: z.string() }),
  data: z.array(
    z.looseObject({ ts: z.string(), seqId: z.number().optional(), tradeId: z.string().optional() }),
  ),
});

const json = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

export const FACES: readonly Face[] = [
  {
    name: "binance",
    start: startBinance,
    book: "bookTicker",
    trade: "aggTrade",
    btc: "BTCUSDT",
    eth: "ETHUSDT",
    path: (kind) => (kind === "bookTicker" ? "/public/stream" : "/market/stream"),
    topic: (kind, symbol) => `${symbol.toLowerCase()}@${kind}`,
    request: (op, params, id) => JSON.stringify({ method: op.toUpperCase(), params, id }),
    answer: (text) =>
      text.startsWith('{"result":null') ? "good" : text.startsWith('{"error":') ? "bad" : undefined,
    symbolOf: (text) => BINANCE.safeParse(json(text)).data?.data.s,
    ids(text) {
      const { e, a, u } = BINANCE.parse(json(text)).data;
      return [String(e === "aggTrade" ? a : u)];
    },
    timeOf: (text) => BINANCE.parse(json(text)).data.E,
  },
  {
    name: "bybit",
    start: startBybit,
    book: "orderbook",
    trade: "publicTrade",
    btc: "BTCUSDT",
    eth: "ETHUSDT",
    path: () => "/v5/public/linear",
    topic: (kind, symbol) => `${kind === "orderbook" ? "orderbook.1" : kind}.${symbol}`,
    request: (op, args, id) => JSON.stringify({ op, args, req_id: String(id) }),
    answer(text) {
      if (!text.includes('"op":"subscribe"') && !text.includes('"op":"unsubscribe"')) return undefined;
      return text.startsWith('{"success":true') ? "good" : "bad";
    },
    symbolOf: (text) => BYBIT.safeParse(json(text)).data?.topic.split(".").at(-1),
    ids(text) {
      const { data } = BYBIT.parse(json(text));
      return Array.isArray(data) ? data.map(({ i }) => i) : [String(data.u)];
    },
    timeOf: (text) => BYBIT.parse(json(text)).ts,
  },
  {
    name: "okx",
    start: startOkx,
    book: "bbo-tbt",
    trade: "trades",
    btc: "BTC-USDT-SWAP",
    eth: "ETH-USDT-SWAP",
    path: () => "/ws/v5/public",
    topic: (channel, instId) => ({ channel, instId }),
    request: (op, args, id) => JSON.stringify({ id: String(id), op, args }),
    answer(text) {
      if (!text.includes('"event":')) return undefined;
      return text.includes('"event":"error"') ? "bad" : text.includes("subscribe") ? "good" : undefined;
    },
    symbolOf: (text) => OKX.safeParse(json(text)).data?.arg.instId,
    ids: (text) => OKX.parse(json(text)).data.map(({ seqId, tradeId }) => tradeId ?? String(seqId)),
    timeOf: (text) => Number(OKX.parse(json(text)).data[0]?.ts),
  },
];

const running: SimulatedExchange[] = [];
const peers: Peer[] = [];
afterEach(async () => {
  for (const peer of peers.splice(0)) peer.terminate();
  await Promise.all(running.splice(0).map((exchange) => exchange.stop()));
});

/** Starts an exchange that ends with the test: lively, with an account. */
export function start(face: Face, options: SimulationOptions = {}): SimulatedExchange {
  const exchange = face.start({ seed: SEED, instruments: 4, rate: 1000, account: true, ...options });
  running.push(exchange);
  return exchange;
}

/** A client that has subscribed these of one kind, and has its answer unless told not to wait for it. */
export async function subscriber(
  face: Face,
  exchange: SimulatedExchange,
  kind: string,
  symbols: readonly string[] = [face.btc, face.eth],
  waits = true,
): Promise<Peer> {
  const peer = await Peer.open(exchange.url + face.path(kind));
  peers.push(peer);
  ask(face, peer, "subscribe", kind, symbols);
  if (waits) await peer.until((text) => face.answer(text) !== undefined, "an answer");
  return peer;
}

let nextId = 1;

/** Subscribes or unsubscribes. */
export function ask(
  face: Face,
  peer: Peer,
  op: "subscribe" | "unsubscribe",
  kind: string,
  symbols: readonly string[],
): void {
  const topics = symbols.map((symbol) => face.topic(kind, symbol));
  peer.send(face.request(op, topics, nextId++));
}

/** Texts of events of a symbol that came so far, from the `from`-th text on. */
export function eventsOf(face: Face, peer: Peer, symbol?: string, from = 0): string[] {
  return peer.texts.slice(from).filter((text) => {
    const of = face.symbolOf(text);
    return of !== undefined && (symbol === undefined || of === symbol);
  });
}
