/**
 * What a stream looks like in a row buffer and in a ring: which slot holds which column.
 *
 * Numbers come first: slot 0 is the symbol's number, 1 to 3 the three times, then the stream's own
 * numeric columns, then `seq` and `connection`. Texts have slots of their own.
 */
import { type Column, ringKind } from "./columns.ts";
import { STREAMS, type Stream } from "./streams.ts";

/** Slot of the symbol's number; stands for the columns `symbol` and `instrument`. */
export const SYMBOL = 0;
/** Slot of `timestamp`. */
export const TIMESTAMP = 1;
/** Slot of `published_timestamp`. */
export const PUBLISHED = 2;
/** Slot of `local_timestamp`. */
export const LOCAL = 3;
const FIRST_OWN = 4;

/** The slots of one stream. */
export interface Layout {
  readonly stream: Stream;
  /** Names of the numeric slots, in order. */
  readonly numbers: readonly string[];
  /** Names of the text slots, in order. */
  readonly texts: readonly string[];
  /** Slot of `seq` among the numbers. */
  readonly seq: number;
  /** Slot of `connection` among the numbers. */
  readonly connection: number;
}

function layoutOf(stream: Stream): Layout {
  const own: readonly Column[] = STREAMS[stream];
  const numbers = [
    "symbol",
    "timestamp",
    "published_timestamp",
    "local_timestamp",
    ...own.filter((column) => ringKind(column) === "number").map((column) => column.name),
    "seq",
    "connection",
  ];
  return {
    stream,
    numbers,
    texts: own.filter((column) => ringKind(column) === "text").map((column) => column.name),
    seq: numbers.length - 2,
    connection: numbers.length - 1,
  };
}

/** The layout of every stream. */
export const LAYOUTS: Readonly<Record<Stream, Layout>> = {
  bbo: layoutOf("bbo"),
  trade: layoutOf("trade"),
  mark_price: layoutOf("mark_price"),
  funding: layoutOf("funding"),
  open_interest: layoutOf("open_interest"),
  liquidation: layoutOf("liquidation"),
};

type OwnName<S extends Stream> = (typeof STREAMS)[S][number]["name"];

/**
 * The slots of a stream's own columns by name: numeric slots for numbers, text slots for texts.
 *
 * @example
 * const BBO = slotsOf("bbo");
 * row[BBO.bid_price] = 64336;
 */
export function slotsOf<S extends Stream>(stream: S): Readonly<Record<OwnName<S>, number>> {
  const slots: Record<string, number> = {};
  let number = FIRST_OWN;
  let text = 0;
  for (const column of STREAMS[stream] as readonly Column[]) {
    slots[column.name] = ringKind(column) === "number" ? number++ : text++;
  }
  return slots as Record<OwnName<S>, number>;
}
