/** `tapedeck completions`: scripts that have a shell complete this command line. */
import { z } from "zod";
import { didYouMean } from "../config/suggest.ts";
import { type Command, UsageError } from "./command.ts";
import { bash } from "./completions/bash.ts";
import { fish } from "./completions/fish.ts";
import { type CompletedCommand, completed } from "./completions/model.ts";
import { zsh } from "./completions/zsh.ts";
import { COMMANDS } from "./index.ts";

const SHELLS: Readonly<Record<string, (commands: readonly CompletedCommand[]) => string>> = {
  bash,
  zsh,
  fish,
};

/** Prints the script of one shell; it derives from the same tables as `--help`. */
export const command: Command = {
  name: "completions",
  summary: "Prints a script that has bash, zsh or fish complete this command line.",
  description: `SHELL is bash, zsh or fish.

  bash:  echo 'source <(tapedeck completions bash)' >> ~/.bashrc
  zsh:   tapedeck completions zsh > "\${fpath[1]}/_tapedeck"
  fish:  tapedeck completions fish > ~/.config/fish/completions/tapedeck.fish`,
  positionals: { name: "SHELL", min: 1, max: 1 },
  flags: [],
  common: [],
  options: z.object({}),
  async run({ positionals: [shell = ""] }) {
    const script = Object.hasOwn(SHELLS, shell) ? SHELLS[shell] : undefined;
    if (script === undefined) {
      const known = Object.keys(SHELLS);
      throw new UsageError([`${shell}: no shell of ${known.join(", ")}${didYouMean(shell, known)}`]);
    }
    const commands = await Promise.all(Object.values(COMMANDS).map(({ load }) => load()));
    process.stdout.write(
      script(commands.map((one) => completed(one, one.name === "completions" ? Object.keys(SHELLS) : []))),
    );
    return 0;
  },
};
