/** Random OKX frames of the shapes in the protocol page, and everything that can be wrong with them. */
import type { Random } from "../../../src/simulator/random.ts";
import { digits, pick } from "../../lib/seed.ts";
import { frameMaker } from "../fuzz/frames.ts";
import {
  ENTRIES,
  ESCAPES,
  extra,
  type Mutation,
  type Mutations,
  mostly,
  NUMBERS,
  ORDER,
  oneOf,
  rekeyed,
  revalue,
  VALUES,
} from "../fuzz/mutations.ts";
import { copy, listsOf, type Node, type ObjectNode, obj, quoted } from "../fuzz/nodes.ts";
import { decimal, integer, time as millis } from "../fuzz/tokens.ts";

/** Instruments that a closed table knows: swaps, an index (or spot pair), a future, an X-perp. */
export const KNOWN = [
  "BTC-USDT-SWAP",
  "ETH-USDT-SWAP",
  "币安人生-USDT-SWAP",
  "BTC-USDT",
  "BTC-USDT-240329",
  "BTC-USD_UM_XPERP-310404",
] as const;

/** Instruments it does not know. */
const UNKNOWN = ["XRP-USDT-SWAP", "BTC-USD-SWAP", "龙虾-USDT-SWAP", "btc-usdt-swap"] as const;

/** Shapes that have a scanner. */
export const HOT_SHAPES = ["bbo-tbt", "trades", "mark-price", "index-tickers", "open-interest"] as const;
/** Shapes that have none. */
export const COLD_SHAPES = [
  "funding-rate",
  "liquidation-orders",
  "trades-all",
  "books",
  "tickers",
  "candle1m",
  "instruments",
  "subscribe",
  "error",
] as const;
/** A shape of frame. */
export type Shape = (typeof HOT_SHAPES)[number] | (typeof COLD_SHAPES)[number];

const time = (random: Random) => quoted(millis(random));

const framed = (channel: string, instId: string, data: Node[]): ObjectNode =>
  obj([
    [
      "arg",
      obj([
        ["channel", quoted(channel)],
        ["instId", quoted(instId)],
      ]),
    ],
    ["data", data],
  ]);

/** Ids of the trades made from a sequence grow, so that jumps and aggregates both happen. */
const lastIds = new WeakMap<Random, number>();

function trade(random: Random, instId: string, modern: boolean): ObjectNode {
  const count = 1 + random.below(4);
  const jump = random.below(10) === 0 ? random.below(5) : 0;
  const lastId = (lastIds.get(random) ?? 1_000_000) + count + jump;
  lastIds.set(random, lastId);
  return obj([
    ["instId", quoted(instId)],
    ["tradeId", quoted(String(lastId))],
    ["px", decimal(random)],
    ["sz", decimal(random)],
    ["side", quoted(pick(random, ["buy", "sell"]))],
    ["ts", time(random)],
    modern ? ["count", quoted(String(count))] : null,
    modern ? ["source", quoted(pick(random, ["0", "0", "1"]))] : null,
    modern ? ["seqId", integer(random, 11)] : null,
  ]);
}

