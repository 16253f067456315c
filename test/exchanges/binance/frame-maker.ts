/** Random Binance frames of the shapes in the protocol page, and everything that can be wrong with them. */
import type { Random } from "../../../src/simulator/random.ts";
import { digits, pick } from "../../lib/seed.ts";
import { copy, type Node, objectsOf, quoted, randomEntry, write } from "./nodes.ts";

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

const integer = (random: Random, length: number) => String(1 + random.below(9)) + digits(random, length - 1);
const time = (random: Random) => `1${7 + random.below(2)}${digits(random, 11)}`;

/** A decimal as Binance writes them. */
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

const encoder = new TextEncoder();

/** A frame exactly as the exchange sends it. */
export function plainFrame(random: Random, shape: Shape): Uint8Array {
  return encoder.encode(write(wrap(random, makeShape(random, shape, KNOWN))));
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

function shuffled<T>(random: Random, list: T[]): void {
  for (let i = list.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [list[i], list[j]] = [list[j], list[i]];
  }
}

/** Writes some characters of a string token (or key) as \uXXXX. */
function escaped(random: Random, token: string): string {
  if (!token.startsWith('"')) return token;
  const inner = token.slice(1, -1);
  if (inner.includes("\\")) return token;
  const at = random.below(inner.length + 1);
  return `"${escapeAt(inner, at)}"`;
}

function escapeAt(text: string, at: number): string {
  if (at >= text.length) return text;
  const code = text.charCodeAt(at).toString(16).padStart(4, "0");
  return `${text.slice(0, at)}\\u${code}${text.slice(at + 1)}`;
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
    const key = pick(random, ["x", "st", "ps", "nq", "ap", "data", "result", "e", "toString", "__proto__"]);
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
  otherSymbol: (random, node) => {
    for (const { entries } of objectsOf(node)) {
      for (const entry of entries) {
        if (entry[0] === "s") entry[1] = quoted(pick(random, [...UNKNOWN, ...KNOWN, "btcusdt", ""]));
      }
    }
    return node;
  },
  otherStream: (random, node) => {
    for (const { entries } of objectsOf(node)) {
      for (const entry of entries) {
        if (entry[0] !== "stream") continue;
        entry[1] = quoted(
          pick(random, ["", "币安人生usdt@bookTicker", "élanusdt@aggTrade", "x@y", "☃", 'a"b', "btcusdt@é"]),
        );
      }
    }
    return node;
  },
  coinM: (random, node) => {
    const { entries } = pick(random, objectsOf(node));
    const found = entries.find(([key]) => key === "st");
    const value = pick(random, ["2", '"2"', "2.0", "3", "-1", "null", "1e0", "02"]);
    if (found === undefined) entries.push(["st", value]);
    else found[1] = value;
    return node;
  },
  exponent: revalue((random, value) => {
    if (typeof value !== "string") return value;
    const mark = pick(random, ["e0", "E2", "e-3", "e+1", "e22", "e400", "e-400", "e", "E+"]);
    return value.startsWith('"') ? `${value.slice(0, -1)}${mark}"` : value + mark;
  }),
  nothing: revalue((random) => pick(random, ["null", '""', "0", '"0"', "{}", "[]"])),
  zeroTime: (random, node) => {
    for (const { entries } of objectsOf(node)) {
      for (const entry of entries) {
        if ((entry[0] === "T" || entry[0] === "E") && random.below(2) === 0) {
          entry[1] = pick(random, [
            "0",
            "-0",
            "-5",
            "0.0",
            "1.5",
            "9007199254740",
            "9007199254741",
            '"1785048483771"',
          ]);
        }
      }
    }
    return node;
  },
  dated: (random, node) => {
    for (const { entries } of objectsOf(node)) {
      for (const entry of entries) {
        if (entry[0] === "r") entry[1] = pick(random, ['""', '"0.00000000"', '"0.00010000"', "null"]);
        if (entry[0] === "T") entry[1] = pick(random, ["0", "0", "1785048483771"]);
      }
    }
    return node;
  },
  stringNumber: revalue((_, value) => {
    if (typeof value !== "string") return value;
    return value.startsWith('"') ? value.slice(1, -1) || "0" : quoted(value);
  }),
  huge: revalue((random) => {
    const length = 15 + random.below(40);
    const number = integer(random, length);
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
  flag: (random, node) => {
    for (const { entries } of objectsOf(node)) {
      for (const entry of entries) {
        if (entry[0] === "m") entry[1] = pick(random, ["1", '"true"', "null", "truE", "false", "0"]);
        if (entry[0] === "S") entry[1] = pick(random, ['"sell"', '"BUY"', '""', "1", '"SELLER"']);
      }
    }
    return node;
  },
  counts: (random, node) => {
    for (const { entries } of objectsOf(node)) {
      for (const entry of entries) {
        if (entry[0] === "f" || entry[0] === "l") {
          entry[1] = pick(random, ["1", "5", "4294967296", "2147483648", "0", "9007199254740991"]);
        }
      }
    }
    return node;
  },
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
  otherEvent: (random, node) => {
    for (const { entries } of objectsOf(node)) {
      for (const entry of entries) {
        if (entry[0] !== "e") continue;
        entry[1] = pick(random, [
          ...[...HOT_SHAPES, "trade", "depthUpdate", "serverShutdown", "bookTick", "listenKeyExpired"].map(
            quoted,
          ),
          "1",
          "null",
        ]);
      }
    }
    return node;
  },
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
    const at = random.below(bytes.length);
    bytes[at] = pick(random, [0xff, 0xc0, 0xe5, 0xed, 0xf8]);
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
  const shape = random.below(4) > 0 ? pick(random, HOT_SHAPES) : pick(random, COLD_SHAPES);
  const symbols = random.below(6) === 0 ? UNKNOWN : KNOWN;
  let node = wrap(random, makeShape(random, shape, symbols));
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
