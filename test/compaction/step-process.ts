/**
 * A compaction in a process of its own that kills itself, as kill -9 does, at a step. Told by one argument, JSON. Started
 * by compact.test.ts.
 */
import { z } from "zod";
import { STEPS } from "../../src/compaction/steps.ts";
import { compactNow } from "./lakes.ts";

const { set, date, step, passes } = z
  .strictObject({
    set: z.record(z.string(), z.string()),
    date: z.string(),
    step: z.enum(STEPS),
    /** How often the step is passed before. */
    passes: z.int(),
  })
  .parse(JSON.parse(process.argv[2] ?? ""));
let left = passes;
const { filesAfter } = await compactNow(set, {
  date,
  step: (at) => {
    if (at === step && left-- === 0) process.kill(process.pid, "SIGKILL");
  },
});
console.log(`ended: ${filesAfter}`);
