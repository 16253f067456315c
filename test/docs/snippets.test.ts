/** What pages show that is neither command nor query: settings are read as `tapedeck config` reads them, JSON is parsed. */
import { describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { loadSettings } from "../../src/config/load.ts";
import { DATASETS, STREAM_NAMES } from "../../src/events/streams.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { allBlocks, type Block, ROOT } from "./page/blocks.ts";

const folder = scratchFolder("snippets");
const blocks = await allBlocks();
const inLanguage = (language: string) => blocks.filter((block) => block.language === language);

/** Name of a test. */
function nameOf({ page, line, text, notRun }: Block): string {
  const [first = ""] = text.trim().split("\n");
  return `${page}:${line} ${first}${notRun === null ? "" : ` (SKIPPED, ${notRun})`}`;
}

/** What a reader has where the page can only show a name or a beginning. */
const filledIn = (text: string) =>
  text
    .replaceAll("…", "x".repeat(32))
    .replaceAll(/"[^"]*\.pem"/g, JSON.stringify(join(ROOT, "test/helpers/tls/ca.pem")));

describe("settings of the pages", () => {
  for (const block of inLanguage("toml")) {
    test.skipIf(block.notRun !== null)(nameOf(block), () => {
      const cwd = join(folder, `${block.page.replaceAll("/", "-")}-${block.line}`);
      mkdirSync(cwd, { recursive: true });
      writeFileSync(join(cwd, "tapedeck.toml"), filledIn(block.text));
      const loaded = loadSettings({ flags: [], env: {}, cwd });
      expect(loaded.ok ? [] : loaded.faults).toEqual([]);
      expect(loaded.warnings).toEqual([]);
      expect([...(loaded.ok ? loaded.sources.values() : [])].some((from) => from !== "default")).toBe(true);
    });
  }
});

describe("JSON of the pages", () => {
  for (const block of inLanguage("json")) {
    test.skipIf(block.notRun !== null)(nameOf(block), () => {
      expect(z.record(z.string(), z.unknown()).parse(JSON.parse(block.text))).not.toEqual({});
    });
  }
});

describe("the pages", () => {
  test("name streams and datasets that exist", () => {
    const known = new Set<string>([...STREAM_NAMES, ...Object.keys(DATASETS)]);
    const named = blocks.flatMap(({ page, text }) =>
      [...text.matchAll(/\bstream=([a-z_]+)/g)].map(([, stream = ""]) => ({ page, stream })),
    );
    expect(named.length).toBeGreaterThan(3);
    expect(named.filter(({ stream }) => !known.has(stream))).toEqual([]);
  });

  test("say what each block is in words that the tests know", () => {
    const known = ["", "text", "sh", "console", "sql", "python", "toml", "json", "ts"];
    expect(blocks.filter(({ language }) => !known.includes(language))).toEqual([]);
  });
});
