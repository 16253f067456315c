/** What DuckDB's plan of a query says of the files it is going to read. */
import { z } from "zod";
import { isKind, type Kind } from "./kinds.ts";

/** One reading of a view's files. */
export interface Scan {
  /** Whose files; null = the plan does not tell. */
  readonly kind: Kind | null;
  /** Columns that are read, those of filters aside. */
  readonly columns: readonly string[];
  /** Conditions on columns that DuckDB compares with the statistics of row groups. */
  readonly filters: readonly string[];
  /** Conditions on exchange, stream, date, and symbol where there are folders of symbols, as one text without separators. */
  readonly fileFilters: string;
  /** Whether it is of the files in folders of symbols. */
  readonly divided: boolean;
  /** Files that are left by them; null = the plan does not tell. */
  readonly files: number | null;
}

/** A plan. */
export interface Plan {
  readonly scans: readonly Scan[];
  /** Names of all operators. */
  readonly operators: ReadonlySet<string>;
}

interface Node {
  readonly name: string;
  readonly children: readonly Node[];
  readonly extra_info: Readonly<Record<string, string | readonly string[]>>;
}

const nodeSchema: z.ZodType<Node> = z.object({
  name: z.string(),
  children: z.array(z.lazy(() => nodeSchema)),
  extra_info: z.record(z.string(), z.union([z.string(), z.array(z.string())])),
});

/** Reads what `EXPLAIN (FORMAT json)` answers. */
export function readPlan(json: string): Plan {
  const operators = new Set<string>();
  const scans: Scan[] = [];
  const walk = ({ name, children, extra_info: info }: Node): void => {
    operators.add(name.trim());
    if (name.trim() === "READ_PARQUET") scans.push(scanOf(info));
    for (const child of children) walk(child);
  };
  for (const node of z.array(nodeSchema).parse(JSON.parse(json))) walk(node);
  return { scans, operators };
}

function scanOf(info: Node["extra_info"]): Scan {
  const list = (name: string): string[] => [info[name] ?? []].flat().filter((text) => text !== "");
  const fileFilters = list("File Filters").join("");
  // Each view says whose files it reads; a file that is none of them makes DuckDB say it too, see engine.ts.
  const kinds = new Set([...fileFilters.matchAll(/\(stream = '([a-z_]+)'\)/g)].map(([, kind = ""]) => kind));
  const [kind = ""] = kinds;
  const [, files] = /^(\d+)\/\d+$/.exec(list("Scanning Files")[0] ?? "") ?? [];
  return {
    kind: kinds.size === 1 && isKind(kind) ? kind : null,
    columns: list("Projections"),
    filters: list("Filters"),
    fileFilters,
    // Of those each view asks that it is not the symbol of the file that is none of them.
    divided: namesSymbol(fileFilters),
    files: files === undefined ? null : Number(files),
  };
}

/** Whether a condition is about the column symbol. */
export function namesSymbol(condition: string): boolean {
  return /\bsymbol\b/.test(condition.replace(/'(?:[^']|'')*'/g, "''"));
}

/**
 * The conditions in a text that has them one behind the other: `(date = '2026-11-20'::DATE)prefix(exchange, 'o')`. Each
 * ends with the parenthesis that closes its first one. What is cut in the wrong place is found by whoever evaluates it.
 */
export function splitConditions(text: string): string[] {
  const found: string[] = [];
  let start = 0;
  let depth = 0;
  let quote = "";
  for (let i = 0; i < text.length; i++) {
    const character = text.charAt(i);
    if (quote !== "") {
      if (character === quote) quote = "";
    } else if (character === "'" || character === '"') quote = character;
    else if (character === "(") depth++;
    else if (character === ")" && --depth === 0) {
      found.push(text.slice(start, i + 1));
      start = i + 1;
    }
  }
  if (start < text.length) found.push(text.slice(start));
  return found;
}

/** A comparison of a column with a constant. */
export interface Comparison {
  readonly column: string;
  readonly operator: "=" | "<" | "<=" | ">" | ">=";
  /** The constant as text. */
  readonly value: string;
}

const COMPARISON = /^"?(\w+)"?(=|<=|>=|<|>)(?:'((?:[^']|'')*)'(?:::[A-Z ]+)?|(-?\d[\d.e+-]*))$/;

/** The comparisons that have to hold for a row to count; conditions of any other form are left out. */
export function comparisonsIn(filters: readonly string[]): Comparison[] {
  return filters.flatMap((filter) =>
    splitAnd(filter).flatMap((part): Comparison[] => {
      const [, column = "", operator, text, number] = COMPARISON.exec(part.trim()) ?? [];
      if (operator === undefined) return [];
      const value = text?.replaceAll("''", "'") ?? number ?? "";
      return [{ column, operator: operator as Comparison["operator"], value }];
    }),
  );
}

/** Parts between ANDs that stand in no text and no parentheses. A part with an OR is no comparison. */
function splitAnd(text: string): string[] {
  const parts: string[] = [];
  let start = 0;
  let depth = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const character = text.charAt(i);
    if (character === "'") quoted = !quoted;
    else if (quoted) continue;
    else if (character === "(") depth++;
    else if (character === ")") depth--;
    else if (depth === 0 && text.startsWith(" AND ", i)) {
      parts.push(text.slice(start, i));
      start = i + " AND ".length;
    }
  }
  return [...parts, text.slice(start)];
}
