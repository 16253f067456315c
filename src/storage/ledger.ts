/** The ledger of a data folder: what its runs did, durably, so that the next one knows what is missing. */
import { Database, SQLiteError } from "bun:sqlite";
import { z } from "zod";
import type { DatasetRow } from "./dataset-segment.ts";
import { FILE_TABLES, FileLedger } from "./ledger-files.ts";
import { beginOf } from "./names.ts";

/** The ledger cannot be used: it is damaged, of another version, or cannot be written. */
export class LedgerError extends Error {
  override name = "LedgerError";

  /** @param damaged whether the file itself is at fault, and not the disk or the rights */
  constructor(
    message: string,
    readonly damaged: boolean,
  ) {
    super(message);
  }
}

/** SQLite's codes for what says nothing about the file: a full disk, missing rights, a disk that fails. */
const NOT_ITS_FAULT = /^SQLITE_(FULL|IOERR|CANTOPEN|READONLY|PERM|BUSY|LOCKED|NOMEM)/;

/** A ring of a run: what the ledger follows. */
export interface LedgerRing {
  readonly ring: number;
  readonly exchange: string;
  readonly stream: string;
}

/** A row of `gaps` that an earlier run wrote and that is in no file yet. */
export interface KeptGap {
  readonly exchange: string;
  readonly row: DatasetRow;
}

/** A ring of a run that was killed. */
export interface KilledRing extends LedgerRing {
  readonly run: string;
  /** Whatever is missing below this `seq` has its row of gaps. */
  readonly toldBelow: number;
}

/** How the run that last recorded a stream left it. */
export interface EarlierRecording {
  readonly exchange: string;
  readonly stream: string;
  /** Every row received up to here is in a file, or in a journal that becomes one, µs. */
  readonly until: number;
  /** When its sockets were closed, µs; null = it never came to that: kill -9, a crash, a power loss. */
  readonly ended: number | null;
  /** Whether it also knew, when it ended, that everything is in files or has a row of `gaps`. */
  readonly clean: boolean;
}

/** Version of the tables, kept in SQLite's user_version. */
const LEDGER_VERSION = 4;

/** Runs kept besides those that are the last of some stream: a recorder that crashes every second shall not fill the disk. */
const RUNS_KEPT = 1000;

const HOLES_TABLE = `
CREATE TABLE holes ( -- what is to become a row of gaps, and has not yet
  exchange TEXT NOT NULL,
  worker INTEGER NOT NULL, -- the ingest worker that told of it
  row TEXT NOT NULL,       -- JSON, to_timestamp NULL = still open
  seen INTEGER NOT NULL    -- µs, when it last was so
) STRICT;`;

const TABLES = `
CREATE TABLE runs (
  run TEXT PRIMARY KEY,
  started INTEGER NOT NULL, -- µs
  ended INTEGER,            -- µs, when the sockets were closed; NULL = it runs, or was killed
  clean INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE published (
  exchange TEXT NOT NULL,
  stream TEXT NOT NULL,
  ring INTEGER NOT NULL,
  run TEXT NOT NULL REFERENCES runs (run), -- the last one that recorded this stream
  until_us INTEGER NOT NULL,               -- rows up to here are in files: outbox or lake
  told_below INTEGER NOT NULL DEFAULT 0,   -- whatever is missing of the ring below this seq has a row of gaps
  PRIMARY KEY (exchange, stream, ring)
) STRICT, WITHOUT ROWID;
CREATE TABLE gaps (
  exchange TEXT NOT NULL,
  id INTEGER NOT NULL, -- of each exchange, in the order in which they come into files
  row TEXT NOT NULL,   -- JSON
  PRIMARY KEY (exchange, id)
) STRICT, WITHOUT ROWID;
${HOLES_TABLE}
${FILE_TABLES}
PRAGMA user_version = ${LEDGER_VERSION};`;

