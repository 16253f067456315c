/** Completions for bash (4 or later; without the package bash-completion). */
import { type CompletedCommand, quoted, type Value } from "./model.ts";

/** The script for `source <(tapedeck completions bash)`. */
export function bash(commands: readonly CompletedCommand[]): string {
  const names = commands.map(({ name }) => name);
  const values = commands.flatMap(({ name, flags }) =>
    flags.flatMap((flag) =>
      flag.value.kind === "none"
        ? []
        : [`    ${quoted(`${name} --${flag.name}`)}) ${action(flag.value)}; return ;;`],
    ),
  );
  const cases = commands.map(({ name, flags, operand }) => {
    const words = flags.map((flag) => `--${flag.name}`).join(" ");
    return `    ${name}) flags=${quoted(words)}; ${operand.kind === "none" ? "operand=:" : `operand=${quoted(action(operand))}`} ;;`;
  });
  return `# bash completions of tapedeck: source <(tapedeck completions bash)
_tapedeck_words() { COMPREPLY=($(compgen -W "$1" -- "$cur")); }
_tapedeck_files() { compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur")); }
_tapedeck_folders() { compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- "$cur")); }
_tapedeck_list() {
  local before=; [[ $cur == *,* ]] && before="\${cur%,*},"
  compopt -o nospace 2>/dev/null
  COMPREPLY=($(compgen -P "$before" -W "$1" -- "\${cur##*,}"))
}
_tapedeck_settings() { compopt -o nospace 2>/dev/null; COMPREPLY=($(compgen -S = -W "$1" -- "$cur")); }
_tapedeck() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} command= flags= operand=: i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    [[ \${COMP_WORDS[i]} == -* ]] || { command=\${COMP_WORDS[i]}; break; }
  done
  case "$command $prev" in
${values.join("\n")}
  esac
  case "$command" in
    '') _tapedeck_words ${quoted([...names, "help", "--help", "--version"].join(" "))}; return ;;
    help) _tapedeck_words ${quoted([...names, "settings"].join(" "))}; return ;;
${cases.join("\n")}
    *) return ;;
  esac
  if [[ $cur == -* ]]; then _tapedeck_words "$flags"; else eval "$operand"; fi
}
complete -F _tapedeck tapedeck
`;
}

function action(value: Value): string {
  switch (value.kind) {
    case "word":
      return `_tapedeck_words ${quoted(value.words.join(" "))}`;
    case "list":
      return `_tapedeck_list ${quoted(value.words.join(" "))}`;
    case "setting":
      return `_tapedeck_settings ${quoted(value.words.join(" "))}`;
    case "file":
      return "_tapedeck_files";
    case "folder":
      return "_tapedeck_folders";
    default:
      return ":";
  }
}
