/** Runs the real command line in a process of its own. */
import { MAIN, PROGRAM, SHORT_LIVED } from "../helpers/program.ts";

/** What a run left. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

interface RunOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs `tapedeck`; see {@link PROGRAM}. */
export function tapedeck(args: readonly string[], options: RunOptions): Promise<Outcome> {
  return run(PROGRAM, args, options);
}

/** Runs the sources, whatever there is besides. */
export function sources(args: readonly string[], options: RunOptions): Promise<Outcome> {
  return run([process.execPath, MAIN], args, options);
}

/** Runs `program` in `cwd` with nothing of our own in the environment but `env`. */
async function run(
  program: readonly string[],
  args: readonly string[],
  { cwd, env = {} }: RunOptions,
): Promise<Outcome> {
  const base = Object.entries(process.env).filter(
    ([name]) => !/^(TAPEDECK_|STORAGE_|BUFFER_|FLUSH_)/.test(name),
  );
  const child = Bun.spawn([...program, ...args], {
    cwd,
    env: { ...Object.fromEntries(base), ...SHORT_LIVED, ...env },
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
