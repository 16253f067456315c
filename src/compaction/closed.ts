/** Whether a day is closed: nothing of it can come into the lake any more. */
import { Database } from "bun:sqlite";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { formatDuration } from "../config/units.ts";
import { JournalError, parseJournalName } from "../storage/journal/format.ts";
import { JournalReader } from "../storage/journal/reader.ts";
import { dateOf, keyOfOutboxName, parseKey } from "../storage/names.ts";
import { CompactionError } from "./steps.ts";

/** How long a lock of the recorder is waited for, ms. */
const BUSY_MS = 5000;
const DAY_MS = 86_400_000;

/** @param now epoch ms @param grace ms @throws CompactionError while the day is not over for `grace` */
export function checkOver(date: string, now: number, grace: number): void {
  const over = Date.parse(`${date}T00:00:00Z`) + DAY_MS + grace;
  if (now < over)
    throw new CompactionError(
      `${date} is not closed: it may be compacted from ${new Date(over).toISOString()} on ` +
        `(the end of the day and compaction.grace, ${formatDuration(grace)})`,
    );
}

/** What the data folder's own recorder has published; and why a part of the day is still open. */
export class DayState {
  readonly #open = new Map<string, string>();
  readonly #db: Database | null;

  /** Looks into journals, outbox and ledger, in the order in which a file goes through them. */
  constructor(data: string, date: string) {
    for (const name of namesIn(join(data, "journal"))) this.#journal(join(data, "journal", name), name, date);
    for (const name of namesIn(join(data, "outbox"))) {
      const parts = parseKey(keyOfOutboxName(name.replace(/^\.(.*)\.\d+\.tmp$/, "$1")));
      if (parts?.date === date) this.#note(parts, "a file of it waits in the outbox");
    }
    const path = join(data, "ledger.db");
    this.#db = existsSync(path) ? new Database(path, { readonly: true }) : null;
    this.#db?.run(`PRAGMA busy_timeout = ${BUSY_MS}`);
    const unfinished = this.#db
      ?.query<{ exchange: string; stream: string; state: string }, [string]>(
        `SELECT DISTINCT exchange, stream, state FROM files WHERE date = ?
         AND (state IN ('sealed', 'copied', 'uploading', 'unknown') OR (state = 'published' AND doubtful <> '[]'))`,
      )
      .all(date);
    for (const row of unfinished ?? [])
      this.#note(
        row,
        row.state === "published"
          ? "a copy of a file of it may still arrive in the other destination"
          : `by the ledger a file of it is ${row.state}`,
      );
  }

  /** Whether there is a ledger to ask. */
  get hasLedger(): boolean {
    return this.#db !== null;
  }

  /** Why the day of a stream is open; null = it is closed. */
  open(exchange: string, stream: string): string | null {
    return this.#open.get(`${exchange} ${stream}`) ?? null;
  }

  /** SHA-256 of a file that was published, hexadecimal; null = not known. */
  sha256(key: string): string | null {
    const row = this.#db
      ?.query<{ sha256: string | null }, [string]>(
        "SELECT sha256 FROM files WHERE key = ? AND state = 'published'",
      )
      .get(key);
    return row?.sha256 ?? null;
  }

  close(): void {
    this.#db?.close();
  }

  #note({ exchange, stream }: { exchange: string; stream: string }, why: string): void {
    this.#open.set(`${exchange} ${stream}`, why);
  }

  /** A segment has rows of one day only, so its first ones tell. */
  #journal(path: string, name: string, date: string): void {
    const parts = parseJournalName(name);
    if (parts === null) return;
    try {
      using reader = JournalReader.open(path);
      for (const { head } of reader.records()) {
        if (head.rows === 0) continue;
        if (dateOf(head.firstLocal) === date)
          this.#note(parts, `the journal ${name} holds rows of it: its recorder makes a file of them`);
        return;
      }
    } catch (error) {
      // It became a file meanwhile; the ledger, read after it, knows. One that is damaged the recorder puts aside.
      const code = error instanceof Error && "code" in error ? error.code : null;
      if (code !== "ENOENT" && !(error instanceof JournalError)) throw error;
    }
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
}
