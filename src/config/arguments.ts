/** A command's part of the command line: flags, settings, positionals, and every fault in them. */
import { parseArgs } from "node:util";
import type { Command } from "../commands/command.ts";
import { describeSettings } from "./describe.ts";
import { COMMON_FLAGS, commonFlagsOf } from "./flags.ts";
import type { Given } from "./given.ts";
import { shownText } from "./mask.ts";
import { didYouMean, nearest, settingHint } from "./suggest.ts";

/** What the command line says. */
export interface ParsedArguments {
  /** The command's own flags, keys in camelCase; a switch is true. */
  readonly options: Readonly<Record<string, string | true>>;
  /** Settings of common flags and `--set`, in the order of the command line. */
  readonly settings: readonly Given[];
  /** The file of `--config`. */
  readonly config: string | undefined;
  readonly positionals: readonly string[];
  /** `--help` or `-h` was there. */
  readonly help: boolean;
  readonly faults: readonly string[];
}

/** `trade-stream` is the key `tradeStream` of the options. */
export function camelCase(name: string): string {
  return name.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** Flags that have a value, by name, and switches. */
type FlagTypes = ReadonlyMap<string, "string" | "boolean">;

type Token = ReturnType<typeof tokensOf>[number];
type OptionToken = Extract<Token, { kind: "option" }>;

/** Parses what stands behind the command's name. */
export function parseArguments(command: Command, args: readonly string[]): ParsedArguments {
  const common = commonFlagsOf(command);
  const types: FlagTypes = new Map([
    ...[...common, ...command.flags].map(
      ({ name, value }) => [name, value === undefined ? "boolean" : "string"] as const,
    ),
    ["help", "boolean"] as const,
  ]);
  const { tokens, faults } = readTokens(command, types, args);

  const options: Record<string, string | true> = {};
  const settings: Given[] = [];
  let config: string | undefined;
  let help = false;
  for (const token of tokens) {
    if (token.kind !== "option") continue;
    const { name } = token;
    const value = token.value ?? "";
    const isSwitch = types.get(name) === "boolean";
    if (name === "help") help = true;
    else if (command.flags.some((flag) => flag.name === name)) options[camelCase(name)] = token.value ?? true;
    else if (name === "config") config = value;
    else if (name === "set") readSet(value, settings, faults);
    else {
      const path = common.find((flag) => flag.name === name)?.setting;
      if (path === undefined) throw new Error(`--${name} sets nothing`);
      const where = (shown: string): string => (isSwitch ? `--${name}` : `--${name} ${shown}`);
      settings.push({ path, value: isSwitch ? true : value, source: `--${name}`, where, quoted: false });
    }
  }
  const positionals = tokens.flatMap((token) => (token.kind === "positional" ? [token.value] : []));
  faults.push(...positionalFaults(command, positionals, types));
  return { options, settings, config, positionals, help, faults };
}

/** `a.b.c=value`; an unknown name is a fault that does not repeat the value, as it may be a secret. */
function readSet(text: string, settings: Given[], faults: string[]): void {
  const equals = text.indexOf("=");
  const path = (equals < 0 ? text : text.slice(0, equals)).trim();
  const paths = describeSettings().map((setting) => setting.path);
  if (!paths.includes(path)) {
    faults.push(`--set ${shownText(path)}: names no setting${settingHint(path, paths, [])}`);
  } else if (equals < 0) {
    faults.push(`--set ${path}: has no value; write --set ${path}=value`);
  } else {
    const where = (shown: string): string => `--set ${path}=${shown}`;
    settings.push({ path, value: text.slice(equals + 1), source: "--set", where, quoted: false });
  }
}

function tokensOf(types: FlagTypes, args: readonly string[]) {
  const options: Record<string, { type: "string" | "boolean"; short?: string }> = {};
  for (const [name, type] of types) options[name] = name === "help" ? { type, short: "h" } : { type };
  // Not strict: strict mode throws at the first fault, and all of them are to be named.
  return parseArgs({ args: [...args], options, strict: false, tokens: true, allowPositionals: true }).tokens;
}

/**
 * Takes out one faulty flag after the other, together with its value, until the rest parses clean: else one
 * wrong flag would make its value a second, misleading fault.
 */
function readTokens(command: Command, types: FlagTypes, given: readonly string[]) {
  // `bun run demo -- --duration 10s` hands the dashes on.
  const args = given[0] === "--" ? given.slice(1) : [...given];
  const faults: string[] = [];
  for (;;) {
    const tokens = tokensOf(types, args);
    const wrong = tokens.find(
      (token) => token.kind === "option" && faultOf(command, token, types) !== undefined,
    );
    if (wrong?.kind !== "option") return { tokens, faults };
    faults.push(faultOf(command, wrong, types) ?? "");
    args.splice(wrong.index, swallowsNext(command, wrong, types, tokens) ? 2 : 1);
  }
}

function faultOf(command: Command, token: OptionToken, types: FlagTypes): string | undefined {
  const { name, value, inlineValue } = token;
  const rawName = shownText(token.rawName);
  const type = types.get(name);
  if (type === undefined && isCommon(name)) return `${rawName}: tapedeck ${command.name} does not take it`;
  if (type === undefined) {
    return `${rawName}: unknown flag${didYouMean(name, types.keys(), (known) => `--${known}`)}`;
  }
  if (type === "boolean") {
    return value === undefined ? undefined : `${rawName}: is a switch and takes no value`;
  }
  if (value === undefined || value === "") return `${rawName}: needs a value`;
  // `--port --host x`: the value was forgotten. A negative number is a value, if a wrong one.
  if (!inlineValue && /^-[^\d]/.test(value)) {
    return `${rawName}: needs a value; if ${shownText(value)} is meant, write ${rawName}=${shownText(value)}`;
  }
  return undefined;
}

/** Whether the argument behind a faulty flag is its value. */
function swallowsNext(
  command: Command,
  wrong: OptionToken,
  types: FlagTypes,
  tokens: readonly Token[],
): boolean {
  if (types.has(wrong.name)) return wrong.value === "" && wrong.inlineValue === false;
  const next = tokens.find((token) => token.index === wrong.index + 1);
  if (wrong.inlineValue === true || next?.kind !== "positional") return false;
  const common = COMMON_FLAGS.find((flag) => flag.name === wrong.name);
  if (common !== undefined) return common.value !== undefined;
  const meant = nearest(wrong.name, types.keys());
  return meant === undefined ? command.positionals === undefined : types.get(meant) === "string";
}

/** Whether other commands take it. */
function isCommon(name: string): boolean {
  return COMMON_FLAGS.some((flag) => flag.name === name);
}

function positionalFaults(command: Command, given: readonly string[], types: FlagTypes): string[] {
  const { name, min, max } = command.positionals ?? { name: "", min: 0, max: 0 };
  if (given.length < min) {
    return [`${name}: is missing; write tapedeck ${command.name} ${name}`];
  }
  return given.slice(max).map((text) => {
    const shown = shownText(text);
    return `${shown}: unexpected argument${didYouMean(text, types.keys(), (known) => `--${known}`)}`;
  });
}
