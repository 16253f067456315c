/** Reads the manifests of a lake: the files that stood there when they were written, with rows and SHA-256. */
import { z } from "zod";
import { parseKey } from "../storage/names.ts";
import type { Catalog } from "./catalog.ts";
import { MANIFESTS } from "./listing.ts";
import { hasDay, roleOf, type Selection } from "./selection.ts";
import type { LakeSource } from "./source.ts";

/** Largest manifest that is read, bytes: some hundred thousand files. */
const READ_MAX = 128 * 1024 * 1024;

const lineSchema = z.object({
  key: z.string(),
  rows: z.int().nullable(),
  bytes: z.int().nullable(),
  sha256: z.string().nullable(),
});

/** Brings what the manifests of a lake say into the catalog; resolves to their number. */
export async function gatherManifests(
  catalog: Catalog,
  source: LakeSource,
  index: number,
  selection: Selection,
): Promise<number> {
  let manifests = 0;
  for await (const { key: manifest, bytes } of source.list(MANIFESTS)) {
    const date = /\/date=(\d{4}-\d\d-\d\d)\/[^/]+\.jsonl$/.exec(manifest)?.[1];
    if (date === undefined || !hasDay(selection, date)) continue;
    const bad = (message: string) =>
      catalog.fault({
        kind: "unreadable",
        file: manifest,
        where: source.where,
        message,
        mend: "delete it; the files are not concerned, and those of a run that goes on are listed again",
      });
    if (bytes > READ_MAX) {
      bad(`the manifest has ${bytes} bytes, more than is read (${READ_MAX})`);
      continue;
    }
    const content = await source.read(manifest, READ_MAX);
    if (content === null) continue;
    if (content.length === 0) {
      bad("the manifest is empty, and none is ever written so");
      continue;
    }
    manifests++;
    const lines = new TextDecoder().decode(content).split("\n");
    catalog.db.transaction(() => {
      for (const [number, line] of lines.entries()) {
        if (line === "") continue;
        const claim = lineOf(line);
        const parts = claim === null ? null : parseKey(claim.key);
        if (claim === null || parts === null) bad(`line ${number + 1} of the manifest is none`);
        else if (roleOf(selection, parts) === "audit")
          catalog.claim({ ...claim, by: manifest, source: index });
      }
    })();
  }
  return manifests;
}

function lineOf(line: string): z.output<typeof lineSchema> | null {
  try {
    return lineSchema.safeParse(JSON.parse(line)).data ?? null;
  } catch {
    return null;
  }
}

/** Whether a manifest still names a key: a file that moves to the other destination leaves it. */
export async function stillNamed(source: LakeSource, manifest: string, key: string): Promise<boolean> {
  const content = await source.read(manifest, READ_MAX);
  return content !== null && new TextDecoder().decode(content).includes(`"key":${JSON.stringify(key)},`);
}
