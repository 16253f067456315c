import type { Logger } from "../status/log.ts";
import type { FileLedger } from "../storage/ledger-files.ts";
import { expireDays } from "../storage/retention.ts";

/** How often days that are over are looked for, ms. */
const EVERY = 60 * 60_000;

/** Keeps a local lake to the last `keep` ms; returns what ends that. */
export function keepRetention(lake: string, keep: number, ledger: FileLedger, log: Logger): () => void {
  let working = false;
  const failed = (error: unknown) =>
    log.error("retention_failed", { error: error instanceof Error ? error.message : String(error) });
  const note = (date: string) => {
    try {
      ledger.expired("local", date);
    } catch (error) {
      failed(error);
    }
  };
  const look = async () => {
    if (working) return;
    working = true;
    try {
      for (const { date, folders } of await expireDays(lake, keep, Date.now(), note)) {
        // On a full disk it could not be noted before there was room.
        note(date);
        log.info("day_deleted", { date, folders, why: "lake.retention" });
      }
    } catch (error) {
      failed(error);
    }
    working = false;
  };
  void look();
  const timer = setInterval(look, EVERY);
  return () => clearInterval(timer);
}
