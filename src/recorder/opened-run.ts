import type { Settings } from "../config/schema.ts";
import { prepareNative } from "../lib/native/load.ts";
import type { Logger } from "../status/log.ts";
import { openChain } from "../storage/destinations/chain.ts";
import type { Destination } from "../storage/destinations/destination.ts";
import { type DataFolder, type FolderLock, lockFolder, openFolder } from "../storage/folder.ts";
import { type JournalRecovery, recoverJournals } from "../storage/journal/recovery.ts";
import type { Ledger } from "../storage/ledger.ts";
import { newRun } from "../storage/names.ts";
import { type Leftovers, readOutbox } from "../storage/outbox.ts";
import { Quarantine } from "../storage/quarantine.ts";
import { RingFolders } from "../storage/rings/folders.ts";
import { type RescueNotice, rescueRings } from "../storage/rings/rescue.ts";
import { checkDestinations } from "./destinations.ts";
import { noteGapsFiled, publishedBefore, putAside } from "./journals.ts";
import { openLedger } from "./open-ledger.ts";
import { openRings, type RingStore, rescueBounds } from "./ring-store.ts";

/** All that has to be open before a run can record, and what was found there of runs before. */
export interface OpenedRun {
  readonly run: string;
  /** When it began, µs. */
  readonly began: number;
  readonly folder: DataFolder;
  readonly lock: FolderLock;
  readonly chain: readonly Destination[];
  readonly quarantine: Quarantine;
  readonly ledger: Ledger;
  /** What is in the outbox. */
  readonly leftovers: Leftovers;
  /** What became of rings that were left in files. */
  readonly rescued: readonly RescueNotice[];
  readonly journals: JournalRecovery;
  readonly rings: RingStore;
}

/**
 * Opens the data folder and the destinations, and sorts out what runs before have left there.
 *
 * @param ending breaks off what may take long
 * @throws FolderError when the data folder, or that of rings in files, cannot be used
 * @throws PreflightError when a destination cannot be used as it is set
 * @throws NativeError when this is a single executable and there is no place for its native parts
 */
export async function openRun(settings: Settings, log: Logger, ending?: AbortSignal): Promise<OpenedRun> {
  const folder = openFolder(settings.data);
  const began = Date.now() * 1000;
  const run = newRun(settings.instance, began);
  const lock = lockFolder(folder, run);
  const chain = await openChain(settings, folder.lake);
  try {
    prepareNative(settings);
    await checkDestinations(chain, settings, log, ending);
  } catch (error) {
    for (const destination of chain) destination.close();
    lock.release();
    throw error;
  }
  const quarantine = await Quarantine.open(folder.quarantine, run, settings.quarantine.max_bytes);
  const ledger = await openLedger(folder, quarantine, log);
  const leftovers = await readOutbox(folder.outbox);
  await putAside(leftovers, { quarantine, ledger, log });
  await noteGapsFiled(leftovers, ledger, log);
  const aside = {
    published: publishedBefore(leftovers, ledger.files, folder.lake, log),
    quarantine: (path: string) => quarantine.moveFile(path),
  };
  // First what killed runs left in rings: it comes into their journals.
  const folders = new RingFolders(folder.root);
  const rescue = { ...aside, folders, journal: folder.journal, bounds: rescueBounds(settings) };
  const rescued = await rescueRings(rescue);
  const journals = await recoverJournals({ ...aside, folder: folder.journal });
  try {
    const rings = openRings(settings, folders, run);
    return { run, began, folder, lock, chain, quarantine, ledger, leftovers, rescued, journals, rings };
  } catch (error) {
    ledger.close();
    for (const destination of chain) destination.close();
    lock.release();
    throw error;
  }
}
