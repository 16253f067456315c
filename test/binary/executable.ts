/** The single executable, built once for a test file, and places where there is nothing else. */
import { cpSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { HOST } from "../../scripts/build/targets.ts";
import { EXECUTABLE } from "../helpers/program.ts";

const BUILD = join(import.meta.dir, "../../scripts/build.ts");

/** Whether an executable can be built and run here: else tests are skipped and say so. */
export const CAN_BUILD = process.platform === "linux";

/** The executable of this platform, built into a folder unless it was built for all tests; its path, and what is to be said of it. */
export function buildInto(folder: string): { path: string; said: string } {
  if (EXECUTABLE !== undefined) return { path: EXECUTABLE, said: `${EXECUTABLE}, built for all tests` };
  const built = Bun.spawnSync([process.execPath, BUILD, HOST, "--into", folder]);
  if (built.exitCode !== 0) throw new Error(`the executable cannot be built:\n${built.stderr}`);
  return { path: join(folder, `tapedeck-${HOST}`), said: built.stdout.toString().trim() };
}

/** Whether a test may lock a process into a folder: that is for root, where mounting is allowed, with the tools for it. */
export const CAN_LOCK_IN =
  CAN_BUILD &&
  ["chroot", "ldd", "mount", "unshare"].every((tool) => Bun.which(tool) !== null) &&
  Bun.spawnSync(["unshare", "-m", "mount", "-t", "proc", "proc", "/proc"]).exitCode === 0;

/**
 * Makes a root with the executable, the C libraries that it and DuckDB name, and nothing else: no Bun, no Node, no
 * node_modules, no sources, no /etc, no /dev; /proc is mounted when it is entered, since Bun finds itself by it.
 *
 * @param libraries further files whose C libraries are needed
 * @returns what runs the executable in there, with an empty environment, before its arguments
 */
export function bareRoot(root: string, executable: string, libraries: readonly string[]): readonly string[] {
  for (const name of ["proc", "tmp"]) mkdirSync(join(root, name), { recursive: true });
  cpSync(executable, join(root, "tapedeck"));
  for (const file of [executable, ...libraries]) {
    const said = Bun.spawnSync(["ldd", file]).stdout.toString();
    for (const [path] of said.matchAll(/\/[^\s:]+\.so[^\s:]*/g)) {
      if (path.includes("duckdb")) continue;
      mkdirSync(join(root, dirname(path)), { recursive: true });
      cpSync(path, join(root, path), { dereference: true });
    }
  }
  const [unshare = "", chroot = ""] = ["unshare", "chroot"].map((tool) => Bun.which(tool) ?? "");
  const enter = `mount -t proc proc "$1/proc" && root=$1 && shift && exec env -i ${chroot} "$root" /tapedeck "$@"`;
  return [unshare, "-m", "sh", "-c", enter, "sh", root];
}
