/** The texts of `--help`; all of them derive from the commands and the schema. */
import type { Command } from "../commands/command.ts";
import { describeSettings, type SettingDescription } from "./describe.ts";
import { commonFlagsOf } from "./flags.ts";
import { table, wrap } from "./wrap.ts";

/** `tapedeck --help`. */
export function overview(about: string, commands: readonly (readonly [string, string])[]): string {
  return [
    wrap(`tapedeck: ${about}`, 0),
    "Usage: tapedeck <command> [flags]",
    `Commands:\n${table(commands)}`,
    `Help:\n${table([
      ["<command> --help", "Flags of a command."],
      ["help settings", "Every setting with its meaning, default and environment variable."],
      ["--version", "The version."],
    ])}`,
    "Exit codes: 0 done, 1 failed, 2 wrong use.",
  ].join("\n\n");
}

/** `tapedeck <command> --help`. */
export function commandHelp(command: Command): string {
  const { name, summary, description, positionals } = command;
  const common = commonFlagsOf(command);
  const settings = describeSettings();
  const usage = ["tapedeck", name, "[flags]"];
  if (positionals) {
    const several = positionals.max > 1 ? `${positionals.name}...` : positionals.name;
    usage.push(positionals.min === 0 ? `[${several}]` : several);
  }
  const own = [
    ...command.flags.map((flag) => [flagText(flag.name, flag.value), flag.meaning] as const),
    ["-h, --help", "This text."] as const,
  ];
  const parts = [
    wrap(`tapedeck ${name}: ${summary}`, 0),
    `Usage: ${usage.join(" ")}`,
    ...(description === undefined ? [] : [paragraphs(description)]),
    `Flags:\n${table(own)}`,
  ];
  if (common.length > 0) {
    const rows = common.map((flag) => {
      const setting = settings.find(({ path }) => path === flag.setting);
      const meaning = flag.meaning ?? (setting ? meaningWithDefault(setting) : "");
      return [flagText(flag.name, flag.value), meaning] as const;
    });
    parts.push(`Settings (flags > environment > tapedeck.toml > defaults):\n${table(rows)}`);
  }
  return parts.join("\n\n");
}

/** `tapedeck help settings`. */
export function settingsHelp(): string {
  const entries = describeSettings().map((setting) => {
    const names = [setting.env, setting.operatorName].filter((name) => name !== undefined).join(" or ");
    return [
      setting.path,
      wrap(meaningWithDefault(setting), 4),
      wrap(`Must be ${setting.allowed}.`, 4),
      `    ${names}`,
    ].join("\n");
  });
  const intro =
    "Every setting, by its path in tapedeck.toml and its environment variable. On the command line: --set path=value.";
  return [wrap(intro, 0), ...entries].join("\n\n");
}

function meaningWithDefault({ meaning, default: value, path, allowed, kind }: SettingDescription): string {
  // Names from a fixed set are worth showing in place; other bounds stand in `help settings`.
  const names = kind === "choice" || (kind === "list" && path !== "record.symbols") ? ` (${allowed})` : "";
  return `${meaning.replace(/\.$/, "")}${names}. Default: ${value}.`;
}

function flagText(name: string, value: string | undefined): string {
  return value === undefined ? `--${name}` : `--${name} ${value}`;
}

/** Blank lines part paragraphs; lines that begin with a space are examples and stay as they are. */
function paragraphs(text: string): string {
  return text
    .split(/\n{2,}/)
    .map((part) => (/^\s/.test(part) ? part : wrap(part, 0)))
    .join("\n\n");
}
