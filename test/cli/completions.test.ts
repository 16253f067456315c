import { beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { COMMANDS } from "../../src/commands/index.ts";
import { commonFlagsOf } from "../../src/config/flags.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { tapedeck } from "./run.ts";

const cwd = scratchFolder("completions");
mkdirSync(join(cwd, "lakes"));
writeFileSync(join(cwd, "frames.zst"), "");

beforeAll(async () => {
  const { stdout } = await tapedeck(["completions", "bash"], { cwd });
  writeFileSync(join(cwd, "script"), stdout);
});

/** What bash offers for a line whose last word is being typed. */
function offered(...words: string[]): string[] {
  const ask = `source ./script; COMP_WORDS=(tapedeck "$@"); COMP_CWORD=$#; _tapedeck; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const shell = Bun.spawnSync(["bash", "--norc", "-c", ask, "bash", ...words], { cwd });
  expect(shell.stderr.toString()).toBe("");
  return shell.stdout.toString().trim().split("\n");
}

describe("bash completes", () => {
  test("commands, and commands behind help", () => {
    expect(offered("")).toEqual([...Object.keys(COMMANDS), "help", "--help", "--version"]);
    expect(offered("re")).toEqual(["record", "replay"]);
    expect(offered("help", "set")).toEqual(["settings"]);
  });

  test("exactly the flags that a command takes", async () => {
    for (const name of ["record", "verify", "simulate"]) {
      const command = await COMMANDS[name].load();
      const flags = [...command.flags, ...commonFlagsOf(command), { name: "help" }].map(
        (flag) => `--${flag.name}`,
      );
      expect(offered(name, "--").sort()).toEqual(flags.sort());
    }
  });

  test("names one by one in a list, words, settings, files and folders", () => {
    expect(offered("record", "--exchanges", "binance,b")).toEqual(["binance,binance", "binance,bybit"]);
    expect(offered("record", "--log-format", "")).toEqual(["json", "pretty"]);
    expect(offered("record", "--set", "journal.fsync_i")).toEqual(["journal.fsync_interval="]);
    expect(offered("record", "--data", "l")).toEqual(["lakes"]);
    expect(offered("replay", "fra")).toEqual(["frames.zst"]);
    expect(offered("completions", "z")).toEqual(["zsh"]);
    expect(offered("sql", "--recipe", "f")).toEqual(["funding"]);
    expect(offered("sql", "--lake", "l")).toEqual(["lakes"]);
  });
});

describe("each script is one that its shell reads", () => {
  const check = { bash: ["-n"], zsh: ["-n"], fish: ["--no-execute"] };
  for (const [shell, flags] of Object.entries(check)) {
    const isThere = Bun.which(shell) !== null;
    test.skipIf(!isThere)(`${shell}${isThere ? "" : " (not installed)"}`, async () => {
      const { stdout } = await tapedeck(["completions", shell], { cwd });
      const file = join(cwd, `script.${shell}`);
      writeFileSync(file, stdout);
      chmodSync(file, 0o600);
      const { exitCode, stderr } = Bun.spawnSync([shell, ...flags, file], { cwd });
      expect([exitCode, stderr.toString()]).toEqual([0, ""]);
    });
  }
});

test("another shell is wrong use, with a guess", async () => {
  const { code, stderr } = await tapedeck(["completions", "bsh"], { cwd });
  expect([code, stderr]).toEqual([2, expect.stringContaining("did you mean bash?")]);
});
