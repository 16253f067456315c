/** What becomes of the journals that a run left behind: see docs/journal.md. */
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { SegmentKey } from "../names.ts";
import type { Rest, SegmentPart } from "../parts.ts";
import type { SegmentSpan } from "../segment.ts";
import { JournalError, type JournalName, layoutOf, parseJournalName } from "./format.ts";
import {
  inspectJournal,
  type JournalContent,
  keyOfContent,
  type LostSpan,
  type SeqJump,
  sealLeftover,
} from "./inspect.ts";
import { whyUnusable } from "./salvage.ts";

/** A segment that stands in a journal alone, at least in part, and is to become a file, or several. */
export interface JournaledSegment extends Rest {
  readonly path: string;
  readonly exchange: string;
  /** Stream or dataset. */
  readonly stream: string;
  readonly dataset: boolean;
  readonly key: SegmentKey;
  readonly span: SegmentSpan;
  /** Key of its file below the prefix of a lake, where it becomes one. */
  readonly lakeKey: string;
  /** Keys of the files that are still to be written. */
  readonly keys: readonly string[];
  /** Bytes of the journal. */
  readonly bytes: number;
  /** Whether a part of the journal is damaged: it goes to quarantine when its rows are in a file. */
  readonly damaged: boolean;
}

/** A hole that recovery found: receive times in µs. */
export interface JournalHole {
  readonly exchange: string;
  readonly stream: string;
  readonly run: string;
  /** crash: what was not on disk. quarantine: what is damaged. */
  readonly reason: "crash" | "quarantine";
  /** null = since the last row of the ring that was in a file before. */
  readonly from: number | null;
  readonly to: number;
  readonly ring: number;
  readonly missed: number | null;
}

/** The numbers of a ring that stand in one of its journals. */
export interface JournalNumbers extends JournalName {
  readonly span: SegmentSpan;
  readonly jumps: readonly SeqJump[];
}

/** Something to be told about a journal. */
export type JournalNotice =
  | { readonly event: "journal_cut"; readonly path: string; readonly bytes: number }
  | {
      readonly event: "journal_damaged";
      readonly path: string;
      readonly parts: number;
      readonly rows: number | null;
    }
  /** Its segment is published already, or it holds no row. */
  | { readonly event: "journal_removed"; readonly path: string; readonly why: string }
  /** Something that is no file stands there, and stays. */
  | { readonly event: "foreign_entry"; readonly path: string; readonly why: string }
  /** Its seal cannot be written now; what it holds is taken all the same. */
  | { readonly event: "journal_not_sealed"; readonly path: string; readonly why: string }
  | {
      readonly event: "file_quarantined";
      readonly path: string;
      readonly now: string;
      readonly reason: string;
    };

/** What a look through the folder of journals found. */
export interface JournalRecovery {
  /** To become files; those of one ring in the order of their n. */
  readonly segments: readonly JournaledSegment[];
  readonly holes: readonly JournalHole[];
  readonly notices: readonly JournalNotice[];
  /** For each ring the receive time of its last row in a journal, µs. */
  readonly ends: readonly (JournalName & { readonly lastLocal: number; readonly lastSeq: number })[];
  /** Of each journal of a stream, also where its file is there already. */
  readonly numbers: readonly JournalNumbers[];
  /** Journals without a row, which are gone: their numbers were not used. */
  readonly unused: readonly SegmentKey[];
}

/** What recovery needs of others. */
export interface RecoveryContext {
  readonly folder: string;
  /** Whether the file of this key, or with the same rows under another first time, is in the outbox, or was published. */
  published(lakeKey: string): boolean | Promise<boolean>;
  /** Moves a file that cannot be used out of the way; resolves to where it is now. */
  quarantine(path: string): Promise<string>;
}

/**
 * Looks through the folder of journals, of which no one may be open for writing. Each journal is sealed at its last
 * whole record; one whose segment is published, or that holds no row, is removed; one that cannot be used, one whose
 * rows are all damaged, and any other file go to quarantine. It can be repeated after any interruption.
 */
