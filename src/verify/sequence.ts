/** Follows the numbers of each ring through its files: nothing twice, nothing missing that is not a counted drop. */
import type { DuckDBConnection } from "@duckdb/node-api";
import { dateOf } from "../storage/names.ts";
import type { Catalog, CatalogFile } from "./catalog.ts";
import { findDoubles, findHolesOfDivided } from "./divided.ts";
import type { Selection } from "./selection.ts";
import type { LakeSource } from "./source.ts";

/** Reasons of `gaps` that mean that rows which had their numbers are in no file. */
const REASONS = "('overflow', 'storage', 'quarantine', 'crash')";

/** What has to be known to tell a fault from what is still on its way. */
export interface Now {
  /** µs */
  readonly now: number;
  /** What is younger may be on its way, µs. */
  readonly grace: number;
}

type HoleRow = CatalogFile & {
  readonly segments: string;
  readonly hole: number;
  readonly missing: number;
  readonly to_us: number;
  readonly told: 0 | 1 | 2;
};

/** Numbers of a stream that are missing where rings were full. */
interface Dropped {
  readonly instance: string;
  readonly exchange: string;
  readonly stream: string;
  readonly missing: number;
}

/** What was found besides faults. */
export interface SequenceFindings {
  readonly pendingSegments: number;
  readonly pendingHoles: number;
  /** Rings whose beginning is of days that the lake does not have (any more). */
  readonly beheaded: number;
  readonly missing: number;
  readonly counted: number;
}

/** See the head of the file. To be called when footers, rows and gaps have been read. */
export class SequenceCheck {
  readonly #catalog: Catalog;
  readonly #sources: readonly LakeSource[];
  readonly #selection: Selection;
  readonly #time: Now;
  readonly #firstDay: string;
  #pendingSegments = 0;
  #pendingHoles = 0;
  #beheaded = 0;

  constructor(catalog: Catalog, sources: readonly LakeSource[], selection: Selection, time: Now) {
    this.#catalog = catalog;
    this.#sources = sources;
    this.#selection = selection;
    this.#time = time;
    this.#firstDay =
      catalog.db
        .query<{ date: string | null }, []>("SELECT min(date) AS date FROM files WHERE role = 'audit'")
        .get()?.date ?? "";
  }

