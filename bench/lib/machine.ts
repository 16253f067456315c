/** Where and with what figures were made: a figure without them says nothing. */
import { readFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { z } from "zod";
import manifest from "../../package.json" with { type: "json" };

/** A machine and the versions on it. */
export const machineSchema = z.strictObject({
  cpu: z.string(),
  cores: z.int(),
  memoryGiB: z.number(),
  kernel: z.string(),
  bun: z.string(),
  duckdb: z.string(),
  tapedeck: z.string(),
  /** Of the last minute when the bench began: other work beside it makes figures worse, and ratios less so. */
  load: z.number(),
});
/** See {@link machineSchema}. */
export type Machine = z.infer<typeof machineSchema>;

/** This one. */
export function thisMachine(): Machine {
  const [load = "0"] = readFileSync("/proc/loadavg", "utf8").split(" ");
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    bun: Bun.version,
    duckdb: manifest.dependencies["@duckdb/node-api"],
    tapedeck: manifest.version,
    load: Number(load),
  };
}

/** Load for each core from which on other work spoils more than it should. */
const LOAD_MAX = 0.5;

/** In one line, with a warning where the machine had other things to do. */
export function spelledMachine(machine: Machine): string {
  const { cpu, cores, memoryGiB, kernel, bun, duckdb, tapedeck, load } = machine;
  const busy =
    load > LOAD_MAX * cores
      ? " (OTHER WORK RAN BESIDE: rates and lags are those of what it left over, ratios of CPU time are rough)"
      : "";
  return `${cores} × ${cpu}, ${memoryGiB} GiB, Linux ${kernel}; Bun ${bun}, DuckDB ${duckdb}, tapedeck ${tapedeck}; load ${load} at the start${busy}`;
}
