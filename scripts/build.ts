/**
 * Writes `dist/tapedeck-<os>-<arch>`: Bun, this program and DuckDB's native parts in one executable (docs/binary.md).
 *
 * `bun scripts/build.ts [--into DIR] [linux-x64 linux-arm64 darwin-x64 darwin-arm64 | all]`; without a name the platform it
 * runs on.
 */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { nativeParts } from "./build/native-parts.ts";
import { HOST, isTarget, TARGETS, type Target, withParts } from "./build/targets.ts";
import { workerAddresses, workerModules } from "./build/workers.ts";

const ROOT = join(import.meta.dir, "..");

/** The commit that is built, `+changes` where the work tree has any; "unknown" outside of a repository. */
function commit(): string {
  const git = (...args: readonly string[]) => {
    const { exitCode, stdout } = Bun.spawnSync(["git", ...args], { cwd: ROOT, stderr: "ignore" });
    return exitCode === 0 ? stdout.toString().trim() : null;
  };
  const id = git("rev-parse", "--short=12", "HEAD");
  if (id === null) return "unknown";
  return git("status", "--porcelain", "--untracked-files=no") === "" ? id : `${id}+changes`;
}

/**
 * Builds the executable of one platform.
 *
 * @param folder where it is written
 * @returns its path
 * @throws Error when it cannot be built
 */
export async function build(target: Target, folder = join(ROOT, "dist")): Promise<string> {
  const outfile = join(folder, `tapedeck-${target}`);
  await mkdir(folder, { recursive: true });
  return withParts(target, async ({ native, runtime }) => {
    const result = await Bun.build({
      entrypoints: [join(ROOT, "src/main.ts"), ...(await workerModules())],
      root: join(ROOT, "src"),
      target: "bun",
      // Nothing to parse at the start: 36 ms of CPU for --version instead of 110. Only as ES modules does it work elsewhere
      // than where it was built.
      format: "esm",
      bytecode: true,
      // Whitespace is all that goes: names stay, so that a stack trace can be read and searched for.
      minify: { whitespace: true, syntax: false, identifiers: false },
      // Lines in a stack trace are those of the sources.
      sourcemap: "inline",
      plugins: [nativeParts(native, commit()), workerAddresses()],
      compile: {
        target: TARGETS[target].compile,
        outfile,
        ...(runtime === undefined ? {} : { executablePath: runtime }),
        // A `.env` file is read, as it is when the sources run; what else lies in the current folder changes nothing.
        autoloadDotenv: true,
        autoloadBunfig: false,
        autoloadTsconfig: false,
        autoloadPackageJson: false,
      },
    });
    for (const log of result.logs) process.stderr.write(`${log}\n`);
    if (!result.success) throw new Error(`${target} cannot be built`);
    // They are inside; Bun writes them beside the executable too.
    for (const { path } of result.outputs) if (path.endsWith(".map")) await rm(path, { force: true });
    return outfile;
  });
}

if (import.meta.main) {
  const { values, positionals: names } = parseArgs({
    options: { into: { type: "string" } },
    allowPositionals: true,
  });
  const wanted = names.includes("all") ? Object.keys(TARGETS) : names.length > 0 ? names : [HOST];
  for (const target of wanted) {
    if (!isTarget(target)) throw new Error(`${target} is none of ${Object.keys(TARGETS).join(", ")}`);
    const started = performance.now();
    const path = await build(target, values.into).catch((error: unknown) => {
      process.stderr.write(`${target}: ${error instanceof Error ? error.message : String(error)}\n`);
      process.exit(1);
    });
    const megabytes = (Bun.file(path).size / 1e6).toFixed(0);
    process.stdout.write(
      `${path}  ${megabytes} MB  ${((performance.now() - started) / 1000).toFixed(1)} s\n`,
    );
  }
}
