/**
 * What becomes of the rings that a killed run left in files: see docs/journal.md. Their rows are brought into the
 * journals of that run, from which they become files like any others.
 */
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { LAYOUTS, LOCAL, SYMBOL } from "../../events/layout.ts";
import { STREAM_NAMES, type Stream } from "../../events/streams.ts";
import { bootNow, isSameBoot } from "../../lib/boot.ts";
import { RingConsumer } from "../../ring/consumer.ts";
import { findRing, RingFileError, settleRing, UNFINISHED } from "../../ring/file.ts";
import { COUNTER, viewsOf } from "../../ring/memory.ts";
import { isFileError } from "../files.ts";
import type { JournalSymbols } from "../journal/format.ts";
import { skipJournaled } from "../taken-over.ts";
import { RingFolders } from "./folders.ts";
import {
  isRingFileName,
  type RingAbout,
  readAbout,
  readSymbols,
  ringFileName,
  runOfSymbols,
  symbolsFileName,
} from "./format.ts";
import { type JournalContext, RescueJournal, type RescueStep } from "./rescue-journal.ts";

/** Something to be told about the file of a ring. */
export type RescueNotice =
  /** Its rows are in a journal; `dropped` = events behind the last of them that had found it full. */
  | { readonly event: "ring_rescued"; readonly path: string; readonly rows: number; readonly dropped: number }
  /** Its rows are not in a journal; `kept` = they will be tried again at the next start. */
  | {
      readonly event: "ring_not_rescued";
      readonly path: string;
      readonly why: string;
      readonly kept: boolean;
    }
  | { readonly event: "foreign_entry"; readonly path: string; readonly why: string }
  | {
      readonly event: "file_quarantined";
      readonly path: string;
      readonly now: string;
      readonly reason: string;
    };

/** What a rescue needs of others. */
export interface RescueContext extends JournalContext {
  readonly folders: RingFolders;
  /** Moves a file that cannot be used out of the way; resolves to where it is now. */
  quarantine(path: string): Promise<string>;
  /** Tests end the process at a step. */
  readonly step?: (step: RescueStep) => void;
}

/**
 * Takes over the rings that are left in files, of which no one may be open. It can be repeated after any interruption:
 * rows that are in a journal already are known by their seq.
 */
export async function rescueRings(context: RescueContext): Promise<readonly RescueNotice[]> {
  const notices: RescueNotice[] = [];
  for (const folder of context.folders.all) {
    if (!existsSync(folder)) {
      context.folders.leave(folder);
      continue;
    }
    notices.push(...(await rescueFolder(folder, context)));
    context.folders.leave(folder);
  }
  return notices;
}

async function rescueFolder(folder: string, context: RescueContext): Promise<RescueNotice[]> {
  const notices: RescueNotice[] = [];
  const runs: string[] = [];
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const { name } = entry;
    const path = join(folder, name);
    if (!entry.isFile()) {
      notices.push({ event: "foreign_entry", path, why: "no file, and not ours: it is left where it is" });
    } else if (isRingFileName(name)) {
      notices.push(...(await rescueFile(folder, name, context)));
    } else if (name.endsWith(UNFINISHED) && isRingFileName(name.slice(0, -UNFINISHED.length))) {
      // A run that did not come to begin: nothing was in it.
      rmSync(path);
    } else if (runOfSymbols(name) !== null) {
      runs.push(name);
    } else if (!RingFolders.isList(name)) {
      const now = await context.quarantine(path);
      notices.push({ event: "file_quarantined", path, now, reason: "a foreign file in the folder of rings" });
    }
  }
  // Symbols are needed as long as there is a ring of their run.
  const left = readdirSync(folder).filter(isRingFileName);
  for (const name of runs)
    if (!left.some((ring) => ring.includes(`~${runOfSymbols(name)}~`))) rmSync(join(folder, name));
  return notices;
}

