/** Which views a query needs: known before anything of the lake is listed. */
import type { Column, ParquetType } from "../events/columns.ts";
import { columnsOf, DATASETS, type Dataset, STREAM_NAMES, type Stream } from "../events/streams.ts";
import { derivedViews, type View } from "../storage/views.ts";

/** A stream or dataset: what there is a view of files for. */
export type Kind = Stream | Dataset;

/** All of them. */
export const KINDS: readonly Kind[] = [...STREAM_NAMES, ...(Object.keys(DATASETS) as Dataset[])];

/** Whether a text is the name of one. */
export function isKind(text: string): text is Kind {
  return (KINDS as readonly string[]).includes(text);
}

/** Columns of its files. */
export function columnsOfKind(kind: Kind): readonly Column[] {
  return kind in DATASETS ? DATASETS[kind as Dataset] : columnsOf(kind as Stream);
}

/** Type of a column of its files; null = there is none of that name. */
export function typeOf(kind: Kind, column: string): ParquetType | null {
  return columnsOfKind(kind).find(({ name }) => name === column)?.type ?? null;
}

/** What asks for the list of views itself. */
const ASKS_FOR_VIEWS = /\b(show|information_schema|duckdb_\w+|pg_catalog|pg_\w+|sqlite_master)\b/i;

/** Views that have to be there for a query. */
export interface NeededViews {
  readonly kinds: readonly Kind[];
  readonly derived: readonly View[];
}

/**
 * A view can only be used where its name stands in the text, so all others need not be made. A name that is put together
 * at run time finds no view, which is an error and never an empty answer.
 */
export function neededViews(sql: string): NeededViews {
  const all = ASKS_FOR_VIEWS.test(sql);
  const names = (text: string, name: string) => new RegExp(`\\b${name}\\b`, "i").test(text);
  const derived = derivedViews().filter(({ name }) => all || names(sql, name));
  const kinds = KINDS.filter(
    (kind) => all || names(sql, kind) || derived.some(({ query }) => names(query, kind)),
  );
  return { kinds, derived };
}
