/** A common flag that is a switch: its setting reads true and false from every source. */
import { expect, test } from "bun:test";
import { command as capture } from "../../src/commands/capture.ts";
import { command as record } from "../../src/commands/record.ts";
import { parseArguments } from "../../src/config/arguments.ts";
import { loadSettings } from "../../src/config/load.ts";

const none = { flags: [], env: {}, cwd: "/nonexistent" };

test("--raw sets record.raw, alone or with what stands behind it left alone", () => {
  const parsed = parseArguments(record, ["--raw", "--port", "0"]);
  expect(parsed.faults).toEqual([]);
  expect(parsed.settings.map(({ path, value }) => [path, value])).toEqual([
    ["record.raw", true],
    ["status.port", "0"],
  ]);
  const loaded = loadSettings({ ...none, flags: parsed.settings });
  expect(loaded.ok && [loaded.settings.record.raw, loaded.sources.get("record.raw")]).toEqual([
    true,
    "--raw",
  ]);
  expect(parseArguments(record, ["--raw=true"]).faults).toEqual(["--raw: is a switch and takes no value"]);
  expect(parseArguments(capture, ["--raw", "--duration", "1s"]).faults).toEqual([
    "--raw: tapedeck capture does not take it",
  ]);
});

test("the environment says true or false; anything else is a fault that says so", () => {
  const raw = (value: string) => {
    const loaded = loadSettings({ ...none, env: { TAPEDECK_RECORD_RAW: value } });
    return loaded.ok ? loaded.settings.record.raw : loaded.faults;
  };
  expect(raw("true")).toBe(true);
  expect(raw(" FALSE ")).toBe(false);
  expect(raw("")).toBe(false);
  expect(raw("yes")).toEqual(["TAPEDECK_RECORD_RAW=yes: must be true or false"]);
});
