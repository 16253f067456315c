/** docs/operating.md and docs/guarantees.md against the program: no state, no proof that they name may be missing. */
import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { checksOf } from "../../src/status/state.ts";
import { ROOT } from "./page/blocks.ts";

const read = (page: string): Promise<string> => Bun.file(join(ROOT, page)).text();

describe("docs/operating.md", () => {
  test("has a line for each check that the state depends on, with its state", async () => {
    const page = await read("docs/operating.md");
    const checks = checksOf({
      fatal: null,
      drainFault: null,
      journalFault: null,
      copyFault: null,
      outboxFault: null,
      open: 1,
      fullestRingPct: 0,
      fullestRing: "",
      drops15m: 0,
      exchanges: [{ exchange: "<name>", online: true }],
      destinationFault: null,
    });
    expect(checks.length).toBeGreaterThan(8);
    const shown = [...page.matchAll(/^\| (ERROR|OFFLINE|DEGRADED) \| `([^`]+)` \|/gm)].map(
      ([, state, name]) => `${state} ${name}`,
    );
    expect(shown).toEqual(checks.map(({ name, state }) => `${state} ${name}`));
  });

  test("names benches that exist", async () => {
    const page = await read("docs/operating.md");
    const index = await Bun.file(join(ROOT, "bench/stages/index.ts"))
      .text()
      .catch(() => "");
    const stages = [...page.matchAll(/`bun run bench ([a-z-]+)`/g)].map(([, stage = ""]) => stage);
    expect(stages.length).toBeGreaterThan(2);
    const known = await Bun.file(join(ROOT, "bench/results/latest.md")).text();
    expect(stages.filter((stage) => !known.includes(`## ${stage}\n`) && !index.includes(stage))).toEqual([]);
  });
});

test("every test that a page calls a proof exists", async () => {
  for (const page of ["README.md", "docs/guarantees.md", "docs/journal.md", "docs/providers.md"]) {
    const named = [...(await read(page)).matchAll(/`(test\/[\w/.-]+\.ts)`/g)].map(([, path = ""]) => path);
    if (page === "docs/guarantees.md") expect(named.length).toBeGreaterThan(20);
    expect(
      named.filter((path) => !existsSync(join(ROOT, path))),
      page,
    ).toEqual([]);
  }
});
