/** The data folder: its parts, and the lock that keeps a second recorder out. */
import { Database, SQLiteError } from "bun:sqlite";
import { accessSync, constants, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";

/** Where things are in a data folder. */
export interface DataFolder {
  readonly root: string;
  readonly lake: string;
  readonly journal: string;
  readonly outbox: string;
  readonly quarantine: string;
}

/** A data folder cannot be used; the message names it and the mend. */
export class FolderError extends Error {
  override name = "FolderError";
}

/**
 * Creates what is missing of a data folder.
 *
 * @throws FolderError when it cannot be written.
 */
export function openFolder(root: string): DataFolder {
  const folder = {
    root: resolve(root),
    lake: resolve(root, "lake"),
    journal: resolve(root, "journal"),
    outbox: resolve(root, "outbox"),
    quarantine: resolve(root, "quarantine"),
  };
  try {
    for (const path of Object.values(folder)) {
      mkdirSync(path, { recursive: true });
      accessSync(path, constants.W_OK | constants.X_OK);
    }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new FolderError(
      `the data folder ${folder.root} cannot be written (${why}); ` +
        "choose another with --data DIR or give this user the right to write there",
    );
  }
  return folder;
}

/** Held for the life of a recorder; the system frees it when the process dies, kill -9 included. */
export interface FolderLock {
  release(): void;
}

/**
 * Takes the exclusive lock of a data folder.
 *
 * The lock is SQLite's RESERVED lock on lock.db: only one process can hold it, and others can still read
 * who it is.
 *
 * @throws FolderError that names the other process when the folder is in use.
 */
export function lockFolder(folder: DataFolder, run: string): FolderLock {
  const db = openLock(folder);
  try {
    db.run("PRAGMA busy_timeout = 200");
    noteOwner(db, run);
    db.run("BEGIN IMMEDIATE");
  } catch (error) {
    const busy = error instanceof SQLiteError && error.code === "SQLITE_BUSY";
    const owner = busy ? readOwner(db) : null;
    db.close();
    if (owner === null) throw lockError(folder, error);
    throw new FolderError(
      `the data folder ${folder.root} is in use by the recorder with pid ${owner.pid} (run ${owner.run}); ` +
        "stop that one, or choose another folder with --data DIR",
    );
  }
  return {
    release() {
      db.run("ROLLBACK");
      db.close();
    },
  };
}

/** Writes down who holds the lock; on a full disk it is held all the same, or what fills the disk could never leave it. */
function noteOwner(db: Database, run: string): void {
  db.run("BEGIN IMMEDIATE");
  try {
    db.run("CREATE TABLE IF NOT EXISTS owner (pid INTEGER NOT NULL, run TEXT NOT NULL)");
    db.run("DELETE FROM owner");
    db.run("INSERT INTO owner VALUES (?, ?)", [process.pid, run]);
    db.run("COMMIT");
  } catch (error) {
    if (!(error instanceof SQLiteError && FULL.test(error.code ?? ""))) throw error;
    if (db.inTransaction) db.run("ROLLBACK");
  }
}

/** SQLite's codes for a disk on which nothing fits any more. */
const FULL = /^SQLITE_(FULL|IOERR_WRITE|IOERR_SHMSIZE|CANTOPEN)/;

function openLock(folder: DataFolder): Database {
  try {
    return new Database(join(folder.root, "lock.db"), { create: true });
  } catch (error) {
    throw lockError(folder, error);
  }
}

function lockError({ root }: DataFolder, error: unknown): FolderError {
  const why = error instanceof Error ? error.message : String(error);
  const damaged = error instanceof SQLiteError && /^SQLITE_(NOTADB|CORRUPT)/.test(error.code ?? "");
  const mend = damaged
    ? "it holds nothing but who is recording: make sure that nobody records there, and delete it"
    : "choose another folder with --data DIR";
  return new FolderError(`the data folder ${root} cannot be locked by its lock.db (${why}); ${mend}`);
}

function readOwner(db: Database): { pid: number; run: string } | null {
  try {
    return db.query<{ pid: number; run: string }, []>("SELECT pid, run FROM owner LIMIT 1").get();
  } catch {
    return null;
  }
}