export async function recoverJournals(context: RecoveryContext): Promise<JournalRecovery> {
  await mkdir(context.folder, { recursive: true });
  const found: Found[] = [];
  const notices: JournalNotice[] = [];
  const unused: SegmentKey[] = [];
  for (const entry of await readdir(context.folder, { withFileTypes: true })) {
    const path = join(context.folder, entry.name);
    const name = parseJournalName(entry.name);
    if (!entry.isFile()) {
      notices.push({ event: "foreign_entry", path, why: "no file, and not ours: it is left where it is" });
      continue;
    }
    let content: JournalContent | null = null;
    try {
      if (name === null) throw new JournalError("a foreign file in the folder of journals");
      content = inspectJournal(path);
      checkName(name, content);
    } catch (error) {
      const reason = whyUnusable(error);
      if (reason === null) throw error;
      const now = await context.quarantine(path);
      notices.push({ event: "file_quarantined", path, now, reason });
      if (name !== null) found.push({ name, content: null });
      continue;
    }
    if (content.span === null) {
      const { lost, seal, key } = content;
      const isFiled = lost.length > 0 && seal !== null && (await context.published(seal.key));
      if (isFiled || lost.length === 0) {
        await rm(path);
        notices.push({
          event: "journal_removed",
          path,
          why: isFiled ? "its segment is published" : "it holds no row",
        });
      } else {
        // Rows stood in it, of which none can be read: they are told as lost, and nothing is thrown away.
        const now = await context.quarantine(path);
        notices.push({ event: "file_quarantined", path, now, reason: "no row of it can be read" });
      }
      if (lost.length === 0) unused.push(key);
      else if (name !== null && !isFiled) found.push({ name, content: null, lost });
      continue;
    }
    found.push({ name, content });
  }
  // Rows come into files in the order in which they came.
  found.sort((a, b) => compare(a.name.run, b.name.run) || a.name.ring - b.name.ring || a.name.n - b.name.n);
  const segments: JournaledSegment[] = [];
  const begun = new Set<JournalContent>();
  for (const { content } of found) {
    if (content === null) continue;
    const { path, seal, header, key, span, size, torn, lost } = content;
    const own = keyOfContent(content);
    const layout = layoutOf(header);
    const { left, done } = await partsLeft(content, own, context);
    if (left.length === 0) {
      await rm(path);
      notices.push({ event: "journal_removed", path, why: "its segment is published" });
      continue;
    }
    if (torn > 0) notices.push({ event: "journal_cut", path, bytes: torn });
    if (lost.length > 0) {
      const rows = lost.map((one) => one.rows);
      const known = rows.every((one) => one !== null);
      const sum = rows.reduce<number>((total, one) => total + (one ?? 0), 0);
      notices.push({ event: "journal_damaged", path, parts: lost.length, rows: known ? sum : null });
    }
    // What is whole says what the file will hold, whatever the seal says.
    const sealed = seal !== null && torn === 0 && seal.key === own && seal.rows === span?.rows;
    try {
      if (!sealed) sealLeftover(content);
    } catch (error) {
      // A full disk must not keep the recorder from starting: rows and name follow from what is whole, sealed or not.
      const why = error instanceof Error ? error.message : String(error);
      notices.push({ event: "journal_not_sealed", path, why });
    }
    const { exchange, stream, dataset } = header;
    if (span === null) continue;
    if (done.size > 0) begun.add(content);
    segments.push({
      path,
      exchange,
      stream,
      dataset,
      key,
      span,
      lakeKey: own,
      layout,
      done,
      rest: left.reduce((sum, part) => sum + part.span.rows, 0),
      keys: left.map(({ lakeKey }) => lakeKey),
      bytes: size,
      damaged: lost.length > 0,
    });
  }
  const rings = [...Map.groupBy(found, ({ name }) => `${name.run} ${name.ring} ${name.stream}`).values()];
  return {
    segments,
    notices,
    unused,
    numbers: found.flatMap(({ name, content }) =>
      content === null || content.span === null || content.header.dataset
        ? []
        : [{ ...name, span: content.span, jumps: content.jumps }],
    ),
    holes: rings.flatMap((ring) => holesOf(ring, begun)),
    ends: rings.flatMap((ring) => {
      const last = ring.findLast(({ content }) => content !== null);
      const { lastLocal, lastSeq } = last?.content?.span ?? {};
      return last === undefined || lastLocal === undefined || lastSeq === undefined
        ? []
        : [{ ...last.name, lastLocal, lastSeq }];
    }),
  };
}

