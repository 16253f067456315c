/** Walks through the lakes: which files there are, and whether their keys say what they must. */
import { DATASETS, SCHEMA_VERSION, STREAMS } from "../events/streams.ts";
import { isCompacted } from "../storage/compacted.ts";
import type { ListedObject } from "../storage/destinations/destination.ts";
import { dateOf, lakeKey, parseKey } from "../storage/names.ts";
import type { Catalog } from "./catalog.ts";
import { hasDay, roleOf, type Selection } from "./selection.ts";
import type { LakeSource } from "./source.ts";

/** Below it stand the manifests of a bucket. */
export const MANIFESTS = `${SCHEMA_VERSION}/_manifest/`;

/** Brings every file of the lakes into the catalog, or names what is wrong with its key. */
export async function listLakes(
  catalog: Catalog,
  sources: readonly LakeSource[],
  selection: Selection,
): Promise<void> {
  for (const [index, source] of sources.entries()) {
    for (const prefix of prefixes(selection)) {
      const list = source.list(prefix, (folder) => wantsFolder(selection, folder));
      for await (const object of list) take(catalog, source, index, object, selection);
    }
  }
}

/** With a filter only the folders in question are listed, and what else stands in the lake is not looked at. */
function prefixes({ exchanges }: Selection): string[] {
  const root = `${SCHEMA_VERSION}/`;
  return exchanges === null ? [root] : exchanges.map((exchange) => `${root}exchange=${exchange}/`);
}

/** Days of a local lake outside of the filter need not be walked through. */
function wantsFolder(selection: Selection, folder: string): boolean {
  const date = /^date=(\d{4}-\d\d-\d\d)$/.exec(folder)?.[1];
  return date === undefined || selection.from === null || date >= selection.from || hasDay(selection, date);
}

function take(
  catalog: Catalog,
  source: LakeSource,
  index: number,
  object: ListedObject,
  selection: Selection,
): void {
  const { key, bytes } = object;
  // Readers pass over names that begin with _ as well.
  if (/\/[._][^/]*(\/|$)/.test(key)) return;
  const parts = parseKey(key);
  const report = (kind: "foreign" | "key", message: string, mend: string) =>
    catalog.fault({ kind, file: key, where: source.where, message, mend });
  if (parts === null || Number.isNaN(Date.parse(parts.date))) {
    report(
      "foreign",
      `it is no file of a lake: its key (${bytes} bytes there) is not ${SCHEMA_VERSION}/exchange=…/stream=…/date=…/[symbol=…/]<µs>_<run>_<ring>_<n>.parquet`,
      "move it out of the lake: readers of a folder would take it in",
    );
    return;
  }
  const role = roleOf(selection, parts);
  if (role === null) return;
  const { exchange, stream, date, firstLocal, symbol } = parts;
  if (role === "audit") {
    if (!(stream in STREAMS) && !(stream in DATASETS)) {
      report("foreign", `schema ${SCHEMA_VERSION} has no stream ${stream}`, "move it out of the lake");
      return;
    }
    // Only streams are divided by symbol.
    const folder = stream in STREAMS ? symbol : null;
    const right = lakeKey({ exchange, stream, firstLocal, key: parts, symbol: folder });
    if (dateOf(firstLocal) !== date) {
      report(
        "key",
        `it stands under date=${date}, and its first row was received on ${dateOf(firstLocal)}`,
        `move it to ${right}`,
      );
    } else if (key !== right) {
      report("key", "its key is not the one that its name makes", `move it to ${right}`);
    }
  }
  catalog.found(parts, object, index, role === "audit" && isCompacted(key) ? "compacted" : role);
}
