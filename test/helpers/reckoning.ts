/**
 * Holds a lake against the accounts of the simulated exchanges: every event that was made is a row or lies in a
 * gap, and there is no row that was not sent. It knows the exchanges by what they sent, not by how the recorder
 * reads them.
 */
import { join } from "node:path";
import { exchangeByName } from "../../src/exchanges/exchanges.ts";
import type { Account, AccountEvent } from "../../src/simulator/account/account.ts";
import { type LakeRow, quoted, type Sql, streamFrom } from "./lake.ts";

/** A simulated exchange of which an account is kept. */
export type Name = "binance" | "bybit" | "okx";

/** Time (ms) in the frame, of whichever column holds it. */
const time = ({ t, p }: LakeRow): number => Number(t ?? p) / 1000;
const published = ({ p }: LakeRow): number => Number(p) / 1000;

/** How rows of a stream and events of its kinds are known to be the same. */
interface Identity {
  readonly kinds: readonly string[];
  event(event: AccountEvent): string;
  row(row: LakeRow): string;
  /** Ids follow each other, so that the recorder knows what is missing; of a row they are one, or its last `count`. */
  readonly consecutive?: "one" | "count";
}

const byTime = (kind: string): Identity => ({
  kinds: [kind],
  event: ({ timeMs }) => String(timeMs),
  row: (row) => String(published(row)),
});
const byTimeOnOkx = (...kinds: string[]): Identity => ({
  kinds,
  event: ({ kind, timeMs }) => `${kind === "index-tickers" ? "index " : ""}${timeMs}`,
  row: (row) => `${String(row.instrument).endsWith("-SWAP") ? "" : "index "}${time(row)}`,
});
const byId = (kind: string): Identity => ({
  kinds: [kind],
  event: ({ id }) => id,
  row: ({ id }) => String(id),
});

/** By exchange and stream. */
export const IDENTITIES: Readonly<Record<Name, Readonly<Record<string, Identity>>>> = {
  binance: {
    bbo: { kinds: ["bookTicker"], event: ({ id }) => id, row: ({ update_id }) => String(update_id) },
    trade: { ...byId("aggTrade"), consecutive: "one" },
    mark_price: byTime("markPrice"),
    funding: byTime("markPrice"),
    liquidation: byTime("forceOrder"),
  },
  bybit: {
    bbo: {
      kinds: ["orderbook"],
      event: ({ id, timeMs }) => `${id} ${timeMs}`,
      row: (row) => `${row.update_id} ${published(row)}`,
    },
    trade: byId("publicTrade"),
    mark_price: byTime("markPrice"),
    funding: byTime("funding"),
    open_interest: byTime("openInterest"),
    liquidation: {
      kinds: ["allLiquidation"],
      event: ({ id, timeMs }) => `${id} ${timeMs}`,
      row: (row) => `${time(row)} ${published(row)}`,
    },
  },
  okx: {
    bbo: {
      kinds: ["bbo-tbt"],
      event: ({ id, timeMs }) => `${id} ${timeMs}`,
      row: (row) => `${row.sequence} ${time(row)}`,
    },
    trade: { ...byId("trades"), consecutive: "count" },
    mark_price: byTimeOnOkx("mark-price", "index-tickers"),
    funding: byTimeOnOkx("funding-rate"),
    open_interest: byTimeOnOkx("open-interest"),
    liquidation: byTimeOnOkx("liquidation-orders"),
  },
};

/** A span of a gap row, µs. */
export interface Gap {
  readonly stream: string;
  /** null = all. */
  readonly symbol: string | null;
  readonly reason: string;
  readonly from: number;
  readonly to: number;
  readonly missed: number | null;
}

/** A row, as far as it is needed. */
export interface Row {
  readonly key: string;
  readonly id: string | null;
  readonly count: number;
  /** Receive time, µs. */
  readonly local: number;
  /** When its event was made, µs; NaN = it is of none. */
  made: number;
  readonly connection: number;
}

