/**
 * What an audit knows of a lake, in a temporary SQLite file: millions of files, and memory stays small.
 */
import { Database } from "bun:sqlite";
import type { ReplacedFile } from "../storage/compacted.ts";
import { instanceOf, type KeyParts } from "../storage/names.ts";
import type { Fault } from "./report.ts";
import type { Role } from "./selection.ts";

/** Pages that SQLite keeps in memory, KiB. */
const CACHE_KIB = 32 * 1024;

/** Whether file `f` is one of several of its segment: one of a symbol, or beside such one of those that have no folder. */
export const IS_DIVIDED = `EXISTS (SELECT 1 FROM files p WHERE p.run = f.run AND p.ring = f.ring AND p.n = f.n
  AND p.symbol IS NOT NULL)`;

const TABLES = `
CREATE TABLE files (
  key TEXT PRIMARY KEY,
  source INTEGER NOT NULL,      -- number of the lake it is read from: the first that has it
  bytes INTEGER NOT NULL,
  role TEXT NOT NULL,
  instance TEXT NOT NULL,
  exchange TEXT NOT NULL,
  stream TEXT NOT NULL,
  date TEXT NOT NULL,
  symbol TEXT,                  -- what its folder says that all its rows are of; NULL = they say it
  run TEXT NOT NULL,
  ring INTEGER NOT NULL,
  n INTEGER NOT NULL,
  first_us INTEGER NOT NULL,
  sound INTEGER NOT NULL DEFAULT 0, -- whether its footer was read and says what it must
  rows INTEGER,
  last_us INTEGER,
  first_seq INTEGER,
  last_seq INTEGER,
  sha256 TEXT,                  -- noted at the object, or of the content where that was read
  within TEXT                   -- the compacted file that holds its rows now; NULL = it stands there itself
) STRICT;
CREATE INDEX files_ring ON files (run, ring, first_seq, n);
CREATE INDEX files_divided ON files (run, ring, n) WHERE symbol IS NOT NULL;
-- Segments by their files: in the layout symbol they have several, with numbers of seq that lie between each other.
CREATE VIEW divided AS
  SELECT min(key) AS key, min(source) AS source, sum(bytes) AS bytes, role, instance, exchange, stream, date,
    max(symbol) AS symbol, run, ring, n, min(first_us) AS first_us, min(sound) AS sound, sum(rows) AS rows,
    max(last_us) AS last_us, min(first_seq) AS first_seq, max(last_seq) AS last_seq, NULL AS sha256, NULL AS within
  FROM files f WHERE role = 'audit' AND ${IS_DIVIDED} GROUP BY run, ring, n;
CREATE VIEW segments AS
  SELECT key, source, bytes, role, instance, exchange, stream, date, symbol, run, ring, n, first_us, sound, rows,
    last_us, first_seq, last_seq, sha256, within
  FROM files f WHERE role = 'audit' AND sound AND NOT ${IS_DIVIDED}
  UNION ALL SELECT * FROM divided WHERE first_seq IS NOT NULL;
CREATE TABLE doubles (key TEXT NOT NULL, source INTEGER NOT NULL, bytes INTEGER NOT NULL, PRIMARY KEY (key, source)) STRICT;
CREATE TABLE claims (
  key TEXT NOT NULL,
  by TEXT NOT NULL,             -- 'the ledger' or the key of a manifest
  source INTEGER NOT NULL,
  rows INTEGER,
  bytes INTEGER,
  sha256 TEXT,
  PRIMARY KEY (key, by, source)
) STRICT;
CREATE TABLE flights (run TEXT NOT NULL, ring INTEGER NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (run, ring, n)) STRICT;
CREATE TABLE runs (run TEXT PRIMARY KEY, ended INTEGER NOT NULL) STRICT;
CREATE TABLE gaps (
  instance TEXT NOT NULL,
  exchange TEXT NOT NULL,
  stream TEXT NOT NULL,
  symbol TEXT NOT NULL,         -- '' = all
  from_us INTEGER,
  to_us INTEGER,
  reason TEXT NOT NULL,
  certainty TEXT NOT NULL,
  missed INTEGER,
  first_id TEXT NOT NULL
) STRICT;
-- A row that stands in two files (written again after a kill between file and ledger) counts once.
CREATE UNIQUE INDEX gaps_once ON gaps
  (instance, exchange, stream, symbol, ifnull(from_us, -1), ifnull(to_us, -1), reason, certainty, ifnull(missed, -1), first_id);
CREATE TABLE holes (
  key TEXT NOT NULL,            -- the file behind it, or in which it is
  segments TEXT NOT NULL,       -- which ones are missing, where whole segments are
  first_seq INTEGER NOT NULL,
  missing INTEGER NOT NULL,
  from_us INTEGER NOT NULL,
  to_us INTEGER NOT NULL
) STRICT;
CREATE TABLE faults (
  id INTEGER PRIMARY KEY, kind TEXT NOT NULL, file TEXT NOT NULL, lake TEXT NOT NULL, message TEXT NOT NULL, mend TEXT NOT NULL
) STRICT;`;

