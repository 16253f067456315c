/**
 * `bun run bench guard`: have ratios become worse than those that are stored? Made for noisy machines: every ratio is
 * taken within one process, a doubtful one is taken again, a moderate loss is a warning, and only a gross one fails.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { guardRatios } from "./lib/guard-ratios.ts";
import { thisMachine } from "./lib/machine.ts";

const FILE = join(import.meta.dir, "results/guard.json");
/** A ratio that is worse by more than this is a warning, and by more than that a failure. */
const WARNED = 1.15;
const FAILED = 4 / 3;
/** Times that ratios are taken while one looks like a failure; the best of each counts. */
const TRIES = 3;
/** No further try after this, ms: the guard has less than 40 s. */
const TIME = 25_000;

const storedSchema = z.strictObject({
  about: z.string(),
  ratios: z.record(z.string(), z.number().positive()),
});

async function measure(): Promise<Map<string, number>> {
  const scratch = mkdtempSync(join(tmpdir(), "tapedeck-guard-"));
  try {
    return await guardRatios(scratch);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Whether more threads want to run than there are cores, ourselves counted once: caches are not ours then. */
function busy(): boolean {
  const { load, cores } = thisMachine();
  return load > cores + 1;
}

/** Runs it; the exit code: 1 when a ratio is worse than stored by more than a third. */
export async function runGuard({ save, json }: { save: boolean; json: boolean }): Promise<number> {
  const began = performance.now();
  const best = await measure();
  if (save) {
    const ratios = Object.fromEntries([...best].map(([name, ratio]) => [name, Number(ratio.toFixed(3))]));
    const about =
      "Written by `bun run bench guard --save`: CPU time of each piece of work over that of JSON.parse on the same frames.";
    writeFileSync(FILE, `${JSON.stringify({ about, ratios }, null, 2)}\n`);
  }
  if (!existsSync(FILE)) {
    console.log("bench guard: nothing is stored to compare with; run `bun run bench guard --save`");
    return 0;
  }
  const { ratios } = storedSchema.parse(JSON.parse(readFileSync(FILE, "utf8")));
  const worse = (limit: number) =>
    Object.entries(ratios).filter(([name, stored]) => (best.get(name) ?? Number.NaN) > stored * limit);
  for (let tries = 1; tries < TRIES && worse(FAILED).length > 0 && performance.now() - began < TIME; tries++)
    for (const [name, ratio] of await measure()) best.set(name, Math.min(ratio, best.get(name) ?? ratio));
  const rows = Object.entries(ratios).map(([name, stored]) => {
    const now = best.get(name);
    const change = now === undefined ? Number.NaN : now / stored;
    const verdict =
      now === undefined ? "not measured" : change > FAILED ? "FAILED" : change > WARNED ? "warning" : "ok";
    return { name, stored, now, verdict };
  });
  if (json) console.log(JSON.stringify({ rows }));
  else
    for (const { name, stored, now, verdict } of rows)
      console.log(
        `bench guard: ${verdict.padEnd(8)} ${name}: ${now?.toFixed(2) ?? "-"} (stored ${stored.toFixed(2)})`,
      );
  const failed = rows.filter(({ verdict }) => verdict === "FAILED" || verdict === "not measured");
  for (const { name } of failed)
    console.error(`bench guard: ${name} costs more than a third more than it did; see docs/performance.md`);
  if (failed.length > 0 && busy()) {
    console.log("bench guard: not judged, for this machine has more to do than it has cores");
    return 0;
  }
  return failed.length === 0 ? 0 : 1;
}
