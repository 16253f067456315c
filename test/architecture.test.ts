import { describe, expect, test } from "bun:test";
import { Glob } from "bun";

/** Rooms of the house from the roof down: each may use those below it. */
const LAYERS = [
  "main.ts",
  "commands",
  "compaction",
  "sql",
  "verify",
  "recorder",
  "status",
  "ingest",
  "storage",
  "capture",
  "exchanges",
  "simulator",
  "events",
  "ring",
  "config",
  "lib",
] as const;

/** Uses that go up and are meant. */
const ALLOWED: readonly string[] = [
  // Settings name streams.
  "config -> events",
  // The contract of a command is what the command line and its settings have in common.
  "config -> commands",
];

const root = new URL("../src/", import.meta.url).pathname;

function layerOf(path: string): string {
  return path.split("/")[0] ?? path;
}

describe("the house", () => {
  test("dependencies point downward only", async () => {
    const upward: string[] = [];
    for await (const file of new Glob("**/*.ts").scan(root)) {
      const from = layerOf(file);
      expect(LAYERS).toContain(from as (typeof LAYERS)[number]);
      const source = await Bun.file(root + file).text();
      for (const [, target = ""] of source.matchAll(/(?:from|import\(|new URL\()\s*"(\.[^"]+)"/g)) {
        const resolved = new URL(target, `file:///src/${file}`).pathname.replace(/^\/src\//, "");
        if (resolved.startsWith("/")) continue;
        const to = layerOf(resolved);
        const goesUp =
          LAYERS.indexOf(to as (typeof LAYERS)[number]) < LAYERS.indexOf(from as (typeof LAYERS)[number]);
        if (goesUp && !ALLOWED.includes(`${from} -> ${to}`)) upward.push(`${file} uses ${resolved}`);
      }
    }
    expect(upward).toEqual([]);
  });

  test("the simulated exchanges share nothing with the recorder", async () => {
    const shared: string[] = [];
    for await (const file of new Glob("simulator/**/*.ts").scan(root)) {
      const source = await Bun.file(root + file).text();
      for (const [, target = ""] of source.matchAll(/from\s+"(\.[^"]+)"/g)) {
        const resolved = new URL(target, `file:///src/${file}`).pathname.replace(/^\/src\//, "");
        if (!["simulator", "lib"].includes(layerOf(resolved))) shared.push(`${file} uses ${resolved}`);
      }
    }
    expect(shared).toEqual([]);
  });
});
