/** Random Bybit frames of the shapes in the protocol page, and everything that can be wrong with them. */
import type { Random } from "../../../src/simulator/random.ts";
import { digits, pick } from "../../lib/seed.ts";
import { frameMaker } from "../fuzz/frames.ts";
import {
  ENTRIES,
  ESCAPES,
  extra,
  half,
  type Mutation,
  type Mutations,
  NUMBERS,
  ORDER,
  oneOf,
  rekeyed,
  VALUES,
} from "../fuzz/mutations.ts";
import { copy, listsOf, type Node, obj, quoted } from "../fuzz/nodes.ts";
import { decimal, integer, time } from "../fuzz/tokens.ts";

/** Instruments that a closed table knows. */
export const KNOWN = [
  "BTCUSDT",
  "ETHUSDT",
  "1000PEPEUSDT",
  "币安人生USDT",
  "BTCUSDT-27DEC24",
  "ÉLANUSDT",
] as const;
/** Instruments it does not know. */
const UNKNOWN = ["XRPUSDT", "BTCPERP", "龙虾USDT", "BTCUSD"] as const;

/** Shapes that have a scanner. */
export const HOT_SHAPES = ["trades", "book", "ticker", "liquidations"] as const;
/** Shapes that have none. */
export const COLD_SHAPES = [
  "deepBook",
  "kline",
  "spotTicker",
  "spotTrades",
  "ack",
  "refusal",
  "pong",
] as const;
/** A shape of frame. */
export type Shape = (typeof HOT_SHAPES)[number] | (typeof COLD_SHAPES)[number];

const hex = (random: Random, length: number) =>
  Array.from({ length }, () => "0123456789abcdef"[random.below(16)]).join("");
const uuid = (random: Random) => [8, 4, 4, 4, 12].map((length) => hex(random, length)).join("-");

const many = (random: Random, most: number, make: () => Node): Node[] =>
  Array.from({ length: 1 + (random.below(3) === 0 ? random.below(most) : 0) }, make);

/** Keys of a ticker in the order of the wire. */
const TICKER_KEYS = [
  "tickDirection",
  "price24hPcnt",
  "lastPrice",
  "prevPrice24h",
  "highPrice24h",
  "lowPrice24h",
  "prevPrice1h",
  "markPrice",
  "indexPrice",
  "openInterest",
  "openInterestValue",
  "turnover24h",
  "volume24h",
  "fundingIntervalHour",
  "fundingCap",
  "singleOpenInterest",
  "singleOpenInterestValue",
  "nextFundingTime",
  "fundingRate",
  "bid1Price",
  "bid1Size",
  "ask1Price",
  "ask1Size",
  "preOpenPrice",
  "deliveryTime",
  "basis",
] as const;

function tickerValue(random: Random, key: string): string {
  if (key === "tickDirection") return quoted("ZeroMinusTick");
  if (key === "nextFundingTime") return quoted(time(random));
  if (key === "preOpenPrice") return '""';
  if (key === "fundingRate") return quoted(`${pick(random, ["", "-"])}0.000${digits(random, 5)}`);
  return decimal(random);
}

/** A frame as the protocol page shows it, with what is newer now there, now not. */
export function makeShape(random: Random, shape: Shape, symbols: readonly string[]): Node {
  const symbol = pick(random, symbols);
  const s = ["s", quoted(symbol)] as const;
  const modern = random.below(3) > 0;
  const ts = ["ts", time(random)] as const;
  const d = () => decimal(random);
  const topic = (head: string) => ["topic", quoted(head + symbol)] as const;
  const snapshot = ["type", quoted("snapshot")] as const;
  const S = () => ["S", quoted(pick(random, ["Buy", "Sell"]))] as const;
  const flag = () => pick(random, ["true", "false"]);
  const side = (): Node => (random.below(6) === 0 ? [] : [[d(), d()]]);
  switch (shape) {
    case "trades": {
      const seq = integer(random, 12);
      const item = () =>
        obj([
          ["T", time(random)],
          s,
          S(),
          ["v", d()],
          ["p", d()],
          random.below(8) > 0 ? ["L", quoted(pick(random, ["PlusTick", "ZeroMinusTick"]))] : null,
          ["i", quoted(uuid(random))],
          ["BT", flag()],
          modern ? ["RPI", flag()] : null,
          modern ? ["seq", seq] : null,
        ]);
      return obj([topic("publicTrade."), snapshot, ts, ["data", many(random, 5, item)]]);
    }
    case "book": {
      const type = ["type", quoted(pick(random, ["snapshot", "delta"]))] as const;
      const data = obj([
        s,
        ["b", side()],
        ["a", side()],
        ["u", integer(random, 8)],
        ["seq", integer(random, 12)],
      ]);
      const head = random.below(2) === 0 ? [ts, type] : [type, ts];
      return obj([topic("orderbook.1."), ...head, ["data", data], modern ? ["cts", time(random)] : null]);
    }
    case "ticker": {
      const whole = random.below(5) === 0;
      const keys = TICKER_KEYS.filter(() => whole || random.below(6) === 0);
      const fields = keys.map((key): [string, Node] => [key, tickerValue(random, key)]);
      return obj([
        topic("tickers."),
        ["type", quoted(whole ? "snapshot" : "delta")],
        ["data", obj([["symbol", quoted(symbol)], ...fields])],
        modern ? ["cs", integer(random, 12)] : null,
        ts,
      ]);
    }
    case "liquidations": {
      const item = () => obj([["T", time(random)], s, S(), ["v", d()], ["p", d()]]);
      return obj([topic("allLiquidation."), snapshot, ts, ["data", many(random, 4, item)]]);
    }
    case "deepBook": {
      const levels = () => Array.from({ length: random.below(4) }, (): Node => [d(), d()]);
      const data = obj([s, ["b", levels()], ["a", levels()], ["u", integer(random, 8)]]);
      const depth = pick(random, ["50", "200", "500", "1000", "rpi", "full"]);
      return obj([topic(`orderbook.${depth}.`), snapshot, ts, ["data", data]]);
    }
    case "kline":
      return obj([
        topic("kline.5."),
        [
          "data",
          [
            obj([
              ["start", time(random)],
              ["open", d()],
            ]),
          ],
        ],
        ts,
        snapshot,
      ]);
    case "spotTicker": {
      const data = obj([
        ["symbol", quoted(symbol)],
        ["lastPrice", d()],
        ["usdIndexPrice", quoted("")],
      ]);
      return obj([topic("tickers."), ts, snapshot, ["cs", integer(random, 12)], ["data", data]]);
    }
    case "spotTrades": {
      const id = ["i", quoted(integer(random, 19))] as const;
      const item = obj([id, ["T", time(random)], ["p", d()], ["v", d()], S(), s, ["BT", flag()]]);
      return obj([topic("publicTrade."), ts, snapshot, ["data", [item]]]);
    }
    case "ack":
      return obj([
        ["success", "true"],
        ["ret_msg", '""'],
        ["conn_id", quoted("c")],
        ["op", quoted("subscribe")],
      ]);
    case "refusal":
      return obj([
        ["success", "false"],
        ["ret_msg", quoted("error:invalid op")],
        ["op", quoted("nope")],
      ]);
    case "pong":
      return obj([
        ["args", [quoted(time(random))]],
        ["op", quoted("pong")],
      ]);
  }
}