/** A file of the lake. */
export interface CatalogFile {
  readonly key: string;
  readonly source: number;
  readonly bytes: number;
  readonly role: Role;
  readonly instance: string;
  readonly exchange: string;
  readonly stream: string;
  readonly date: string;
  readonly symbol: string | null;
  readonly run: string;
  readonly ring: number;
  readonly n: number;
  readonly first_us: number;
  readonly rows: number | null;
  readonly last_us: number | null;
  readonly first_seq: number | null;
  readonly last_seq: number | null;
  readonly sha256: string | null;
  readonly within: string | null;
}

/** Somebody's word that a file is published. */
export interface Claim {
  readonly key: string;
  readonly by: string;
  readonly source: number;
  readonly rows: number | null;
  readonly bytes: number | null;
  readonly sha256: string | null;
}

/** A row of `gaps`; times in µs. */
export interface GapRow {
  readonly instance: string;
  readonly exchange: string;
  readonly stream: string;
  readonly symbol: string | null;
  readonly from: number | null;
  readonly to: number | null;
  readonly reason: string;
  readonly certainty: string;
  readonly missed: number | null;
  readonly firstId: string | null;
}

/** Numbers of seq that no row has; times in µs. */
export interface Hole {
  readonly key: string;
  /** Segments that are missing, `3 to 5`; '' = none: it is between rows of two that follow each other, or of one. */
  readonly segments: string;
  readonly firstSeq: number;
  readonly missing: number;
  readonly from: number;
  readonly to: number;
}

/** See the head of the file. */
export class Catalog {
  readonly db: Database;
  readonly #maxFaults: number;
  faults = 0;

  /** @param maxFaults faults that are kept; beyond they are only counted */
  constructor(path: string, maxFaults: number) {
    this.#maxFaults = maxFaults;
    this.db = new Database(path, { create: true });
    // It is gone afterwards: nothing of it has to survive anything.
    this.db.run("PRAGMA journal_mode = OFF");
    this.db.run("PRAGMA synchronous = OFF");
    this.db.run(`PRAGMA cache_size = -${CACHE_KIB}`);
    this.db.run(TABLES);
  }

