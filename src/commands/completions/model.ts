/** What a shell can complete, from the commands' own tables of flags: whatever the shell. */
import { describeSettings } from "../../config/describe.ts";
import { EXCHANGE_NAMES } from "../../config/exchanges.ts";
import { commonFlagsOf } from "../../config/flags.ts";
import { STREAM_NAMES } from "../../events/streams.ts";
import type { Command } from "../command.ts";

/** What may stand behind a flag. */
export type Value =
  | { readonly kind: "none" }
  | { readonly kind: "file" | "folder" | "text" }
  /** One of these; `list`: several of them with commas between; `setting`: a path, then `=value`. */
  | { readonly kind: "word" | "list" | "setting"; readonly words: readonly string[] };

/** A flag as a shell completes it. */
export interface CompletedFlag {
  /** Without dashes. */
  readonly name: string;
  readonly meaning: string;
  readonly value: Value;
}

/** A command as a shell completes it. */
export interface CompletedCommand {
  readonly name: string;
  readonly summary: string;
  readonly flags: readonly CompletedFlag[];
  /** What stands beside the flags. */
  readonly operand: Value;
}

/** Levels and the like: `json|pretty`, but not `N|max`, whose N is no word. */
const WORDS = /^[a-z0-9-]+(\|[a-z0-9-]+)+$/;

const LISTS: Readonly<Record<string, readonly string[]>> = {
  exchanges: EXCHANGE_NAMES,
  streams: STREAM_NAMES,
};

/** A command's flags and operand. */
export function completed(command: Command, operands: readonly string[] = []): CompletedCommand {
  const settings = describeSettings();
  const common = commonFlagsOf(command).map(({ name, value, setting, meaning }) => ({
    name,
    meaning: meaning ?? settings.find(({ path }) => path === setting)?.meaning ?? "",
    value: flagValue(name, value),
  }));
  const own = command.flags.map(({ name, value, meaning }) => ({
    name,
    meaning,
    value: flagValue(name, value),
  }));
  const help = { name: "help", meaning: "Tells the flags.", value: { kind: "none" } as const };
  return {
    name: command.name,
    summary: command.summary,
    flags: [...own, ...common, help],
    operand: operandOf(command, operands),
  };
}

function operandOf({ positionals }: Command, operands: readonly string[]): Value {
  if (operands.length > 0) return { kind: "word", words: operands };
  if (positionals === undefined) return { kind: "none" };
  return { kind: positionals.name === "LAKE" ? "folder" : positionals.name === "FILE" ? "file" : "text" };
}

function flagValue(name: string, placeholder: string | undefined): Value {
  if (placeholder === undefined) return { kind: "none" };
  if (name === "set") return { kind: "setting", words: describeSettings().map(({ path }) => path) };
  if (name === "exchange") return { kind: "word", words: EXCHANGE_NAMES };
  const list = LISTS[name];
  if (list !== undefined) return { kind: "list", words: list };
  if (placeholder === "LEVEL") return { kind: "word", words: levels() };
  if (placeholder === "FILE" || placeholder === "CERTIFICATE") return { kind: "file" };
  if (placeholder === "DIR" || placeholder === "LAKE") return { kind: "folder" };
  return WORDS.test(placeholder) ? { kind: "word", words: placeholder.split("|") } : { kind: "text" };
}

/** From the schema's own words: "one of a, b, c". */
function levels(): readonly string[] {
  const allowed = describeSettings().find(({ path }) => path === "log.level")?.allowed ?? "";
  return allowed.match(/[a-z]+(?=,|$| or)/g) ?? [];
}

/** A text inside single quotes, as sh, zsh and bash read it. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** The first sentence: a menu has one line for each. */
export function short(text: string): string {
  return text.replace(/\.( .*)?$/, "");
}
