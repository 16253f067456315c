/**
 * Segments that have a file for each symbol: only all files of one together have every number of its range, and none
 * twice. A file of one symbol has holes of its own everywhere: there are the rows of the others.
 */
import type { DuckDBConnection } from "@duckdb/node-api";
import { sqlText } from "../storage/projection.ts";
import { type Catalog, type CatalogFile, IS_DIVIDED } from "./catalog.ts";
import { findHoles, missingIn } from "./content.ts";
import { BrokenFile, type LakeSource, type LocalCopy } from "./source.ts";

const DOUBLE_MEND = "keep the one that the ledger or manifest names and move the other one out of the lake";

/** Two files of one symbol, or files that together have more rows than numbers. */
export function findDoubles(catalog: Catalog, sources: readonly LakeSource[]): void {
  const fault = ({ key, source }: CatalogFile, what: string) =>
    catalog.fault({
      kind: "duplicate",
      file: key,
      where: sources[source]?.where ?? "",
      message: `its rows are there twice: ${what}`,
      mend: DOUBLE_MEND,
    });
  const again = catalog.db.query<CatalogFile & { readonly other: string }, []>(
    `SELECT f.*, o.key AS other FROM files f JOIN files o USING (run, ring, n)
     WHERE f.symbol = o.symbol AND f.key > o.key AND f.sound AND o.sound AND f.role = 'audit' AND o.role = 'audit'
       AND f.first_seq <= o.last_seq AND o.first_seq <= f.last_seq`,
  );
  for (const file of again.iterate()) fault(file, `${file.other} is of the same segment and symbol`);
  for (const segment of segmentsOf(catalog)) {
    const rows = -missingIn(segment);
    if (rows <= 0) continue;
    const { n, ring, run } = segment;
    fault(segment, `the files of segment ${n} of ring ${ring} of ${run} have ${rows} rows more than numbers`);
  }
}

/**
 * Brings the numbers that segments lack into the catalog. Of a segment of which a file is broken nothing is said: that
 * is a fault of its own; nor of one of which a file is still to come.
 *
 * @param rows whether rows are read, where that needs no download
 * @param isPartial whether files of a segment may be on their way
 */
export async function findHolesOfDivided(
  connection: DuckDBConnection,
  catalog: Catalog,
  sources: readonly LakeSource[],
  rows: boolean,
  isPartial: (segment: CatalogFile) => boolean,
): Promise<number> {
  let partial = 0;
  for (const segment of segmentsOf(catalog)) {
    const missing = missingIn(segment);
    if (missing <= 0 || segment.sound === 0) continue;
    if (isPartial(segment)) partial++;
    else if (!rows || !(await readTogether(connection, catalog, sources, segment))) {
      const { key, first_seq: firstSeq, first_us: from, last_us: to } = segment;
      catalog.hole({ key, segments: "", firstSeq: firstSeq ?? 0, missing, from, to: to ?? from });
    }
  }
  return partial;
}

type Segment = CatalogFile & { readonly sound: 0 | 1 };

/** In the order of their rings, some at a time, so that the tables may change meanwhile. */
function* segmentsOf(catalog: Catalog, size = 1000): Iterable<Segment> {
  const page = catalog.db.query<Segment, [string, number, number, number]>(
    `SELECT * FROM divided WHERE (run, ring, n) > (?, ?, ?) AND first_seq IS NOT NULL ORDER BY run, ring, n LIMIT ?`,
  );
  for (let after: readonly [string, number, number] = ["", -1, -1]; ; ) {
    const some = page.all(...after, size);
    yield* some;
    const last = some.at(-1);
    if (last === undefined) return;
    after = [last.run, last.ring, last.n];
  }
}

/** Where in a segment its numbers are missing, by the rows of all its files; false = they cannot be read here. */
async function readTogether(
  connection: DuckDBConnection,
  catalog: Catalog,
  sources: readonly LakeSource[],
  { run, ring, n, ...segment }: Segment,
): Promise<boolean> {
  const files = catalog.db
    .query<{ key: string; source: number; bytes: number }, [string, number, number]>(
      `SELECT DISTINCT ifnull(within, key) AS key, source, bytes FROM files f
       WHERE run = ? AND ring = ? AND n = ? AND role = 'audit' AND ${IS_DIVIDED}`,
    )
    .all(run, ring, n);
  const copies: LocalCopy[] = [];
  try {
    for (const file of files) {
      const source = sources[file.source];
      const copy = source?.near === true ? await source.content(file) : null;
      if (copy === null) return false;
      copies.push(copy);
    }
    const paths = copies.map(({ path }) => sqlText(path)).join(", ");
    const from = `(SELECT run, ring, seq, local_timestamp FROM read_parquet([${paths}], hive_partitioning = false))`;
    await findHoles(connection, catalog, { ...segment, run, ring, n }, from);
    return true;
  } catch (error) {
    // What is broken is told where it is read alone.
    if (
      error instanceof BrokenFile ||
      (error instanceof Error && /^(\w+ )+(Error|Exception):/.test(error.message))
    )
      return false;
    throw error;
  } finally {
    for (const copy of copies) await copy.done();
  }
}
