/** The commands. Loaded only when they run, so that `decode` need not load DuckDB nor `config` a server. */
import type { Command } from "./command.ts";

/** A command as `tapedeck --help` lists it. */
export interface CommandEntry {
  /** One line; here again so that the list needs no command loaded. A test compares the two. */
  readonly summary: string;
  /** The specifier is static, so that a bundler can follow it. */
  readonly load: () => Promise<Command>;
}

/** All commands by name, in the order of `tapedeck --help`. */
export const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  record: {
    summary: "Records the exchanges' streams into the lake.",
    load: async () => (await import("./record.ts")).command,
  },
  demo: {
    summary: "Records the built-in simulated exchanges and shows what came of it.",
    load: async () => (await import("./demo.ts")).command,
  },
  simulate: {
    summary: "Serves a simulated exchange over WebSocket and HTTP.",
    load: async () => (await import("./simulate.ts")).command,
  },
  replay: {
    summary: "Serves captured frames over WebSocket as the exchange would.",
    load: async () => (await import("./replay.ts")).command,
  },
  capture: {
    summary: "Keeps the exchanges' raw frames, as received, and nothing else.",
    load: async () => (await import("./capture.ts")).command,
  },
  decode: {
    summary: "Decodes frames from stdin to one event per line of JSON.",
    load: async () => (await import("./decode.ts")).command,
  },
  verify: {
    summary: "Audits a lake: every file, every number of every ring, every hole.",
    load: async () => (await import("./verify.ts")).command,
  },
  compact: {
    summary: "Makes few large files of a closed day's many small ones.",
    load: async () => (await import("./compact.ts")).command,
  },
  sql: {
    summary: "Answers SQL over a lake: a view for each stream, read-only.",
    load: async () => (await import("./sql.ts")).command,
  },
  status: {
    summary: "Shows what a running recorder is doing.",
    load: async () => (await import("./status.ts")).command,
  },
  healthcheck: {
    summary: "Tells by its exit code whether a recorder is alive.",
    load: async () => (await import("./healthcheck.ts")).command,
  },
  config: {
    summary: "Prints the resolved settings and where they come from.",
    load: async () => (await import("./config.ts")).command,
  },
  completions: {
    summary: "Prints a script that has bash, zsh or fish complete this command line.",
    load: async () => (await import("./completions.ts")).command,
  },
};