async function rescueFile(folder: string, name: string, context: RescueContext): Promise<RescueNotice[]> {
  const path = join(folder, name);
  try {
    return await rescueRing(folder, name, context);
  } catch (error) {
    if (isFileError(error)) {
      // On a full disk, say: the ring stays as it is, for the next start.
      const why = error instanceof Error ? error.message : String(error);
      return [{ event: "ring_not_rescued", path, why, kept: true }];
    }
    if (!(error instanceof RingFileError)) throw error;
    const now = await context.quarantine(path);
    return [{ event: "file_quarantined", path, now, reason: error.message }];
  }
}

/** @throws RingFileError where the file is not what it should be */
async function rescueRing(folder: string, name: string, context: RescueContext): Promise<RescueNotice[]> {
  const { step = () => undefined } = context;
  const path = join(folder, name);
  const found = findRing(path);
  const about = readAbout(found.about);
  if (ringFileName(about) !== name) throw new RingFileError(`by its end it is ${ringFileName(about)}`);
  const stream = streamOf(about);
  const { handle } = found;
  const views = viewsOf(handle);
  settleRing(handle, views);
  const consumer = new RingConsumer(handle);
  if (consumer.backlog() === 0) {
    rmSync(path);
    return [];
  }
  if (!isSameBoot(about.boot, bootNow())) {
    // Pages of several moments may stand side by side in it, and no checksum tells.
    rmSync(path);
    const why = "the machine was started anew since, and a file that was mapped then cannot be trusted";
    return [{ event: "ring_not_rescued", path, why, kept: false }];
  }
  checkRows(consumer, stream);
  const journal = await RescueJournal.open(about, context);
  skipJournaled(consumer, stream, journal.lastSeq);
  journal.sealLast();
  journal.learn(symbolsOf(folder, about));
  const missing = journal.unnamed(consumer);
  if (missing !== null) throw new RingFileError(`the name of its symbol ${missing} is missing`);
  step("begun");
  const { seq } = LAYOUTS[stream];
  const backlog = consumer.backlog();
  const lastSeq = backlog > 0 ? consumer.number(seq, backlog - 1) : journal.lastSeq;
  await journal.takeAll(consumer, step);
  step("synced");
  rmSync(path);
  step("removed");
  const dropped = Math.max(0, views.counters[COUNTER.offered] - lastSeq - 1);
  return backlog + dropped === 0 ? [] : [{ event: "ring_rescued", path, rows: backlog, dropped }];
}

function streamOf(about: RingAbout): Stream {
  const stream = STREAM_NAMES.find((one) => one === about.stream);
  if (stream === undefined) throw new RingFileError(`this program knows no stream ${about.stream}`);
  const { numbers, texts } = LAYOUTS[stream];
  const isSame = (one: readonly string[], other: readonly string[]) => one.join() === other.join();
  if (!isSame(about.numbers, numbers) || !isSame(about.texts, texts))
    throw new RingFileError(
      `its columns are not those of ${stream}: finish it with the version that wrote it, ${about.tapedeck}`,
    );
  return stream;
}

/** Whether the rows are such as a producer leaves them. */
function checkRows(consumer: RingConsumer, stream: Stream): void {
  const { seq } = LAYOUTS[stream];
  const { capacity } = consumer.handle;
  const rows = consumer.backlog();
  if (rows < 0 || rows > capacity) throw new RingFileError(`it claims to hold ${rows} rows`);
  let last = -1;
  for (let i = 0; i < rows; i++) {
    const number = consumer.number(seq, i);
    const isRow =
      Number.isSafeInteger(number) &&
      number > last &&
      Number.isSafeInteger(consumer.number(LOCAL, i)) &&
      Number.isSafeInteger(consumer.number(SYMBOL, i));
    if (!isRow) throw new RingFileError(`its row ${i} of ${rows} is none: seq ${number} after ${last}`);
    last = number;
  }
}

function symbolsOf(folder: string, { run, exchange }: RingAbout): JournalSymbols {
  const path = join(folder, symbolsFileName(run));
  return existsSync(path) ? (readSymbols(readFileSync(path, "utf8")).get(exchange) ?? []) : [];
}
