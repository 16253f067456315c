/** Compares what a simulated exchange says it made and sent with the rows of a lake, event by event. */
import { join } from "node:path";
import type { Account, AccountEvent } from "../../src/simulator/account/account.ts";
import type { SimulatedName } from "../../src/simulator/exchanges.ts";
import { type LakeRow, quoted, type Sql, streamFrom } from "./lake.ts";

/** How the events of one kind of an account stand in the lake. */
interface Place {
  readonly kind: string;
  readonly stream: string;
  /** SQL that gives the account's id of a row. */
  readonly id: string;
  /** Whether the id in the lake is the time in the frame, where the account knows it by another. */
  readonly byTime?: boolean;
  /** SQL: which rows of the stream. */
  readonly where?: string;
}

const PUBLISHED = "epoch_ms(published_timestamp)";
const HAPPENED = 'epoch_ms("timestamp")';

/** Every kind of every simulated exchange; one that feeds two streams is there twice. */
const PLACES: Readonly<Record<SimulatedName, readonly Place[]>> = {
  binance: [
    { kind: "bookTicker", stream: "bbo", id: "update_id" },
    { kind: "aggTrade", stream: "trade", id: "id" },
    { kind: "markPrice", stream: "mark_price", id: PUBLISHED },
    { kind: "markPrice", stream: "funding", id: PUBLISHED },
    { kind: "forceOrder", stream: "liquidation", id: HAPPENED },
  ],
  bybit: [
    { kind: "orderbook", stream: "bbo", id: "update_id" },
    { kind: "publicTrade", stream: "trade", id: "id" },
    { kind: "markPrice", stream: "mark_price", id: PUBLISHED, byTime: true },
    { kind: "funding", stream: "funding", id: PUBLISHED, byTime: true },
    { kind: "openInterest", stream: "open_interest", id: PUBLISHED, byTime: true },
    { kind: "allLiquidation", stream: "liquidation", id: HAPPENED },
  ],
  okx: [
    { kind: "bbo-tbt", stream: "bbo", id: "sequence" },
    { kind: "trades", stream: "trade", id: "id" },
    { kind: "mark-price", stream: "mark_price", id: HAPPENED, where: "instrument LIKE '%-SWAP'" },
    { kind: "index-tickers", stream: "mark_price", id: HAPPENED, where: "instrument NOT LIKE '%-SWAP'" },
    { kind: "funding-rate", stream: "funding", id: HAPPENED },
    { kind: "open-interest", stream: "open_interest", id: HAPPENED },
    { kind: "liquidation-orders", stream: "liquidation", id: HAPPENED, where: "NOT is_history" },
  ],
};

/** The unified symbol of an instrument. */
export const symbolOf = (instrument: string): string => instrument.replace(/-SWAP$/, "").replace("-", "");

/** A symbol's events of one kind that should be in the lake and are not as often as they should, or too often. */
export interface Mismatch {
  readonly exchange: string;
  readonly stream: string;
  readonly kind: string;
  readonly symbol: string;
  readonly id: string;
  readonly expected: number;
  readonly rows: number;
}

/** What was compared, and what did not agree. */
export interface Comparison {
  /** Rows that were expected. */
  readonly expected: number;
  /** The same by stream. */
  readonly byStream: Readonly<Record<string, number>>;
  readonly mismatches: readonly Mismatch[];
}

/** How many rows an event should have. */
export type Wanted = (event: AccountEvent, nth: "first of its series" | "later") => number;

/**
 * One row for each time that it was handed to a socket. Only right where no two connections carry the same
 * channel at the same time.
 */
export const asOftenAsSent: Wanted = ({ sent }) => sent.length;

/**
 * One row for each event that any socket was given; of the states with which a subscription begins the first
 * one of each symbol and kind. For recordings whose connections are replaced without a hole.
 */
export const onceEach: Wanted = ({ sent, first }, nth) =>
  sent.length > 0 && (!first || nth === "first of its series") ? 1 : 0;