/** Replaces, now and then, the values of all entries that have one of these keys. */
const rekey = (keys: readonly string[], values: readonly string[]): Mutation =>
  rekeyed(keys, oneOf(values), half);

const MUTATED: Mutations = {
  ...ORDER,
  extra: extra(["x", "RPI", "seq", "cts", "markPrice", "data", "topic", "success"], "BTCUSDT"),
  ...ENTRIES,
  ...ESCAPES,
  otherSymbol: rekey(["s", "symbol"], [...UNKNOWN, ...KNOWN, "btcusdt", ""].map(quoted)),
  otherTopic: rekey(
    ["topic"],
    [
      ...KNOWN.flatMap((symbol) =>
        ["publicTrade.", "orderbook.1.", "tickers.", "allLiquidation."].map((head) => quoted(head + symbol)),
      ),
      ...[
        "trade.BTCUSD",
        "orderbook.2.BTCUSDT",
        "publicTrade",
        "tickers.",
        "system.status",
        "nope.X",
        "",
      ].map(quoted),
      "null",
      "1",
    ],
  ),
  side: rekey(["S", "L", "type"], ['"buy"', '"SELL"', '""', "null", "1", '"Buyer"', '"Sell"', '"é"']),
  flag: rekey(["BT", "RPI"], ["1", '"true"', "null", "truE", "false", "0"]),
  id: rekey(
    ["i"],
    ['""', "null", '"2290000000090712222"', "9007199254740993", '"é"', quoted("x".repeat(49)), "1.5"],
  ),
  levels: rekey(
    ["b", "a"],
    [
      "null",
      "{}",
      "[[]]",
      '[["1"]]',
      '[["1","0"],["2","3"]]',
      '[["2","3"],["1","0"]]',
      '[["","1"]]',
      '[["1","2","3"]]',
    ],
  ),
  ...VALUES,
  zeroTime: rekey(
    ["T", "ts", "cts", "nextFundingTime"],
    [
      "0",
      '"0"',
      '"01795170600911"',
      "-0",
      "-5",
      "0.0",
      "1.5",
      "9007199254740",
      "9007199254741",
      '"1795170600911"',
    ],
  ),
  ...NUMBERS,
  list: (random, node) => {
    const lists = listsOf(node);
    if (lists.length === 0) return node;
    const list = pick(random, lists);
    const more: Node = pick(random, ["null", "1", '"x"', [], obj([["T", "1"]]), list[0] ?? "{}"]);
    list.splice(random.below(list.length + 1), random.below(2), copy(more));
    return node;
  },
  wrapped: (random, node) =>
    pick(random, [
      [node],
      obj([["data", node]]),
      obj([
        ["topic", quoted("tickers.X")],
        ["data", node],
      ]),
    ]),
};

/** Names of all mutations; a frame as the exchange sends it; one with up to three things wrong, and which. */
export const {
  mutations: MUTATIONS,
  plain: plainFrame,
  mutated: mutatedFrame,
} = frameMaker({
  hot: HOT_SHAPES,
  cold: COLD_SHAPES,
  coldOneIn: 5,
  known: KNOWN,
  unknown: UNKNOWN,
  mutations: MUTATED,
  make: makeShape,
});
