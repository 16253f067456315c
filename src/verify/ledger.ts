/** Reads the ledger of a data folder for an audit, also while a recorder writes it. */
import { Database } from "bun:sqlite";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { parseJournalName } from "../storage/journal/format.ts";
import { instanceOf, keyOfOutboxName, parseKey } from "../storage/names.ts";
import type { Catalog } from "./catalog.ts";
import { roleOf, type Selection } from "./selection.ts";
import type { LakeSource } from "./source.ts";

/** How long a lock of the recorder is waited for, ms. */
const BUSY_MS = 5000;

interface FileRow {
  key: string;
  state: string;
  run: string;
  ring: number;
  n: number;
  rows: number | null;
  bytes: number | null;
  sha256: string | null;
  destination: string | null;
}

/** A row of gaps that is in no file yet; times in µs. */
const keptGap = z.object({
  affected_stream: z.string(),
  symbol: z.string().nullish(),
  from_timestamp: z.number().nullish(),
  to_timestamp: z.number().nullish(),
  reason: z.string(),
  certainty: z.string(),
  missed: z.number().nullish(),
  first_id: z.string().nullish(),
});

/** What became of a file by the ledger, now. */
export interface LedgerWord {
  readonly state: string;
  readonly destination: string | null;
}

/** A ledger opened to read only. */
export class LedgerReader {
  readonly #db: Database;

  private constructor(
    readonly path: string,
    db: Database,
  ) {
    this.#db = db;
  }

  /** @throws Error that says why it cannot be read */
  static open(path: string): LedgerReader {
    const db = new Database(path, { readonly: true });
    try {
      db.run(`PRAGMA busy_timeout = ${BUSY_MS}`);
      db.query("SELECT count(*) FROM files").get();
      return new LedgerReader(path, db);
    } catch (error) {
      db.close();
      throw error;
    }
  }

  /**
   * Brings what it says into the catalog: published files, segments on their way, runs and their ends, gaps that are in no
   * file yet. Resolves to the number of published files that are at none of these lakes.
   */
  gather(catalog: Catalog, sources: readonly LakeSource[], selection: Selection): number {
    let elsewhere = 0;
    for (const row of this.#db.query<FileRow, []>("SELECT * FROM files").iterate()) {
      if (["sealed", "copied", "uploading", "unknown"].includes(row.state)) catalog.flight(row);
      if (row.state !== "published") continue;
      const parts = parseKey(row.key);
      if (parts === null || roleOf(selection, parts) !== "audit") continue;
      const source = sources.findIndex(({ name }) => name === row.destination);
      if (source < 0) elsewhere++;
      else catalog.claim({ ...row, by: "the ledger", source });
    }
    const runs = this.#db
      .query<{ run: string; started: number; ended: number | null; clean: number }, []>(
        "SELECT run, started, ended, clean FROM runs ORDER BY started",
      )
      .all();
    for (const { run, ended, clean } of runs) {
      const over = ended !== null && clean === 1;
      catalog.db.query("INSERT OR REPLACE INTO runs VALUES (?, ?)").run(run, over ? 1 : 0);
    }
    const newest = runs.at(-1);
    if (newest !== undefined) this.#gaps(catalog, instanceOf(newest.run));
    return elsewhere;
  }

  #gaps(catalog: Catalog, instance: string): void {
    const rows = this.#db.query<{ exchange: string; row: string }, []>("SELECT exchange, row FROM gaps");
    for (const { exchange, row } of rows.iterate()) {
      const parsed = keptGap.safeParse(JSON.parse(row));
      if (!parsed.success) continue;
      const { affected_stream, symbol, from_timestamp, to_timestamp, reason, certainty, missed, first_id } =
        parsed.data;
      catalog.gap({
        instance,
        exchange,
        stream: affected_stream,
        symbol: symbol ?? null,
        from: floor(from_timestamp),
        to: floor(to_timestamp),
        reason,
        certainty,
        missed: missed ?? null,
        firstId: first_id ?? null,
      });
    }
  }

  /** What it says of a file now; null = nothing. */
  word(key: string): LedgerWord | null {
    return this.#db
      .query<LedgerWord, [string]>("SELECT state, destination FROM files WHERE key = ?")
      .get(key);
  }

  close(): void {
    this.#db.close();
  }
}

/** As it stands in a file. */
function floor(us: number | null | undefined): number | null {
  return us === null || us === undefined ? null : Math.floor(us);
}

/** Segments whose file is not published yet: they stand in the outbox or in a journal of the data folder. */
export function gatherFlights(catalog: Catalog, data: string): void {
  for (const name of namesIn(join(data, "outbox"))) {
    // Also one that is still being written: `.<name>.<attempt>.tmp`.
    const parts = parseKey(keyOfOutboxName(name.replace(/^\.(.*)\.\d+\.tmp$/, "$1")));
    if (parts !== null) catalog.flight(parts);
  }
  for (const name of namesIn(join(data, "journal"))) {
    const parts = parseJournalName(name);
    if (parts !== null) catalog.flight(parts);
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
