/** Runs one stage in this process and hands its report to the parent: what a stage leaves behind ends with it. */
import { z } from "zod";
import { STAGES } from "../stages/index.ts";

const orderSchema = z.strictObject({
  stage: z.string(),
  options: z.strictObject({
    repeats: z.int().min(1),
    slice: z.number().positive(),
    seconds: z.number().positive(),
    scratch: z.string(),
  }),
});

const order = orderSchema.parse(JSON.parse(process.argv[2] ?? ""));
const stage = STAGES.find(({ name }) => name === order.stage);
if (stage === undefined) throw new Error(`there is no stage ${order.stage}`);
const report = await stage.run(order.options);
// As text: a report may hold NaN, which has no other spelling on the way.
const mebibytes = Math.round(process.memoryUsage.rss() / 2 ** 20);
const memory = `This stage's own process had ${mebibytes} MiB resident at its end, frames and tools included.`;
process.send?.(JSON.stringify({ ...report, notes: [...report.notes, memory] }));
process.disconnect?.();
process.exit(0);
