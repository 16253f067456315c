/**
 * SQL views over a lake: one per stream and dataset, and those that convert units and carry values forward.
 *
 * The files hold what the frames held. What a reader wants derived from that stands here, as SQL that
 * anybody can copy into a DuckDB of their own (docs/views.md is generated from it). Where exchanges differ,
 * the SQL is made from what each says of itself.
 */

import type { Column } from "../events/columns.ts";
import { columnsOf, DATASETS, SCHEMA_VERSION, STREAM_NAMES, STREAMS } from "../events/streams.ts";
import type { Exchange } from "../exchanges/exchange.ts";
import { EXCHANGES } from "../exchanges/exchanges.ts";
import { globText, sqlName, sqlText } from "./projection.ts";

/** A view: its name, what it is for, and its query. */
export interface View {
  readonly name: string;
  readonly meaning: string;
  readonly query: string;
}

/** Columns that the path adds to every view of files. */
const PATH_COLUMNS = ["exchange VARCHAR", "stream VARCHAR", "date DATE"];

/** Views of the files themselves. `present` = streams and datasets that have files; others are empty. */
export function fileViews(root: string, present: ReadonlySet<string>): View[] {
  const kinds: [string, readonly Column[]][] = [
    ...STREAM_NAMES.map((stream): [string, readonly Column[]] => [stream, columnsOf(stream)]),
    ...Object.entries(DATASETS),
  ];
  return kinds.map(([name, columns]) => {
    const files = sqlText(`${globText(root)}/${SCHEMA_VERSION}/exchange=*/stream=${name}/date=*/*.parquet`);
    const nothing = [...columns.map((column) => `${sqlName(column.name)} ${column.type}`), ...PATH_COLUMNS]
      .map((definition) => {
        const space = definition.lastIndexOf(" ");
        return `NULL::${definition.slice(space + 1)} AS ${definition.slice(0, space)}`;
      })
      .join(", ");
    return {
      name,
      meaning: name in STREAMS ? `The stream ${name} as recorded.` : `The dataset ${name}.`,
      query: present.has(name)
        ? `SELECT * FROM read_parquet(${files}, hive_partitioning = true, hive_types = {'date': DATE})`
        : `SELECT ${nothing} WHERE false`,
    };
  });
}

/** What the views have to know of an exchange. */
export type ViewFacts = Pick<Exchange, "name" | "openInterestSides" | "inverseContractTypes">;

/** The instrument as it was when a row was recorded. */
const INSTRUMENT_THEN = `ASOF LEFT JOIN instruments i
  ON i.exchange = t.exchange AND i.instrument = t.instrument AND i.local_timestamp <= t.local_timestamp`;

/** Base (inverse: quote) in one unit of a published amount, times the multiplier of the price. */
const UNIT = "i.contract_size * i.contract_multiplier * i.price_multiplier";

const sqlList = (texts: readonly string[]) => `(${texts.map(sqlText).join(", ")})`;

/** Whether contracts of instrument `i` are inverse: worth a fixed sum of quote, so that the price gives the coins. */
function isInverse(exchanges: readonly ViewFacts[]): string {
  const cases = exchanges
    .filter(({ inverseContractTypes }) => inverseContractTypes.length > 0)
    .map(({ name, inverseContractTypes }) => {
      return `(i.exchange = ${sqlText(name)} AND i.contract_type IN ${sqlList(inverseContractTypes)})`;
    });
  return cases.length === 0 ? "false" : cases.join(" OR ");
}

function tradeBase(exchanges: readonly ViewFacts[]): View {
  return {
    name: "trade_base",
    meaning:
      "Trades with the amount in coins and the price of one coin, whatever a contract is worth: " +
      "amount_base, price_base. NULL where the instrument, or what its contract is worth, is not known.",
    query: `SELECT t.*,
  t.amount * ${UNIT}
    / CASE WHEN ${isInverse(exchanges)} THEN t.price ELSE 1 END AS amount_base,
  t.price / i.price_multiplier AS price_base
FROM trade t ${INSTRUMENT_THEN}`,
  };
}

