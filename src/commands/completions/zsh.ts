/** Completions for zsh, on its function `_arguments`. */
import { type CompletedCommand, quoted, short, type Value } from "./model.ts";

/** The script for `tapedeck completions zsh > "${fpath[1]}/_tapedeck"`, or to be sourced. */
export function zsh(commands: readonly CompletedCommand[]): string {
  const described = commands.map(({ name, summary }) => quoted(`${name}:${short(summary)}`));
  const cases = commands.map(({ name, flags, operand }) => {
    const specs = flags.map((flag) => {
      const meaning = short(flag.meaning).replace(/[[\]:]/g, "\\$&");
      const repeat = flag.value.kind === "setting" ? "*" : "";
      return quoted(`${repeat}--${flag.name}[${meaning}]${action(flag.value)}`);
    });
    if (operand.kind !== "none") specs.push(quoted(`*${action(operand)}`));
    return `    ${name})\n      _arguments ${specs.join(" \\\n        ")} ;;`;
  });
  return `#compdef tapedeck
_tapedeck() {
  local -a commands
  commands=(
    ${described.join("\n    ")}
    'help:Flags of a command, or all settings'
  )
  if (( CURRENT == 2 )); then _describe command commands; return; fi
  local command=\${words[2]}
  shift words; (( CURRENT-- ))
  case $command in
    help) compadd - ${commands.map(({ name }) => name).join(" ")} settings ;;
${cases.join("\n")}
  esac
}
if [[ \${funcstack[1]} == _tapedeck ]]; then _tapedeck "$@"; else compdef _tapedeck tapedeck; fi
`;
}

function action(value: Value): string {
  switch (value.kind) {
    case "none":
      return "";
    case "word":
      return `:value:(${value.words.join(" ")})`;
    case "list":
      return `:list:_sequence compadd - ${value.words.join(" ")}`;
    case "setting":
      return `:setting:compadd -S= - ${value.words.join(" ")}`;
    case "file":
      return ":file:_files";
    case "folder":
      return ":folder:_files -/";
    case "text":
      return ":value: ";
  }
}
