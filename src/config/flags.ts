/** The common flags: those that set a setting. Meanings and defaults stand in the schema, not here. */
import type { Command } from "../commands/command.ts";

/** A flag that sets a setting. */
export interface CommonFlag {
  /** Without dashes: `port`. */
  readonly name: string;
  /** Placeholder of its value in `--help`; absent = a switch, which sets `true`. */
  readonly value?: string;
  /** Path of the setting; absent for `--config` and `--set`. */
  readonly setting?: string;
  /** What it does, for the flags that are not one setting. */
  readonly meaning?: string;
}

/** All common flags, in the order of `--help`. */
export const COMMON_FLAGS: readonly CommonFlag[] = [
  { name: "data", value: "DIR", setting: "data" },
  { name: "exchanges", value: "a,b", setting: "record.exchanges" },
  { name: "streams", value: "a,b", setting: "record.streams" },
  { name: "symbols", value: "A,B", setting: "record.symbols" },
  { name: "duration", value: "30s", setting: "record.duration" },
  { name: "raw", setting: "record.raw" },
  { name: "port", value: "9100", setting: "status.port" },
  { name: "host", value: "ADDRESS", setting: "status.host" },
  { name: "log-format", value: "json|pretty", setting: "log.format" },
  { name: "log-level", value: "LEVEL", setting: "log.level" },
  { name: "config", value: "FILE", meaning: "Settings file. Default: ./tapedeck.toml if it is there." },
  {
    name: "set",
    value: "a.b.c=value",
    meaning: "Sets any setting, may be repeated; `tapedeck help settings` lists all of them.",
  },
];

/**
 * The common flags of a command. One that takes any takes `--config` and `--set` too; a flag of the
 * command's own goes before a common one of that name.
 */
export function commonFlagsOf(command: Pick<Command, "common" | "flags">): readonly CommonFlag[] {
  const { common, flags } = command;
  if (common !== "all" && common.length === 0) return [];
  const own = new Set(flags.map((flag) => flag.name));
  return COMMON_FLAGS.filter(
    ({ name, setting }) =>
      !own.has(name) && (common === "all" || setting === undefined || common.includes(name)),
  );
}
