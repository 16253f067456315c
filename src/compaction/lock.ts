/**
 * One compaction at a time: two that take the same files would publish their rows twice.
 *
 * On a machine SQLite's lock on `compact.db` in the data folder keeps the second out; kill -9 frees it. Between machines
 * each writes a small object into the bucket and then lists them: of two, at least one sees the other, and whoever sees
 * another gives up. What a dead one left is passed over when it has not been renewed for `compaction.lock_ttl`, or at once
 * when it is of the same data folder, which is known by a random id in `compact.db`: host name and path may be those of
 * another machine's container too.
 */
import { Database, SQLiteError } from "bun:sqlite";
import { hostname } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { SCHEMA_VERSION } from "../events/streams.ts";
import type { Destination } from "../storage/destinations/destination.ts";
import { persistently } from "./retry.ts";
import { CompactionError } from "./steps.ts";

/** Below it stand the locks. */
const LOCKS = `${SCHEMA_VERSION}/_compacting/`;
/** Longest lock that is read, bytes. */
const LOCK_MAX = 4096;
/** A lock is renewed so often within its time to live. */
const RENEWALS = 4;

const lockSchema = z.object({
  host: z.string(),
  data: z.string(),
  folder: z.string(),
  pid: z.int(),
  at: z.number(),
});

/** The lock of a data folder. */
export interface FolderLock {
  /** Tells this data folder from all others, also those of the same name on other machines. */
  readonly folder: string;
  release(): void;
}

/** Held while files are replaced. */
export interface CompactionLock {
  /** @throws CompactionError when it could not be renewed in time, so that another one may have begun */
  check(): void;
  release(): Promise<void>;
}

/** Keeps a second compaction of this data folder out. @throws CompactionError that names its pid */
export function lockHere(data: string): FolderLock {
  const db = new Database(join(data, "compact.db"), { create: true });
  let folder: string;
  try {
    db.run("PRAGMA busy_timeout = 200");
    db.run("BEGIN IMMEDIATE");
    db.run("CREATE TABLE IF NOT EXISTS owner (pid INTEGER NOT NULL)");
    db.run("DELETE FROM owner");
    db.run("INSERT INTO owner VALUES (?)", [process.pid]);
    db.run("CREATE TABLE IF NOT EXISTS folder (id TEXT NOT NULL)");
    db.run("INSERT INTO folder SELECT ? WHERE NOT EXISTS (SELECT 1 FROM folder)", [crypto.randomUUID()]);
    folder = db.query<{ id: string }, []>("SELECT id FROM folder").get()?.id ?? "";
    db.run("COMMIT");
    db.run("BEGIN IMMEDIATE");
  } catch (error) {
    const busy = error instanceof SQLiteError && error.code === "SQLITE_BUSY";
    const owner = busy ? ownerOf(db) : null;
    db.close();
    if (!busy) throw error;
    throw new CompactionError(
      `another compaction of ${data} is at work${owner === null ? "" : ` (pid ${owner})`}; wait for its end`,
    );
  }
  return {
    folder,
    release() {
      db.run("ROLLBACK");
      db.close();
    },
  };
}

function ownerOf(db: Database): number | null {
  try {
    return db.query<{ pid: number }, []>("SELECT pid FROM owner").get()?.pid ?? null;
  } catch {
    return null;
  }
}

/**
 * Keeps other machines' compactions out of a bucket.
 *
 * @param options.run of this compaction
 * @param options.folder id of the data folder, as {@link lockHere} gives it
 * @param options.ttl ms
 * @throws CompactionError that names the other one; DestinationError
 */
export async function lockBucket(
  destination: Destination,
  options: { run: string; data: string; folder: string; ttl: number; signal: AbortSignal },
): Promise<CompactionLock> {
  const { run, data, folder, ttl, signal } = options;
  const key = `${LOCKS}${run}.json`;
  let renewed = performance.now();
  const write = async () => {
    const begun = performance.now();
    const lock = { host: hostname(), data, folder, pid: process.pid, at: Date.now() };
    await persistently(() => destination.write(key, Buffer.from(JSON.stringify(lock)), signal));
    renewed = begun;
  };
  await write();
  try {
    await refuseOthers(destination, { key, folder, ttl, signal });
  } catch (error) {
    await destination.remove(key, signal);
    throw error;
  }
  let renewing: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    // What fails is tried again the next time; check() sees when it has been too long.
    renewing = renewing.then(write).catch(() => undefined);
  }, ttl / RENEWALS);
  return {
    check() {
      if (performance.now() - renewed > ttl / 2)
        throw new CompactionError(
          `the lock ${key} in ${destination.where} could not be renewed for half of compaction.lock_ttl; nothing more is replaced`,
        );
    },
    async release() {
      clearInterval(timer);
      await renewing;
      await destination.remove(key, signal);
    },
  };
}

async function refuseOthers(
  destination: Destination,
  { key, folder, ttl, signal }: { key: string; folder: string; ttl: number; signal: AbortSignal },
): Promise<void> {
  for await (const { key: other } of destination.list(LOCKS, signal)) {
    if (other === key || !other.endsWith(".json")) continue;
    const content = await persistently(() => destination.read(other, LOCK_MAX, signal));
    if (content === null) continue;
    const lock = readLock(content);
    const isOurs = lock?.folder === folder;
    if (isOurs || (lock !== null && lock.at + ttl < Date.now())) {
      await destination.remove(other, signal);
      continue;
    }
    const whose = lock === null ? "" : ` (${lock.host}, pid ${lock.pid}, data folder ${lock.data})`;
    throw new CompactionError(
      `another compaction is at work in ${destination.where}${whose}; wait for its end, or delete ${other} if it is none`,
    );
  }
}

function readLock(content: Uint8Array): z.output<typeof lockSchema> | null {
  try {
    return lockSchema.safeParse(JSON.parse(new TextDecoder().decode(content))).data ?? null;
  } catch {
    return null;
  }
}
