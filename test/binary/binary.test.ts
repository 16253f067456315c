import { beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { COMMANDS } from "../../src/commands/index.ts";
import { type Running, tapedeck } from "../helpers/process.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { bareRoot, buildInto, CAN_BUILD, CAN_LOCK_IN } from "./executable.ts";

const folder = scratchFolder("binary");
const native = join(import.meta.dir, "../../node_modules/@duckdb/node-bindings-linux-x64/libduckdb.so");
let executable = "";

beforeAll(() => {
  if (!CAN_BUILD) return;
  const built = buildInto(folder);
  executable = built.path;
  console.log(built.said);
}, 180_000);

/** Started with an environment of nothing but `env`, in a folder of its own. */
function start(name: string, args: readonly string[], env: Record<string, string> = {}): Running {
  const cwd = join(folder, name);
  mkdirSync(cwd, { recursive: true });
  return tapedeck(args, { cwd, env, program: [executable] });
}

const cacheOf = (base: string) => {
  const [version = ""] = readdirSync(base);
  return join(base, version);
};

describe.skipIf(!CAN_BUILD)(`the executable${CAN_BUILD ? "" : " (not built on this platform)"}`, () => {
  test("names version and commit", async () => {
    const began = performance.now();
    const run = start("version", ["--version"]);
    expect(await run.exit()).toBe(0);
    const { version } = await Bun.file(join(import.meta.dir, "../../package.json")).json();
    expect(run.stdout).toMatch(
      new RegExp(`^tapedeck ${version.replaceAll(".", "\\.")} \\(([0-9a-f]{12}(\\+changes)?|unknown)\\)\n$`),
    );
    console.log(`--version took ${(performance.now() - began).toFixed(0)} ms`);
  });

  test("has every command inside, and loads DuckDB for none of their tables of flags", async () => {
    // This one loads all the others.
    const run = start("flags", ["completions", "bash"], { TAPEDECK_CACHE: join(folder, "flags-cache") });
    expect([await run.exit(), run.stderr]).toEqual([0, ""]);
    for (const name of Object.keys(COMMANDS)) expect(run.stdout).toContain(`    ${name}) flags=`);
    expect(readdirSync(folder)).not.toContain("flags-cache");
  });

  test("takes nothing but .env from the folder it is started in", async () => {
    const cwd = join(folder, "planted");
    mkdirSync(cwd);
    writeFileSync(join(cwd, "bunfig.toml"), 'preload = ["./planted.ts"]\n');
    writeFileSync(join(cwd, "planted.ts"), 'console.log("planted");');
    writeFileSync(join(cwd, "package.json"), '{ "type": "commonjs", "name": 1 }');
    writeFileSync(
      join(cwd, "tsconfig.json"),
      '{ "compilerOptions": { "paths": { "zod": ["./planted.ts"] } } }',
    );
    writeFileSync(join(cwd, ".env"), "TAPEDECK_FLUSH_ROWS=4321\n");
    const run = start("planted", ["config"]);
    expect(await run.exit()).toBe(0);
    expect(run.stdout).not.toContain("planted");
    expect(run.stdout).toMatch(/rows = 4321\s+# from TAPEDECK_FLUSH_ROWS/);
  });

  test.skipIf(!CAN_LOCK_IN)(
    `alone in a root without anything records, publishes and answers${CAN_LOCK_IN ? "" : " (needs root and unshare)"}`,
    async () => {
      const program = bareRoot(join(folder, "root"), executable, [native]);
      const env = { PATH: process.env.PATH ?? "" };
      const run = tapedeck(["demo", "--duration", "2s", "--port", "0"], { cwd: folder, env, program });
      expect([await run.exit(), run.stderr]).toEqual([0, ""]);
      expect(run.stdout).toContain("the balance holds");
      expect(run.stdout).toContain("vwap");
      const audit = tapedeck(["verify", "/data-demo/lake"], { cwd: folder, env, program });
      expect([await audit.exit(), audit.stderr]).toEqual([0, ""]);
    },
  );

  test("two started at once for the first time, and after its parts were tampered with", async () => {
    const cache = join(folder, "shared-cache");
    const audits = async () => {
      // No lake: what counts is that DuckDB is loaded before that is told.
      const runs = Array.from({ length: 2 }, () =>
        start("audit", ["verify", "lake"], { TAPEDECK_CACHE: cache }),
      );
      for (const run of runs) {
        expect(await run.exit()).toBe(0);
        expect(run.stderr).toBe("");
      }
      expect(readdirSync(cacheOf(cache)).sort()).toEqual(["duckdb.node", "libduckdb.so"]);
    };
    mkdirSync(join(folder, "audit/lake/v1"), { recursive: true });
    await audits();
    for (const name of readdirSync(cacheOf(cache))) {
      const path = join(cacheOf(cache), name);
      const { size } = statSync(path);
      chmodSync(path, 0o700);
      writeFileSync(path, Buffer.alloc(size, "tampered"));
    }
    await audits();
    for (const path of [cache, cacheOf(cache)]) expect(statSync(path).mode & 0o777).toBe(0o700);
  });

  test("without a place for its parts names every one it tried, and the mend", async () => {
    const file = join(folder, "a-file");
    writeFileSync(file, "");
    const temporary = join(folder, "temporary");
    const taken = join(temporary, `tapedeck-${process.getuid?.()}`);
    mkdirSync(temporary);
    writeFileSync(taken, "");
    const bad = { TAPEDECK_CACHE: join(file, "a"), XDG_CACHE_HOME: join(file, "b"), TMPDIR: temporary };
    mkdirSync(join(folder, "audit/lake/v1"), { recursive: true });
    const run = start("audit", ["verify", "lake"], bad);
    expect(await run.exit()).toBe(1);
    for (const path of [bad.TAPEDECK_CACHE, bad.XDG_CACHE_HOME, taken]) expect(run.stderr).toContain(path);
    expect(run.stderr).toContain("name one with TAPEDECK_CACHE=DIR");
    expect(run.stderr.trim().split("\n")).toHaveLength(1);
    // A data folder that is there is enough.
    mkdirSync(join(folder, "audit/data"));
    const saved = start("audit", ["verify", "lake"], bad);
    expect([await saved.exit(), saved.stderr]).toEqual([0, ""]);
    expect(readdirSync(cacheOf(join(folder, "audit/data/.cache"))).sort()).toEqual([
      "duckdb.node",
      "libduckdb.so",
    ]);
  });
});
