/**
 * What a single executable carries besides code. From sources there is nothing: `scripts/build.ts` puts another module in
 * the place of this one.
 */

/** A file inside the executable. */
export interface EmbeddedPart {
  /** Name under which it has to lie beside the others: `libduckdb.so`. */
  readonly name: string;
  /** Where the executable shows it: below `/$bunfs`. */
  readonly path: string;
  readonly bytes: number;
  /** Hexadecimal. */
  readonly sha256: string;
}

/** What was put into an executable when it was built. */
export interface Embedded {
  /** Commit it was built from; with `+changes` where the work tree had any. */
  readonly commit: string;
  /** Version of DuckDB's package: names the folder of its parts. */
  readonly nativeVersion: string;
  /** DuckDB's native parts; the first is the addon, the others are what it loads from beside itself. */
  readonly parts: readonly EmbeddedPart[];
}

/** Null: these are the sources. */
export const EMBEDDED: Embedded | null = null as Embedded | null;
