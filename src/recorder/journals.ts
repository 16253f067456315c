/** What the recorder makes of what it finds in the journals of earlier runs. */
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { STREAM_NAMES } from "../events/streams.ts";
import type { GapNotice } from "../ingest/messages.ts";
import type { Logger } from "../status/log.ts";
import { readFooter } from "../storage/footer.ts";
import type { JournalHole, JournalNotice } from "../storage/journal/recovery.ts";
import type { Ledger } from "../storage/ledger.ts";
import type { FileLedger } from "../storage/ledger-files.ts";
import { beginOf, fileId, type KeyParts, parseKey } from "../storage/names.ts";
import type { Leftovers } from "../storage/outbox.ts";
import type { Quarantine } from "../storage/quarantine.ts";

/** Log lines about journals. */
export function logJournals(log: Logger, notices: readonly JournalNotice[]): void {
  for (const { event, ...fields } of notices) {
    if (event === "journal_removed") log.info(event, fields);
    else log.warn(event, fields);
  }
}

/**
 * Gaps for what is missing in the journals of earlier runs.
 *
 * @param ledger before it takes note of the journals: a hole may begin at the last row in a file
 */
export function gapsOfHoles(holes: readonly JournalHole[], ledger: Ledger): readonly GapNotice[] {
  return holes.flatMap(({ exchange, stream: name, run, ring, reason, from, to, missed }) => {
    const stream = STREAM_NAMES.find((one) => one === name);
    if (stream === undefined) return [];
    const since = from ?? ledger.untilOf({ exchange, stream, ring }, run) ?? beginOf(run);
    return [
      {
        exchange,
        stream,
        instrument: null,
        reason,
        certainty: "lost",
        from: since,
        to,
        firstId: null,
        lastId: null,
        missed,
      } as const,
    ];
  });
}

/**
 * Gaps for rows that stood in a journal or a file that was damaged, or taken away, before it reached a destination;
 * none for a dataset.
 */
export function gapsOfLost(
  exchange: string,
  name: string,
  lost: readonly { readonly from: number | null; readonly to: number; readonly rows: number | null }[],
): readonly GapNotice[] {
  const stream = STREAM_NAMES.find((one) => one === name);
  if (stream === undefined) return [];
  return lost.map(({ from, to, rows }) => ({
    exchange,
    stream,
    instrument: null,
    reason: "quarantine",
    certainty: "lost",
    from,
    to,
    firstId: null,
    lastId: null,
    missed: rows,
  }));
}

/**
 * Moves files of the outbox that cannot be published into quarantine. One of ours that nobody knows any more is noted
 * in the ledger: it is looked for at the destinations, and if it is not there, its rows are told as lost.
 */
export async function putAside(
  { foreign, others }: Pick<Leftovers, "foreign" | "others">,
  context: { readonly quarantine: Quarantine; readonly ledger: Ledger; readonly log: Logger },
): Promise<void> {
  const { quarantine, ledger, log } = context;
  for (const { path, key, writtenUs } of foreign) {
    const now = await quarantine.moveFile(path);
    const reason =
      key === null ? "an unfinished or foreign file in the outbox" : "it is cut off, or no Parquet file";
    log.warn("file_quarantined", { path, now, reason });
    if (key === null) continue;
    try {
      const nothing = { rows: null, firstSeq: null, lastSeq: null, bytes: null, sha256: null };
      // Its rows came before it was written.
      if (ledger.files.get(key) === null) ledger.files.copied({ key, lastLocal: writtenUs, ...nothing });
    } catch (error) {
      log.error("ledger_failed", { error: error instanceof Error ? error.message : String(error) });
    }
  }
  for (const path of others)
    log.warn("foreign_entry", { path, why: "no file, and not ours: it is left where it is" });
}

/**
 * Rows of gaps stand in the ledger until they are in a file. A run that was killed in the instant between file and
 * ledger left its last file unknown to that: its rows are not to be written again.
 */
export async function noteGapsFiled(
  { files }: Pick<Leftovers, "files">,
  ledger: Ledger,
  log: Logger,
): Promise<void> {
  for (const { key, path } of files) {
    const parts = parseKey(key);
    if (parts?.stream !== "gaps") continue;
    try {
      if (ledger.files.get(key) !== null) continue;
      const footer = await readFooter(path);
      if (footer !== null) ledger.gapsFiledBefore(parts.exchange, footer.rows);
    } catch (error) {
      log.error("ledger_failed", { error: error instanceof Error ? error.message : String(error) });
    }
  }
}

/**
 * Whether a file of a segment need not be written any more: it is in the outbox, published by the ledger, or in the
 * folder's own lake. Buckets are not asked here, for recording must not wait for them: what the ledger does not know the
 * uploader asks them before it sends it.
 */
export function publishedBefore(
  { files }: Pick<Leftovers, "files">,
  ledger: FileLedger,
  lake: string,
  log: Logger,
): (lakeKey: string) => boolean {
  const outbox = new Set(files.map(({ key }) => idOf(key)));
  let known: { readonly segment: string; readonly ids: ReadonlySet<string | null> } | null = null;
  return (lakeKey) => {
    const parts = parseKey(lakeKey);
    const id = idOf(lakeKey);
    if (parts === null || id === null) return false;
    if (outbox.has(id) || isInLake(lake, lakeKey, parts)) return true;
    const segment = fileId(parts, null);
    try {
      // A segment is asked for once for each of its symbols.
      if (known?.segment !== segment) {
        const published = ledger.ofSegment(parts).filter(({ state }) => state === "published");
        known = { segment, ids: new Set(published.map(({ key }) => idOf(key))) };
      }
      return known.ids.has(id);
    } catch (error) {
      log.error("ledger_failed", { error: error instanceof Error ? error.message : String(error) });
      return false;
    }
  };
}

function idOf(key: string): string | null {
  const parts = parseKey(key);
  return parts === null ? null : fileId(parts, parts.symbol);
}

/** Also under the name of another first row: what was lost of its journal since was in the file. */
function isInLake(lake: string, lakeKey: string, { symbol, run, ring, n }: KeyParts): boolean {
  const path = join(lake, lakeKey);
  if (existsSync(path)) return true;
  const folder = dirname(path);
  if (symbol === null || !existsSync(folder)) return false;
  return readdirSync(folder).some((name) => name.endsWith(`_${run}_${ring}_${n}.parquet`));
}
