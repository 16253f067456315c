/** What the pages show in fences, as data: docs/README.md says how they are marked. */
import { readdirSync } from "node:fs";
import { join } from "node:path";

/** Root of the repository. */
export const ROOT: string = join(import.meta.dir, "../../..");

/** A fenced block of a page. */
export interface Block {
  /** Path of its page, relative to the repository. */
  readonly page: string;
  /** Line of its fence, from 1. */
  readonly line: number;
  /** What follows the fence: `sh`, `console`, `sql`, …; empty = nothing does. */
  readonly language: string;
  readonly text: string;
  /** Why it cannot run on a machine for tests, in the page's own words; null = it can. */
  readonly notRun: string | null;
  /** It takes more time than the default run of the tests has. */
  readonly long: boolean;
}

/** The pages that users read: found, not listed, so that none can be forgotten. */
export function pages(): string[] {
  const docs = readdirSync(join(ROOT, "docs")).filter((name) => name.endsWith(".md"));
  return ["README.md", ...docs.sort().map((name) => `docs/${name}`)];
}

const FENCE = /^( *)```(\S*)\s*$/;
const MARK = /^\s*<!-- *(not run|run): *(.+?) *-->\s*$/;

/** The blocks of a page, in their order. Fails on a fence that is not closed and on a mark that means nothing. */
export function blocksOf(page: string, text: string): Block[] {
  const blocks: Block[] = [];
  const lines = text.split("\n");
  let marks: { notRun: string | null; long: boolean } = { notRun: null, long: false };
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? "";
    const mark = MARK.exec(line);
    if (mark !== null) {
      const [, kind, words = ""] = mark;
      if (kind === "not run") marks = { ...marks, notRun: words };
      else if (words === "long") marks = { ...marks, long: true };
      else throw new Error(`${page}:${at + 1}: "run: ${words}" means nothing; only "run: long" does`);
      continue;
    }
    const fence = FENCE.exec(line);
    if (fence === null) {
      if (line.trim() !== "") marks = unmarked(marks, page, at);
      continue;
    }
    const [, indent = "", language = ""] = fence;
    const end = lines.findIndex((other, index) => index > at && other.trimEnd() === `${indent}\`\`\``);
    if (end === -1) throw new Error(`${page}:${at + 1}: the fence is not closed`);
    const body = lines.slice(at + 1, end).map((one) => one.slice(indent.length));
    blocks.push({ page, line: at + 1, language, text: body.join("\n"), ...marks });
    marks = { notRun: null, long: false };
    at = end;
  }
  unmarked(marks, page, lines.length);
  return blocks;
}

function unmarked(marks: { notRun: string | null; long: boolean }, page: string, at: number) {
  if (marks.notRun !== null || marks.long) throw new Error(`${page}:${at}: a mark without a block behind it`);
  return marks;
}

/** Every block of every page. */
export async function allBlocks(): Promise<Block[]> {
  const found = await Promise.all(
    pages().map(async (page) => blocksOf(page, await Bun.file(join(ROOT, page)).text())),
  );
  return found.flat();
}
