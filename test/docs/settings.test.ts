/** Every setting has a default, a meaning, a bound and a name in the environment that sets it; the page has each. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { describeSettings } from "../../src/config/describe.ts";
import { loadSettings } from "../../src/config/load.ts";
import { ROOT } from "./page/blocks.ts";

const settings = describeSettings();
const page = await Bun.file(join(ROOT, "docs/configuration.md")).text();
const line = (path: string) => page.split("\n").find((one) => one.startsWith(`| \`${path}\` | `)) ?? "";

describe("every setting", () => {
  test("has a default, what is allowed, a meaning and an environment name, and its line on the page", () => {
    expect(settings.length).toBeGreaterThan(100);
    const bare = settings.filter(({ path, env, default: byDefault, allowed, meaning }) => {
      const cells = line(path)
        .split(/(?<!\\)\|/)
        .map((cell) => cell.trim());
      const [, , environment = "", shown = "", bound = "", said = ""] = cells;
      return (
        cells.length !== 7 ||
        !environment.includes(`\`${env}\``) ||
        [byDefault, allowed, meaning, shown, bound, said].some((text) => text.trim() === "") ||
        !/[.)]$/.test(meaning)
      );
    });
    expect(bare.map(({ path }) => path)).toEqual([]);
    expect(new Set(settings.map(({ env }) => env)).size).toBe(settings.length);
  });

  test("refuses or takes what its environment name says: each is read under that name", () => {
    // A text that no number, duration, size, list, URL or choice is; those that are free texts take it.
    const wrong = "\u0000 wrong \u0000";
    const unheard = settings.filter(({ path, env }) => {
      const loaded = loadSettings({ flags: [], env: { [env]: wrong }, cwd: "/nowhere" });
      return loaded.ok
        ? loaded.sources.get(path) === undefined || loaded.sources.get(path) === "default"
        : !loaded.faults.some((fault) => fault.includes(env) || fault.includes(path));
    });
    expect(unheard.map(({ path }) => path)).toEqual([]);
  });
});
