/** Compares what the ledger and the manifests say with what is there. */
import type { Catalog, Claim } from "./catalog.ts";
import { isReplaced } from "./compacted.ts";
import type { LedgerReader } from "./ledger.ts";
import { stillNamed } from "./manifests.ts";
import type { FaultKind } from "./report.ts";
import type { LakeSource } from "./source.ts";

interface Compared extends Claim {
  readonly there: number | null;
  readonly there_bytes: number | null;
  readonly there_rows: number | null;
  readonly there_sha256: string | null;
}

/** Names every file that is said to be published and is not there, or is another one. */
export async function checkClaims(
  catalog: Catalog,
  sources: readonly LakeSource[],
  ledger: LedgerReader | null,
): Promise<void> {
  const wrong = catalog.db.query<Compared, [string, string]>(
    `SELECT c.*, f.source AS there, f.bytes AS there_bytes, f.rows AS there_rows, f.sha256 AS there_sha256
     FROM claims c LEFT JOIN files f USING (key)
     WHERE (c.key, c.by) > (?, ?) AND (
       f.key IS NULL OR c.bytes <> f.bytes OR (f.sound AND c.rows <> f.rows) OR c.sha256 <> f.sha256)
     ORDER BY c.key, c.by LIMIT 1000`,
  );
  for (let last: readonly [string, string] = ["", ""]; ; ) {
    const page = wrong.all(...last);
    for (const claim of page) await judge(catalog, sources, ledger, claim);
    const end = page.at(-1);
    if (end === undefined) return;
    last = [end.key, end.by];
  }
}

async function judge(
  catalog: Catalog,
  sources: readonly LakeSource[],
  ledger: LedgerReader | null,
  claim: Compared,
): Promise<void> {
  const { key, by } = claim;
  const source = sources[claim.there ?? claim.source];
  if (source === undefined) return;
  const fault = (kind: FaultKind, message: string, mend: string) =>
    catalog.fault({ kind, file: key, where: source.where, message, mend });
  if (claim.there !== null) {
    const mend =
      "take the file from the other destination or from a copy: what stands there is not what was published";
    if (claim.bytes !== null && claim.bytes !== claim.there_bytes)
      fault("size", `it has ${claim.there_bytes} bytes; ${by} says ${claim.bytes}`, mend);
    else if (claim.sha256 !== null && claim.there_sha256 !== null && claim.sha256 !== claim.there_sha256)
      fault("hash", `its SHA-256 is ${claim.there_sha256}; ${by} says ${claim.sha256}`, mend);
    else fault("rows", `it has ${claim.there_rows} rows; ${by} says ${claim.rows}`, mend);
    return;
  }
  if (await isElsewhereNow(claim, sources, ledger)) return;
  fault(
    "missing",
    `${by} says that it is published, and it is not there`,
    "bring it back from a copy or a version that the bucket kept; it may stand in another destination than those that were looked at",
  );
}

/** It may have come, or gone the way it should, since the lists were made. */
async function isElsewhereNow(
  { key, by, source }: Compared,
  sources: readonly LakeSource[],
  ledger: LedgerReader | null,
): Promise<boolean> {
  for (const one of sources) if ((await one.size(key)) !== null) return true;
  // Replaced since the records were read.
  for (const one of sources) if (await isReplaced(one, key)) return true;
  const word = ledger?.word(key) ?? null;
  const claimed = sources[source];
  // The ledger is the newest of all words: moved to another destination, or deleted by the retention of the lake.
  if (word !== null && (word.state !== "published" || word.destination !== claimed?.name))
    return word.state !== "missing" && word.state !== "corrupt";
  if (by.startsWith("v") && claimed !== undefined) return !(await stillNamed(claimed, by, key));
  return false;
}
