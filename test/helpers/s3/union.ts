/** What several buckets hold together, as a lake in a folder. */
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { StandIn } from "./stand-in.ts";

/** Keys of files, manifests and probes aside. */
export function filesIn({ objects }: StandIn, prefix = ""): string[] {
  return [...objects.keys()]
    .filter((key) => key.startsWith(prefix) && key.endsWith(".parquet"))
    .map((key) => key.slice(prefix.length))
    .sort();
}

/** Keys that stand in both. */
export function doublesOf(one: StandIn, other: StandIn): string[] {
  const keys = new Set(filesIn(other));
  return filesIn(one).filter((key) => keys.has(key));
}

/** Writes the union by key of buckets as `lake/` of a new data folder; returns it. */
export function unionLake(buckets: readonly StandIn[], prefix = ""): string {
  const data = mkdtempSync(join(tmpdir(), "tapedeck-union-"));
  mkdirSync(join(data, "lake"));
  for (const bucket of buckets) {
    for (const key of filesIn(bucket, prefix)) {
      const path = join(data, "lake", key);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, bucket.objects.get(prefix + key)?.bytes ?? "");
    }
  }
  return data;
}