function openInterestBase(exchanges: readonly ViewFacts[]): View {
  const cases = exchanges
    .filter(({ openInterestSides }) => openInterestSides === 2)
    .map(({ name }) => ` WHEN ${sqlText(name)} THEN t.open_interest / 2`);
  const oneSide =
    cases.length === 0 ? "t.open_interest" : `CASE t.exchange${cases.join("")} ELSE t.open_interest END`;
  const inverse = isInverse(exchanges);
  return {
    name: "open_interest_base",
    meaning:
      "Open interest of one side in coins: as the exchange publishes it in coins; otherwise from its contracts, " +
      "halved where it adds up both sides and does not publish the single one; contracts worth a fixed sum of " +
      "quote (inverse) by the last mark price. NULL where the instrument, or for inverse contracts a mark price, " +
      "is not known. Rows without a number are left out.",
    query: `SELECT t.* EXCLUDE (open_interest_base), coalesce(
  t.open_interest_base * i.price_multiplier,
  coalesce(t.open_interest_single, ${oneSide})
    * ${UNIT}
    / CASE WHEN ${inverse} THEN m.mark_price ELSE 1 END
) AS open_interest_base
FROM open_interest t ${INSTRUMENT_THEN}
ASOF LEFT JOIN (
  SELECT m.* FROM mark_price m SEMI JOIN (FROM instruments i WHERE ${inverse}) i USING (exchange, instrument)
  WHERE m.mark_price IS NOT NULL
) m ON m.exchange = t.exchange AND m.instrument = t.instrument AND m.local_timestamp <= t.local_timestamp
WHERE t.open_interest IS NOT NULL OR t.open_interest_base IS NOT NULL OR t.open_interest_single IS NOT NULL`,
  };
}

/**
 * Values carried forward within a run, whichever connections they came over. Mark and index prices may come on
 * channels of their own; and a connection that takes over as planned goes on where the old one stopped: its snapshot
 * is no row, and while both are open a row may be of either. What a connection left behind that broke is no danger:
 * the first row of a symbol on the next one is a snapshot, which has every column.
 */
function carried(stream: "mark_price" | "funding" | "open_interest"): View {
  const own = STREAMS[stream].map(({ name }) => name);
  const columns = own.map((name) => `last_value(${name} IGNORE NULLS) OVER state AS ${name}`);
  return {
    name: `${stream}_carried`,
    meaning:
      `${stream} with each value carried forward, within a run, until the exchange sends the next one. ` +
      "Over which connection a row came does not matter: one that replaces another as planned goes on where that " +
      "one stopped, without a snapshot among its rows. After an outage nothing stale is left where an exchange sends " +
      "changes: the first row of a symbol on the new connection is a snapshot with all its columns, which takes the " +
      "place of everything carried. What was missed in between is in `gaps`; where a connection broke while it was being " +
      "replaced, a value may be that of before until its next change.",
    query: `SELECT * REPLACE (${columns.join(", ")})
FROM ${stream}
WINDOW state AS (PARTITION BY exchange, symbol, run ORDER BY local_timestamp, ring, seq ROWS UNBOUNDED PRECEDING)`,
  };
}

/** Views that convert units and carry values forward; they use the views of the files. */
export function derivedViews(exchanges: readonly ViewFacts[] = EXCHANGES): readonly View[] {
  return [
    tradeBase(exchanges),
    openInterestBase(exchanges),
    carried("mark_price"),
    carried("funding"),
    carried("open_interest"),
  ];
}

/** All views, in the order in which they have to be made. */
export function allViews(
  root: string,
  present: ReadonlySet<string>,
  exchanges: readonly ViewFacts[] = EXCHANGES,
): View[] {
  return [...fileViews(root, present), ...derivedViews(exchanges)];
}

/** The statement that makes a view. */
export function createView({ name, query }: View): string {
  return `CREATE OR REPLACE VIEW ${sqlName(name)} AS ${query}`;
}
