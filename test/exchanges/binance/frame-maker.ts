/** Random Binance frames of the shapes in the protocol page, and everything that can be wrong with them. */
import type { Random } from "../../../src/simulator/random.ts";
import { digits, pick } from "../../lib/seed.ts";
import { frameMaker } from "../fuzz/frames.ts";
import {
  ENTRIES,
  ESCAPES,
  extra,
  half,
  type Mutations,
  NUMBERS,
  ORDER,
  oneOf,
  rekeyed,
  VALUES,
} from "../fuzz/mutations.ts";
import { type Node, obj, objectsOf, quoted } from "../fuzz/nodes.ts";
import { decimal, integer, time } from "../fuzz/tokens.ts";

/** Instruments of USD-M that a closed table knows. */
export const KNOWN = [
  "BTCUSDT",
  "ETHUSDT",
  "1000PEPEUSDT",
  "币安人生USDT",
  "BTCUSDT_261225",
  "ÉLANUSDT",
] as const;

/** Instruments it does not know. */
const UNKNOWN = ["XRPUSDT", "BTCUSDC", "龙虾USDT", "BTCUSD_PERP"] as const;

/** Shapes that have a scanner. */
export const HOT_SHAPES = ["bookTicker", "aggTrade", "markPriceUpdate", "forceOrder"] as const;
/** Shapes that have none. */
export const COLD_SHAPES = ["trade", "depth", "kline", "miniTicker", "ack", "error", "list"] as const;
/** A shape of frame. */
export type Shape = (typeof HOT_SHAPES)[number] | (typeof COLD_SHAPES)[number];

/** The payload of a frame and the stream name it comes under; null = never wrapped. */
interface Made {
  payload: Node;
  stream: string | null;
}

/** A frame as the protocol page shows it, with what is newer now there, now not. */
export function makeShape(random: Random, shape: Shape, symbols: readonly string[]): Made {
  const symbol = pick(random, symbols);
  const lower = symbol.toLowerCase();
  const s = quoted(symbol);
  const modern = random.below(3) > 0;
  const st = modern ? (["st", "1"] as const) : null;
  const ps = modern ? (["ps", s] as const) : null;
  const E = ["E", time(random)] as const;
  const T = ["T", time(random)] as const;
  const d = () => decimal(random);
  const maker = ["m", pick(random, ["true", "false"])] as const;
  switch (shape) {
    case "bookTicker":
      return {
        stream: `${lower}@bookTicker`,
        payload: obj([
          ["e", quoted("bookTicker")],
          ["u", integer(random, 12)],
          ["s", s],
          ps,
          ["b", d()],
          ["B", d()],
          ["a", d()],
          ["A", d()],
          T,
          E,
          st,
        ]),
      };
    case "aggTrade": {
      const first = 8_000_000_000 + random.below(1_000_000);
      const quantity = d();
      return {
        stream: `${lower}@aggTrade`,
        payload: obj([
          ["e", quoted("aggTrade")],
          E,
          ["a", integer(random, 10)],
          ["s", s],
          ["p", d()],
          ["q", quantity],
          modern ? ["nq", quantity] : null,
          ["f", String(first)],
          ["l", String(first + random.below(9))],
          T,
          maker,
          st,
        ]),
      };
    }
    case "markPriceUpdate":
      return {
        stream: `${lower}@markPrice${pick(random, ["", "@1s"])}`,
        payload: obj([
          ["e", quoted("markPriceUpdate")],
          E,
          ["s", s],
          ["p", d()],
          modern ? ["ap", d()] : null,
          ["P", d()],
          ["i", d()],
          ["r", quoted(`${pick(random, ["", "-"])}0.000${digits(random, 5)}`)],
          T,
          st,
        ]),
      };
    case "forceOrder":
      return {
        stream: pick(random, ["!forceOrder@arr", `${lower}@forceOrder`]),
        payload: obj([
          ["e", quoted("forceOrder")],
          E,
          [
            "o",
            obj([
              ["s", s],
              ["S", quoted(pick(random, ["BUY", "SELL"]))],
              ["o", quoted("LIMIT")],
              ["f", quoted("IOC")],
              ["q", d()],
              ["p", d()],
              ["ap", d()],
              ["X", quoted(pick(random, ["FILLED", "PARTIALLY_FILLED", "NEW"]))],
              ["l", d()],
              ["z", d()],
              T,
              ps,
              st,
            ]),
          ],
        ]),
      };
    case "trade":
      return {
        stream: `${lower}@trade`,
        payload: obj([
          ["e", quoted("trade")],
          E,
          T,
          ["s", s],
          ["t", integer(random, 10)],
          ["p", d()],
          ["q", d()],
          ["X", quoted(pick(random, ["MARKET", "MARKET", "INSURANCE_FUND", "ADL", "NA"]))],
          maker,
          st,
        ]),
      };
    case "depth": {
      const levels = () => Array.from({ length: random.below(4) }, (): Node => [d(), d()]);
      return {
        stream: `${lower}@depth@100ms`,
        payload: obj([
          ["e", quoted("depthUpdate")],
          E,
          T,
          ["s", s],
          ps,
          ["U", integer(random, 12)],
          ["u", integer(random, 12)],
          ["pu", integer(random, 12)],
          ["b", levels()],
          ["a", levels()],
          st,
        ]),
      };
    }
    case "kline":
      return {
        stream: `${lower}@kline_1m`,
        payload: obj([
          ["e", quoted("kline")],
          E,
          ["s", s],
          ["k", obj([["t", time(random)], T, ["s", s], ["i", quoted("1m")], ["o", d()], ["x", "false"]])],
        ]),
      };
    case "miniTicker":
      return {
        stream: `${lower}@miniTicker`,
        payload: obj([["e", quoted("24hrMiniTicker")], E, ["s", s], ["c", d()], ["v", d()], st]),
      };
    case "ack":
      return {
        stream: null,
        payload: obj([
          ["result", "null"],
          ["id", integer(random, 2)],
        ]),
      };
    case "error":
      return {
        stream: null,
        payload: pick(random, [
          obj([
            [
              "error",
              obj([
                ["code", "2"],
                ["msg", quoted("Invalid request")],
              ]),
            ],
            ["id", integer(random, 2)],
          ]),
          obj([
            ["code", "-1121"],
            ["msg", quoted("Invalid symbol.")],
          ]),
        ]),
      };
    case "list":
      return {
        stream: null,
        payload: obj([
          ["result", [quoted(`${lower}@aggTrade`)]],
          ["id", "3"],
        ]),
      };
  }
}

