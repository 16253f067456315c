/** Random OKX frames of the shapes in the protocol page, and everything that can be wrong with them. */
import type { Random } from "../../../src/simulator/random.ts";
import { digits, pick } from "../../lib/seed.ts";
import { copy, type Node, objectsOf, quoted, randomEntry, write } from "../binance/nodes.ts";

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

const integer = (random: Random, length: number) => String(1 + random.below(9)) + digits(random, length - 1);
const time = (random: Random) => quoted(`1${7 + random.below(2)}${digits(random, 11)}`);

/** A decimal as OKX writes them. */
function decimal(random: Random): string {
  const whole = random.below(5) === 0 ? "0" : integer(random, 1 + random.below(6));
  const fraction = random.below(6) === 0 ? "" : `.${digits(random, 1 + random.below(8))}`;
  return quoted(whole + fraction);
}

/** One with more digits than a double may hold. */
function longDecimal(random: Random): string {
  return quoted(`${integer(random, 1 + random.below(12))}.${digits(random, 6 + random.below(14))}`);
}

type Object = { entries: [string, Node][] };

function obj(entries: readonly (readonly [string, Node] | null)[]): Object {
  return { entries: entries.filter((entry) => entry !== null).map(([key, node]) => [key, node]) };
}

const framed = (channel: string, instId: string, data: Node[]): Object =>
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

function trade(random: Random, instId: string, modern: boolean): Object {
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
export function makeShape(random: Random, shape: Shape, instruments: readonly string[]): Object {
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

const encoder = new TextEncoder();

/** A frame exactly as the exchange sends it. */
export function plainFrame(random: Random, shape: Shape): Uint8Array {
  return encoder.encode(write(makeShape(random, shape, KNOWN)));
}

type Mutation = (random: Random, node: Node) => Node;

/** Replaces the value of one entry. */
function revalue(change: (random: Random, value: Node) => Node): Mutation {
  return (random, node) => {
    const entry = randomEntry(random, node);
    if (entry !== null) entry[1] = change(random, entry[1]);
    return node;
  };
}

/** Replaces the values of some keys, wherever they stand. */
function rekeyed(keys: readonly string[], change: (random: Random, value: Node) => Node): Mutation {
  return (random, node) => {
    for (const { entries } of objectsOf(node)) {
      for (const entry of entries) {
        if (keys.includes(entry[0]) && random.below(3) > 0) entry[1] = change(random, entry[1]);
      }
    }
    return node;
  };
}

function shuffled<T>(random: Random, list: T[]): void {
  for (let i = list.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [list[i], list[j]] = [list[j] as T, list[i] as T];
  }
}

function escapeAt(text: string, at: number): string {
  if (at >= text.length) return text;
  const code = text.charCodeAt(at).toString(16).padStart(4, "0");
  return `${text.slice(0, at)}\\u${code}${text.slice(at + 1)}`;
}

/** The lists of a tree that hold something. */
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
    [entries[i], entries[j]] = [entries[j] as [string, Node], entries[i] as [string, Node]];
    return node;
  },
  extra: (random, node) => {
    const { entries } = pick(random, objectsOf(node));
    const key = pick(random, [
      "x",
      "instId",
      "event",
      "data",
      "arg",
      "count",
      "asks",
      "toString",
      "__proto__",
    ]);
    const value = pick(random, ["1", '"1"', "null", "true", "[]", "{}", '"BTC-USDT-SWAP"', "[1,2]"]);
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
  listItem: (random, node) => {
    const lists = listsOf(node);
    if (lists.length === 0) return node;
    const list = pick(random, lists);
    const items: Node[] = ["1", '""', "null", "[]", "{}", '"0.5"', ...list.map(copy)];
    if (random.below(2) === 0) list.splice(random.below(list.length + 1), 0, pick(random, items));
    else list.splice(random.below(list.length + 1), 1);
    return node;
  },
  escapedValue: revalue((random, value) => {
    if (typeof value !== "string" || !value.startsWith('"') || value.includes("\\")) return value;
    return `"${escapeAt(value.slice(1, -1), random.below(value.length))}"`;
  }),
  escapedKey: (random, node) => {
    const entry = randomEntry(random, node);
    if (entry !== null && !entry[0].includes("\\"))
      entry[0] = escapeAt(entry[0], random.below(entry[0].length));
    return node;
  },
  otherInstrument: rekeyed(["instId"], (random) =>
    quoted(pick(random, [...UNKNOWN, ...KNOWN, ...KNOWN, "", "BTC-USDT-SWA"])),
  ),
  otherChannel: rekeyed(["channel", "event"], (random) =>
    pick(random, [...[...HOT_SHAPES, ...COLD_SHAPES, "trade", "books5", ""].map(quoted), "1", "null"]),
  ),
  exponent: revalue((random, value) => {
    if (typeof value !== "string") return value;
    const mark = pick(random, ["e0", "E2", "e-3", "e+1", "e22", "e400", "e-400", "e", "E+"]);
    return value.startsWith('"') ? `${value.slice(0, -1)}${mark}"` : value + mark;
  }),
  nothing: revalue((random) => pick(random, ["null", '""', "0", '"0"', "{}", "[]"])),
  times: rekeyed(["ts", "fundingTime"], (random) =>
    pick(random, [
      '"0"',
      '"-5"',
      '"1.5"',
      '"9007199254740"',
      '"9007199254741"',
      "1785048483771",
      '"01785048483771"',
      '""',
    ]),
  ),
  stringNumber: revalue((_, value) => {
    if (typeof value !== "string") return value;
    return value.startsWith('"') ? value.slice(1, -1) || "0" : quoted(value);
  }),
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
  words: rekeyed(["side", "posSide", "source"], (random) =>
    pick(random, ['"SELL"', '"buy"', '"sell"', '""', "1", "0", '"1"', '"2"', "null", '"seller"', "true"]),
  ),
  counts: rekeyed(["count", "tradeId"], (random) =>
    quoted(pick(random, ["1", "5", "0", "-1", "2147483647", "2147483648", "9007199254740991", "007", "x"])),
  ),
};

type ByteMutation = (random: Random, bytes: Uint8Array) => Uint8Array;

const BYTES: Readonly<Record<string, ByteMutation>> = {
  truncated: (random, bytes) => bytes.subarray(0, random.below(bytes.length)),
  flipped: (random, bytes) => {
    const at = random.below(bytes.length);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
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
  const shape = random.below(4) > 0 ? pick(random, HOT_SHAPES) : pick(random, COLD_SHAPES);
  let node: Node = makeShape(random, shape, random.below(6) === 0 ? UNKNOWN : KNOWN);
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
