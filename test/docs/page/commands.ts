/** The commands of a block of shell, one by one. */
import type { Block } from "./blocks.ts";

/** One command, with what the page says of it. */
export interface PageCommand {
  /** As it stands on the page, of one line or several. */
  readonly text: string;
  /** Exit code that the page tells of. */
  readonly code: number;
  /** It goes on until somebody ends it. */
  readonly untilStopped: boolean;
  /** Lines that the page shows as what it prints. */
  readonly output: readonly string[];
}

const HEREDOC = /<<-?\s*(['"]?)([A-Za-z_]+)\1/;
const CODE = /#.*\bexit code (\d+)/;
/** Would run what runs it, without end. */
const TESTS = /\bbun (run )?test\b|\brun test\b/;
const UNTIL_STOPPED = /#.*\buntil Ctrl-C/;

/** Commands of a block: of ```sh every line, of ```console the lines behind `$ `. */
export function commandsOf(block: Pick<Block, "language" | "text" | "page" | "line">): PageCommand[] {
  const prompts = block.language === "console";
  const commands: PageCommand[] = [];
  const lines = block.text.split("\n");
  for (let at = 0; at < lines.length; ) {
    const line = lines[at] ?? "";
    if (prompts ? !line.startsWith("$ ") : line.trim() === "" || line.trim().startsWith("#")) {
      if (prompts) throw new Error(`${block.page}:${block.line}: output before the first "$ ": ${line}`);
      at++;
      continue;
    }
    let end = at + 1;
    while (end < lines.length && !complete(lines.slice(at, end))) end++;
    const text = lines
      .slice(at, end)
      .join("\n")
      .slice(prompts ? 2 : 0);
    if (TESTS.test(text))
      throw new Error(`${block.page}:${block.line}: runs the tests: mark it <!-- not run: … -->`);
    at = end;
    const output: string[] = [];
    while (prompts && at < lines.length && !lines[at]?.startsWith("$ ")) output.push(lines[at++] ?? "");
    commands.push({
      text,
      code: Number(CODE.exec(text)?.[1] ?? 0),
      untilStopped: UNTIL_STOPPED.test(text),
      output: output.filter((shown) => shown.trim() !== ""),
    });
  }
  return commands;
}

/** Whether these lines are a command: nothing is quoted still, no line goes on, no document is open. */
function complete(lines: readonly string[]): boolean {
  const text = lines.join("\n");
  const heredoc = HEREDOC.exec(lines[0] ?? "");
  if (heredoc !== null) return lines.slice(1).some((line) => line.trim() === heredoc[2]);
  if (text.trimEnd().endsWith("\\")) return false;
  // The shell itself says whether a quote, a loop or a condition is open.
  return Bun.spawnSync(["sh", "-n", "-c", text]).exitCode === 0;
}
