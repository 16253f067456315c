/** What stands in journals already when a drain begins: taken over, and what is missing of it told. */
import { LAYOUTS } from "../events/layout.ts";
import type { Stream } from "../events/streams.ts";
import type { RingConsumer } from "../ring/consumer.ts";
import type { DrainOptions } from "./drain-options.ts";
import type { Filer, FilerEvents, RowCounter, Sealed } from "./filer.ts";
import type { LostSpan } from "./journal/inspect.ts";
import type { JournalHole } from "./journal/recovery.ts";
import { RECOVERED_RING, type RecoveredCounters } from "./recovered.ts";
import type { RingLane } from "./ring-segments.ts";
import type { Usage } from "./usage.ts";

/** Takes up the journals that are there; rows of this run that stand in one are not taken from their ring again. */
export function takeOverJournals(
  { recovered, run, firstDatasetRing }: DrainOptions,
  lanes: readonly RingLane[],
  into: { readonly counters: RecoveredCounters; readonly filer: Filer; readonly usage: Usage },
): void {
  const { counters, filer, usage } = into;
  counters.unparkAll();
  for (const lane of lanes) lane.consumer.unparkAll();
  for (const segment of recovered) {
    const { key, span, dataset } = segment;
    const own = key.run === run;
    const lane =
      own && key.ring < firstDatasetRing ? lanes.find((one) => one.spec.ring === key.ring) : undefined;
    if (lane !== undefined) {
      skipJournaled(lane.consumer, lane.spec.stream, span.lastSeq);
      lane.nextN = Math.max(lane.nextN, key.n + 1);
    }
    const counter: RowCounter | null = dataset ? null : (lane?.consumer ?? counters);
    counter?.parked(segment.rest);
    usage.journalBytes += segment.bytes;
    filer.add({
      ...segment,
      reason: "recovered",
      ring: dataset ? null : own ? key.ring : RECOVERED_RING,
      recovered: !own,
      journaled: true,
      counter,
      journalPath: segment.path,
      journalBytes: segment.bytes,
      journal: null,
      loaded: null,
    });
  }
}

/** Gives back what stands in a journal already. */
export function skipJournaled(consumer: RingConsumer, stream: Stream, lastSeq: number): void {
  const { seq } = LAYOUTS[stream];
  const backlog = consumer.backlog();
  let count = 0;
  while (count < backlog && consumer.number(seq, count) <= lastSeq) count++;
  if (count > 0) consumer.release(count);
}

/** A segment of an earlier run as the drain before had it. */
export type TakenOver = Pick<Sealed, "exchange" | "stream" | "key" | "span" | "rest">;

const WHY_MISSING = "rows of it are missing or damaged, found when the drain was rebuilt";

/**
 * Tells the rows that the drain before this one had, and that stand in its journals no more: they were damaged meanwhile.
 *
 * @param before what was found missing in the journals, and which segments of earlier runs that drain had
 */
export function tellMissing(
  options: DrainOptions,
  lanes: readonly RingLane[],
  counters: RecoveredCounters,
  before: { readonly holes: readonly JournalHole[]; readonly earlier: readonly TakenOver[] },
  events: Pick<FilerEvents, "rowsSpoiled">,
): void {
  const { run, journal, recovered } = options;
  for (const { spec, consumer } of lanes) {
    const rows = consumer.unaccounted();
    if (rows <= 0) continue;
    consumer.filed(rows);
    const { ring, exchange, stream } = spec;
    const lost = before.holes.filter((hole) => hole.run === run && hole.ring === ring).map(lostOf);
    // Its end was cut off, or nothing is left of it.
    if (lost.length === 0) {
      const ends = recovered.flatMap(({ key, span }) =>
        key.run === run && key.ring === ring ? [span.lastLocal] : [],
      );
      const from = ends.length === 0 ? null : Math.max(...ends);
      lost.push({ from, to: Math.max(from ?? 0, Date.now() * 1000), rows });
    }
    events.rowsSpoiled({ exchange, stream, ring, path: journal.folder, why: WHY_MISSING, rows, lost });
  }
  const unaccounted = counters.unaccounted();
  if (unaccounted <= 0) return;
  counters.filed(unaccounted);
  tellMissingOfEarlier(options, unaccounted, before, events);
}

/** Segment by segment, for of one of which the journal is gone nothing else tells. */
function tellMissingOfEarlier(
  { journal, recovered }: DrainOptions,
  unaccounted: number,
  { holes, earlier }: Parameters<typeof tellMissing>[3],
  events: Pick<FilerEvents, "rowsSpoiled">,
): void {
  let left = unaccounted;
  for (const { exchange, stream, key, span, rest } of earlier) {
    const { run, ring, n } = key;
    const now = recovered.find((one) => one.key.run === run && one.key.ring === ring && one.key.n === n);
    const rows = Math.min(left, rest - (now?.rest ?? 0));
    if (rows <= 0) continue;
    left -= rows;
    const within = (hole: JournalHole) =>
      hole.run === run && hole.ring === ring && hole.to >= span.firstLocal && hole.to <= span.lastLocal;
    const lost = now === undefined ? [] : holes.filter(within).map(lostOf);
    // Its end was cut off, or nothing is left of it.
    if (lost.length === 0)
      lost.push({ from: now?.span.lastLocal ?? span.firstLocal, to: span.lastLocal, rows });
    const path = journal.folder;
    events.rowsSpoiled({ exchange, stream, ring: RECOVERED_RING, path, why: WHY_MISSING, rows, lost });
  }
}

function lostOf({ from, to, missed }: JournalHole): LostSpan {
  return { from, to, rows: missed };
}
