/** What is left of a journal that was damaged, or taken away, while its segment waited for its file. */
import type { SegmentSpan } from "../segment.ts";
import { JournalError } from "./format.ts";
import { inspectJournal, type JournalContent, type LostSpan } from "./inspect.ts";

/** A journal that does not hold any more what was written to it. */
export interface Salvage {
  /** What is whole of it; null = nothing can be used. */
  readonly content: (JournalContent & { readonly span: SegmentSpan }) | null;
  /** What is wrong with it. */
  readonly why: string;
  /** Where rows are missing; together they are what {@link rows} says. */
  readonly lost: readonly LostSpan[];
  /** How many rows are missing. */
  readonly rows: number;
}

/** Errors of the file system that come again however often a file is opened. */
const UNREADABLE: ReadonlySet<unknown> = new Set(["EIO", "EACCES", "EPERM", "EISDIR", "ELOOP", "ENOTDIR"]);

/** Why a journal can never be read; null = another attempt may succeed. */
export function whyUnusable(error: unknown): string | null {
  if (error instanceof JournalError) return error.message;
  if (!(error instanceof Error) || !("code" in error)) return null;
  if (error.code === "ENOENT") return "it is gone";
  return UNREADABLE.has(error.code) ? `it cannot be read (${error.message})` : null;
}

/**
 * Looks into the journal of a segment whose rows could not be read back from it.
 *
 * @param span what it held when it was written
 * @returns null when it holds all that it held, or cannot be judged now: then the fault is elsewhere
 */
export function salvageJournal(path: string, span: SegmentSpan): Salvage | null {
  let content: JournalContent;
  try {
    content = inspectJournal(path);
  } catch (error) {
    const why = whyUnusable(error);
    return why === null ? null : nothing(why, span);
  }
  const { span: whole, lost } = content;
  if (whole === null) return nothing("no row of it is whole", span);
  const rows = span.rows - whole.rows;
  if (rows === 0 && whole.lastSeq === span.lastSeq && whole.firstLocal === span.firstLocal) return null;
  const spans = lost.map((one) => ({ ...one, from: one.from ?? span.firstLocal }));
  // What was cut off behind the last whole record is no damage of the middle.
  if (whole.lastSeq < span.lastSeq && spans.every(({ to }) => to < span.lastLocal))
    spans.push({ from: whole.lastLocal, to: span.lastLocal, rows: spans.length === 0 ? rows : null });
  return { content: { ...content, span: whole }, why: `${rows} rows of it are damaged`, lost: spans, rows };
}

function nothing(why: string, { firstLocal, lastLocal, rows }: SegmentSpan): Salvage {
  return { content: null, why, lost: [{ from: firstLocal, to: lastLocal, rows }], rows };
}
