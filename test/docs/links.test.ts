/** Links of the pages lead somewhere, and every page can be reached; commands and flags that they name exist. */
import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import type { Command } from "../../src/commands/command.ts";
import { COMMANDS } from "../../src/commands/index.ts";
import { commonFlagsOf } from "../../src/config/flags.ts";
import { blocksOf, pages, ROOT } from "./page/blocks.ts";

const has = (path: string) => existsSync(join(ROOT, path));

const PAGES = [...pages(), ...["ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"].filter(has)];
const texts = new Map(
  await Promise.all(PAGES.map(async (page) => [page, await Bun.file(join(ROOT, page)).text()] as const)),
);

/** Without what stands in fences. */
const prose = (text: string) => text.replaceAll(/^ *```[\s\S]*?^ *```/gm, "");

/** How GitHub calls a heading in an address. */
const anchor = (heading: string) =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");

function anchorsOf(page: string): Set<string> {
  const headings = prose(texts.get(page) ?? "").matchAll(/^#+ (.+)$/gm);
  return new Set([...headings].map(([, heading = ""]) => anchor(heading)));
}

function linksOf(page: string): { path: string; hash: string }[] {
  const found = prose(texts.get(page) ?? "").matchAll(/\]\(([^)\s]+)\)/g);
  return [...found].flatMap(([, target = ""]) => {
    if (/^(https?:|mailto:)/.test(target)) return [];
    const [file = "", hash = ""] = target.split("#");
    return [{ path: file === "" ? page : normalize(join(dirname(page), file)), hash }];
  });
}

describe("links", () => {
  for (const page of PAGES) {
    test(`of ${page} lead to files and headings that exist`, () => {
      const broken = linksOf(page).filter(
        ({ path, hash }) => !has(path) || (hash !== "" && texts.has(path) && !anchorsOf(path).has(hash)),
      );
      expect(broken).toEqual([]);
    });
  }

  test("lead from README.md to every page", () => {
    const reached = new Set(["README.md"]);
    for (const page of reached) {
      for (const { path } of linksOf(page)) {
        const target = path === "docs/" || path === "docs" ? "docs/README.md" : path;
        if (texts.has(target)) reached.add(target);
      }
    }
    expect(PAGES.filter((page) => !reached.has(page))).toEqual([]);
  });
});

describe("commands that the pages name", () => {
  const found = (page: string, text: string, pattern: RegExp) =>
    [...text.matchAll(pattern)].map(([, name = "", rest = ""]) => ({
      page,
      name,
      flags: [...rest.matchAll(/ --([a-z][a-z-]*)/g)],
    }));
  // What stands in inline code and in blocks, those that cannot run included; words of prose are no commands.
  const named = [...texts].flatMap(([page, text]) => [
    ...found(page, prose(text), /(?:`|run )tapedeck ([a-z]+)([^\n`#|;]*)/g),
    ...blocksOf(page, text)
      .filter(({ language }) => language === "sh" || language === "console")
      .flatMap((block) => found(page, block.text, /(?:^|\$ |&& |run )tapedeck ([a-z]+)([^\n#|;]*)/gm)),
  ]);

  test("exist, with the flags that they are given", async () => {
    expect(named.length).toBeGreaterThan(30);
    const commands = new Map<string, Command>();
    for (const [name, { load }] of Object.entries(COMMANDS)) commands.set(name, await load());
    const unknown = named.flatMap(({ page, name, flags }) => {
      const command = commands.get(name);
      if (name === "help") return [];
      if (command === undefined) return [`${page}: tapedeck ${name}`];
      const known = new Set([
        "help",
        ...[...command.flags, ...commonFlagsOf(command)].map((flag) => flag.name),
      ]);
      return flags
        .filter(([, flag = ""]) => !known.has(flag))
        .map(([, flag = ""]) => `${page}: tapedeck ${name} --${flag}`);
    });
    expect(unknown).toEqual([]);
  });
});
