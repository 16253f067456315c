/** Marks between captured frames: what decides which of two copies of an event was recorded, at its place. */
import { z } from "zod";

/** Marks that wait for a frame to stand before; beyond, the oldest are lost, and second copies are decoded as rows. */
export const MARKS_MAX = 1000;

const connection = z.int().nonnegative();
const handoverSchema = z.discriminatedUnion("handover", [
  /** None is going on: at the start of a run, and when one is over. */
  z.object({ handover: z.literal("none") }),
  /** From now on rows of `connection` and of its successors are told apart; `remember` in µs, see Handover. */
  z.object({ handover: z.literal("begins"), connection, remember: z.number().positive() }),
  /** A successor's socket opened. */
  z.object({ handover: z.literal("opened"), connection }),
  /** The old connection brings nothing from now on. */
  z.object({ handover: z.literal("ended"), connection }),
]);
const markSchema = z.object({ run: z.string(), worker: z.int().nonnegative() }).and(handoverSchema);

/** A step of a planned replacement. */
export type HandoverMark = z.infer<typeof handoverSchema>;
/** A mark as a capture says it: connections are numbered within the run, replacements go on worker by worker. */
export type CapturedMark = z.infer<typeof markSchema>;

/** `dir` of a line that is a mark. */
export const MARK_DIR = "mark";

/**
 * The line of a mark, with its line end.
 *
 * `{"ts":1795170600871123,"dir":"mark","exchange":"binance","run":"…","worker":0,"handover":"opened","connection":4}`
 */
export function markLine(
  ts: number,
  exchange: string,
  run: string,
  worker: number,
  mark: HandoverMark,
): string {
  return `${JSON.stringify({ ts, dir: MARK_DIR, exchange, run, worker, ...mark })}\n`;
}

/** Reads the JSON of a line; null = no mark, or one of a kind that is not known here. */
export function markOf(line: unknown): CapturedMark | null {
  return markSchema.safeParse(line).data ?? null;
}
