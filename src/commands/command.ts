/** What a command of the command line is; `main.ts` parses, validates and runs them. */
import type { z } from "zod";
import type { Sources } from "../config/load.ts";
import type { Settings } from "../config/schema.ts";

/** One flag of the command line. */
export interface Flag {
  /** Long name without dashes: `duration`. */
  readonly name: string;
  /** Placeholder of its value in `--help` (`30s`); absent = a switch without a value. */
  readonly value?: string;
  /** What it does, in one line. */
  readonly meaning: string;
}

/**
 * A command.
 *
 * `Options` is what its own flags parse to: a zod object whose keys are the flag names in camelCase and
 * whose inputs are the texts of the command line (`true` for a switch, undefined when absent).
 */
export interface Command<Options = unknown> {
  readonly name: string;
  /** One line for `tapedeck --help`. */
  readonly summary: string;
  /** Longer text for `tapedeck <name> --help`; optional. */
  readonly description?: string;
  /** Positional arguments: how they are called and how many there may be; absent = none. */
  readonly positionals?: { readonly name: string; readonly min: number; readonly max: number };
  /** Flags of this command alone. Common flags (those that set a setting) come from config/flags.ts. */
  readonly flags: readonly Flag[];
  /** Names of the common flags that make sense here: "all" or a list such as ["port", "log-format"]. */
  readonly common: "all" | readonly string[];
  /** Checks the command's own flags. */
  readonly options: z.ZodType<Options>;
  /** Runs it; resolves to the exit code. Throw {@link Failure} for an error that names its mend. */
  run(invocation: Invocation<Options>): Promise<number>;
}

/** What a command gets to work with. */
export interface Invocation<Options = unknown> {
  readonly positionals: readonly string[];
  readonly options: Options;
  /** Resolved settings: flags > environment > tapedeck.toml > defaults. */
  readonly settings: Settings;
  /** Where each setting came from, by path. */
  readonly sources: Sources;
}

/** Wrong use: every fault at once, exit code 2. */
export class UsageError extends Error {
  constructor(readonly faults: readonly string[]) {
    super(faults.join("\n"));
    this.name = "UsageError";
  }
}

/** It cannot be done: a message for the user that names the thing and the mend, exit code 1. */
export class Failure extends Error {
  override name = "Failure";
}
