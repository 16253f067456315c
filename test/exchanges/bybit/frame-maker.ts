/** Random Bybit frames of the shapes in the protocol page, and everything that can be wrong with them. */
import type { Random } from "../../../src/simulator/random.ts";
import { digits, pick } from "../../lib/seed.ts";
import { copy, type Node, objectsOf, quoted, randomEntry, write } from "../binance/nodes.ts";

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

const integer = (random: Random, length: number) => String(1 + random.below(9)) + digits(random, length - 1);
const time = (random: Random) => `1${7 + random.below(2)}${digits(random, 11)}`;
const hex = (random: Random, length: number) =>
  Array.from({ length }, () => "0123456789abcdef"[random.below(16)]).join("");
const uuid = (random: Random) => [8, 4, 4, 4, 12].map((length) => hex(random, length)).join("-");

function decimal(random: Random): string {
  const whole = random.below(5) === 0 ? "0" : integer(random, 1 + random.below(6));
  const fraction = random.below(6) === 0 ? "" : `.${digits(random, 1 + random.below(8))}`;
  return quoted(whole + fraction);
}

/** One with more digits than a double may hold. */
function longDecimal(random: Random): string {
  return quoted(`${integer(random, 1 + random.below(12))}.${digits(random, 6 + random.below(14))}`);
}

function obj(entries: readonly (readonly [string, Node] | null)[]): { entries: [string, Node][] } {
  return { entries: entries.filter((entry) => entry !== null).map(([key, node]) => [key, node]) };
}

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

const encoder = new TextEncoder();

/** A frame exactly as the exchange sends it. */
export function plainFrame(random: Random, shape: Shape): Uint8Array {
  return encoder.encode(write(makeShape(random, shape, KNOWN)));
}

type Mutation = (random: Random, node: Node) => Node;

/** Replaces the value of one entry. */
function revalue(change: (random: Random, value: Node, key: string) => Node): Mutation {
  return (random, node) => {
    const entry = randomEntry(random, node);
    if (entry !== null) entry[1] = change(random, entry[1], entry[0]);
    return node;
  };
}

/** Replaces, now and then, the values of all entries that have one of these keys. */
function rekey(keys: readonly string[], values: readonly string[]): Mutation {
  return (random, node) => {
    for (const { entries } of objectsOf(node)) {
      for (const entry of entries) {
        if (keys.includes(entry[0]) && random.below(2) === 0) entry[1] = pick(random, values);
      }
    }
    return node;
  };
}

function shuffled<T>(random: Random, list: T[]): void {
  for (let i = list.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [list[i], list[j]] = [list[j], list[i]];
  }
}

function escapeAt(text: string, at: number): string {
  if (at >= text.length) return text;
  const code = text.charCodeAt(at).toString(16).padStart(4, "0");
  return `${text.slice(0, at)}\\u${code}${text.slice(at + 1)}`;
}

/** Writes one character of a string token as \uXXXX. */
function escaped(random: Random, token: string): string {
  const inner = token.slice(1, -1);
  if (!token.startsWith('"') || inner.includes("\\")) return token;
  return `"${escapeAt(inner, random.below(inner.length + 1))}"`;
}

/** All lists of a tree that stand as a value. */
function listsOf(node: Node): Node[][] {
  if (typeof node === "string") return [];
  if (Array.isArray(node)) return [node, ...node.flatMap(listsOf)];
  return node.entries.flatMap(([, value]) => listsOf(value));
}

