/** What reads the pages, on pages made for it: a harness that overlooks a command proves nothing. */
import { describe, expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { scratchFolder } from "../helpers/scratch.ts";
import { blocksOf, pages } from "./page/blocks.ts";
import { commandsOf } from "./page/commands.ts";
import { missingLine } from "./page/shape.ts";
import { Shell } from "./page/shell.ts";

const folder = scratchFolder("page");

describe("blocks", () => {
  test("are found with language, line and mark", () => {
    const page = [
      "# Page",
      "```sh",
      "one",
      "```",
      "",
      "<!-- not run: needs docker -->",
      "```sh",
      "two",
      "```",
      "- item",
      "  <!-- run: long -->",
      "",
      "  ```console",
      "  $ three",
      "  ```",
      "```",
      "four",
      "```",
    ].join("\n");
    expect(blocksOf("a.md", page).map(({ page: _, ...block }) => block)).toEqual([
      { line: 2, language: "sh", text: "one", notRun: null, long: false },
      { line: 7, language: "sh", text: "two", notRun: "needs docker", long: false },
      { line: 13, language: "console", text: "$ three", notRun: null, long: true },
      { line: 16, language: "", text: "four", notRun: null, long: false },
    ]);
  });

  test.each([
    ["an open fence", "```sh\none"],
    ["a mark without a block", "<!-- not run: why -->\ntext"],
    ["a mark at the end", "<!-- run: long -->"],
    ["a mark that means nothing", "<!-- run: sometimes -->\n```sh\none\n```"],
  ])("%s is refused", (_, page) => {
    expect(() => blocksOf("a.md", page)).toThrow("a.md:");
  });

  test("are looked for in README.md and in all of docs/", () => {
    expect(pages()).toContain("README.md");
    expect(pages().filter((page) => page.startsWith("docs/")).length).toBeGreaterThan(18);
  });
});

describe("commands", () => {
  const of = (language: string, ...lines: string[]) =>
    commandsOf({ page: "a.md", line: 1, language, text: lines.join("\n") });

  test("of sh: one a line, or of several where the shell says so", () => {
    const commands = of(
      "sh",
      "# a comment",
      "one --a \\",
      "  --b",
      'two "',
      '" # exit code 3',
      "cat <<'EOF'",
      "text",
      "EOF",
      "for x in 1 2; do",
      "  echo $x",
      "done",
      "record   # for ever, until Ctrl-C",
    );
    expect(commands.map(({ text }) => text)).toEqual([
      "one --a \\\n  --b",
      'two "\n" # exit code 3',
      "cat <<'EOF'\ntext\nEOF",
      "for x in 1 2; do\n  echo $x\ndone",
      "record   # for ever, until Ctrl-C",
    ]);
    expect(commands.map(({ code }) => code)).toEqual([0, 3, 0, 0, 0]);
    expect(commands.map(({ untilStopped }) => untilStopped)).toEqual([false, false, false, false, true]);
  });

  test("of console: what follows a prompt, with what is shown", () => {
    expect(of("console", "$ one", "shown", "", "$ two").map(({ text, output }) => [text, output])).toEqual([
      ["one", ["shown"]],
      ["two", []],
    ]);
    expect(() => of("console", "no prompt")).toThrow("no prompt");
  });
});

describe("what is shown", () => {
  const printed = "state  READY\na  1,234  2.4 ms\nb  –\nend";

  test("may differ in figures, widths and units", () => {
    expect(missingLine(["state READY", "a 7 12 s", "end"], printed)).toBeNull();
    expect(missingLine(["…", "b 3 min", "e…"], printed)).toBeNull();
  });

  test("may not differ in words or order", () => {
    expect(missingLine(["state ERROR"], printed)).toBe("state ERROR");
    expect(missingLine(["a 1 2 ms", "state READY"], printed)).toBe("state READY");
    expect(missingLine(["a x 2 ms"], printed)).toBe("a x 2 ms");
    expect(missingLine(["(a.b)*"], "(axb)")).toBe("(a.b)*");
  });
});

describe("the shell", () => {
  test("keeps folder and variables, tells exit codes, ends by SIGINT what goes on", async () => {
    const home = join(folder, "shell");
    mkdirSync(join(home, "below"), { recursive: true });
    const shell = new Shell(home, join(folder, "state"), { PATH: process.env.PATH ?? "" });
    expect((await shell.run("cd below; export WORD='two words'")).code).toBe(0);
    expect((await shell.run('pwd; echo "$WORD"')).output).toBe(`${home}/below\ntwo words\n`);
    expect((await shell.run("exit 3")).code).toBe(3);
    expect((await shell.run("false   # exit code 1")).code).toBe(1);
    // What says so is what goes on: between two commands a shell keeps the signal for later.
    const going = shell.start("sh -c 'echo up; exec sleep 600'");
    await going.until(/up/);
    expect((await going.stop()).code).toBe(130);
  });
});
