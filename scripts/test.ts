/**
 * The tests, as `bun test` runs them, with the executable of this platform built once for all of them: where a test starts
 * the command line in a process of its own, it is that one, as users have it. It starts with half the work of the sources,
 * which the suite does hundreds of times. `bun test FILE` by itself starts the sources.
 *
 * Several files run at once. Many start whole recorders and simulators, so two cores are busy throughout,
 * and a test may fail for want of a processor alone. To tell that apart from a fault, the few files in which a test
 * failed are run again, one after the other with nothing beside them, and that run decides. What needed it is named at
 * the end: it is unstable, and to be mended.
 *
 * Arguments go to `bun test`. Exit code: that of `bun test`.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HOST, isTarget } from "./build/targets.ts";
import { build } from "./build.ts";

/** Files that run at once. */
const PARALLEL = 4;
/** A test that takes longer has failed, ms. */
const TIMEOUT = 180_000;
/** Where more files than this fail, the machine is not why. */
const AGAIN_MAX = 5;
const SIGNALS = ["SIGINT", "SIGTERM"] as const;

const folder = await mkdtemp(join(tmpdir(), "tapedeck-test-"));
try {
  process.exitCode = await main(process.argv.slice(2));
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function main(args: readonly string[]): Promise<number> {
  const report = join(folder, "report.xml");
  const env = { ...process.env, ...(await withExecutable()) };
  const all = await bunTest(env, [
    `--parallel=${PARALLEL}`,
    "--reporter=junit",
    `--reporter-outfile=${report}`,
    ...args,
  ]);
  if (all.code === 0) return 0;
  const failed = await failedFiles(report);
  // A file that could not be loaded is an error, not a failure, and no matter of time.
  if (all.errors || failed.length === 0 || failed.length > AGAIN_MAX) return all.code;
  console.error(`\nFailed beside others, run again alone: ${failed.join(", ")}\n`);
  const alone = await bunTest(
    env,
    failed.map((file) => `./${file}`),
  );
  if (alone.code === 0)
    console.error(`\nUNSTABLE, passed only when run alone, to be mended: ${failed.join(", ")}`);
  return alone.code;
}

/** Builds the executable; the environment that leads tests to it, or none where this platform has none. */
async function withExecutable(): Promise<Record<string, string>> {
  if (process.platform !== "linux" || !isTarget(HOST)) {
    console.error(`tests start the command line from its sources: no executable is built on ${HOST}`);
    return {};
  }
  const executable = await build(HOST, folder);
  console.error("tests start the command line as the executable that was just built");
  // DuckDB's parts are unpacked once, and not into the home of whoever runs this.
  return { TAPEDECK_TEST_EXECUTABLE: executable, XDG_CACHE_HOME: join(folder, "cache") };
}

/** Runs `bun test`; its exit code, and whether there was an error outside of any test. */
async function bunTest(
  env: NodeJS.ProcessEnv,
  args: readonly string[],
): Promise<{ code: number; errors: boolean }> {
  const child = Bun.spawn([process.execPath, "test", `--timeout=${TIMEOUT}`, ...args], {
    cwd: join(import.meta.dir, ".."),
    env,
    stdio: ["ignore", "inherit", "pipe"],
  });
  // A terminal sends its signals to all of them; what is sent to this process alone is handed on.
  const stop = (signal: NodeJS.Signals) => child.kill(signal);
  for (const signal of SIGNALS) process.on(signal, stop);
  // The end of what it prints says how many errors there were.
  let end = "";
  const decoder = new TextDecoder();
  for await (const bytes of child.stderr) {
    process.stderr.write(bytes);
    end = (end + decoder.decode(bytes, { stream: true })).slice(-1000);
  }
  const code = await child.exited;
  for (const signal of SIGNALS) process.off(signal, stop);
  return { code, errors: /^\s*\d+ errors?$/m.test(end) };
}

/** Files of a JUnit report in which a test failed. */
async function failedFiles(report: string): Promise<string[]> {
  const file = Bun.file(report);
  if (!(await file.exists())) return [];
  const cases = (await file.text()).matchAll(/<testcase [^>]*?\bfile="([^"]+)"[^>]*?>\s*<failure\b/g);
  return [...new Set([...cases].map(([, name = ""]) => name))];
}
