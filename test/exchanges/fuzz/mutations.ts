/** What can be wrong with a frame of any exchange: in its JSON, and in its bytes. */
import type { Random } from "../../../src/simulator/random.ts";
import { pick } from "../../lib/seed.ts";
import { copy, type Node, objectsOf, quoted, randomEntry } from "./nodes.ts";
import { integer, longDecimal } from "./tokens.ts";

/** Changes a tree that has objects with entries; answers with what stands in its place. */
export type Mutation = (random: Random, node: Node) => Node;
/** Mutations by name. */
export type Mutations = Readonly<Record<string, Mutation>>;

/** Replaces the value of one entry. */
export function revalue(change: (random: Random, value: Node) => Node): Mutation {
  return (random, node) => {
    const entry = randomEntry(random, node);
    if (entry !== null) entry[1] = change(random, entry[1]);
    return node;
  };
}

const always = (): boolean => true;
/** Every second time. */
export const half = (random: Random): boolean => random.below(2) === 0;
/** Two times of three. */
export const mostly = (random: Random): boolean => random.below(3) > 0;

/** Replaces the values of some keys, wherever they stand; `often` says whether a place is touched. */
export function rekeyed(
  keys: readonly string[],
  change: (random: Random, key: string) => Node,
  often: (random: Random) => boolean = always,
): Mutation {
  return (random, node) => {
    for (const { entries } of objectsOf(node)) {
      for (const entry of entries) {
        if (keys.includes(entry[0]) && often(random)) entry[1] = change(random, entry[0]);
      }
    }
    return node;
  };
}

/** One of these tokens. */
export function oneOf(tokens: readonly string[]): (random: Random) => string {
  return (random) => pick(random, tokens);
}

function swapped<T>(list: T[], i: number, j: number): void {
  [list[i], list[j]] = [list[j], list[i]];
}

function escapeAt(text: string, at: number): string {
  if (at >= text.length) return text;
  const code = text.charCodeAt(at).toString(16).padStart(4, "0");
  return `${text.slice(0, at)}\\u${code}${text.slice(at + 1)}`;
}

/** Entries in another order. */
export const ORDER: Mutations = {
  reorder: (random, node) => {
    for (const { entries } of objectsOf(node)) {
      if (random.below(2) > 0) continue;
      for (let i = entries.length - 1; i > 0; i--) swapped(entries, i, random.below(i + 1));
    }
    return node;
  },
  swap: (random, node) => {
    const { entries } = pick(random, objectsOf(node));
    const i = random.below(entries.length);
    swapped(entries, i, random.below(entries.length));
    return node;
  },
};

/** An entry more, with one of these keys; `instrument` is one that the exchange has. */
export function extra(keys: readonly string[], instrument: string): Mutation {
  return (random, node) => {
    const { entries } = pick(random, objectsOf(node));
    const key = pick(random, [...keys, "toString", "__proto__"]);
    const value = pick(random, ["1", '"1"', "null", "true", "[]", "{}", quoted(instrument), "[1,2]"]);
    entries.splice(random.below(entries.length + 1), 0, [key, value]);
    return node;
  };
}

/** An entry too few or too many. */
export const ENTRIES: Mutations = {
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
};

/** One character of a string written as \uXXXX. */
export const ESCAPES: Mutations = {
  escapedValue: revalue((random, value) => {
    if (typeof value !== "string" || !value.startsWith('"') || value.includes("\\")) return value;
    const inner = value.slice(1, -1);
    return `"${escapeAt(inner, random.below(inner.length + 1))}"`;
  }),
  escapedKey: (random, node) => {
    const entry = randomEntry(random, node);
    if (entry !== null && !entry[0].includes("\\"))
      entry[0] = escapeAt(entry[0], random.below(entry[0].length));
    return node;
  },
};

/** Values that are written unusually, or are not there. */
export const VALUES: Mutations = {
  exponent: revalue((random, value) => {
    if (typeof value !== "string") return value;
    const mark = pick(random, ["e0", "E2", "e-3", "e+1", "e22", "e400", "e-400", "e", "E+"]);
    return value.startsWith('"') ? `${value.slice(0, -1)}${mark}"` : value + mark;
  }),
  nothing: revalue((random) => pick(random, ["null", '""', "0", '"0"', "{}", "[]"])),
};

const ODD_DECIMALS = [
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
].map(quoted);

/** Numbers of another type, too large, too long, or spelled oddly. */
export const NUMBERS: Mutations = {
  stringNumber: revalue((_, value) => {
    if (typeof value !== "string") return value;
    return value.startsWith('"') ? value.slice(1, -1) || "0" : quoted(value);
  }),
  huge: revalue((random) => {
    const number = integer(random, 15 + random.below(40));
    return pick(random, [number, quoted(number), `-${number}`, `${number}.5`, `0${number}`]);
  }),
  safeBorder: revalue(
    oneOf(["9007199254740991", "9007199254740992", "9007199254740993", '"9007199254740993"']),
  ),
  longDecimal: revalue((random, value) =>
    typeof value === "string" && value.startsWith('"') ? longDecimal(random) : value,
  ),
  oddDecimal: revalue((random, value) =>
    typeof value === "string" && /^"[\d.]/.test(value) ? pick(random, ODD_DECIMALS) : value,
  ),
};

/** Changes a frame that has at least one byte. */
export type ByteMutation = (random: Random, bytes: Uint8Array) => Uint8Array;

const encoder = new TextEncoder();

/** What can happen to the bytes of any frame. */
export const BYTES: Readonly<Record<string, ByteMutation>> = {
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
