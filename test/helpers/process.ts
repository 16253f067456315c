/** The real command line in processes of their own, all of which are killed in the end. */
import { undocumented } from "../../src/status/events.ts";
import { MAIN, PROGRAM, SHORT_LIVED } from "./program.ts";
import { waitFor, within } from "./wait.ts";

/** Names that would set something of ours from the environment of whoever runs the tests. */
const OURS = /^(TAPEDECK_|STORAGE_|S3_|GCS_|BUFFER_|FLUSH_)/;
const CLEAN = Object.entries(process.env).filter(([name]) => !OURS.test(name));

/** Lines of log kept for the message of a failure. */
const SHOWN_LINES = 40;

/** One line of the log. */
export type LogLine = Readonly<Record<string, unknown>> & { readonly event: string; readonly level: string };

/** How a command is started. */
interface RunOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: Blob;
  /** A module that is loaded before the sources: it stands for something that a test cannot do to a machine. */
  readonly preload?: string;
  /** Another program than {@link PROGRAM}; its environment is `env` and nothing else. */
  readonly program?: readonly string[];
}

const running = new Set<Running>();

/** Kills what is still running. */
export async function killAll(): Promise<void> {
  await Promise.all([...running].map((one) => one.kill()));
}

process.on("exit", () => {
  for (const one of running) one.signal("SIGKILL");
});

/** Starts `tapedeck`, with nothing of ours in its environment but `env`. */
export function tapedeck(args: readonly string[], options: RunOptions): Running {
  return new Running(args, options);
}

/** A running command, with what it has printed so far. */
export class Running {
  stdout = "";
  stderr = "";
  /** Lines of stdout that are log lines. */
  readonly log: LogLine[] = [];
  readonly #name: string;
  readonly #child: Bun.Subprocess<Blob | "ignore", "pipe", "pipe">;
  readonly #outputs: Promise<unknown>;
  #line = "";

  constructor(args: readonly string[], { cwd, env = {}, stdin, preload, program }: RunOptions) {
    this.#name = `tapedeck ${args[0] ?? ""}`;
    const usual = preload === undefined ? PROGRAM : [process.execPath, "--preload", preload, MAIN];
    this.#child = Bun.spawn([...(program ?? usual), ...args], {
      cwd,
      env: program === undefined ? { ...Object.fromEntries(CLEAN), ...SHORT_LIVED, ...env } : env,
      stdin: stdin ?? "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    running.add(this);
    void this.#child.exited.then(() => running.delete(this));
    this.#outputs = Promise.all([
      this.#gather(this.#child.stdout, (text) => this.#take(text)),
      this.#gather(this.#child.stderr, (text) => {
        this.stderr += text;
      }),
    ]);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Whether it has ended. */
  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  async #gather(stream: ReadableStream<Uint8Array>, take: (text: string) => void): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of stream) take(decoder.decode(chunk, { stream: true }));
  }

  #take(text: string): void {
    this.stdout += text;
    const lines = (this.#line + text).split("\n");
    this.#line = lines.pop() ?? "";
    for (const line of lines) {
      if (!line.startsWith("{")) continue;
      const parsed: unknown = JSON.parse(line);
      if (typeof parsed !== "object" || parsed === null || !("event" in parsed)) continue;
      this.log.push(parsed as LogLine);
      // So every test that runs a recorder holds its log against docs/logs.md.
      const unknown = undocumented(parsed as LogLine);
      if (unknown.length > 0) throw new Error(`not in src/status/events.ts: ${unknown.join(", ")}: ${line}`);
    }
  }

  /** Its last words, for the message of a failure. */
  get words(): string {
    const out = this.stdout.split("\n").slice(-SHOWN_LINES).join("\n");
    const code = this.#child.exitCode ?? this.#child.signalCode ?? "still running";
    return `${this.#name} (${code}) said:\n${out}\n${this.stderr}`;
  }

  /** Log lines of an event. */
  events(event: string): LogLine[] {
    return this.log.filter((line) => line.event === event);
  }

  /** Waits for a log line. */
  event(event: string, fits: (line: LogLine) => boolean = () => true, timeout?: number): Promise<LogLine> {
    return this.#whileRunning(`the log event ${event}`, () => this.events(event).find(fits), timeout);
  }

  /** Waits for a text on stdout. */
  text(pattern: RegExp, timeout?: number): Promise<RegExpExecArray> {
    return this.#whileRunning(`${pattern} on stdout`, () => pattern.exec(this.stdout) ?? undefined, timeout);
  }

  #whileRunning<T>(what: string, probe: () => T | undefined, timeout?: number): Promise<T> {
    return waitFor(
      `${what} of ${this.#name}`,
      async () => {
        const ended = this.ended;
        if (ended) await this.#outputs;
        const found = probe();
        if (found === undefined && ended) throw new Error(`no ${what}: it has ended\n${this.words}`);
        return found;
      },
      { state: () => this.words, ...(timeout === undefined ? {} : { timeout }) },
    );
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Waits for its end; resolves to the exit code, or the name of the signal that ended it. */
  async exit(timeout?: number): Promise<number | string> {
    await within(`the end of ${this.#name}`, Promise.all([this.#child.exited, this.#outputs]), {
      state: () => this.words,
      ...(timeout === undefined ? {} : { timeout }),
    });
    return this.#child.signalCode ?? this.#child.exitCode ?? "unknown";
  }

  /** Ends it at once, if it has not ended. */
  async kill(): Promise<void> {
    if (!this.ended) this.signal("SIGKILL");
    await this.#child.exited;
  }
}
