/** Settings from tapedeck.toml. */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { SettingDescription } from "./describe.ts";
import type { Given } from "./given.ts";
import { shownText } from "./mask.ts";
import { settingHint } from "./suggest.ts";

/** The file that is read from the current folder when `--config` does not name another. */
export const CONFIG_FILE = "tapedeck.toml";

/** The largest configuration file that is read, in bytes. */
const FILE_BYTES_MAX = 1024 * 1024;

/** What a file gave; its faults are complete sentences that name the file. */
export interface FileSettings {
  readonly given: Given[];
  readonly faults: string[];
}

/**
 * Reads `file`, or {@link CONFIG_FILE} in `cwd` if it is there. A missing file is a fault only when it was
 * asked for.
 */
export function readConfigFile(
  file: string | undefined,
  cwd: string,
  settings: readonly SettingDescription[],
): FileSettings {
  const name = shownText(file ?? CONFIG_FILE);
  const label = file === undefined ? CONFIG_FILE : `--config ${name}`;
  let text: string;
  try {
    text = readText(file === undefined ? join(cwd, CONFIG_FILE) : file);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (file === undefined && code === "ENOENT") return { given: [], faults: [] };
    const reason = code === "ENOENT" ? "there is no such file" : messageOf(error);
    return { given: [], faults: [`${label}: cannot be read: ${reason}`] };
  }
  let tree: unknown;
  try {
    tree = Bun.TOML.parse(text);
  } catch (error) {
    const reason = messageOf(error).replace(/^TOML Parse error: /, "");
    return { given: [], faults: [`${label}: no valid TOML${faultyLine(text)}: ${reason}`] };
  }
  return flatten(tree, name, settings);
}

function readText(path: string): string {
  const { size } = statSync(path);
  if (size > FILE_BYTES_MAX) throw new Error(`it is larger than ${FILE_BYTES_MAX} bytes`);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(path));
  } catch (error) {
    if (error instanceof TypeError) throw new Error("it is not UTF-8");
    throw error;
  }
}

/** The longest file whose faulty line is looked for, in lines: the search is quadratic. */
const SEARCH_LINES_MAX = 2_000;

/**
 * `, at line N`: where the first statement begins that does not parse, or nothing for a very long file. Bun's TOML errors carry no line (the
 * `line` they have is that of our call), so it is found as the end of the longest prefix that parses.
 */
function faultyLine(text: string): string {
  const lines = text.split("\n");
  if (lines.length > SEARCH_LINES_MAX) return "";
  // Not by halving: a prefix that ends inside a multi-line array fails although the statement is right.
  for (let count = lines.length - 1; count > 0; count--) {
    try {
      Bun.TOML.parse(lines.slice(0, count).join("\n"));
      return `, at line ${count + 1}`;
    } catch {
      // The fault is further up.
    }
  }
  return ", at line 1";
}

/** The tree as leaves; what is neither a leaf nor a section is a fault. */
function flatten(tree: unknown, file: string, settings: readonly SettingDescription[]): FileSettings {
  const leaves = new Set(settings.map((setting) => setting.path));
  const sections = new Set(settings.flatMap((setting) => parentsOf(setting.path)));
  const given: Given[] = [];
  const faults: string[] = [];
  const walk = (table: object, prefix: string): void => {
    for (const [key, value] of Object.entries(table)) {
      const path = prefix + key;
      const where = (shown: string): string => `${file}: ${path} = ${shown}`;
      if (leaves.has(path)) {
        given.push({ path, value, source: file, where, quoted: true });
      } else if (!sections.has(path)) {
        faults.push(
          `${file}: ${shownText(path)}: names no setting${settingHint(path, [...leaves], [...sections])}`,
        );
      } else if (isTable(value)) {
        walk(value, `${path}.`);
      } else {
        faults.push(`${file}: ${path}: is a section, not a value; write [${path}] and its settings below it`);
      }
    }
  };
  if (isTable(tree)) walk(tree, "");
  return { given, faults };
}

function parentsOf(path: string): string[] {
  const keys = path.split(".");
  return keys.slice(1).map((_, i) => keys.slice(0, i + 1).join("."));
}

function isTable(value: unknown): value is object {
  return Object.prototype.toString.call(value) === "[object Object]";
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