/** A frame as the protocol page shows it, with what is newer now there, now not. */
export function makeShape(random: Random, shape: Shape, instruments: readonly string[]): ObjectNode {
  const instId = pick(random, instruments);
  const modern = random.below(3) > 0;
  const d = () => decimal(random);
  const ts = ["ts", time(random)] as const;
  const type = ["instType", quoted("SWAP")] as const;
  const id = ["instId", quoted(instId)] as const;
  const side = (): Node =>
    random.below(8) === 0 ? [] : [[d(), d(), quoted("0"), quoted(integer(random, 1))]];
  switch (shape) {
    case "bbo-tbt":
      return framed(shape, instId, [
        obj([["asks", side()], ["bids", side()], ts, modern ? ["seqId", integer(random, 10)] : null]),
      ]);
    case "trades": {
      const rows = random.below(3) === 0 ? 1 + random.below(5) : 1;
      return framed(
        shape,
        instId,
        Array.from({ length: rows }, () => trade(random, instId, modern)),
      );
    }
    case "trades-all":
      return framed(shape, instId, [trade(random, instId, false)]);
    case "mark-price":
      return framed(shape, instId, [obj([id, type, ["markPx", d()], ts])]);
    case "index-tickers":
      return framed(shape, instId, [
        obj([
          id,
          ["idxPx", d()],
          ["open24h", d()],
          ["high24h", d()],
          ["low24h", d()],
          ["sodUtc0", d()],
          ["sodUtc8", d()],
          ts,
        ]),
      ]);
    case "open-interest":
      return framed(shape, instId, [
        obj([id, type, ["oi", d()], ["oiCcy", d()], modern ? ["oiUsd", d()] : null, ts]),
      ]);
    case "funding-rate": {
      const rate = () => quoted(`${pick(random, ["", "-"])}0.000${digits(random, 13)}`);
      return framed(shape, instId, [
        obj([
          ["fundingRate", rate()],
          ["fundingTime", time(random)],
          id,
          type,
          ["method", quoted("current_period")],
          ["nextFundingRate", quoted("")],
          ["settFundingRate", rate()],
          modern ? ts : null,
        ]),
      ]);
    }
    case "liquidation-orders": {
      const detail = (): Node =>
        obj([
          ["bkLoss", quoted("0")],
          ["bkPx", d()],
          ["ccy", quoted("")],
          ["posSide", quoted(pick(random, ["long", "short", "net"]))],
          ["side", quoted(pick(random, ["buy", "sell", ""]))],
          ["sz", d()],
          ["ts", time(random)],
        ]);
      const details = Array.from({ length: 1 + random.below(3) }, detail);
      return obj([
        ["arg", obj([["channel", quoted(shape)], type])],
        ["data", [obj([["details", details], id, type])]],
      ]);
    }
    case "books":
      return framed(shape, instId, [
        obj([["asks", side()], ["bids", side()], ts, ["seqId", integer(random, 10)]]),
      ]);
    case "tickers":
      return framed(shape, instId, [obj([type, id, ["last", d()], ["askPx", d()], ["bidPx", d()], ts])]);
    case "candle1m":
      return framed(shape, instId, [[time(random), d(), d(), d(), d(), d(), quoted("0")]]);
    case "instruments":
      return obj([
        ["arg", obj([["channel", quoted(shape)], type])],
        ["data", [obj([id, ["state", quoted("live")]])]],
      ]);
    case "subscribe":
      return obj([
        ["event", quoted(shape)],
        ["arg", obj([["channel", quoted("trades")], id])],
        ["connId", quoted("a4d3ae55")],
      ]);
    case "error":
      return obj([
        ["event", quoted(shape)],
        ["msg", quoted(`Wrong URL or channel:tickers,instId:${instId} doesn't exist.`)],
        ["code", quoted("60018")],
      ]);
  }
}

/** Replaces, more often than not, the values of some keys. */
const rekey = (keys: readonly string[], values: readonly string[]): Mutation =>
  rekeyed(keys, oneOf(values), mostly);

const MUTATED: Mutations = {
  ...ORDER,
  extra: extra(["x", "instId", "event", "data", "arg", "count", "asks"], "BTC-USDT-SWAP"),
  ...ENTRIES,
  listItem: (random, node) => {
    const lists = listsOf(node);
    if (lists.length === 0) return node;
    const list = pick(random, lists);
    const items: Node[] = ["1", '""', "null", "[]", "{}", '"0.5"', ...list.map(copy)];
    if (random.below(2) === 0) list.splice(random.below(list.length + 1), 0, pick(random, items));
    else list.splice(random.below(list.length + 1), 1);
    return node;
  },
  ...ESCAPES,
  otherInstrument: rekey(["instId"], [...UNKNOWN, ...KNOWN, ...KNOWN, "", "BTC-USDT-SWA"].map(quoted)),
  otherChannel: rekey(
    ["channel", "event"],
    [...[...HOT_SHAPES, ...COLD_SHAPES, "trade", "books5", ""].map(quoted), "1", "null"],
  ),
  ...VALUES,
  times: rekey(
    ["ts", "fundingTime"],
    ['"0"', '"-5"', '"1.5"', '"9007199254740"', '"9007199254741"', "1785048483771", '"01785048483771"', '""'],
  ),
  ...NUMBERS,
  // Numbers stand in quotes here.
  huge: revalue((random) => {
    const number = integer(random, 15 + random.below(40));
    return pick(random, [
      number,
      quoted(number),
      quoted(`-${number}`),
      quoted(`${number}.5`),
      quoted(`0${number}`),
    ]);
  }),
  safeBorder: revalue((random) => {
    const text = pick(random, [
      "9007199254740991",
      "9007199254740992",
      "9007199254740993",
      "9007199254740990",
    ]);
    return random.below(2) === 0 ? text : quoted(text);
  }),
  words: rekey(
    ["side", "posSide", "source"],
    ['"SELL"', '"buy"', '"sell"', '""', "1", "0", '"1"', '"2"', "null", '"seller"', "true"],
  ),
  counts: rekey(
    ["count", "tradeId"],
    ["1", "5", "0", "-1", "2147483647", "2147483648", "9007199254740991", "007", "x"].map(quoted),
  ),
};

/** Names of all mutations; a frame as the exchange sends it; one with up to three things wrong, and which. */
export const {
  mutations: MUTATIONS,
  plain: plainFrame,
  mutated: mutatedFrame,
} = frameMaker({
  hot: HOT_SHAPES,
  cold: COLD_SHAPES,
  coldOneIn: 4,
  known: KNOWN,
  unknown: UNKNOWN,
  mutations: MUTATED,
  make: makeShape,
});