const STRUCTURAL: Readonly<Record<string, Mutation>> = {
  reorder: (random, node) => {
    for (const object of objectsOf(node)) if (random.below(2) === 0) shuffled(random, object.entries);
    return node;
  },
  swap: (random, node) => {
    const { entries } = pick(random, objectsOf(node));
    const i = random.below(entries.length);
    const j = random.below(entries.length);
    [entries[i], entries[j]] = [entries[j], entries[i]];
    return node;
  },
  extra: (random, node) => {
    const { entries } = pick(random, objectsOf(node));
    const key = pick(random, [
      "x",
      "RPI",
      "seq",
      "cts",
      "markPrice",
      "data",
      "topic",
      "success",
      "toString",
      "__proto__",
    ]);
    const value = pick(random, ["1", '"1"', "null", "true", "[]", "{}", '"BTCUSDT"', "[1,2]"]);
    entries.splice(random.below(entries.length + 1), 0, [key, value]);
    return node;
  },
  missing: (random, node) => {
    const { entries } = pick(random, objectsOf(node));
    entries.splice(random.below(entries.length), 1);
    return node;
  },
  duplicate: (random, node) => {
    const { entries } = pick(random, objectsOf(node));
    const [key, value] = pick(random, entries);
    const other = random.below(2) === 0 ? pick(random, entries)[1] : value;
    entries.splice(random.below(entries.length + 1), 0, [key, copy(other)]);
    return node;
  },
  escapedValue: revalue((random, value) => (typeof value === "string" ? escaped(random, value) : value)),
  escapedKey: (random, node) => {
    const entry = randomEntry(random, node);
    if (entry !== null && !entry[0].includes("\\"))
      entry[0] = escapeAt(entry[0], random.below(entry[0].length));
    return node;
  },
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
  exponent: revalue((random, value) => {
    if (typeof value !== "string") return value;
    const mark = pick(random, ["e0", "E2", "e-3", "e+1", "e22", "e400", "e-400", "e", "E+"]);
    return value.startsWith('"') ? `${value.slice(0, -1)}${mark}"` : value + mark;
  }),
  nothing: revalue((random) => pick(random, ["null", '""', "0", '"0"', "{}", "[]"])),
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
  stringNumber: revalue((_, value) => {
    if (typeof value !== "string") return value;
    return value.startsWith('"') ? value.slice(1, -1) || "0" : quoted(value);
  }),
  huge: revalue((random) => {
    const number = integer(random, 15 + random.below(40));
    return pick(random, [number, quoted(number), `-${number}`, `${number}.5`, `0${number}`]);
  }),
  safeBorder: revalue((random) =>
    pick(random, ["9007199254740991", "9007199254740992", "9007199254740993", '"9007199254740993"']),
  ),
  longDecimal: revalue((random, value) =>
    typeof value === "string" && value.startsWith('"') ? longDecimal(random) : value,
  ),
  oddDecimal: revalue((random, value) =>
    typeof value === "string" && /^"[\d.]/.test(value)
      ? quoted(
          pick(random, [
            "-1.5",
            ".5",
            "5.",
            "+1",
            "00012.50",
            "-0",
            "10000.0000000000000000",
            "1,5",
            " 1",
            "1e5",
          ]),
        )
      : value,
  ),
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

type ByteMutation = (random: Random, bytes: Uint8Array) => Uint8Array;

const BYTES: Readonly<Record<string, ByteMutation>> = {
  truncated: (random, bytes) => bytes.subarray(0, random.below(bytes.length)),
  flipped: (random, bytes) => {
    bytes[random.below(bytes.length)] ^= 1 << random.below(8);
    return bytes;
  },
  replaced: (random, bytes) => {
    bytes[random.below(bytes.length)] = pick(
      random,
      [0x22, 0x5c, 0x00, 0x1f, 0x20, 0x2c, 0x30, 0x7d, 0x7f, 0x80],
    );
    return bytes;
  },
  invalid: (random, bytes) => {
    bytes[random.below(bytes.length)] = pick(random, [0xff, 0xc0, 0xe5, 0xed, 0xf8]);
    return bytes;
  },
  trailing: (random, bytes) =>
    Buffer.concat([bytes, encoder.encode(pick(random, [" ", "\n", "}", "\0", "{}", "1"]))]),
  leading: (random, bytes) =>
    Buffer.concat([encoder.encode(pick(random, [" ", "\ufeff", "\n", "["])), bytes]),
  twice: (_, bytes) => Buffer.concat([bytes, bytes]),
};

/** Names of everything that can be done to a frame. */
export const MUTATIONS: readonly string[] = [...Object.keys(STRUCTURAL), "spaced", ...Object.keys(BYTES)];

/** A frame with up to three things wrong with it (sometimes none), and what they are. */
export function mutatedFrame(random: Random): { frame: Uint8Array; mutations: string[] } {
  const shape = random.below(5) > 0 ? pick(random, HOT_SHAPES) : pick(random, COLD_SHAPES);
  const symbols = random.below(6) === 0 ? UNKNOWN : KNOWN;
  let node = makeShape(random, shape, symbols);
  const mutations: string[] = [];
  for (let i = random.below(4); i > 0; i--) mutations.push(pick(random, MUTATIONS));
  let spaced = false;
  for (const name of mutations) {
    if (name === "spaced") spaced = true;
    else if (objectsOf(node).length > 0) node = STRUCTURAL[name]?.(random, node) ?? node;
  }
  const space = () => (spaced && random.below(4) === 0 ? pick(random, [" ", "  ", "\t", "\n", "\r"]) : "");
  let frame: Uint8Array = encoder.encode(write(node, space));
  for (const name of mutations) if (frame.length > 0) frame = BYTES[name]?.(random, frame) ?? frame;
  return { frame, mutations };
}
