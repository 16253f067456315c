/**
 * A Python with the readers that users have: TAPEDECK_TEST_PYTHON, or `.venv/bin/python` in the project or beside it;
 * test/python/requirements.txt names the readers.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";

const PROJECT = join(import.meta.dir, "../..");

/** Path of the interpreter; undefined = there is none. */
export const PYTHON: string | undefined = [
  process.env.TAPEDECK_TEST_PYTHON,
  join(PROJECT, "../.venv/bin/python"),
  join(PROJECT, ".venv/bin/python"),
].find((path) => path !== undefined && existsSync(path));

/** Those of the modules that it does not have, found without importing them. */
export function missingModules(modules: readonly string[]): ReadonlySet<string> {
  if (PYTHON === undefined) return new Set(modules);
  const code = "import importlib.util as u, sys; print(*[m for m in sys.argv[1:] if u.find_spec(m) is None])";
  const { stdout, exitCode } = Bun.spawnSync([PYTHON, "-c", code, ...modules]);
  if (exitCode !== 0) return new Set(modules);
  return new Set(stdout.toString().trim().split(" "));
}
