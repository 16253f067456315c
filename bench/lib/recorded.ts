/** What a recorder that was measured says in the end. */
import { z } from "zod";

/** What is told at the end. */
export const recordedSchema = z.strictObject({
  /** µs */
  cpuUs: z.number(),
  /** The same up to the last event's way into its journal, without the files that a stop writes. */
  cpuReceivingUs: z.number(),
  received: z.number(),
  published: z.number(),
  dropped: z.number(),
  /** Share of ring places in use, %. */
  ring: z.strictObject({ mean: z.number(), p99: z.number(), highWater: z.number() }),
  /** MiB: at the beginning, the largest, the median of the first and of the last quarter. */
  rss: z.strictObject({ start: z.number(), max: z.number(), early: z.number(), late: z.number() }),
  exitCode: z.int(),
  /** Warnings and errors of its log, the first few. */
  complaints: z.array(z.string()),
});
/** See {@link recordedSchema}. */
export type Recorded = z.infer<typeof recordedSchema>;
