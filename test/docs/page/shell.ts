/** Runs the commands of a page as a reader would type them, each in a shell; folder and variables stay for the next one. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { waitFor, within } from "../../helpers/wait.ts";

/** No command of a page may take longer, ms: far above what any takes on a machine that is busy. */
const LONGEST = process.env.TAPEDECK_TEST_LONG === "1" ? 240_000 : 120_000;

/** How a command ended. */
export interface Ended {
  readonly code: number | string;
  readonly output: string;
}

/** A command that runs until it is stopped. */
export class Background {
  output = "";
  readonly #child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly #read: Promise<unknown>;

  constructor(
    readonly command: string,
    child: Bun.Subprocess<"ignore", "pipe", "pipe">,
  ) {
    this.#child = child;
    this.#read = Promise.all([this.#gather(child.stdout), this.#gather(child.stderr)]);
  }

  async #gather(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of stream) this.output += decoder.decode(chunk, { stream: true });
  }

  /** Waits until it has said something that shows that it does its work. */
  async until(sign: RegExp): Promise<void> {
    await waitFor(
      `${sign} from: ${this.command}`,
      () => {
        if (sign.test(this.output)) return true;
        if (this.#child.exitCode !== null)
          throw new Error(`it has ended: ${this.command}\n${this.output.slice(-4000)}`);
        return false;
      },
      { timeout: 90_000, every: 20, state: () => this.output.slice(-4000) },
    );
  }

  /** Ends it as Ctrl-C would: everything in its process group gets SIGINT. */
  async stop(): Promise<Ended> {
    signalGroup(this.#child.pid, "SIGINT");
    return this.ended();
  }

  async ended(): Promise<Ended> {
    const { command } = this;
    await within(`the end of: ${command}`, Promise.all([this.#child.exited, this.#read]), {
      timeout: LONGEST,
      state: () => this.output.slice(-4000),
    });
    return { code: this.#child.signalCode ?? this.#child.exitCode ?? "unknown", output: this.output };
  }

  /** Ends whatever is left of it. */
  kill(): void {
    signalGroup(this.#child.pid, "SIGKILL");
  }
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

const started = new Set<Background>();
const killStarted = () => {
  for (const one of started) one.kill();
};
// They are in groups of their own: whatever ends the tests would leave them running.
process.on("exit", killStarted);
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    killStarted();
    process.exit(1);
  });
}

/** The shell of one page. */
export class Shell {
  readonly #state: string;
  readonly #env: Readonly<Record<string, string>>;
  readonly #all: Background[] = [];

  /**
   * @param folder where the page's commands begin
   * @param state a folder for what stays from command to command, which the page does not see
   */
  constructor(folder: string, state: string, env: Readonly<Record<string, string>>) {
    this.#state = state;
    this.#env = env;
    mkdirSync(state, { recursive: true });
    writeFileSync(join(state, "cwd"), folder);
    writeFileSync(join(state, "env"), "");
  }

  #start(command: string, script: string): Background {
    const child = Bun.spawn(["sh", "-c", script], {
      cwd: this.#state,
      env: { ...this.#env },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      // A process group of its own, as a terminal gives to each command.
      detached: true,
    });
    const background = new Background(command, child);
    this.#all.push(background);
    started.add(background);
    void child.exited.then(() => started.delete(background));
    return background;
  }

  get #enter(): string {
    return `. ${this.#state}/env; cd "$(cat ${this.#state}/cwd)" || exit 99\n`;
  }

  /** Runs a command to its end. */
  async run(command: string): Promise<Ended> {
    const leave = `code=$?; export -p > ${this.#state}/env; pwd > ${this.#state}/cwd; exit $code`;
    return this.#start(command, `${this.#enter}${command}\n${leave}`).ended();
  }

  /** Starts a command that does not end by itself. */
  start(command: string): Background {
    // The shell outlives Ctrl-C, to hand on the exit code of the command, which gets it too.
    return this.#start(command, `${this.#enter}trap : INT\n${command}\nexit $?`);
  }

  /** Kills what is still there. */
  killAll(): void {
    for (const one of this.#all) one.kill();
  }
}
