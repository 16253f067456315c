/** From the rows of `gaps`: how much of each stream and day is not covered. */
import type { DuckDBConnection } from "@duckdb/node-api";
import { z } from "zod";
import { STREAM_NAMES } from "../events/streams.ts";
import { dateOf, dayOf, dayStart, instanceOf } from "../storage/names.ts";
import { sqlText } from "../storage/projection.ts";
import type { Catalog, CatalogFile } from "./catalog.ts";
import type { Coverage } from "./report.ts";
import { hasDay, type Selection } from "./selection.ts";
import type { LakeSource } from "./source.ts";
import { Spans } from "./spans.ts";

const us = z.coerce.number().nullable();
const gapSchema = z.object({
  affected_stream: z.string().nullable(),
  symbol: z.string().nullable(),
  from_us: us,
  to_us: us,
  reason: z.string().nullable(),
  certainty: z.string().nullable(),
  missed: us,
  first_id: z.string().nullable(),
});

/** Rows of gaps that are in memory at once. */
const PAGE = 10_000;

/** Brings the rows of a file of `gaps` into the catalog. */
export async function readGaps(
  connection: DuckDBConnection,
  catalog: Catalog,
  source: LakeSource,
  file: CatalogFile,
): Promise<void> {
  const copy = await source.content(file);
  if (copy === null) return;
  const { exchange, run } = file;
  try {
    for (let offset = 0; offset < (file.rows ?? 0); offset += PAGE) {
      const reader = await connection.runAndReadAll(
        `SELECT affected_stream, symbol, epoch_us(from_timestamp) AS from_us, epoch_us(to_timestamp) AS to_us,
           reason, certainty, missed, first_id
         FROM read_parquet(${sqlText(copy.path)}, hive_partitioning = false) LIMIT ${PAGE} OFFSET ${offset}`,
      );
      const rows = z.array(gapSchema).parse(reader.getRowObjectsJson());
      catalog.db.transaction(() => {
        for (const { affected_stream, symbol, from_us, to_us, reason, certainty, missed, first_id } of rows) {
          catalog.gap({
            instance: instanceOf(run),
            exchange,
            stream: affected_stream ?? "",
            symbol,
            from: from_us,
            to: to_us,
            reason: reason ?? "",
            certainty: certainty ?? "",
            missed,
            firstId: first_id,
          });
        }
      })();
    }
  } catch (error) {
    // A file that cannot be read is a fault that the check of its rows names.
    if (!(error instanceof Error) || error instanceof z.ZodError) throw error;
  } finally {
    await copy.done();
  }
}

interface Lane {
  readonly instance: string;
  readonly exchange: string;
  readonly stream: string;
}

/** Days of all streams, in the order instance, exchange, stream, date. @param now µs: nothing later is missing yet */
export function coverageOf(catalog: Catalog, selection: Selection, now: number): Coverage[] {
  const lanes = catalog.db
    .query<Lane, []>(
      `SELECT DISTINCT instance, exchange, stream FROM files WHERE role = 'audit'
       AND stream IN (${STREAM_NAMES.map(sqlText).join(", ")}) ORDER BY 1, 2, 3`,
    )
    .all();
  return lanes.flatMap((lane) => ofLane(catalog, selection, lane, now));
}

interface Gap {
  readonly symbol: string;
  readonly from_us: number | null;
  readonly to_us: number | null;
  readonly reason: string;
  readonly certainty: string;
}

function ofLane(catalog: Catalog, selection: Selection, lane: Lane, now: number): Coverage[] {
  const { instance, exchange, stream } = lane;
  const names = [instance, exchange, stream] as const;
  const days = new Map<string, { files: number; rows: number; gaps: number }>();
  const dayOfDate = (date: string) => {
    const known = days.get(date) ?? { files: 0, rows: 0, gaps: 0 };
    days.set(date, known);
    return known;
  };
  const files = catalog.db.query<{ date: string; files: number; rows: number }, [string, string, string]>(
    `SELECT date, count(DISTINCT ifnull(within, key)) AS files, ifnull(sum(rows), 0) AS rows FROM files
     WHERE instance = ? AND exchange = ? AND stream = ? AND role = 'audit' GROUP BY date ORDER BY date`,
  );
  for (const { date, files: number, rows } of files.all(...names))
    days.set(date, { files: number, rows, gaps: 0 });
  const sets = { lost: new Spans(), possible: new Spans(), planned: new Spans(), some: new Spans() };
  for (const { symbol, from, to, certainty } of closedGaps(catalog, names, now)) {
    const isPlanned = certainty === "planned";
    if (symbol !== "") {
      // The start of a listing is no hole of the others.
      if (!isPlanned) sets.some.add(from, to);
    } else if (isPlanned) sets.planned.add(from, to);
    else (certainty === "lost" ? sets.lost : sets.possible).add(from, to);
    if (isPlanned) continue;
    for (let day = dayOf(from); day <= dayOf(to); day++) dayOfDate(dateOf(dayStart(day))).gaps++;
  }
  const lost = sets.lost;
  const possible = sets.possible.without(lost);
  const sure = lost.with(possible);
  const planned = sets.planned.without(sure);
  const some = sets.some.without(sure.with(planned));
  const seconds = [lost, possible, planned, some].map(secondsByDay);
  for (const byDay of seconds) for (const date of byDay.keys()) dayOfDate(date);
  return [...days]
    .filter(([date]) => hasDay(selection, date))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([date, { files: number, rows, gaps }]) => {
      const [lost_s = 0, possible_s = 0, planned_s = 0, some_symbols_s = 0] = seconds.map(
        (byDay) => (byDay.get(date) ?? 0) / 1e6,
      );
      const gaps_per_million = rows === 0 ? null : (1e6 * gaps) / rows;
      const counts = { files: number, rows, gaps, gaps_per_million };
      return { ...lane, date, ...counts, lost_s, possible_s, planned_s, some_symbols_s };
    });
}

/** Gaps of a stream by their beginning. A stop is over when the next run has subscribed; one that goes on, now or at the end of its day. */
function* closedGaps(
  catalog: Catalog,
  names: readonly [string, string, string],
  now: number,
): Iterable<{ symbol: string; from: number; to: number; certainty: string }> {
  const next = catalog.db.query<{ to_us: number | null }, [string, string, string, number]>(
    `SELECT min(to_us) AS to_us FROM gaps
     WHERE instance = ? AND exchange = ? AND stream = ? AND symbol = '' AND reason IN ('start', 'crash') AND to_us > ?`,
  );
  const gaps = catalog.db.query<Gap, [string, string, string]>(
    `SELECT symbol, from_us, to_us, reason, certainty FROM gaps
     WHERE instance = ? AND exchange = ? AND stream = ? ORDER BY ifnull(from_us, to_us)`,
  );
  for (const { symbol, from_us, to_us, certainty } of gaps.iterate(...names)) {
    const from = from_us ?? to_us;
    if (from === null) continue;
    const to = to_us ?? next.get(...names, from)?.to_us ?? Math.min(now, dayStart(dayOf(from) + 1));
    yield { symbol, from, to, certainty };
  }
}

/** µs of a set on each day. */
function secondsByDay(set: Spans): Map<string, number> {
  const days = new Map<string, number>();
  for (const [from, to] of set.spans) {
    for (let at = from; at < to; ) {
      const end = Math.min(to, dayStart(dayOf(at) + 1));
      const date = dateOf(at);
      days.set(date, (days.get(date) ?? 0) + end - at);
      at = end;
    }
  }
  return days;
}