/** Compares the rows of an exchange in a lake with its account, by symbol, kind and id, as multisets. */
export async function compareWithAccount(
  sql: Sql,
  data: string,
  { exchange, account, wanted }: { exchange: SimulatedName; account: Account | undefined; wanted: Wanted },
): Promise<Comparison> {
  if (account === undefined) throw new Error(`no account is kept of ${exchange}`);
  if (account.forgotten > 0) throw new Error(`the account of ${exchange} has forgotten events`);
  const recorded = await recordedStreams(sql, data, exchange);
  const counted = new Map<string, Map<string, number>>();
  const seen = new Set<string>();
  for (const event of account.events()) {
    const { kind, symbol, id, timeMs } = event;
    const series = `${kind} ${symbol}`;
    // Liquidations of long ago with which OKX begins have other times than the account gives them.
    if (event.first && kind === "liquidation-orders") continue;
    if (!isRecorded(exchange, symbol)) continue;
    const count = wanted(event, seen.has(series) ? "later" : "first of its series");
    if (event.sent.length > 0) seen.add(series);
    if (count === 0) continue;
    for (const place of PLACES[exchange]) {
      if (place.kind !== kind) continue;
      const ids = mapIn(counted, `${place.stream} ${kind}`);
      const key = `${symbolOf(symbol)} ${place.byTime === true ? timeMs : id}`;
      ids.set(key, (ids.get(key) ?? 0) + count);
    }
  }
  const mismatches: Mismatch[] = [];
  const byStream: Record<string, number> = {};
  let expected = 0;
  for (const { stream, kind, id, where = "true" } of PLACES[exchange]) {
    const ids = counted.get(`${stream} ${kind}`) ?? new Map<string, number>();
    const found = new Map<string, number>();
    if (recorded.has(stream)) {
      for (const row of await sql.rows(
        `SELECT symbol, (${id})::VARCHAR AS id, count(*) AS rows FROM ${streamFrom(data, stream)}
         WHERE exchange = '${exchange}' AND ${where} GROUP BY ALL`,
      )) {
        found.set(`${row.symbol} ${row.id}`, Number(row.rows));
      }
    }
    for (const key of new Set([...ids.keys(), ...found.keys()])) {
      const wantedRows = ids.get(key) ?? 0;
      const rows = found.get(key) ?? 0;
      expected += wantedRows;
      byStream[stream] = (byStream[stream] ?? 0) + wantedRows;
      if (wantedRows === rows) continue;
      const [symbol = "", name = ""] = key.split(" ");
      mismatches.push({ exchange, stream, kind, symbol, id: name, expected: wantedRows, rows });
    }
  }
  return { expected, byStream, mismatches };
}

/** Whether an instrument is a USDT perpetual: liquidations of others come along unasked, and are no rows. */
const isRecorded = (exchange: SimulatedName, instrument: string): boolean =>
  exchange !== "binance" || /^[^_]+USDT$/.test(instrument);

/** An event that was made, and that no row is of. */
export interface LostEvent {
  readonly stream: string;
  readonly kind: string;
  readonly symbol: string;
  readonly id: string;
  /** How many ids it stands for. */
  readonly count: number;
  /** Whether some socket took it. */
  readonly sent: boolean;
  readonly madeUs: number;
  /** Receive times of the rows before and after it of the same kind and symbol, µs; infinite = there is none. */
  readonly after: number;
  readonly before: number;
}

