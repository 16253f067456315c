import { describe, expect, test } from "bun:test";
import { z } from "zod";
import type { Command } from "../../src/commands/command.ts";
import { parseArguments } from "../../src/config/arguments.ts";
import { commandHelp } from "../../src/config/help.ts";

const options = z.object({ tradeRate: z.string().optional(), quiet: z.literal(true).optional() });

/** A command of each kind of argument, made for this test. */
function command(change: Partial<Command> = {}): Command {
  return {
    name: "probe",
    summary: "Probes.",
    positionals: { name: "FILE", min: 1, max: 2 },
    flags: [
      { name: "trade-rate", value: "N", meaning: "Trades a second." },
      { name: "quiet", meaning: "Says nothing." },
    ],
    common: ["port"],
    options,
    run: async () => 0,
    ...change,
  };
}

describe("arguments", () => {
  test("flags, settings and positionals in any order", () => {
    const parsed = parseArguments(command(), [
      "a",
      "--trade-rate=5",
      "--port",
      "1",
      "--quiet",
      "--set",
      "data=x=y",
      "--config",
      "f.toml",
      "b",
      "--port",
      "2",
    ]);
    expect(parsed).toMatchObject({
      options: { tradeRate: "5", quiet: true },
      config: "f.toml",
      positionals: ["a", "b"],
      help: false,
      faults: [],
    });
    expect(parsed.settings.map(({ path, value, source }) => [path, value, source])).toEqual([
      ["status.port", "1", "--port"],
      ["data", "x=y", "--set"],
      ["status.port", "2", "--port"],
    ]);
  });

  test("a leading -- is dropped, a later one ends the flags", () => {
    expect(parseArguments(command(), ["--", "--quiet", "a", "--", "--port"])).toMatchObject({
      options: { quiet: true },
      positionals: ["a", "--port"],
      faults: [],
    });
  });

  test("each fault once, without faults that follow from it", () => {
    const { faults } = parseArguments(command(), [
      "a",
      "--trade-rat",
      "5",
      "--quiet=yes",
      "--port",
      "--config=",
      "-x",
      "--host",
      "h",
      "--set",
      "prot=1",
      "--set",
      "data",
    ]);
    expect(faults).toEqual([
      "--trade-rat: unknown flag; did you mean --trade-rate?",
      "--quiet: is a switch and takes no value",
      "--port: needs a value; if --config= is meant, write --port=--config=",
      "--config: needs a value",
      "-x: unknown flag",
      "--host: tapedeck probe does not take it",
      "--set prot: names no setting; did you mean status.port?",
      "--set data: has no value; write --set data=value",
    ]);
  });

  test("too few and too many positionals", () => {
    expect(parseArguments(command(), []).faults).toEqual(["FILE: is missing; write tapedeck probe FILE"]);
    expect(parseArguments(command(), ["a", "b", "quiet", "d"]).faults).toEqual([
      "quiet: unexpected argument; did you mean --quiet?",
      "d: unexpected argument",
    ]);
  });

  test("a command that takes no common flags takes no --set either", () => {
    expect(
      parseArguments(command({ common: [] }), ["a", "--set", "data=x", "--config", "f"]).faults,
    ).toHaveLength(2);
  });

  test("a negative number is a value, a lone - is a positional", () => {
    expect(parseArguments(command(), ["-", "--port", "-5"])).toMatchObject({
      positionals: ["-"],
      settings: [{ path: "status.port", value: "-5" }],
      faults: [],
    });
  });
});

test("help of a command lists what it takes, at most 100 columns wide", () => {
  const text = commandHelp(command({ description: "word ".repeat(60), common: "all" }));
  for (const line of text.split("\n")) expect(Bun.stringWidth(line)).toBeLessThanOrEqual(100);
  expect(text).toContain("Usage: tapedeck probe [flags] FILE...");
  expect(text).toMatch(/--trade-rate N +Trades a second\./);
  expect(text).toMatch(/--port 9100 .*Default: 9100\./);
});