  /** @param rows whether rows are read, where that needs no download, to say where in a segment a hole is */
  async run(connection: DuckDBConnection, rows: boolean): Promise<SequenceFindings> {
    this.#followRings();
    findDoubles(this.#catalog, this.#sources);
    this.#pendingSegments += await findHolesOfDivided(
      connection,
      this.#catalog,
      this.#sources,
      rows,
      (segment) => this.#isPartial(segment),
    );
    this.#judgeHoles();
    return {
      pendingSegments: this.#pendingSegments,
      pendingHoles: this.#pendingHoles,
      beheaded: this.#beheaded,
      missing: this.#catalog.number("SELECT sum(missing) FROM holes"),
      counted: this.#catalog.number(`SELECT sum(missed) FROM gaps g WHERE reason = 'overflow' AND EXISTS (
        SELECT 1 FROM files f WHERE f.role = 'audit' AND f.exchange = g.exchange AND f.stream = g.stream
          AND f.instance = g.instance AND f.first_us <= g.to_us AND f.last_us >= g.from_us)`),
    };
  }

  #followRings(): void {
    const files = this.#catalog.db.query<CatalogFile, []>(
      "SELECT * FROM segments ORDER BY run, ring, first_seq, n, key",
    );
    let before: CatalogFile | null = null;
    for (const file of files.iterate()) {
      const follows = before !== null && before.run === file.run && before.ring === file.ring;
      if (!follows || before === null) this.#begin(file);
      else this.#follow(before, file);
      // Of two that overlap the one that reaches further is the one to go on from.
      if (!follows || before === null || (file.last_seq ?? file.n) >= (before.last_seq ?? before.n))
        before = file;
    }
  }

  #begin(file: CatalogFile): void {
    const { run, n, first_seq } = file;
    if (n === 0 && (first_seq ?? 0) === 0) return;
    const started = Number(/-(\d+)-[a-z0-9]{4}$/.exec(run)?.[1] ?? file.first_us);
    const day = dateOf(started);
    if (this.#selection.from !== null && day < this.#selection.from) return;
    // Deleted by the retention, for example. Who deleted it otherwise is found by ledger and manifest.
    if (day < this.#firstDay) {
      this.#beheaded++;
      return;
    }
    this.#missing(file, { n: -1, lastSeq: -1, lastUs: started });
  }

  #follow(before: CatalogFile, file: CatalogFile): void {
    if (before.first_seq === null || file.first_seq === null) {
      if (file.n === before.n) this.#double(before, file, `it is segment ${file.n} as well`);
      else if (file.n > before.n + 1)
        this.#missing(file, { n: before.n, lastSeq: -1, lastUs: before.last_us ?? 0 });
      return;
    }
    const last = before.last_seq ?? 0;
    if (file.first_seq <= last) {
      const upTo = Math.min(last, file.last_seq ?? last);
      this.#double(before, file, `seq ${file.first_seq} to ${upTo} are within those of that file`);
    } else if (file.first_seq > last + 1) {
      this.#missing(file, { n: before.n, lastSeq: last, lastUs: before.last_us ?? 0 });
    }
  }

  #double(before: CatalogFile, file: CatalogFile, what: string): void {
    this.#catalog.fault({
      kind: "duplicate",
      file: file.key,
      where: this.#where(file),
      message: `its rows are there twice: ${before.key} is of the same run and ring, and ${what}`,
      mend: "keep the one whose name agrees with its metadata and with the ledger or manifest; move the other one out of the lake",
    });
  }

  /** Numbers, or segments, are missing before a file. */
  #missing(file: CatalogFile, before: { n: number; lastSeq: number; lastUs: number }): void {
    const { run, ring, n, first_us, first_seq, key } = file;
    // One that is not whole yet may still get the rows before or behind: it is counted once, where it is looked at.
    if (this.#isPartial(file) || this.#isPartial({ run, ring, n: before.n })) return;
    const absent = this.#absent(run, ring, before.n + 1, n - 1);
    const inFlight = absent.filter((number) => this.#isFlying(run, ring, number)).length;
    if (n > before.n + 1 && absent.length === 0) return; // The files between are there, and faults of their own.
    if (inFlight > 0 || (absent.length > 0 && this.#mayCome(file))) {
      this.#pendingSegments += Math.max(inFlight, 1);
      return;
    }
    const segments = absent.length === 0 ? "" : span(absent[0] ?? 0, absent.at(-1) ?? 0);
    if (first_seq === null) {
      this.#catalog.fault({
        kind: "sequence",
        file: key,
        where: this.#where(file),
        message: `segment ${segments} before it is missing (ring ${ring} of ${run})`,
        mend: MISSING_MEND,
      });
      return;
    }
    this.#catalog.hole({
      key,
      segments,
      firstSeq: before.lastSeq + 1,
      missing: first_seq - before.lastSeq - 1,
      from: before.lastUs,
      to: first_us,
    });
  }

  /** Segments of which the lakes have no file, not even a broken one; bounded: of a long row the ends are named. */
  #absent(run: string, ring: number, from: number, to: number): number[] {
    const has = this.#catalog.db.query(
      "SELECT 1 FROM files WHERE run = ? AND ring = ? AND n = ? AND NOT sound",
    );
    const absent: number[] = [];
    for (let n = from; n <= to && absent.length < ABSENT_MAX; n++)
      if (has.get(run, ring, n) === null) absent.push(n);
    if (absent.length === ABSENT_MAX) absent.push(to);
    return absent;
  }

  #isFlying(run: string, ring: number, n: number): boolean {
    return (
      this.#catalog.db
        .query("SELECT 1 FROM flights WHERE run = ? AND ring = ? AND n = ?")
        .get(run, ring, n) !== null
    );
  }

  /** Whether a segment has a file for each symbol, and some of them may still come. */
  #isPartial({ run, ring, n }: Pick<CatalogFile, "run" | "ring" | "n">): boolean {
    const segment = this.#catalog.db
      .query<{ last_us: number | null }, [string, number, number]>(
        "SELECT last_us FROM divided WHERE run = ? AND ring = ? AND n = ?",
      )
      .get(run, ring, n);
    if (segment === null) return false;
    const known = this.#catalog.db.query("SELECT 1 FROM runs WHERE run = ?").get(run) !== null;
    return this.#isFlying(run, ring, n) || (!known && this.#isYoung(segment.last_us ?? 0));
  }

  /** Whether a segment before this file may still come, although nobody who was asked knows of it. */
  #mayCome({ run, key, last_us }: CatalogFile): boolean {
    if (!this.#isYoung(last_us ?? 0)) return false;
    const known = this.#catalog.db.query("SELECT 1 FROM runs WHERE run = ?").get(run) !== null;
    // When this file was published, the ledger had those before it: only of one that came since it may not tell.
    return (
      !known ||
      this.#catalog.db.query("SELECT 1 FROM claims WHERE key = ? AND by = 'the ledger'").get(key) === null
    );
  }

  #isYoung(us: number): boolean {
    return us > this.#time.now - this.#time.grace;
  }

  /** Each hole has to be told of by a row of `gaps`, and there must not be more numbers missing than drops were counted. */
  #judgeHoles(): void {
    const holes = this.#catalog.db.query<HoleRow, []>(
      `SELECT f.*, h.segments, h.first_seq AS hole, h.missing, h.to_us, (
         -- 0 = nothing tells of it, 1 = overflow alone, 2 = something that does not count each row
         SELECT ifnull(max(iif(g.reason = 'overflow' AND g.missed IS NOT NULL, 1, 2)), 0) FROM gaps g
         WHERE g.instance = f.instance AND g.exchange = f.exchange AND g.stream = f.stream
           AND g.reason IN ${REASONS} AND (h.segments = '' OR g.reason <> 'overflow')
           AND ifnull(g.from_us, 0) <= h.to_us AND ifnull(g.to_us, h.to_us) >= h.from_us
       ) AS told
       FROM holes h JOIN files f USING (key)`,
    );
    const dropped = new Map<string, Dropped>();
    for (const hole of holes.iterate()) {
      if (hole.told === 0) {
        this.#untold(hole);
      } else if (hole.told === 1) {
        const { instance, exchange, stream, missing } = hole;
        const lane = `${instance} ${exchange} ${stream}`;
        const known = dropped.get(lane) ?? { instance, exchange, stream, missing: 0 };
        dropped.set(lane, { ...known, missing: known.missing + missing });
      }
    }
    for (const lane of dropped.values()) this.#compareSum(lane);
  }

  #untold(hole: HoleRow): void {
    const { key, segments, missing, run, ring, to_us } = hole;
    const ended =
      this.#catalog.db.query<{ ended: number }, [string]>("SELECT ended FROM runs WHERE run = ?").get(run)
        ?.ended === 1;
    if (segments === "" && !ended && this.#isYoung(to_us)) {
      this.#pendingHoles++;
      return;
    }
    const numbers = `seq ${span(hole.hole, hole.hole + missing - 1)} of ring ${ring} of ${run}`;
    const [message, mend] =
      segments === ""
        ? [
            `${missing} rows are missing in or before it (${numbers}, or within), and no row of gaps tells of it`,
            HOLE_MEND,
          ]
        : [
            `segment ${segments} before it is missing (${numbers}), and no row of gaps tells of it`,
            MISSING_MEND,
          ];
    this.#catalog.fault({ kind: "sequence", file: key, where: this.#where(hole), message, mend });
  }

  #compareSum({ instance, exchange, stream, missing }: Dropped): void {
    const row = this.#catalog.db
      .query<{ counted: number }, [string, string, string]>(
        `SELECT ifnull(sum(missed), 0) AS counted FROM gaps
         WHERE reason = 'overflow' AND instance = ? AND exchange = ? AND stream = ?`,
      )
      .get(instance, exchange, stream);
    const counted = row?.counted ?? 0;
    // Drops behind the last row of a ring are counted and leave no hole.
    if (missing <= counted || this.#pendingHoles > 0) return;
    this.#catalog.fault({
      kind: "sequence",
      file: `exchange=${exchange}/stream=${stream}`,
      where: this.#sources.map(({ where }) => where).join(", "),
      message: `${missing} numbers are missing in seq where rings were full (instance ${instance}), and gaps counts ${counted} drops`,
      mend: HOLE_MEND,
    });
  }

  #where({ source }: CatalogFile): string {
    return this.#sources[source]?.where ?? "";
  }
}

/** Missing segments of one hole that are looked at one by one. */
const ABSENT_MAX = 1000;

const HOLE_MEND =
  "look into the log of that time (gap, gaps_folded); if a file of gaps was deleted bring it back, otherwise take the span as lost and report it: it is an error of tapedeck";
const MISSING_MEND =
  "bring the file back from the other destination or from a copy, or start the recorder of that data folder if its journal or outbox holds it";

function span(from: number, to: number): string {
  return from === to ? String(from) : `${from} to ${to}`;
}
