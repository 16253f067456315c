/** Events that found a full ring, of which a run that was killed did not come to tell. */
import { STREAM_NAMES } from "../events/streams.ts";
import { gapOf } from "../ingest/gaps.ts";
import type { SeqJump } from "../storage/journal/inspect.ts";
import type { JournalNumbers, JournalRecovery } from "../storage/journal/recovery.ts";
import type { KeptGap, KilledRing, Ledger } from "../storage/ledger.ts";
import type { FileLedger } from "../storage/ledger-files.ts";
import { gapRow } from "./datasets.ts";

/** Jumps of a ring this close to each other are told together, µs. */
const APART = 1_000_000;
/** Segments of a ring that are looked at, the newest ones: what is older than seconds was told by the run itself. */
const SEGMENTS_MAX = 10_000;

/** A jump of which only the segment is known: how much of it was told before nobody can say. */
interface Jump extends Omit<SeqJump, "missed"> {
  /** null = not known. */
  readonly missed: number | null;
}

/** A segment of a ring, in a file or a journal. */
interface Piece {
  readonly n: number;
  readonly first: number;
  readonly last: number;
  readonly from: number;
  readonly to: number;
  readonly jumps: readonly Jump[];
}

/**
 * Rows of gaps for what is missing in `seq` of the rings of a run that was killed, within and between its journals and
 * files, as far as it had not told of it. A run tells of what it drops within half a minute, so that this is little;
 * but what was drained behind it stands in the lake, and what was lost with the run begins only there.
 *
 * @param ledger before the next run begins
 */
export function untoldDrops(
  { numbers, holes }: Pick<JournalRecovery, "numbers" | "holes">,
  ledger: Ledger,
): readonly KeptGap[] {
  return ledger.killedRings().flatMap((ring) => {
    const { exchange, run } = ring;
    const stream = STREAM_NAMES.find((one) => one === ring.stream);
    if (stream === undefined) return [];
    const isOfRing = (one: { readonly run: string; readonly ring: number }) =>
      one.run === run && one.ring === ring.ring;
    const told = holes.filter(isOfRing);
    const jumps = jumpsOf(pieces(ring, numbers.filter(isOfRing), ledger.files), ring.toldBelow).filter(
      ({ from, to }) => !told.some((hole) => (hole.from ?? 0) <= from && to <= hole.to),
    );
    return together(jumps).map(({ from, to, missed }) => {
      const certainty = missed === null ? "possible" : "lost";
      const gap = gapOf({ exchange, stream, instrument: null }, "overflow", certainty, from, to);
      return { exchange, row: gapRow({ ...gap, missed }, null) };
    });
  });
}

/** The segments of a ring that may hold what was not told, by n. */
function pieces(ring: KilledRing, journals: readonly JournalNumbers[], files: FileLedger): Piece[] {
  const found = new Map<number, Piece>();
  for (const { n, span, jumps } of journals) found.set(n, piece(n, span, jumps));
  for (const segment of files.newestOf(ring.run, ring.ring, SEGMENTS_MAX)) {
    const { n, rows, firstSeq, lastSeq, firstLocal, lastLocal } = segment;
    if (firstSeq === null || lastSeq === null || lastLocal === null) continue;
    if (!found.has(n)) {
      const span = { rows, firstSeq, lastSeq, firstLocal, lastLocal };
      const within = lastSeq < ring.toldBelow ? 0 : lastSeq - firstSeq + 1 - rows;
      // Where they are in the file only its rows would say, and so how many of them the run had told.
      const missed = firstSeq >= ring.toldBelow ? within : null;
      const jump = { first: firstSeq, missed, from: firstLocal, to: lastLocal };
      found.set(n, piece(n, span, within > 0 ? [jump] : []));
    }
    if (lastSeq < ring.toldBelow) break;
  }
  return [...found.values()].sort((one, other) => one.n - other.n);
}

function piece(n: number, span: JournalNumbers["span"], jumps: readonly Jump[]): Piece {
  const { firstSeq: first, lastSeq: last, firstLocal: from, lastLocal: to } = span;
  return { n, first, last, from, to, jumps };
}

/** What is missing in and between them, from the number `toldBelow` on. */
function jumpsOf(ring: readonly Piece[], toldBelow: number): Jump[] {
  const jumps: Jump[] = [];
  let before: Piece | null = null;
  for (const one of ring) {
    // Numbers begin with 0; what is known of no neighbour says nothing.
    const first = one.n === 0 ? 0 : before?.n === one.n - 1 ? before.last + 1 : one.first;
    const from = before?.n === one.n - 1 ? before.to : one.from;
    if (one.first > first) jumps.push({ first, missed: one.first - first, from, to: one.from });
    jumps.push(...one.jumps);
    before = one;
  }
  return jumps.flatMap((jump) => {
    if (jump.missed === null) return [jump];
    const told = Math.max(0, toldBelow - jump.first);
    return told >= jump.missed ? [] : [{ ...jump, missed: jump.missed - told }];
  });
}

/** Jumps in quick succession as one. */
function together(jumps: readonly Jump[]): Jump[] {
  const spans: Jump[] = [];
  for (const jump of jumps) {
    const last = spans.at(-1);
    if (last === undefined || jump.from - last.to > APART) {
      spans.push(jump);
      continue;
    }
    const missed = last.missed === null || jump.missed === null ? null : last.missed + jump.missed;
    spans[spans.length - 1] = { ...last, missed, to: Math.max(last.to, jump.to) };
  }
  return spans;
}