/** An event that is not as many rows as it should be. */
export interface Missing {
  readonly event: AccountEvent;
  /** Rows it should have been at the most, and rows it is. */
  readonly copies: number;
  readonly rows: number;
}

/** What became of one stream of one symbol. */
export interface Reckoned {
  readonly exchange: Name;
  readonly stream: string;
  /** The unified symbol. */
  readonly symbol: string;
  /** Events that are no state for a new subscriber. */
  readonly made: number;
  /** By receive time. */
  readonly rows: readonly Row[];
  readonly missing: readonly Missing[];
  /** Rows that nobody sent, or not as often. */
  readonly invented: readonly Row[];
  /** Gaps of this stream and symbol, in order. */
  readonly gaps: readonly Gap[];
  /** Where ids follow each other: ids made between the first and the last row, ids in rows, ids in gaps. */
  readonly ids: { readonly made: number; readonly rows: number; readonly missed: number } | null;
}

/** Gap rows of an exchange. */
export async function gapsOf(sql: Sql, data: string, exchange: string): Promise<Gap[]> {
  const rows = await sql.rows(
    `SELECT affected_stream AS stream, symbol, reason, missed, epoch_us(from_timestamp) AS "from",
       epoch_us(to_timestamp) AS "to"
     FROM ${streamFrom(data, "gaps")} WHERE exchange = '${exchange}' ORDER BY from_timestamp`,
  );
  return rows.map(({ stream, symbol, reason, missed, from, to }) => ({
    stream: String(stream),
    symbol: symbol === null || symbol === undefined ? null : String(symbol),
    reason: String(reason),
    missed: missed === null || missed === undefined ? null : Number(missed),
    from: from === null || from === undefined ? Number.NEGATIVE_INFINITY : Number(from),
    to: to === null || to === undefined ? Number.POSITIVE_INFINITY : Number(to),
  }));
}

/** Holds all that an exchange made against the lake, stream by stream and symbol by symbol. */
export async function* reckon(
  sql: Sql,
  data: string,
  exchange: Name,
  account: Account,
): AsyncGenerator<Reckoned> {
  if (account.forgotten > 0) throw new Error(`the account of ${exchange} has forgotten ${account.forgotten}`);
  const gaps = await gapsOf(sql, data, exchange);
  const counts = account.counts();
  for (const [stream, identity] of Object.entries(IDENTITIES[exchange])) {
    // Liquidations come of contracts that nobody asked for, too.
    const bbo = IDENTITIES[exchange].bbo?.kinds[0] ?? "";
    for (const instrument of Object.keys(counts).filter((one) => bbo in (counts[one] ?? {}))) {
      const symbol = exchangeByName(exchange).normalizeSymbol(instrument);
      const events = identity.kinds.flatMap((kind) => [...account.events({ symbol: instrument, kind })]);
      const rows = await rowsOf(sql, data, exchange, stream, symbol, identity);
      const { missing, invented } = matched(events, rows, identity);
      const own = gaps.filter((gap) => gap.stream === stream && (gap.symbol ?? symbol) === symbol);
      yield {
        exchange,
        stream,
        symbol,
        made: events.filter(({ first }) => !first).length,
        rows,
        missing,
        invented,
        gaps: own,
        ids: identity.consecutive === undefined ? null : idsOf(events, rows, own),
      };
    }
  }
}

async function rowsOf(
  sql: Sql,
  data: string,
  exchange: Name,
  stream: string,
  symbol: string,
  identity: Identity,
): Promise<Row[]> {
  const glob = quoted(join(data, `lake/v1/exchange=${exchange}/stream=${stream}/**/*.parquet`));
  if ((await sql.number(`SELECT count(*) FROM glob(${glob})`)) === 0) return [];
  const own: Record<string, string> = { bbo: "update_id, sequence", trade: 'id, "count"' };
  const rows = await sql.rows(
    `SELECT instrument, epoch_us("timestamp") AS t, epoch_us(published_timestamp) AS p,
       epoch_us(local_timestamp) AS local, connection, ${own[stream] ?? "NULL AS id"}
     FROM read_parquet(${glob}) WHERE symbol = ${quoted(symbol)} ORDER BY local_timestamp, ring, seq`,
  );
  return rows.map((row) => ({
    key: identity.row(row),
    id: row.id === null || row.id === undefined ? null : String(row.id),
    count: identity.consecutive === "count" ? Number(row.count) : 1,
    local: Number(row.local),
    made: Number.NaN,
    connection: Number(row.connection),
  }));
}

