/** Runs the real command line in a process of its own. */
import { join } from "node:path";

const MAIN = join(import.meta.dir, "../../src/main.ts");

/** What a run left. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `tapedeck` in `cwd` with nothing of our own in the environment but `env`. */
export async function tapedeck(
  args: readonly string[],
  { cwd, env = {} }: { cwd: string; env?: Record<string, string> },
): Promise<Outcome> {
  const base = Object.entries(process.env).filter(
    ([name]) => !/^(TAPEDECK_|STORAGE_|BUFFER_|FLUSH_)/.test(name),
  );
  const child = Bun.spawn([process.execPath, MAIN, ...args], {
    cwd,
    env: { ...Object.fromEntries(base), ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, stdout, stderr };
}