  /** Notes a fault. */
  fault({ kind, file, where, message, mend }: Fault): void {
    if (this.faults++ >= this.#maxFaults) return;
    this.db
      .query("INSERT INTO faults (kind, file, lake, message, mend) VALUES (?, ?, ?, ?, ?)")
      .run(kind, file, where, message, mend);
  }

  /** The faults that were kept, by file. */
  faultList(): Fault[] {
    return this.db
      .query<Fault, []>('SELECT kind, file, lake AS "where", message, mend FROM faults ORDER BY file, id')
      .all();
  }

  /** A file was found; one that another lake has too is a double. */
  found(parts: KeyParts, object: { key: string; bytes: number }, source: number, role: Role): void {
    const { exchange, stream, date, symbol, run, ring, n, firstLocal } = parts;
    const { key, bytes } = object;
    const { changes } = this.db
      .query(
        `INSERT OR IGNORE INTO files (key, source, bytes, role, instance, exchange, stream, date, symbol, run, ring, n, first_us)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      )
      .run(
        ...[key, source, bytes, role, instanceOf(run)],
        ...[exchange, stream, date, symbol, run, ring, n, firstLocal],
      );
    if (changes === 0)
      this.db.query("INSERT OR IGNORE INTO doubles VALUES (?, ?, ?)").run(key, source, bytes);
  }

  /** A file was replaced: what its record says of it stands for it from now on, wherever it may still be. */
  replaced(parts: KeyParts, file: ReplacedFile, within: CatalogFile): void {
    const { exchange, stream, date, symbol, run, ring, n, firstLocal } = parts;
    const { key, bytes, rows, sha256, last_local_timestamp, first_seq, last_seq } = file;
    this.db.query("DELETE FROM doubles WHERE key = ?").run(key);
    this.db
      .query(
        `INSERT OR REPLACE INTO files (key, source, bytes, role, instance, exchange, stream, date, symbol, run, ring, n,
           first_us, sound, rows, last_us, first_seq, last_seq, sha256, within)
         VALUES (?, ?, ?, 'audit', ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?)`,
      )
      .run(
        ...[
          key,
          within.source,
          bytes,
          instanceOf(run),
          exchange,
          stream,
          date,
          symbol,
          run,
          ring,
          n,
          firstLocal,
        ],
        ...[rows, last_local_timestamp, first_seq, last_seq, sha256, within.key],
      );
  }

  /** Files that a compacted one is in the place of. */
  within(key: string): CatalogFile[] {
    return this.db
      .query<CatalogFile, [string]>("SELECT * FROM files WHERE within = ? ORDER BY run, ring, first_seq")
      .all(key);
  }

  /** Whether a file is one of several of its segment. */
  isDivided({ key }: CatalogFile): boolean {
    return this.db.query(`SELECT 1 FROM files f WHERE key = ? AND ${IS_DIVIDED}`).get(key) !== null;
  }

  /** A file that does not count. */
  forget(key: string): void {
    this.db.query("DELETE FROM files WHERE key = ?").run(key);
    this.db.query("DELETE FROM doubles WHERE key = ?").run(key);
  }

  /** A file by its key; null = there is none. */
  file(key: string): CatalogFile | null {
    return this.db.query<CatalogFile, [string]>("SELECT * FROM files WHERE key = ?").get(key);
  }

  /** Somebody says that a file is published. */
  claim({ key, by, source, rows, bytes, sha256 }: Claim): void {
    this.db
      .query("INSERT OR REPLACE INTO claims VALUES (?, ?, ?, ?, ?, ?)")
      .run(key, by, source, rows, bytes, sha256);
  }

  /** A segment that is on its way. */
  flight({ run, ring, n }: { run: string; ring: number; n: number }): void {
    this.db.query("INSERT OR IGNORE INTO flights VALUES (?, ?, ?)").run(run, ring, n);
  }

  /** A row of `gaps`. */
  gap(gap: GapRow): void {
    const { instance, exchange, stream, symbol, from, to, reason, certainty, missed, firstId } = gap;
    this.db
      .query("INSERT OR IGNORE INTO gaps VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
      .run(instance, exchange, stream, symbol ?? "", from, to, reason, certainty, missed, firstId ?? "");
  }

  /** A hole in seq. */
  hole({ key, segments, firstSeq, missing, from, to }: Hole): void {
    this.db
      .query("INSERT INTO holes VALUES (?, ?, ?, ?, ?, ?)")
      .run(key, segments, firstSeq, missing, from, to);
  }

  /** The footer of a file is what it must be. */
  sound(
    key: string,
    facts: {
      rows: number;
      last: number;
      firstSeq: number | null;
      lastSeq: number | null;
      sha256: string | null;
    },
  ): void {
    const { rows, last, firstSeq, lastSeq, sha256 } = facts;
    this.db
      .query(
        "UPDATE files SET sound = 1, rows = ?, last_us = ?, first_seq = ?, last_seq = ?, sha256 = ? WHERE key = ?",
      )
      .run(rows, last, firstSeq, lastSeq, sha256, key);
  }

  /** Files by key, some at a time, so that the table may change meanwhile. */
  *files(where = "true", size = 1000): Iterable<CatalogFile> {
    const page = this.db.query<CatalogFile, [string, number]>(
      `SELECT * FROM files WHERE key > ? AND (${where}) ORDER BY key LIMIT ?`,
    );
    for (let after = ""; ; ) {
      const rows = page.all(after, size);
      yield* rows;
      const last = rows.at(-1);
      if (last === undefined) return;
      after = last.key;
    }
  }

  /** One number. */
  number(query: string): number {
    const [value] = Object.values(this.db.query<Record<string, number | null>, []>(query).get() ?? {});
    return value ?? 0;
  }

  close(): void {
    this.db.close();
  }
}
