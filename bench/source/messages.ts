/** What is said between the load source and the stage that uses it. */
import { z } from "zod";

/** The tape, given as the source's only argument. */
export const tapeSchema = z.strictObject({
  symbols: z.int().min(1),
  frames: z.int().min(1),
  quotes: z.number().min(0).max(1),
});

/** One load. */
export const loadSchema = z.strictObject({
  /** Frames a second over all connections; max = as fast as they are taken. */
  rate: z.union([z.number().positive(), z.literal("max")]),
  seconds: z.number().positive(),
  /** Once, `after` so many seconds, the rate is another one for so many. */
  burst: z
    .strictObject({
      rate: z.number().positive(),
      after: z.number().positive(),
      seconds: z.number().positive(),
    })
    .optional(),
});
/** See {@link loadSchema}. */
export type Load = z.infer<typeof loadSchema>;

const count = z.number().nonnegative();

/** What the source says. */
export const saidSchema = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("ready"), port: z.int() }),
  z.strictObject({ type: z.literal("subscribed"), channels: z.int() }),
  z.strictObject({
    type: z.literal("played"),
    /** Frames and bytes that sockets have taken. */
    frames: count,
    bytes: count,
    ms: count,
    /** CPU time of the source, µs. */
    cpuUs: count,
    /** Time for which the rate was not kept, ms. */
    skippedMs: count,
    /** Rounds in which no socket took anything. */
    blocked: count,
  }),
]);
/** What a load came to. */
export type Played = Extract<z.infer<typeof saidSchema>, { type: "played" }>;