/** What each version added, by the version before it. */
const UPGRADES: Readonly<Record<number, string>> = {
  1: `${FILE_TABLES}
PRAGMA user_version = 2;`,
  2: `${HOLES_TABLE}
PRAGMA user_version = 3;`,
  3: `ALTER TABLE published ADD COLUMN told_below INTEGER NOT NULL DEFAULT 0;
PRAGMA user_version = 4;`,
};

const rowSchema = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]));

/** A row that is to become one of `gaps`. */
const holeSchema = z.looseObject({
  affected_stream: z.string(),
  symbol: z.string().nullable(),
  from_timestamp: z.number(),
  to_timestamp: z.number().nullable(),
  reason: z.string(),
  certainty: z.string(),
});

/** Where the rows of a stream's last run end, µs; see {@link EarlierRecording}. */
interface HolesEnd {
  readonly until: number;
  readonly started: number;
  readonly ended: number | null;
}

/** Rows of gaps of an exchange, by their ids: the next one, and those that are in no file yet, in order. */
interface GapIds {
  next: number;
  readonly open: number[];
}

/**
 * The ledger, in SQLite: every change is on disk when the call returns.
 *
 * Only the main thread of the recorder that holds the folder's lock may open it.
 */
export class Ledger {
  readonly #db: Database;
  /** What became of each file. */
  readonly files: FileLedger;
  readonly #gaps = new Map<string, GapIds>();
  #run = "";
  /** What the begin of this run could not write yet. */
  #unbegun: (() => void) | null = null;

  private constructor(db: Database) {
    this.#db = db;
    this.files = new FileLedger(db);
  }

  /**
   * Opens a ledger, creating it where there is none. `:memory:` is one that is forgotten in the end.
   *
   * @throws LedgerError that names the file and what is wrong with it
   */
  static open(path: string): Ledger {
    try {
      return Ledger.#open(path, false);
    } catch (error) {
      // On a full disk there is no room for the index that readers of other processes would share: without them it
      // is read, and written as soon as there is room.
      if (!(error instanceof LedgerError) || error.damaged) throw error;
      return Ledger.#open(path, true);
    }
  }

