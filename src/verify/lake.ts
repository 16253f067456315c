/** Which lake is meant: a folder, a bucket by its address, or the destinations of the settings. */
import { existsSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { Settings } from "../config/schema.ts";
import { BACKENDS } from "../config/schema.ts";
import { SCHEMA_VERSION } from "../events/streams.ts";
import { openBucket } from "../storage/destinations/chain.ts";
import type { Scratch } from "./scratch.ts";
import { BucketSource, FolderSource, type LakeSource } from "./source.ts";

/** A lake to audit. */
export interface Lake {
  /** Where its files stand; of several the union by key counts. */
  readonly sources: readonly LakeSource[];
  /** Path of the ledger that tells about it; null = there is none. */
  readonly ledger: string | null;
  /** The data folder of its recorder, with outbox and journals; null = none is at hand. */
  readonly data: string | null;
  close(): void;
}

/** What was named is no lake; the message says what is wanted. */
export class LakeError extends Error {
  override name = "LakeError";
}

/**
 * Opens the lake that a text names; undefined = the destinations of the settings.
 *
 * @throws LakeError
 */
export async function openLake(
  name: string | undefined,
  settings: Settings,
  scratch: Scratch,
): Promise<Lake> {
  if (name === undefined) return configured(settings, scratch);
  const address = /^(s3|gs|gcs):\/\/([^/]+)\/?(.*?)\/*$/.exec(name);
  if (address !== null) return bucket(settings, scratch, address);
  if (name.includes("://"))
    throw new LakeError(`${name} is no lake: a folder, s3://bucket/prefix or gs://bucket/prefix is wanted`);
  return folder(resolve(name));
}

async function configured(settings: Settings, scratch: Scratch): Promise<Lake> {
  const { backend, fallback } = settings.storage;
  const data = resolve(settings.data);
  const names = [backend, fallback].filter((one) => one !== "none");
  if (names.length === 1 && names[0] === "local" && !isFolder(data))
    throw new LakeError(
      `there is no data folder ${settings.data}: name the lake, or its data folder with --data`,
    );
  const buckets = await Promise.all(
    BACKENDS.filter((one) => one !== "local" && names.includes(one)).map((one) =>
      openBucket(settings, one === "gcs" ? "gcs" : "s3"),
    ),
  );
  const sources = names.map((one): LakeSource => {
    const found = buckets.find((destination) => destination.name === one);
    return found === undefined ? new FolderSource(join(data, "lake")) : new BucketSource(found, scratch);
  });
  return lakeOf(sources, data, () => {
    for (const one of buckets) one.close();
  });
}

async function bucket(
  settings: Settings,
  scratch: Scratch,
  [, scheme, name = "", prefix = ""]: RegExpExecArray,
): Promise<Lake> {
  const kind = scheme === "s3" ? "s3" : "gcs";
  const own = settings[kind];
  if (kind === "gcs" && (own.access_key === undefined || own.secret_key === undefined))
    throw new LakeError(
      "GCS is read with HMAC keys: set GCS_ACCESS_KEY and GCS_SECRET_KEY (docs/providers.md)",
    );
  const destination = await openBucket({ ...settings, [kind]: { ...own, bucket: name, prefix } }, kind);
  const isOurs = own.bucket === name && own.prefix.replace(/^\/+|\/+$/g, "") === prefix;
  return lakeOf([new BucketSource(destination, scratch)], isOurs ? resolve(settings.data) : null, () =>
    destination.close(),
  );
}

function folder(path: string): Lake {
  if (!isFolder(path)) throw new LakeError(`there is no folder ${path}`);
  const isData = isFolder(join(path, "lake")) || existsSync(join(path, "ledger.db"));
  if (!isData && !isFolder(join(path, SCHEMA_VERSION)) && basename(path) !== "lake")
    throw new LakeError(
      `${path} is no lake: a folder with ${SCHEMA_VERSION}/ in it is wanted, or a data folder with lake/ in it`,
    );
  const data = isData ? path : basename(path) === "lake" ? dirname(path) : null;
  return lakeOf([new FolderSource(isData ? join(path, "lake") : path)], data, () => undefined);
}

function lakeOf(sources: readonly LakeSource[], data: string | null, close: () => void): Lake {
  const ledger = data === null ? null : join(data, "ledger.db");
  return { sources, data, ledger: ledger !== null && existsSync(ledger) ? ledger : null, close };
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