/** The events of an account without a row, between which rows they are missing. In the order of the account. */
export async function lostEvents(
  sql: Sql,
  data: string,
  { exchange, account }: { exchange: SimulatedName; account: Account | undefined },
): Promise<LostEvent[]> {
  if (account === undefined) throw new Error(`no account is kept of ${exchange}`);
  const all: LostEvent[] = [];
  const recorded = await recordedStreams(sql, data, exchange);
  for (const { stream, kind, id, where = "true", byTime = false } of PLACES[exchange]) {
    if (!recorded.has(stream)) continue;
    const received = new Map<string, number>();
    for (const row of await sql.rows(
      `SELECT symbol, (${id})::VARCHAR AS id, epoch_us(min(local_timestamp)) AS local FROM ${streamFrom(data, stream)}
       WHERE exchange = '${exchange}' AND ${where} GROUP BY ALL`,
    )) {
      received.set(`${row.symbol} ${row.id}`, Number(row.local));
    }
    const state = new Map<string, { after: number; open: Omit<LostEvent, "before">[] }>();
    for (const event of account.events({ kind })) {
      // A state for one new subscriber is no event of its own.
      if (event.first || !isRecorded(exchange, event.symbol)) continue;
      const symbol = symbolOf(event.symbol);
      const known = state.get(symbol) ?? { after: Number.NEGATIVE_INFINITY, open: [] };
      state.set(symbol, known);
      const local = received.get(`${symbol} ${byTime ? event.timeMs : event.id}`);
      if (local === undefined) {
        const { count, madeUs, sent } = event;
        const { after } = known;
        known.open.push({
          stream,
          kind,
          symbol,
          id: event.id,
          count,
          sent: sent.length > 0,
          madeUs,
          after,
        });
        continue;
      }
      for (const lost of known.open) all.push({ ...lost, before: local });
      known.open = [];
      known.after = local;
    }
    for (const { open } of state.values())
      for (const lost of open) all.push({ ...lost, before: Number.POSITIVE_INFINITY });
  }
  return all;
}

/** A row of `gaps`, times in µs. */
export interface GapRow {
  readonly exchange: string;
  readonly stream: string;
  readonly symbol: string | null;
  readonly reason: string;
  readonly certainty: string;
  readonly from: number;
  readonly to: number | null;
  readonly missed: number | null;
  readonly firstId: string | null;
  readonly lastId: string | null;
}

/** All rows of `gaps` of a data folder. */
export async function gapRows(sql: Sql, data: string): Promise<GapRow[]> {
  const rows = await sql.rows(
    `SELECT exchange, affected_stream, symbol, reason, certainty, epoch_us(from_timestamp) AS "from",
       epoch_us(to_timestamp) AS "to", missed, first_id, last_id
     FROM ${streamFrom(data, "gaps")} ORDER BY from_timestamp`,
  );
  const text = (row: LakeRow, name: string) => (row[name] === null ? null : String(row[name]));
  const number = (row: LakeRow, name: string) => (row[name] === null ? null : Number(row[name]));
  return rows.map((row) => ({
    exchange: String(row.exchange),
    stream: String(row.affected_stream),
    symbol: text(row, "symbol"),
    reason: String(row.reason),
    certainty: String(row.certainty),
    from: Number(row.from),
    to: number(row, "to"),
    missed: number(row, "missed"),
    firstId: text(row, "first_id"),
    lastId: text(row, "last_id"),
  }));
}

/** Gaps that were no part of starting or stopping. */
export const unplanned = (gaps: readonly GapRow[]): GapRow[] =>
  gaps.filter(({ certainty }) => certainty !== "planned");

/**
 * Whether a gap speaks of an event that is not there: it has to reach into the time between the rows before and
 * after it, which is when it would have come.
 *
 * @param hole receive times of the rows before and after, µs; infinite where there is none
 */
export function speaksOf(
  gap: GapRow,
  { stream, symbol, after, before }: { stream: string; symbol: string; after: number; before: number },
): boolean {
  const { from, to } = gap;
  const same = gap.stream === stream && (gap.symbol === null || gap.symbol === symbol);
  return same && from <= before && (to === null || to >= after);
}

/** Streams of which an exchange has files. */
async function recordedStreams(sql: Sql, data: string, exchange: string): Promise<Set<string>> {
  const files = join(data, "lake/v1", `exchange=${exchange}`, "**/*.parquet");
  const streams = await sql.rows(
    `SELECT DISTINCT regexp_extract(file, 'stream=([a-z_]+)', 1) AS stream FROM glob(${quoted(files)})`,
  );
  return new Set(streams.map(({ stream }) => String(stream)));
}

function mapIn<V>(maps: Map<string, Map<string, V>>, key: string): Map<string, V> {
  const known = maps.get(key);
  if (known !== undefined) return known;
  const made = new Map<string, V>();
  maps.set(key, made);
  return made;
}