  static #open(path: string, exclusive: boolean): Ledger {
    let db: Database | null = null;
    try {
      db = new Database(path, { create: true });
      if (exclusive) db.run("PRAGMA locking_mode = EXCLUSIVE");
      db.run("PRAGMA journal_mode = WAL");
      db.run("PRAGMA synchronous = FULL");
      db.run("PRAGMA foreign_keys = ON");
      check(db);
      return new Ledger(db);
    } catch (error) {
      db?.close();
      const why = error instanceof Error ? error.message : String(error);
      const damaged = !(error instanceof SQLiteError && NOT_ITS_FAULT.test(error.code ?? ""));
      throw new LedgerError(`the ledger ${path} cannot be used (${why})`, damaged);
    }
  }

  /**
   * A run begins. Where that cannot be written, on a full disk, it is tried again with all that follows.
   *
   * @param started when, µs
   * @param rings what it records
   * @returns how earlier runs left these streams; a stream that was never recorded here is missing
   */
  begin(run: string, started: number, rings: readonly LedgerRing[]): readonly EarlierRecording[] {
    this.#run = run;
    const found = new Map<string, EarlierRecording | null>();
    for (const { exchange, stream } of rings) {
      const key = `${exchange} ${stream}`;
      if (!found.has(key)) found.set(key, this.#earlier(exchange, stream));
    }
    this.#unbegun = this.#db.transaction(() => {
      this.#db.run("INSERT INTO runs (run, started) VALUES (?, ?)", [run, started]);
      const forget = this.#db.query("DELETE FROM published WHERE exchange = ? AND stream = ?");
      for (const { exchange, stream } of rings) forget.run(exchange, stream);
      const add = this.#db.query(
        "INSERT INTO published (exchange, stream, ring, run, until_us) VALUES (?, ?, ?, ?, ?)",
      );
      for (const { exchange, stream, ring } of rings) {
        // What stays missing if this run brings nothing into a file begins where the one before ended.
        const until = found.get(`${exchange} ${stream}`)?.until ?? started;
        add.run(exchange, stream, ring, run, until);
      }
      this.#forgetOldRuns();
    });
    try {
      this.#begun();
    } catch (error) {
      if (!(error instanceof SQLiteError && NOT_ITS_FAULT.test(error.code ?? ""))) throw error;
    }
    return [...found.values()].filter((one) => one !== null);
  }

  /** Before the run writes anything else. */
  #begun(): void {
    this.#unbegun?.();
    this.#unbegun = null;
  }

  #earlier(exchange: string, stream: string): EarlierRecording | null {
    const row = this.#db
      .query<{ until: number; ended: number | null; clean: number }, [string, string]>(
        `SELECT min(until_us) AS until, ended, clean FROM published JOIN runs USING (run)
         WHERE exchange = ? AND stream = ? GROUP BY run`,
      )
      .get(exchange, stream);
    if (row === null) return null;
    const { ended } = row;
    const clean = row.clean === 1 && ended !== null;
    // A run that ended well has nothing left that is not in a file.
    return { exchange, stream, until: clean ? ended : row.until, ended, clean };
  }

  #forgetOldRuns(): void {
    this.#db.run(
      `DELETE FROM runs WHERE run NOT IN (SELECT run FROM published)
       AND run NOT IN (SELECT run FROM runs ORDER BY started DESC LIMIT ${RUNS_KEPT})`,
    );
  }

  /**
   * Takes over the rows of gaps that earlier runs kept and did not bring into a file. They count as kept by this
   * one, before all others. To be called once, after {@link begin} and before {@link keepGaps}.
   */
  takeGaps(): readonly KeptGap[] {
    const found = this.#db
      .query<{ exchange: string; id: number; row: string }, []>(
        "SELECT exchange, id, row FROM gaps ORDER BY exchange, id",
      )
      .all();
    return found.flatMap(({ exchange, id, row }) => {
      const ids = this.#gapsOf(exchange);
      ids.next = id + 1;
      const parsed = rowSchema.safeParse(JSON.parse(row));
      if (!parsed.success) return [];
      ids.open.push(id);
      return [{ exchange, row: parsed.data }];
    });
  }

  /**
   * What is done within is on disk as a whole or not at all.
   *
   * @returns what `act` returned
   */
  together<T>(act: () => T): T {
    this.#begun();
    return this.#db.transaction(act)();
  }

  /**
   * Notes the holes of an exchange on one ingest worker that are to become rows of gaps, in place of those noted
   * before: should this run be killed, the next one makes rows of them ({@link settleHoles}).
   *
   * @param seen when they were so, µs
   */
  noteHoles(exchange: string, worker: number, rows: readonly DatasetRow[], seen: number): void {
    this.#begun();
    this.#db.transaction(() => {
      this.#db.query("DELETE FROM holes WHERE exchange = ? AND worker = ?").run(exchange, worker);
      const add = this.#db.query("INSERT INTO holes VALUES (?, ?, ?, ?)");
      for (const row of rows) add.run(exchange, worker, JSON.stringify(row), Math.floor(seen));
    })();
  }

  /**
   * Makes rows of gaps of the holes that earlier runs noted and could not tell. To be called once, after
   * {@link journaled} and before {@link begin}.
   *
   * No span is told twice. What was lost with a run begins where its rows in files end; a hole that is older ends
   * there. Where a whole stream was dark, its rows ended before the hole began: then the hole lasts to when it was last
   * seen, and what was lost begins there. What is younger than the last row and of some symbols only lies in what was
   * lost.
   */
  settleHoles(): void {
    this.#db.transaction(() => {
      const found = this.#db
        .query<{ exchange: string; row: string; seen: number }, []>(
          "SELECT exchange, row, seen FROM holes ORDER BY exchange, rowid",
        )
        .all();
      this.#db.run("DELETE FROM holes");
      const ends = new Map<string, HolesEnd | null>();
      const dark = new Map<string, { exchange: string; stream: string; until: number }>();
      const rows: KeptGap[] = [];
      for (const { exchange, row: text, seen } of found) {
        const parsed = holeSchema.safeParse(JSON.parse(text));
        if (!parsed.success) continue;
        const {
          affected_stream: stream,
          symbol,
          reason,
          from_timestamp: from,
          to_timestamp: to,
        } = parsed.data;
        const key = `${exchange} ${stream}`;
        let end = ends.get(key);
        if (end === undefined) {
          end = this.#holesEnd(exchange, stream);
          ends.set(key, end);
        }
        // Before the run's start is told, all since the run before is missing, and will be said to be.
        if (end === null || (end.ended === null && end.until <= end.started)) continue;
        // Rows come all the same while the clock is apart.
        const isDark = reason !== "clock" && symbol === null && to === null;
        const whole = isDark && end.ended === null && from >= end.until;
        const last = whole ? Math.max(from, seen) : (end.ended ?? end.until);
        if (whole) dark.set(key, { exchange, stream, until: Math.max(dark.get(key)?.until ?? 0, last) });
        const begin = whole ? Math.min(from, end.until) : from;
        if (begin >= last) continue;
        rows.push({
          exchange,
          row: { ...parsed.data, from_timestamp: begin, to_timestamp: Math.min(to ?? last, last) },
        });
      }
      for (const [exchange, group] of Map.groupBy(rows, (one) => one.exchange))
        this.#appendGaps(exchange, group);
      const move = this.#db.query(
        "UPDATE published SET until_us = max(until_us, ?) WHERE exchange = ? AND stream = ?",
      );
      for (const { exchange, stream, until } of dark.values()) move.run(until, exchange, stream);
    })();
  }

  #holesEnd(exchange: string, stream: string): HolesEnd | null {
    return this.#db
      .query<HolesEnd, [string, string]>(
        `SELECT min(until_us) AS until, started, ended FROM published JOIN runs USING (run)
         WHERE exchange = ? AND stream = ? GROUP BY run`,
      )
      .get(exchange, stream);
  }

  /**
   * Rings of earlier runs that were killed after they had told their start, each with the `seq` below which they had
   * told what was missing. Before {@link begin}.
   */
  killedRings(): readonly KilledRing[] {
    return this.#db
      .query<KilledRing, []>(
        `SELECT exchange, stream, ring, run, told_below AS toldBelow FROM published JOIN runs USING (run)
         WHERE ended IS NULL AND until_us > started`,
      )
      .all();
  }

  /** Whatever is missing of a ring below this `seq` has its row of gaps. */
  toldBelow({ exchange, stream, ring }: LedgerRing, seq: number): void {
    this.#begun();
    this.#db
      .query(
        "UPDATE published SET told_below = max(told_below, ?) WHERE exchange = ? AND stream = ? AND ring = ? AND run = ?",
      )
      .run(seq, exchange, stream, ring, this.#run);
  }

  /** Keeps rows of gaps that earlier runs did not come to tell. After {@link settleHoles}, before {@link begin}. */
  keepUntold(gaps: readonly KeptGap[]): void {
    this.#db.transaction(() => {
      for (const [exchange, group] of Map.groupBy(gaps, (one) => one.exchange))
        this.#appendGaps(exchange, group);
    })();
  }

  /** Rows of an earlier run, behind those that it kept itself. */
  #appendGaps(exchange: string, gaps: readonly KeptGap[]): void {
    const last = this.#db
      .query<{ id: number }, [string]>("SELECT coalesce(max(id), 0) AS id FROM gaps WHERE exchange = ?")
      .get(exchange);
    const add = this.#db.query("INSERT INTO gaps VALUES (?, ?, ?)");
    for (const [index, { row }] of gaps.entries())
      add.run(exchange, (last?.id ?? 0) + 1 + index, JSON.stringify(row));
  }

  /**
   * A file of an earlier run holds the oldest `rows` rows of gaps of an exchange, and that run did not get to note it.
   * Before {@link settleHoles} and {@link takeGaps}.
   */
  gapsFiledBefore(exchange: string, rows: number): void {
    this.#db
      .query(
        "DELETE FROM gaps WHERE exchange = ?1 AND id IN (SELECT id FROM gaps WHERE exchange = ?1 ORDER BY id LIMIT ?2)",
      )
      .run(exchange, rows);
  }

  /** Keeps rows of gaps until they are in a file, so that not even kill -9 loses them. */
  keepGaps(exchange: string, rows: readonly DatasetRow[]): void {
    const ids = this.#gapsOf(exchange);
    const first = ids.next;
    // Counted even if they cannot be written: files are counted by rows as well.
    ids.next += rows.length;
    for (const index of rows.keys()) ids.open.push(first + index);
    this.#begun();
    this.#db.transaction(() => {
      const add = this.#db.query("INSERT INTO gaps VALUES (?, ?, ?)");
      for (const [index, row] of rows.entries()) add.run(exchange, first + index, JSON.stringify(row));
    })();
  }

  /** The next `rows` rows of gaps of an exchange are in a file: they come into files in their order. */
  gapsFiled(exchange: string, rows: number): void {
    const ids = this.#gapsOf(exchange);
    ids.open.splice(0, rows);
    this.#forgetFiled(exchange, ids);
  }

  #forgetFiled(exchange: string, { open, next }: GapIds): void {
    this.#db.query("DELETE FROM gaps WHERE exchange = ? AND id < ?").run(exchange, open[0] ?? next);
  }

  #gapsOf(exchange: string): GapIds {
    let ids = this.#gaps.get(exchange);
    if (ids === undefined) {
      ids = { next: 1, open: [] };
      this.#gaps.set(exchange, ids);
    }
    return ids;
  }

  /**
   * Rows of an earlier run up to `until` (receive time, µs) stand in a journal of which this run makes a file. Before
   * {@link begin}, so that what is missing begins there; unless that run was killed before the gap of its own start
   * was written ({@link published} was never called): then what is missing still begins where the run before it ended.
   */
  journaled({ exchange, stream, ring }: LedgerRing, run: string, until: number): void {
    this.#db
      .query(
        `UPDATE published SET until_us = max(until_us, ?)
         WHERE exchange = ? AND stream = ? AND ring = ? AND run = ?
           AND until_us > (SELECT started FROM runs WHERE runs.run = published.run)`,
      )
      .run(Math.floor(until), exchange, stream, ring, run);
  }

  /**
   * Takes up runs that left journals and that this ledger does not know: it is an older copy, or the one before was
   * lost. Without that, what was missing after such a run would not be told. Where an older run is known, the hole
   * begins where that one ended: whether this one had told its own start nobody knows. Before {@link journaled}.
   */
  adopt(rings: readonly (LedgerRing & { readonly run: string })[]): readonly string[] {
    const isKnown = this.#db.query("SELECT 1 FROM runs WHERE run = ?");
    const unknown = rings.flatMap((ring) => {
      const started = beginOf(ring.run);
      return started === null || isKnown.get(ring.run) !== null ? [] : [{ ...ring, started }];
    });
    unknown.sort((one, other) => one.started - other.started);
    this.#db.transaction(() => {
      const begin = this.#db.query("INSERT OR IGNORE INTO runs (run, started) VALUES (?, ?)");
      const forget = this.#db.query<{ until: number }, [string, string, number]>(
        `DELETE FROM published WHERE exchange = ? AND stream = ?
           AND run IN (SELECT run FROM runs WHERE started < ?) RETURNING until_us AS until`,
      );
      const add = this.#db.query(
        `INSERT INTO published (exchange, stream, ring, run, until_us) SELECT ?1, ?2, ?3, ?4, ?5
         WHERE NOT EXISTS (SELECT 1 FROM published WHERE exchange = ?1 AND stream = ?2 AND run <> ?4)`,
      );
      const ends = new Map<string, number>();
      for (const { exchange, stream, ring, run, started } of unknown) {
        begin.run(run, started);
        const older = forget.all(exchange, stream, started).map(({ until }) => until);
        const lane = `${exchange} ${stream}`;
        const until = Math.min(ends.get(lane) ?? Number.POSITIVE_INFINITY, ...older);
        if (Number.isFinite(until)) ends.set(lane, until);
        add.run(exchange, stream, ring, run, Number.isFinite(until) ? until : started + 1);
      }
    })();
    return [...new Set(unknown.map(({ run }) => run))];
  }

  /** Up to when the rows of a ring of an earlier run are in files, µs; null = it is not the last run of the stream. */
  untilOf({ exchange, stream, ring }: LedgerRing, run: string): number | null {
    return (
      this.#db
        .query<{ until: number }, [string, string, number, string]>(
          "SELECT until_us AS until FROM published WHERE exchange = ? AND stream = ? AND ring = ? AND run = ?",
        )
        .get(exchange, stream, ring, run)?.until ?? null
    );
  }

  /**
   * A ring's rows up to `until` (receive time, µs) are in files that survive a power loss, and the gap of its start is
   * written.
   */
  published({ exchange, stream, ring }: LedgerRing, until: number): void {
    this.#begun();
    this.#db
      .query(
        `UPDATE published SET until_us = max(until_us, ?)
         WHERE exchange = ? AND stream = ? AND ring = ? AND run = ?`,
      )
      .run(Math.floor(until), exchange, stream, ring, this.#run);
  }

  /**
   * The run has ended.
   *
   * @param ended when its sockets were closed, µs
   * @param clean whether all it received is in files or has a row of `gaps`
   */
  end(ended: number, clean: boolean): void {
    this.#begun();
    // Of files that a full disk did not let it note.
    for (const [exchange, ids] of this.#gaps) this.#forgetFiled(exchange, ids);
    this.#db.run("UPDATE runs SET ended = ?, clean = ? WHERE run = ?", [ended, clean ? 1 : 0, this.#run]);
  }

  /** Nothing can be noted any more. */
  close(): void {
    this.#db.close();
  }
}

/** Creates the tables of a new ledger, and looks whether those of an old one are what they should be. */
function check(db: Database): void {
  const faults = db.query<{ quick_check: string }, []>("PRAGMA quick_check(1)").get();
  if (faults?.quick_check !== "ok") throw new Error(faults?.quick_check ?? "it cannot be checked");
  const versionNow = () =>
    db.query<{ user_version: number }, []>("PRAGMA user_version").get()?.user_version ?? -1;
  for (let from = versionNow(); UPGRADES[from] !== undefined; from = versionNow()) {
    const upgrade = UPGRADES[from] ?? "";
    db.transaction(() => db.run(upgrade))();
  }
  const version = versionNow();
  if (version === 0) {
    db.transaction(() => db.run(TABLES))();
  } else if (version !== LEDGER_VERSION) {
    throw new Error(`its version is ${version}, this program knows ${LEDGER_VERSION}`);
  }
  db.query("SELECT run, started, ended, clean FROM runs LIMIT 1").get();
  db.query("SELECT exchange, stream, ring, run, until_us, told_below FROM published LIMIT 1").get();
  db.query("SELECT exchange, id, row FROM gaps LIMIT 1").get();
  db.query("SELECT exchange, worker, row, seen FROM holes LIMIT 1").get();
  db.query("SELECT key, state, doubtful, listed FROM files LIMIT 1").get();
  db.query("SELECT destination, date, run, key FROM manifest_removals LIMIT 1").get();
}
