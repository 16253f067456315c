import { SIDE_BUY, SIDE_SELL } from "../../events/streams.ts";
import { FRAME, type FrameClass } from "../decoding/decoder.ts";
import { ABSENT } from "../decoding/frame-decoder.ts";
import { type Fields, FrameError, isObject } from "../decoding/json.ts";

/** Code of `side`; NULL when it is absent. @throws FrameError when it is another word. */
export function sideOf({ side }: Fields): number {
  if (side === "buy") return SIDE_BUY;
  if (side === "sell") return SIDE_SELL;
  if (side === undefined || side === null || side === "") return ABSENT;
  throw new FrameError("side is neither buy nor sell");
}

/** The order that closes a position; NULL for "net", which may be either. */
export function closingSide({ posSide }: Fields): number {
  return posSide === "long" ? SIDE_SELL : posSide === "short" ? SIDE_BUY : ABSENT;
}

/** A frame without any of these fields is of another shape; one where they are "" has nothing to say. */
export function requireAny(fields: Fields, ...keys: string[]): void {
  if (keys.every((key) => fields[key] === undefined)) throw new FrameError(`no ${keys.join(", ")}`);
}

/** Price and amount of the best level of a side: `[["111.06","55154","0","2"]]`; nothing when it is empty. */
export function bestOf(fields: Fields, side: "asks" | "bids"): Fields {
  const levels = fields[side];
  if (levels === undefined || levels === null) return {};
  if (!Array.isArray(levels)) throw new FrameError(`${side} is not a list`);
  const best: unknown = levels[0];
  if (best === undefined) return {};
  if (!Array.isArray(best)) throw new FrameError(`${side} is not a list of levels`);
  return { price: best[0], amount: best[1] };
}

/** A list. @throws FrameError when it is none. */
export function listOf(fields: Fields, key: string): readonly unknown[] {
  const list = fields[key];
  if (!Array.isArray(list)) throw new FrameError(`${key} is not a list`);
  return list;
}

/** Whether any entry of a liquidation frame's `data` has details. */
export function holdsDetails(data: readonly unknown[]): boolean {
  return data.some((row) => isObject(row) && Array.isArray(row.details) && row.details.length > 0);
}

/** Reads all entries in order; together they are what the best of them is, and nothing where there are none. */
export function each(list: readonly unknown[], read: (entry: Fields) => FrameClass): FrameClass {
  let kind: FrameClass = FRAME.IGNORED;
  for (const entry of list) {
    if (!isObject(entry)) throw new FrameError("an entry is not an object");
    const one = read(entry);
    if (one === FRAME.EVENTS || (one === FRAME.UNWANTED && kind !== FRAME.EVENTS)) kind = one;
  }
  return kind;
}
