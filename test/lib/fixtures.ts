import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";

/**
 * Folder of recorded exchange frames: TAPEDECK_FIXTURES, or `shared/fixtures` beside the project. They are
 * not part of the project: tests that need them are skipped, visibly, where they are absent.
 */
export const FIXTURES: string =
  process.env.TAPEDECK_FIXTURES ?? join(import.meta.dir, "../../../shared/fixtures");

/** Whether the folder is there. */
export const HAVE_FIXTURES: boolean = existsSync(FIXTURES);

/** What to add to the name of a test that needs them. */
export const FIXTURES_NOTE: string = HAVE_FIXTURES
  ? ""
  : " (skipped: no recorded frames, set TAPEDECK_FIXTURES)";

/** The `.jsonl` files below a folder, relative to {@link FIXTURES}, in order of name. */
export function fixtureFiles(below = "."): string[] {
  const root = join(FIXTURES, below);
  return readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".jsonl") && !name.endsWith("PROVENANCE.jsonl"))
    .map((name) => relative(FIXTURES, join(root, name)))
    .sort();
}

/** Lines of a file, without the empty one at its end. */
export function fixtureLines(file: string): string[] {
  const text = readFileSync(join(FIXTURES, file), "utf8");
  return text.split("\n").filter((line) => line !== "");
}

/** Folders of exchanges whose frames lie under another name than theirs. */
const FOLDERS: Readonly<Record<string, string>> = { binance: "binance-futures" };

/** The files of an exchange; none where {@link FIXTURES} is absent. */
export function fixtureFilesOf(exchange: string): string[] {
  return HAVE_FIXTURES ? fixtureFiles(FOLDERS[exchange] ?? exchange) : [];
}
