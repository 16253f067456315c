/** The files part of the ledger: what became of each file, durably. */
import type { Database } from "bun:sqlite";
import { parseKey } from "./names.ts";

/**
 * Where a file is. `sealed`: a journal whose file is not written yet; `copied`: in the outbox; `uploading`: on its way;
 * `unknown`: an upload whose end nobody saw; `published`: at a destination; `missing`: nowhere to be found; `corrupt`: not
 * what it was when it was written, in quarantine; `expired`: deleted by the lake's retention.
 */
export type FileState =
  | "sealed"
  | "copied"
  | "uploading"
  | "unknown"
  | "published"
  | "missing"
  | "corrupt"
  | "expired";

/** What is told of a file when it is sealed or copied; null = not known. */
export interface FileFacts {
  readonly key: string;
  readonly rows: number | null;
  /** Receive time of the last row, µs. */
  readonly lastLocal: number | null;
  readonly firstSeq: number | null;
  readonly lastSeq: number | null;
  readonly bytes: number | null;
  /** Hexadecimal. */
  readonly sha256: string | null;
}

/** A file in the ledger. */
export interface FileRecord extends FileFacts {
  readonly state: FileState;
  readonly exchange: string;
  readonly stream: string;
  readonly run: string;
  readonly ring: number;
  readonly n: number;
  /** UTC. */
  readonly date: string;
  /** Receive time of the first row, µs. */
  readonly firstLocal: number;
  /** Where it is published, or on its way to. */
  readonly destination: string | null;
  /** Other destinations in which a copy may stand. */
  readonly doubtful: readonly string[];
  /** How often those have been asked. */
  readonly checks: number;
  readonly attempts: number;
  readonly lastError: string | null;
}

/** A segment, by its files. */
export interface SegmentRecord {
  readonly n: number;
  readonly rows: number;
  readonly firstLocal: number;
  readonly lastLocal: number | null;
  readonly firstSeq: number | null;
  readonly lastSeq: number | null;
}

/** A line of a manifest. */
export interface ManifestLine {
  readonly key: string;
  readonly rows: number | null;
  readonly bytes: number | null;
  readonly sha256: string | null;
}

/** A line that has to go from a manifest: its file is not at that destination any more. */
export interface ManifestRemoval {
  readonly destination: string;
  readonly date: string;
  readonly run: string;
  readonly key: string;
}

/** Files that are published are kept in the ledger up to this number, the newest ones: weeks of them. */
const PUBLISHED_KEPT = 500_000;
/** How often the oldest ones are looked for, in files. */
const FORGET_EVERY = 1000;

/** The tables, as of version 2 of the ledger. */
export const FILE_TABLES = `
CREATE TABLE files (
  key TEXT PRIMARY KEY,
  state TEXT NOT NULL,
  exchange TEXT NOT NULL,
  stream TEXT NOT NULL,
  run TEXT NOT NULL,
  ring INTEGER NOT NULL,
  n INTEGER NOT NULL,
  date TEXT NOT NULL,
  first_us INTEGER NOT NULL,
  last_us INTEGER,
  first_seq INTEGER,
  last_seq INTEGER,
  rows INTEGER,
  bytes INTEGER,
  sha256 TEXT,
  destination TEXT,                        -- where it is published or on its way to
  doubtful TEXT NOT NULL DEFAULT '[]',     -- JSON: other destinations in which a copy may stand
  checks INTEGER NOT NULL DEFAULT 0,       -- how often those have been asked
  recheck_at INTEGER NOT NULL DEFAULT 0,   -- when they are asked again, epoch ms
  attempts INTEGER NOT NULL DEFAULT 0,
  last_error TEXT,
  manifest_run TEXT,                       -- in whose manifest it stands
  listed INTEGER NOT NULL DEFAULT 0        -- whether it stands there already
) STRICT;
CREATE UNIQUE INDEX files_segment ON files (run, ring, n, key);
CREATE INDEX files_open ON files (state) WHERE state <> 'published';
CREATE INDEX files_doubtful ON files (recheck_at) WHERE doubtful <> '[]' AND state = 'published';
CREATE INDEX files_unlisted ON files (destination, date) WHERE listed = 0 AND state = 'published';
CREATE INDEX files_manifest ON files (manifest_run, destination, date);
CREATE TABLE manifest_removals (
  destination TEXT NOT NULL,
  date TEXT NOT NULL,
  run TEXT NOT NULL,
  key TEXT NOT NULL,
  PRIMARY KEY (destination, date, run, key)
) STRICT, WITHOUT ROWID;`;

