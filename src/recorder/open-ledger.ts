import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "../status/log.ts";
import type { DataFolder } from "../storage/folder.ts";
import { Ledger, LedgerError } from "../storage/ledger.ts";
import type { Quarantine } from "../storage/quarantine.ts";

/** What SQLite keeps beside a database. */
const PARTS = ["", "-wal", "-shm"];

/**
 * Opens the ledger of a data folder. It never stops a start: a damaged one goes to quarantine, and where none can
 * be written (a full disk) it stays as it is and the run does without; either way the next gaps begin with this run.
 */
export async function openLedger(folder: DataFolder, quarantine: Quarantine, log: Logger): Promise<Ledger> {
  const path = join(folder.root, "ledger.db");
  try {
    return Ledger.open(path);
  } catch (error) {
    if (!(error instanceof LedgerError)) throw error;
    const { message: reason, damaged } = error;
    try {
      if (!damaged) throw error;
      for (const part of PARTS) {
        if (!existsSync(path + part)) continue;
        const now = await quarantine.moveFile(path + part);
        log.error("file_quarantined", { path: path + part, now, reason });
      }
      return Ledger.open(path);
    } catch (again) {
      const why = again instanceof Error ? again.message : String(again);
      log.error("ledger_missing", { why, meaning: "the next run will not know where this one ended" });
      return Ledger.open(":memory:");
    }
  }
}
