/** What a run makes of what the ledger and the journals say of the runs before it. */
import { rm } from "node:fs/promises";
import { STREAM_NAMES } from "../events/streams.ts";
import type { Clock } from "../ingest/clock.ts";
import type { GapNotice } from "../ingest/messages.ts";
import type { Logger } from "../status/log.ts";
import { datasetRowsOf } from "../storage/journal/dataset-rows.ts";
import type { JournaledSegment } from "../storage/journal/recovery.ts";
import type { EarlierRecording, KeptGap, Ledger } from "../storage/ledger.ts";
import type { DrainThread } from "./drain-thread.ts";
import { untoldDrops } from "./drops.ts";
import { gapsOfHoles } from "./journals.ts";
import type { LedgerNotes } from "./ledger-notes.ts";
import type { OpenedRun } from "./opened-run.ts";
import type { RunRing } from "./rings.ts";

/**
 * Brings the ledger up to what the journals say, and begins the run in it.
 *
 * @returns how earlier runs left each stream, and what is missing in their journals
 */
export function beginAfterEarlier(
  { run, began, ledger, journals }: Pick<OpenedRun, "run" | "began" | "ledger" | "journals">,
  rings: readonly RunRing[],
  notes: LedgerNotes,
  log: Logger,
): { readonly earlier: readonly EarlierRecording[]; readonly holes: readonly GapNotice[] } {
  // Before the ledger takes note of the journals.
  const holes = notes.note(() => gapsOfHoles(journals.holes, ledger)) ?? [];
  notes.note(() => {
    const events = journals.ends.filter(({ stream }) => STREAM_NAMES.some((name) => name === stream));
    const adopted = ledger.adopt(events);
    const meaning = "it is an older copy, or the one before was lost: what it knew is taken from journals";
    if (adopted.length > 0) log.warn("ledger_behind", { runs: adopted, meaning });
    for (const { run: one, lastLocal, ...ring } of journals.ends) ledger.journaled(ring, one, lastLocal);
    ledger.settleHoles();
    ledger.keepUntold(untoldDrops(journals, ledger));
  });
  const earlier = notes.note(() => ledger.begin(run, began, rings)) ?? [];
  return { earlier, holes };
}

/**
 * Brings rows of gaps that earlier runs could not bring into a file on their way: those of the ledger, and those
 * that stand in a journal only, should the ledger have been lost.
 *
 * @param journals those of gaps, which are removed when their rows stand in others
 */
export async function recoverGaps(
  journals: readonly JournaledSegment[],
  context: {
    readonly ledger: Ledger;
    readonly notes: LedgerNotes;
    readonly drain: DrainThread;
    readonly clock: Clock;
    readonly log: Logger;
  },
): Promise<void> {
  const { ledger, notes, drain, clock, log } = context;
  const journaled = journals.flatMap(({ path, exchange }) =>
    datasetRowsOf(path).map((row) => ({ exchange, row })),
  );
  const kept = notes.note(() => ledger.takeGaps());
  // All stays as it is, for the next start.
  if (kept === undefined) return;
  const words = (gap: KeptGap) => JSON.stringify([gap.exchange, gap.row]);
  const known = new Set(kept.map(words));
  // Once each: a run that was killed while it took them over left them in two journals.
  const others = journaled.filter((gap) => !known.has(words(gap)) && known.add(words(gap)));
  // Where one cannot be noted, on a full disk, it comes into a file all the same.
  for (const { exchange, row } of others) notes.note(() => ledger.keepGaps(exchange, [row]));
  const now = clock.now();
  for (const [exchange, gaps] of Map.groupBy([...kept, ...others], (gap) => gap.exchange)) {
    log.info("gaps_recovered", { exchange, count: gaps.length });
    drain.addRows(
      exchange,
      "gaps",
      gaps.map(({ row }) => row),
      now,
    );
  }
  // Not before they stand in journals of this run: of the ledger alone the only copy may be lost.
  void drain.settled().then(async () => {
    for (const { path } of journals)
      await rm(path, { force: true }).catch((error: unknown) =>
        log.error("journal_stays", { path, error: String(error) }),
      );
  });
}