interface Row {
  key: string;
  state: FileState;
  exchange: string;
  stream: string;
  run: string;
  ring: number;
  n: number;
  date: string;
  first_us: number;
  last_us: number | null;
  first_seq: number | null;
  last_seq: number | null;
  rows: number | null;
  bytes: number | null;
  sha256: string | null;
  destination: string | null;
  doubtful: string;
  checks: number;
  attempts: number;
  last_error: string | null;
}

/** See the head of the file. Every change is on disk when the call returns. Throws what SQLite throws. */
export class FileLedger {
  readonly #db: Database;
  #sinceForgotten = 0;

  constructor(db: Database) {
    this.#db = db;
  }

  /** A segment is sealed: this file is to be written. */
  sealed(facts: FileFacts): void {
    this.#note("sealed", facts);
  }

  /** A file stands in the outbox. What is published stays so. */
  copied(facts: FileFacts): void {
    this.#note("copied", facts);
  }

  #note(state: FileState, facts: FileFacts): void {
    const parts = parseKey(facts.key);
    if (parts === null) throw new Error(`not a key of a lake: ${facts.key}`);
    const { exchange, stream, run, ring, n, date, firstLocal } = parts;
    const { key, lastLocal, firstSeq, lastSeq, rows, bytes, sha256 } = facts;
    this.#db
      .query(
        `INSERT INTO files (key, state, exchange, stream, run, ring, n, date, first_us, last_us, first_seq, last_seq, rows, bytes, sha256)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (key) DO UPDATE SET
           state = iif(state IN ('sealed', 'missing', 'expired'), excluded.state, state),
           last_us = ifnull(excluded.last_us, last_us),
           first_seq = ifnull(excluded.first_seq, first_seq),
           last_seq = ifnull(excluded.last_seq, last_seq),
           rows = ifnull(excluded.rows, rows),
           bytes = ifnull(excluded.bytes, bytes),
           sha256 = ifnull(excluded.sha256, sha256)`,
      )
      .run(
        key,
        state,
        exchange,
        stream,
        run,
        ring,
        n,
        date,
        firstLocal,
        lastLocal,
        firstSeq,
        lastSeq,
        rows,
        bytes,
        sha256,
      );
  }

  /** A file is on its way: from now on it may stand there. */
  uploading(key: string, destination: string): void {
    this.#db
      .query("UPDATE files SET state = 'uploading', destination = ?, attempts = attempts + 1 WHERE key = ?")
      .run(destination, key);
  }

  /** An attempt has failed; `doubtful`: destinations in which the file may stand all the same. */
  failed(key: string, error: string, doubtful: readonly string[]): void {
    this.#db
      .query(
        `UPDATE files SET state = iif(? = '[]', 'copied', 'unknown'), doubtful = ?, last_error = ?
         WHERE key = ? AND state <> 'published'`,
      )
      .run(JSON.stringify(doubtful), JSON.stringify(doubtful), error, key);
  }

  /**
   * A file has arrived.
   *
   * @param doubtful other destinations in which a copy may stand, to be asked at `recheckAt` (epoch ms)
   * @param run whose manifest it comes into
   */
  published(
    key: string,
    options: {
      destination: string;
      bytes: number;
      sha256: string | null;
      doubtful: readonly string[];
      recheckAt: number;
      run: string;
    },
  ): void {
    const { destination, bytes, sha256, doubtful, recheckAt, run } = options;
    this.#db
      .query(
        `UPDATE files SET state = 'published', destination = ?, bytes = ?, sha256 = ifnull(?, sha256), doubtful = ?,
           checks = 0, recheck_at = ?, manifest_run = ?, listed = 0
         WHERE key = ?`,
      )
      .run(destination, bytes, sha256, JSON.stringify(doubtful), recheckAt, run, key);
    if (++this.#sinceForgotten >= FORGET_EVERY) this.#forget();
  }

  /** A file that the ledger did not know was found at a destination; `doubtful` as in {@link published}, to be asked now. */
  foundAt(key: string, destination: string, bytes: number, doubtful: readonly string[]): void {
    const nothing = { rows: null, lastLocal: null, firstSeq: null, lastSeq: null, sha256: null };
    this.#db.transaction(() => {
      this.copied({ key, bytes, ...nothing });
      // Its own run has brought it into a manifest, or the next one has: what is missing there `verify` tells.
      this.#db
        .query(
          "UPDATE files SET state = 'published', destination = ?, doubtful = ?, listed = 1 WHERE key = ? AND state = 'copied'",
        )
        .run(destination, JSON.stringify(doubtful), key);
    })();
  }

  /** The end of a file that cannot be published. */
  gone(key: string, state: "missing" | "corrupt", error: string): void {
    this.#db.query("UPDATE files SET state = ?, last_error = ? WHERE key = ?").run(state, error, key);
  }

  #forget(): void {
    this.#sinceForgotten = 0;
    this.#db.run(
      `DELETE FROM files WHERE key IN (
         SELECT key FROM files WHERE state IN ('published', 'expired') AND doubtful = '[]'
         ORDER BY first_us DESC LIMIT -1 OFFSET ${PUBLISHED_KEPT})`,
    );
  }

  /** A file by its key; null = not known. */
  get(key: string): FileRecord | null {
    const row = this.#db.query<Row, [string]>("SELECT * FROM files WHERE key = ?").get(key);
    return row === null ? null : recordOf(row);
  }

  /** The newest `limit` segments of a ring, as their files tell, those written last first. */
  newestOf(run: string, ring: number, limit: number): Iterable<SegmentRecord> {
    // A segment may have a file for each symbol; of one that was written again under another key one of both counts.
    return this.#db
      .query<SegmentRecord, [string, number, number]>(
        `SELECT n, iif(max(instr(key, '/symbol=')) > 0, sum(rows), max(rows)) AS rows,
           min(first_us) AS firstLocal, max(last_us) AS lastLocal, min(first_seq) AS firstSeq, max(last_seq) AS lastSeq
         FROM files WHERE run = ? AND ring = ? GROUP BY n HAVING count(*) = count(rows) ORDER BY n DESC LIMIT ?`,
      )
      .iterate(run, ring, limit);
  }

  /** The files of a segment: several where each symbol has one, or where it was written again under another key. */
  ofSegment({ run, ring, n }: { run: string; ring: number; n: number }): FileRecord[] {
    return this.#db
      .query<Row, [string, number, number]>("SELECT * FROM files WHERE run = ? AND ring = ? AND n = ?")
      .all(run, ring, n)
      .map(recordOf);
  }

  /** Files that are in the outbox or on their way, oldest first. */
  unfinished(): FileRecord[] {
    return this.#db
      .query<Row, []>(
        "SELECT * FROM files WHERE state IN ('copied', 'uploading', 'unknown') ORDER BY first_us, key",
      )
      .all()
      .map(recordOf);
  }

  /** How many files are in each state. */
  counts(): Partial<Record<FileState, number>> {
    const rows = this.#db
      .query<{ state: FileState; files: number }, []>(
        "SELECT state, count(*) AS files FROM files GROUP BY state",
      )
      .all();
    return Object.fromEntries(rows.map(({ state, files }) => [state, files]));
  }

  /**
   * Published files of which another destination may hold a copy and is due to be asked, at most `limit`.
   *
   * @param waitMax longest time (ms) that one may have to wait: what is due later was noted by a clock that was ahead
   */
  doubtful(now: number, limit: number, waitMax = Number.MAX_SAFE_INTEGER - now): FileRecord[] {
    return this.#db
      .query<Row, [number, number, number]>(
        `SELECT * FROM files WHERE doubtful <> '[]' AND state = 'published' AND (recheck_at <= ? OR recheck_at > ?)
         ORDER BY recheck_at LIMIT ?`,
      )
      .all(now, now + waitMax, limit)
      .map(recordOf);
  }

  /** A destination is back: what may stand there is asked for at once. */
  askAgain(destination: string, now: number): void {
    this.#db
      .query(
        `UPDATE files SET recheck_at = min(recheck_at, ?) WHERE doubtful <> '[]' AND state = 'published'
           AND EXISTS (SELECT 1 FROM json_each(doubtful) WHERE value = ?)`,
      )
      .run(now, destination);
  }

  /** What asking the other destinations has brought. */
  asked(key: string, doubtful: readonly string[], checks: number, recheckAt: number): void {
    this.#db
      .query("UPDATE files SET doubtful = ?, checks = ?, recheck_at = ? WHERE key = ?")
      .run(JSON.stringify(doubtful), checks, recheckAt, key);
  }

  /**
   * The copy at `from` is gone; the file stands at `to`. Its line goes from the manifest there, also if it does not stand
   * there yet: it may be on its way.
   */
  moved(key: string, from: string, to: string, run: string): void {
    this.#db.transaction(() => {
      this.#db
        .query(
          `INSERT OR IGNORE INTO manifest_removals
           SELECT ?, date, manifest_run, key FROM files
           WHERE key = ? AND manifest_run IS NOT NULL AND destination = ?`,
        )
        .run(from, key, from);
      this.#db
        .query(
          "UPDATE files SET destination = ?, manifest_run = ?, listed = 0 WHERE key = ? AND destination <> ?",
        )
        .run(to, run, key, to);
    })();
  }

  /** Takes over what an earlier run has not brought into a manifest. */
  takeUnlisted(run: string): void {
    this.#db.query("UPDATE files SET manifest_run = ? WHERE listed = 0 AND state = 'published'").run(run);
  }

  /** Days of a destination whose manifest of this run is not up to date. */
  unlistedDays(destination: string): string[] {
    return this.#db
      .query<{ date: string }, [string]>(
        "SELECT DISTINCT date FROM files WHERE destination = ? AND listed = 0 AND state = 'published' ORDER BY date",
      )
      .all(destination)
      .map(({ date }) => date);
  }

  /** The lines of a manifest of this run. */
  manifest(destination: string, date: string, run: string): ManifestLine[] {
    return this.#db
      .query<ManifestLine, [string, string, string]>(
        `SELECT key, rows, bytes, sha256 FROM files
         WHERE manifest_run = ? AND destination = ? AND date = ? AND state = 'published' ORDER BY key`,
      )
      .all(run, destination, date);
  }

  /** These stand in the manifest of a destination and run now; one that has moved meanwhile counts as not listed. */
  listed(destination: string, run: string, keys: readonly string[]): void {
    this.#db
      .query(
        `UPDATE files SET listed = 1 WHERE destination = ? AND manifest_run = ?
           AND key IN (SELECT value FROM json_each(?))`,
      )
      .run(destination, run, JSON.stringify(keys));
  }

  /** Lines that have to go, at most `limit`. */
  removals(destination: string, limit: number): ManifestRemoval[] {
    return this.#db
      .query<ManifestRemoval, [string, number]>(
        "SELECT destination, date, run, key FROM manifest_removals WHERE destination = ? ORDER BY date, run LIMIT ?",
      )
      .all(destination, limit);
  }

  /** A line is gone. */
  removed({ destination, date, run, key }: ManifestRemoval): void {
    this.#db
      .query("DELETE FROM manifest_removals WHERE destination = ? AND date = ? AND run = ? AND key = ?")
      .run(destination, date, run, key);
  }

  /** A day was deleted from a lake by its retention. */
  expired(destination: string, date: string): void {
    this.#db
      .query("UPDATE files SET state = 'expired' WHERE state = 'published' AND destination = ? AND date = ?")
      .run(destination, date);
  }
}

function recordOf(row: Row): FileRecord {
  const doubtful: unknown = JSON.parse(row.doubtful);
  return {
    key: row.key,
    state: row.state,
    exchange: row.exchange,
    stream: row.stream,
    run: row.run,
    ring: row.ring,
    n: row.n,
    date: row.date,
    firstLocal: row.first_us,
    lastLocal: row.last_us,
    firstSeq: row.first_seq,
    lastSeq: row.last_seq,
    rows: row.rows,
    bytes: row.bytes,
    sha256: row.sha256,
    destination: row.destination,
    doubtful: Array.isArray(doubtful) ? doubtful.map(String) : [],
    checks: row.checks,
    attempts: row.attempts,
    lastError: row.last_error,
  };
}
