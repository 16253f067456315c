/** Reads what compaction has replaced, after the files were listed: storage/compacted.ts says why in this order. */
import {
  COMPACTED,
  type CompactionRecord,
  parseRecord,
  RECORD_MAX,
  recordKey,
} from "../storage/compacted.ts";
import { parseKey } from "../storage/names.ts";
import type { Catalog, CatalogFile } from "./catalog.ts";
import { roleOf, type Selection } from "./selection.ts";
import type { LakeSource } from "./source.ts";

const MEND = "bring it back from a copy; without it the compacted file does not count";

/** Brings the records into the catalog: what they replace is known by their word, and counts where its rows are now. */
export async function gatherRecords(
  catalog: Catalog,
  sources: readonly LakeSource[],
  selection: Selection,
  notes: string[],
): Promise<void> {
  const inForce = new Set<string>();
  for (const [index, source] of sources.entries()) {
    for await (const { key, bytes } of source.list(COMPACTED)) {
      const file = parseKey(`v1/${key.slice(COMPACTED.length).replace(/\.json$/, ".parquet")}`);
      if (!key.endsWith(".json") || file === null || roleOf(selection, file) !== "audit") continue;
      const record = await readRecord(catalog, source, key, bytes);
      if (record === null) continue;
      inForce.add(record.file.key);
      await take(catalog, sources, index, record);
    }
  }
  let early = 0;
  for (const { key } of catalog.files("role = 'compacted'")) {
    if (inForce.has(key)) continue;
    catalog.forget(key);
    early++;
  }
  if (early > 0)
    notes.push(
      `${early} compacted files do not count yet, and what they are made of does: tapedeck compact is at work, or was ended and goes on when it is started again`,
    );
}

/** null = it cannot be read, which is a fault. */
async function readRecord(
  catalog: Catalog,
  source: LakeSource,
  key: string,
  bytes: number,
): Promise<CompactionRecord | null> {
  const fault = (message: string) =>
    catalog.fault({ kind: "unreadable", file: key, where: source.where, message, mend: MEND });
  if (bytes > RECORD_MAX) {
    fault(`the record has ${bytes} bytes, more than is read (${RECORD_MAX})`);
    return null;
  }
  const content = await source.read(key, RECORD_MAX);
  if (content === null) return null;
  try {
    return parseRecord(content, key);
  } catch (error) {
    fault(error instanceof Error ? error.message : String(error));
    return null;
  }
}

async function take(
  catalog: Catalog,
  sources: readonly LakeSource[],
  index: number,
  record: CompactionRecord,
): Promise<void> {
  const { file, replaces } = record;
  catalog.claim({ ...file, by: recordKey(file.key), source: index });
  const within = await successor(catalog, sources, file.key);
  // What it holds is missing with it: its claim tells, and the numbers of the rings do.
  if (within === null) return;
  catalog.db.transaction(() => {
    for (const one of replaces) {
      const parts = parseKey(one.key);
      if (parts !== null) catalog.replaced(parts, one, within);
    }
  })();
}

/** A compacted file; it may have come since the files were listed. */
async function successor(
  catalog: Catalog,
  sources: readonly LakeSource[],
  key: string,
): Promise<CatalogFile | null> {
  const parts = parseKey(key);
  const known = catalog.file(key);
  if (known !== null || parts === null) return known;
  for (const [index, source] of sources.entries()) {
    const bytes = await source.size(key);
    if (bytes === null) continue;
    catalog.found(parts, { key, bytes }, index, "compacted");
    return catalog.file(key);
  }
  return null;
}

/** Whether a record replaces a file now. */
export async function isReplaced(source: LakeSource, key: string): Promise<boolean> {
  const folder = recordKey(key).replace(/[^/]+$/, "");
  for await (const { key: at } of source.list(folder)) {
    const content = await source.read(at, RECORD_MAX);
    if (content === null) continue;
    try {
      if (parseRecord(content, at).replaces.some((file) => file.key === key)) return true;
    } catch {
      // It cannot be read: a fault that is told where the records are read.
    }
  }
  return false;
}
