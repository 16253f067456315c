/** Which bytes of files a query reads: the columns it names, in the row groups whose statistics it cannot rule out. */
import { z } from "zod";
import { sqlText } from "../storage/projection.ts";
import type { Engine } from "./engine.ts";
import { columnsOfKind, type Kind, typeOf } from "./kinds.ts";
import { type Comparison, comparisonsIn, type Scan } from "./plan.ts";

/** Bytes `from` up to `to` of a file. */
export type Range = readonly [from: number, to: number];

/** What one scan reads of files of one kind. */
export interface Reading {
  readonly columns: ReadonlySet<string>;
  readonly comparisons: readonly Comparison[];
}

/** Characters of a text that DuckDB's statistics keep, as hexadecimal digits. */
const TEXT_DIGITS = 16;

/** What a scan reads of files of a kind; null = everything. */
export function readingOf(scan: Scan, kind: Kind): Reading {
  const names = columnsOfKind(kind).map(({ name }) => name);
  if (scan.kind === null) return { columns: new Set(names), comparisons: [] };
  const listed = new Set(scan.columns);
  const inFilters = (name: string) => scan.filters.some((text) => new RegExp(`\\b${name}\\b`).test(text));
  return {
    columns: new Set(names.filter((name) => listed.has(name) || inFilters(name))),
    comparisons: comparisonsIn(scan.filters).filter(({ column }) => names.includes(column)),
  };
}

const chunkSchema = z.object({
  file: z.string(),
  group: z.coerce.number(),
  column: z.string(),
  start: z.coerce.number(),
  bytes: z.coerce.number(),
  bloom_start: z.coerce.number().nullable(),
  bloom_bytes: z.coerce.number().nullable(),
});

/**
 * The bytes that some readings of files need, by path; footers aside. Statistics are compared as DuckDB does it: of texts
 * it keeps the first eight bytes. Where it reads a row group that was ruled out here, it finds zeros, which are no page
 * of Parquet: an error, and never a wrong answer.
 */
export async function neededRanges(
  engine: Engine,
  kind: Kind,
  /** Paths, each with what is read of it. */
  files: ReadonlyMap<string, readonly Reading[]>,
): Promise<Map<string, Range[]>> {
  const ranges = new Map<string, Range[]>();
  if (files.size === 0) return ranges;
  const readings = [...new Set([...files.values()].flat())];
  const possible = readings.map((reading, i) => `${possibleText(kind, reading)} AS possible_${i}`);
  const rows = await engine.rows(
    `SELECT file_name, row_group_id, path_in_schema,
       least(data_page_offset, coalesce(nullif(dictionary_page_offset, 0), data_page_offset)),
       total_compressed_size, bloom_filter_offset, bloom_filter_length, ${possible.join(", ")}
     FROM parquet_metadata([${[...files.keys()].map(sqlText).join(", ")}])`,
  );
  const ruledOut = new Set<string>();
  const chunks = rows.map((row) => {
    const [file, group, column, start, bytes, bloom_start, bloom_bytes, ...possibles] = row;
    const chunk = chunkSchema.parse({ file, group, column, start, bytes, bloom_start, bloom_bytes });
    for (const [i, value] of possibles.entries())
      if (value === false) ruledOut.add(`${i} ${chunk.group} ${chunk.file}`);
    return chunk;
  });
  for (const { file, group, column, start, bytes, bloom_start, bloom_bytes } of chunks) {
    const list = ranges.get(file) ?? [];
    ranges.set(file, list);
    const isRead = (files.get(file) ?? []).some(
      (reading) =>
        reading.columns.has(column) && !ruledOut.has(`${readings.indexOf(reading)} ${group} ${file}`),
    );
    if (isRead) list.push([start, start + bytes]);
    // Always: a filter of zeros would say that there is nothing.
    if (bloom_start !== null) list.push([bloom_start, bloom_start + (bloom_bytes ?? 0)]);
  }
  return ranges;
}

/** Whether the column of a row group may have a value that meets the comparisons; NULL = nothing is known. */
function possibleText(kind: Kind, { comparisons }: Reading): string {
  const cases = comparisons.flatMap(({ column, operator, value }) => {
    const type = typeOf(kind, column);
    if (type === null || type === "JSON" || type === "BOOLEAN") return [];
    const isText = type === "VARCHAR";
    const known = (name: string) =>
      isText ? `left(hex(${name}), ${TEXT_DIGITS})` : `try_cast(${name} AS ${type})`;
    const wanted = isText
      ? `left(hex(${sqlText(value)}), ${TEXT_DIGITS})`
      : `try_cast(${sqlText(value)} AS ${type})`;
    const below = `${known("stats_min_value")} <= ${wanted}`;
    const above = `${known("stats_max_value")} >= ${wanted}`;
    const holds =
      operator === "=" ? `(${below} AND ${above})` : operator === "<" || operator === "<=" ? below : above;
    return [`(path_in_schema != ${sqlText(column)} OR ${holds})`];
  });
  return cases.length === 0 ? "true" : `(${cases.join(" AND ")})`;
}

/** Ranges in order, without overlaps; those less than `gap` apart become one. */
export function merged(ranges: readonly Range[], gap: number): Range[] {
  const result: [number, number][] = [];
  for (const [from, to] of [...ranges].sort((a, b) => a[0] - b[0])) {
    if (to <= from) continue;
    const last = result.at(-1);
    if (last !== undefined && from <= last[1] + gap) last[1] = Math.max(last[1], to);
    else result.push([from, to]);
  }
  return result;
}

/** What of some ranges is in none of others; both merged. */
export function without(ranges: readonly Range[], others: readonly Range[]): Range[] {
  return ranges.flatMap((range) => {
    let left: Range[] = [range];
    for (const [from, to] of others) {
      left = left.flatMap(([a, b]): Range[] =>
        to <= a || from >= b
          ? [[a, b]]
          : [[a, Math.min(b, from)] as const, [Math.max(a, to), b] as const].filter(([x, y]) => x < y),
      );
    }
    return left;
  });
}
