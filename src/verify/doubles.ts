/** Keys that stand in two lakes: the same content counts once and waits for its reconciliation; another one is a fault. */
import type { Catalog } from "./catalog.ts";
import { type LakeSource, sha256Of } from "./source.ts";

interface Double {
  readonly key: string;
  readonly source: number;
  readonly bytes: number;
  readonly first_bytes: number;
  readonly first_sha256: string | null;
}

/** See the head of the file; `deep` compares the content of both. */
export async function checkDoubles(
  catalog: Catalog,
  sources: readonly LakeSource[],
  deep: boolean,
): Promise<void> {
  const page = catalog.db.query<Double, [string, number]>(
    `SELECT d.*, f.bytes AS first_bytes, f.sha256 AS first_sha256 FROM doubles d JOIN files f USING (key)
     WHERE f.role <> 'gaps' AND (d.key, d.source) > (?, ?) ORDER BY d.key, d.source LIMIT 1000`,
  );
  for (let after: [string, number] = ["", -1]; ; ) {
    const doubles = page.all(...after);
    for (const double of doubles) await compare(catalog, sources, double, deep);
    const last = doubles.at(-1);
    if (last === undefined) return;
    after = [last.key, last.source];
  }
}

async function compare(
  catalog: Catalog,
  sources: readonly LakeSource[],
  { key, source: index, bytes, first_bytes, first_sha256 }: Double,
  deep: boolean,
): Promise<void> {
  const source = sources[index];
  if (source === undefined) return;
  let other = bytes === first_bytes ? null : `${bytes} bytes instead of ${first_bytes}`;
  if (other === null && deep && first_sha256 !== null) {
    const copy = await source.content({ key, bytes });
    if (copy === null) return;
    const sha256 = await sha256Of(copy.path);
    await copy.done();
    if (sha256 !== first_sha256) other = `SHA-256 ${sha256} instead of ${first_sha256}`;
  }
  if (other === null) return;
  catalog.fault({
    kind: "double",
    file: key,
    where: source.where,
    message: `the other destination holds something else at this key: ${other}`,
    mend: "compare both with the SHA-256 of the ledger or manifest (verify --deep) and remove the one that differs",
  });
}