/** Wraps a payload as `/stream` does, or leaves it as `/ws` sends it. */
function wrap(random: Random, { payload, stream }: Made): Node {
  if (stream === null || random.below(3) === 0) return payload;
  return obj([
    ["stream", quoted(stream)],
    ["data", payload],
  ]);
}

const MUTATED: Mutations = {
  ...ORDER,
  extra: extra(["x", "st", "ps", "nq", "ap", "data", "result", "e"], "BTCUSDT"),
  ...ENTRIES,
  ...ESCAPES,
  otherSymbol: rekeyed(["s"], oneOf([...UNKNOWN, ...KNOWN, "btcusdt", ""].map(quoted))),
  otherStream: rekeyed(
    ["stream"],
    oneOf(["", "币安人生usdt@bookTicker", "élanusdt@aggTrade", "x@y", "☃", 'a"b', "btcusdt@é"].map(quoted)),
  ),
  coinM: (random, node) => {
    const { entries } = pick(random, objectsOf(node));
    const found = entries.find(([key]) => key === "st");
    const value = pick(random, ["2", '"2"', "2.0", "3", "-1", "null", "1e0", "02"]);
    if (found === undefined) entries.push(["st", value]);
    else found[1] = value;
    return node;
  },
  ...VALUES,
  zeroTime: rekeyed(
    ["T", "E"],
    oneOf(["0", "-0", "-5", "0.0", "1.5", "9007199254740", "9007199254741", '"1785048483771"']),
    half,
  ),
  dated: rekeyed(["r", "T"], (random, key) =>
    key === "r"
      ? pick(random, ['""', '"0.00000000"', '"0.00010000"', "null"])
      : pick(random, ["0", "0", "1785048483771"]),
  ),
  ...NUMBERS,
  flag: rekeyed(["m", "S"], (random, key) =>
    key === "m"
      ? pick(random, ["1", '"true"', "null", "truE", "false", "0"])
      : pick(random, ['"sell"', '"BUY"', '""', "1", '"SELLER"']),
  ),
  counts: rekeyed(["f", "l"], oneOf(["1", "5", "4294967296", "2147483648", "0", "9007199254740991"])),
  list: (random, node) => {
    const more = (): Node => makeShape(random, pick(random, [...HOT_SHAPES, ...COLD_SHAPES]), KNOWN).payload;
    const items: Node[] = Array.from({ length: random.below(4) }, more);
    items.splice(random.below(items.length + 1), 0, node);
    return items;
  },
  rewrap: (random, node) =>
    obj([
      ["stream", quoted(pick(random, ["!markPrice@arr@1s", "btcusdt@aggTrade", "!bookTicker"]))],
      ["data", node],
    ]),
  otherEvent: rekeyed(
    ["e"],
    oneOf([
      ...[...HOT_SHAPES, "trade", "depthUpdate", "serverShutdown", "bookTick", "listenKeyExpired"].map(
        quoted,
      ),
      "1",
      "null",
    ]),
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
  make: (random, shape, symbols) => wrap(random, makeShape(random, shape, symbols)),
});