/** Which of the files of a journal are still to be written, and of which symbols they are there. */
async function partsLeft(
  { header, parts, seal }: JournalContent,
  own: string,
  { published }: RecoveryContext,
): Promise<{ readonly left: readonly SegmentPart[]; readonly done: Set<string | null> }> {
  const left: SegmentPart[] = [];
  const done = new Set<string | null>();
  for (const part of parts) {
    const keys = [part.lakeKey];
    // Its begin was damaged since: by its seal it would have had another name.
    if (layoutOf(header) === "flat" && seal !== null && seal.key !== own) keys.push(seal.key);
    const there = await Promise.all(keys.map((key) => published(key)));
    if (there.includes(true)) done.add(part.symbol);
    else left.push(part);
  }
  return { left, done };
}

interface Found {
  readonly name: JournalName;
  /** null = it is in quarantine. */
  readonly content: JournalContent | null;
  /** What stood in one of which no row can be read. */
  readonly lost?: readonly LostSpan[];
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function checkName(name: JournalName, { header }: JournalContent): void {
  for (const part of ["exchange", "stream", "run", "ring", "n"] as const)
    if (name[part] !== header[part])
      throw new JournalError(`its name says ${part} ${name[part]}, its header ${header[part]}`);
}

/**
 * Holes in the journals of one ring, which stand in the order of their n.
 *
 * @param begun journals of which some files are written: of what is damaged in them some rows may stand there
 */
function holesOf(ring: readonly Found[], begun: ReadonlySet<JournalContent>): JournalHole[] {
  const holes: JournalHole[] = [];
  let before: Found | null = null;
  let quarantined = false;
  for (const one of ring) {
    const { name, content } = one;
    if (content === null || content.span === null) {
      quarantined = true;
      continue;
    }
    if (content.header.dataset) continue;
    const { exchange, stream, run, ring: number } = name;
    const where = { exchange, stream, run, ring: number };
    const last = before?.content?.span ?? null;
    const missed = last === null ? null : content.span.firstSeq - last.lastSeq - 1;
    // A journal that was sealed and followed by its successor has lost nothing: a jump of seq is a counted drop.
    const closed = before?.content?.seal !== null && before?.name.n === name.n - 1;
    if (quarantined || (last !== null && !closed && missed !== 0)) {
      holes.push({
        ...where,
        reason: quarantined ? "quarantine" : "crash",
        from: last?.lastLocal ?? null,
        to: content.span.firstLocal,
        missed,
      });
    }
    quarantined = false;
    for (const { from, to, rows } of content.lost) {
      const since = from ?? last?.lastLocal ?? null;
      holes.push({
        ...where,
        reason: "quarantine",
        from: since,
        to,
        missed: begun.has(content) ? null : rows,
      });
    }
    before = one;
  }
  // Behind the last one that can be read; where another follows, the hole ends with that.
  for (const { name, lost = [] } of ring.slice(before === null ? 0 : ring.indexOf(before) + 1)) {
    const { exchange, stream, run, ring: number } = name;
    for (const { from, to, rows } of lost) {
      const since = from ?? before?.content?.span?.lastLocal ?? null;
      holes.push({
        exchange,
        stream,
        run,
        ring: number,
        reason: "quarantine",
        from: since,
        to,
        missed: rows,
      });
    }
  }
  return holes;
}
