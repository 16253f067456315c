/**
 * `bun run bench`: what an event costs on its way, stage by stage.
 *
 * Every stage runs in a process of its own; figures are medians, ratios are taken within one run, and nothing here
 * fails because a machine is slow.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { z } from "zod";
import { runGuard } from "./guard.ts";
import { spelledMachine, thisMachine } from "./lib/machine.ts";
import { isMet, printed, type StageReport } from "./lib/report.ts";
import { reportSchema, saveResults } from "./lib/results.ts";
import type { Stage, StageOptions } from "./lib/stage.ts";
import { runPeers } from "./peers.ts";
import { runSoak } from "./soak.ts";
import { STAGES } from "./stages/index.ts";

const USAGE = `bun run bench [STAGE…] [--repeats 5] [--seconds 4] [--json] [--save]
bun run bench soak [--minutes 10] [--rate 100000] [--bucket]
bun run bench guard [--save]     ratios of this run against those in bench/results
bun run bench peers [--repeats 5] ccxt pro, tardis-dev, cryptofeed on the same frames
bun run bench list

--repeats   repeats of each measurement; figures are their medians
--seconds   length of one recording, s
--bucket    files are uploaded to an S3 stand-in instead of a local lake
--json      one object on stdout instead of tables
--save      keep the figures in bench/results`;

/** Wrong use. */
const EXIT_USAGE = 2;

const flagsSchema = z.strictObject({
  repeats: z.coerce.number().int().min(1).max(100).default(5),
  seconds: z.coerce.number().min(1).max(3600).default(4),
  minutes: z.coerce.number().min(0.1).max(100_000).default(10),
  rate: z.coerce.number().min(1000).max(10_000_000).default(100_000),
  bucket: z.boolean().default(false),
  json: z.boolean().default(false),
  save: z.boolean().default(false),
  help: z.boolean().default(false),
});

/** Runs one stage in a process of its own. */
async function runStage(stage: Stage, options: StageOptions): Promise<StageReport> {
  let report: StageReport | null = null;
  const child = Bun.spawn(
    [
      process.execPath,
      join(import.meta.dir, "lib/run-stage.ts"),
      JSON.stringify({ stage: stage.name, options }),
    ],
    {
      stdio: ["ignore", "inherit", "inherit"],
      ipc: (message) => {
        report = reportSchema.parse(JSON.parse(z.string().parse(message)));
      },
    },
  );
  const code = await child.exited;
  if (report === null) throw new Error(`stage ${stage.name} ended with ${code} and told nothing`);
  return report;
}

function wrongUse(fault: string): never {
  console.error(`${fault}\n\n${USAGE}`);
  process.exit(EXIT_USAGE);
}

async function runStages(stages: readonly Stage[], flags: z.infer<typeof flagsSchema>): Promise<void> {
  const machine = thisMachine();
  if (!flags.json) console.log(`${spelledMachine(machine)}\n`);
  const reports: StageReport[] = [];
  const failed: string[] = [];
  for (const stage of stages) {
    const scratch = mkdtempSync(join(tmpdir(), "tapedeck-bench-"));
    try {
      const { repeats, seconds } = flags;
      const now = thisMachine();
      const report = await runStage(stage, { repeats, slice: 40, seconds, scratch });
      reports.push(report);
      // At once: a run that is broken off has not been for nothing.
      if (flags.save) {
        const stored = reportSchema.parse(JSON.parse(JSON.stringify(report)));
        const order = STAGES.map(({ name }) => name);
        saveResults([{ at: new Date().toISOString(), machine: now, report: stored }], order);
      }
      const ceiling = reports.find((one) => one.stage === "receive")?.figures[0] ?? null;
      if (!flags.json) console.log(printed(report, ceiling));
    } catch (error) {
      failed.push(stage.name);
      console.error(`stage ${stage.name}: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  }
  if (flags.json) console.log(JSON.stringify({ machine, reports }));
  else {
    const bars = reports.flatMap((report) => report.bars);
    if (bars.length > 0) console.log(`${bars.filter(isMet).length} of ${bars.length} bars met`);
  }
  if (failed.length > 0) process.exit(1);
}

let parsed: ReturnType<typeof parseArgs>;
try {
  parsed = parseArgs({
    allowPositionals: true,
    options: {
      repeats: { type: "string" },
      seconds: { type: "string" },
      minutes: { type: "string" },
      rate: { type: "string" },
      bucket: { type: "boolean" },
      json: { type: "boolean" },
      save: { type: "boolean" },
      help: { type: "boolean" },
    },
  });
} catch (error) {
  wrongUse(error instanceof Error ? error.message : String(error));
}
const flags = flagsSchema.safeParse(parsed.values);
if (!flags.success) wrongUse(z.prettifyError(flags.error));
const [first, ...rest] = parsed.positionals;
if (flags.data.help) console.log(USAGE);
else if (first === "list") for (const { name, about } of STAGES) console.log(`${name.padEnd(16)} ${about}`);
else if (first === "soak") process.exit(await runSoak(flags.data));
else if (first === "guard") process.exit(await runGuard(flags.data));
else if (first === "peers") process.exit(await runPeers(flags.data));
else {
  const names = first === undefined ? [] : [first, ...rest];
  for (const name of names)
    if (!STAGES.some((stage) => stage.name === name))
      wrongUse(`there is no stage ${name}; there are ${STAGES.map((stage) => stage.name).join(", ")}`);
  await runStages(
    STAGES.filter(({ name, always }) => (names.length === 0 ? always : names.includes(name))),
    flags.data,
  );
}
