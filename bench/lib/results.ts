/** The last figures, kept in the repository: written by `bun run bench --save` and by nothing else. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { machineSchema, spelledMachine } from "./machine.ts";
import { isMet, printed } from "./report.ts";

const FOLDER = join(import.meta.dir, "../results");
/** Figures in full. */
const FILE = join(FOLDER, "latest.json");
/** The same as tables. */
const TABLES = join(FOLDER, "latest.md");

// JSON has no NaN: what could not be told is null there.
const number = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.NaN);
const spread = z.strictObject({ median: number, min: number, max: number, n: z.int() });
const figure = z.strictObject({
  name: z.string(),
  cpuNs: spread.exactOptional(),
  perSecond: spread.exactOptional(),
  bytes: number.exactOptional(),
  ring: z.strictObject({ mean: number, p99: number, highWater: number }).exactOptional(),
  drops: number.exactOptional(),
  lag: z.strictObject({ p50: number, p99: number, p999: number }).exactOptional(),
  rss: number.exactOptional(),
  gc: number.exactOptional(),
  sourceNs: number.exactOptional(),
  note: z.string().exactOptional(),
});
const bar = z.strictObject({
  name: z.string(),
  value: spread,
  is: z.enum(["at most", "at least"]),
  bar: number,
  aim: number.exactOptional(),
  unit: z.string().exactOptional(),
});
/** The report of a stage as it is sent and stored. */
export const reportSchema = z.strictObject({
  stage: z.string(),
  figures: z.array(figure),
  bars: z.array(bar),
  notes: z.array(z.string()),
});
const storedSchema = z.strictObject({
  stages: z.array(z.strictObject({ at: z.iso.datetime(), machine: machineSchema, report: reportSchema })),
});
/** Stages with the time and machine of each. */
export type Stored = z.infer<typeof storedSchema>;

/** What is stored; nothing before the first `--save`. @throws Error when the file is not of this bench */
export function storedResults(): Stored {
  if (!existsSync(FILE)) return { stages: [] };
  return storedSchema.parse(JSON.parse(readFileSync(FILE, "utf8")));
}

/** Stores stages; those that did not run this time stay as they are. */
export function saveResults(run: Stored["stages"], order: readonly string[]): void {
  const fresh = new Set(run.map(({ report }) => report.stage));
  const place = (name: string) => (order.includes(name) ? order.indexOf(name) : order.length);
  const stages = [
    ...storedResults().stages.filter(({ report }) => !fresh.has(report.stage)),
    ...run,
  ].toSorted((a, b) => place(a.report.stage) - place(b.report.stage));
  writeFileSync(FILE, `${JSON.stringify({ stages }, null, 1)}\n`);
  writeFileSync(TABLES, tables({ stages }));
}

function tables({ stages }: Stored): string {
  const ceiling = stages.find(({ report }) => report.stage === "receive")?.report.figures[0] ?? null;
  const bars = stages.flatMap(({ report }) => report.bars.map((one) => ({ stage: report.stage, one })));
  const promises = bars.map(({ stage, one }) => {
    const { name, value, is, bar: limit, aim, unit = "" } = one;
    const figures = `${value.median.toFixed(2)}${unit} [${value.min.toFixed(2)}–${value.max.toFixed(2)}], n = ${value.n}`;
    const aimed = aim === undefined ? "" : `, aim ${aim}`;
    return `| ${name} | ${is} ${limit}${unit}${aimed} | ${figures} | ${isMet(one) ? "yes" : "**no**"} | \`bun run bench ${stage}\` |`;
  });
  const parts = stages.map(
    ({ at, machine, report }) =>
      `${printed(report, ceiling)}\n${at.slice(0, 10)}, ${spelledMachine(machine)}.\n`,
  );
  return [
    "<!-- Written by `bun run bench --save`; do not edit. -->",
    "# Last figures",
    "",
    "Medians, with the least and the greatest of the repeats in brackets; ratios are within one run.",
    "",
    "| promise | bar | measured | met | printed by |",
    "| --- | --- | --- | --- | --- |",
    ...promises,
    "",
    ...parts,
  ].join("\n");
}