/** The two clocks agree to this, µs: the receive clock follows the wall clock to the millisecond. */
const CLOCKS = 2_000;

/**
 * Gives each row to the event it is of. An event is one row for each time that one connection was sent it: what
 * two connections carry side by side during a planned replacement is not doubled, what is sent twice is.
 */
function matched(events: readonly AccountEvent[], rows: readonly Row[], identity: Identity) {
  const known = new Map<string, { event: AccountEvent; copies: number; rows: number }[]>();
  for (const event of events) {
    const entry = { event, copies: copiesOf(event.sent), rows: 0 };
    const key = identity.event(event);
    const same = known.get(key);
    if (same === undefined) known.set(key, [entry]);
    else same.push(entry);
  }
  const invented: Row[] = [];
  for (const row of rows) {
    const candidates = (known.get(row.key) ?? []).filter(
      (one) => one.rows < one.copies && one.event.madeUs <= row.local + CLOCKS,
    );
    // The same key again is a resend, or a clock that was set back: the row is of the latest that can be.
    const entry = candidates.findLast(({ event }) => !event.first) ?? candidates.at(-1);
    if (entry === undefined) {
      invented.push(row);
      continue;
    }
    entry.rows++;
    row.made = entry.event.madeUs;
  }
  // The state that a subscription begins with is the same as the event that made it: one of the two may be the row.
  const restated = new Set(
    [...known.values()].flat().flatMap(({ event, rows }) => (event.first && rows > 0 ? [sameAs(event)] : [])),
  );
  const missing = [...known.values()]
    .flat()
    .filter((one) => !one.event.first && one.rows < Math.max(1, one.copies))
    .filter((one) => one.copies === 0 || !restated.has(sameAs(one.event)))
    .sort((a, b) => a.event.madeUs - b.event.madeUs);
  return { missing, invented };
}

const sameAs = ({ kind, id }: AccountEvent): string => `${kind} ${id}`;

/** How often one connection was sent it, at the most. */
function copiesOf(sent: readonly number[]): number {
  let most = 0;
  for (const one of sent) most = Math.max(most, sent.filter((other) => other === one).length);
  return most;
}

function idsOf(events: readonly AccountEvent[], rows: readonly Row[], gaps: readonly Gap[]) {
  const distinct = new Map(rows.map((row) => [row.id, row]));
  const counted = [...distinct.values()].map(
    ({ id, count }) => [Number(id) - count + 1, Number(id)] as const,
  );
  const first = Math.min(...counted.map(([from]) => from));
  const last = Math.max(...counted.map(([, to]) => to));
  const between = events.filter(({ id }) => Number(id) >= first && Number(id) <= last);
  return {
    made: between.reduce((sum, { count }) => sum + count, 0),
    rows: counted.reduce((sum, [from, to]) => sum + to - from + 1, 0),
    missed: gaps
      .filter(({ reason }) => reason === "sequence" || reason === "overflow")
      .reduce((sum, { missed }) => sum + Number(missed), 0),
  };
}

/** Spans of any order as spans that do not touch, in order. */
export function union(spans: readonly { readonly from: number; readonly to: number }[]) {
  const merged: { from: number; to: number }[] = [];
  for (const { from, to } of [...spans].sort((a, b) => a.from - b.from)) {
    const last = merged.at(-1);
    if (last !== undefined && from <= last.to) last.to = Math.max(last.to, to);
    else merged.push({ from, to });
  }
  return merged;
}
