/** Completions for fish. */
import { type CompletedCommand, short, type Value } from "./model.ts";

/** The script for `tapedeck completions fish > ~/.config/fish/completions/tapedeck.fish`. */
export function fish(commands: readonly CompletedCommand[]): string {
  const names = commands.map(({ name }) => name);
  const lines = [
    "complete -c tapedeck -f",
    ...commands.map(
      ({ name, summary }) =>
        `complete -c tapedeck -n __fish_use_subcommand -a ${name} -d ${quoted(short(summary))}`,
    ),
    `complete -c tapedeck -n __fish_use_subcommand -a help -d ${quoted("Flags of a command, or all settings")}`,
    `complete -c tapedeck -n "__fish_seen_subcommand_from help" -a ${quoted([...names, "settings"].join(" "))}`,
    ...commands.flatMap(({ name, flags, operand }) => {
      const start = `complete -c tapedeck -n "__fish_seen_subcommand_from ${name}"`;
      const operands = operand.kind === "none" ? [] : [`${start}${action(operand).replace(" -x", " -f")}`];
      return [
        ...flags.map(
          (flag) => `${start} -l ${flag.name}${action(flag.value)} -d ${quoted(short(flag.meaning))}`,
        ),
        ...operands,
      ];
    }),
  ];
  return `# fish completions of tapedeck\n${lines.join("\n")}\n`;
}

function action(value: Value): string {
  switch (value.kind) {
    case "none":
      return "";
    case "word":
      return ` -x -a ${quoted(value.words.join(" "))}`;
    case "list":
      return ` -x -a ${quoted(`(__fish_append , ${value.words.join(" ")})`)}`;
    case "setting":
      return ` -x -a ${quoted(value.words.map((word) => `${word}=`).join(" "))}`;
    case "folder":
      return ` -x -a ${quoted("(__fish_complete_directories)")}`;
    case "file":
      return " -r -F";
    case "text":
      return " -x";
  }
}

/** fish knows two escapes inside single quotes. */
function quoted(text: string): string {
  return `'${text.replace(/[\\']/g, "\\$&")}'`;
}
