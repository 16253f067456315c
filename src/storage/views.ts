/**
 * SQL views over a lake: one per stream and dataset, and those that convert units and carry values forward.
 *
 * The files hold what the frames held. What a reader wants derived from that stands here, as SQL that
 * anybody can copy into a DuckDB of their own (docs/views.md is generated from it).
 */

import type { Column } from "../events/columns.ts";
import { columnsOf, DATASETS, SCHEMA_VERSION, STREAM_NAMES, STREAMS } from "../events/streams.ts";
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

/** The instrument as it was when a row was recorded. */
const INSTRUMENT_THEN = `ASOF LEFT JOIN instruments i
  ON i.exchange = t.exchange AND i.instrument = t.instrument AND i.local_timestamp <= t.local_timestamp`;

/**
 * State that a stream of changes builds up is good for one connection: a new one begins with a snapshot.
 * On OKX mark and index prices come on channels of their own, perhaps over different connections.
 */
const CARRY_OVER =
  "PARTITION BY exchange, symbol, run, CASE WHEN exchange = 'bybit' THEN connection END ORDER BY local_timestamp, seq";

function carried(stream: "mark_price" | "funding" | "open_interest"): View {
  const own = STREAMS[stream].map(({ name }) => name);
  const columns = own.map((name) => `last_value(${name} IGNORE NULLS) OVER state AS ${name}`);
  return {
    name: `${stream}_carried`,
    meaning: `${stream} with each value carried forward until the exchange sends the next one.`,
    query: `SELECT * REPLACE (${columns.join(", ")})
FROM ${stream}
WINDOW state AS (${CARRY_OVER} ROWS UNBOUNDED PRECEDING)`,
  };
}

/** Views that convert units and carry values forward; they use the views of the files. */
export const DERIVED_VIEWS: readonly View[] = [
  {
    name: "trade_base",
    meaning:
      "Trades with the amount in coins and the price of one coin, whatever a contract is worth: " +
      "amount_base, price_base. NULL where the instrument is not known.",
    query: `SELECT t.*,
  CASE WHEN i.contract_type = 'inverse' OR i.contract_type = 'InversePerpetual'
       THEN t.amount * i.contract_size * i.contract_multiplier / t.price
       ELSE t.amount * i.contract_size * i.contract_multiplier * i.price_multiplier END AS amount_base,
  t.price / i.price_multiplier AS price_base
FROM trade t ${INSTRUMENT_THEN}`,
  },
  {
    name: "open_interest_base",
    meaning:
      "Open interest of one side in coins: Bybit's counts both sides and is halved where it does not publish " +
      "the single one, OKX's contracts are published in coins as well. Rows without a number are left out.",
    query: `SELECT t.* EXCLUDE (open_interest_base), coalesce(
  t.open_interest_base,
  t.open_interest_single * i.contract_size * i.contract_multiplier,
  CASE WHEN t.exchange = 'bybit' THEN t.open_interest / 2 ELSE t.open_interest END
    * i.contract_size * i.contract_multiplier
) * i.price_multiplier AS open_interest_base
FROM open_interest t ${INSTRUMENT_THEN}
WHERE t.open_interest IS NOT NULL OR t.open_interest_base IS NOT NULL OR t.open_interest_single IS NOT NULL`,
  },
  carried("mark_price"),
  carried("funding"),
  carried("open_interest"),
];

/** All views, in the order in which they have to be made. */
export function allViews(root: string, present: ReadonlySet<string>): View[] {
  return [...fileViews(root, present), ...DERIVED_VIEWS];
}

/** The statement that makes a view. */
export function createView({ name, query }: View): string {
  return `CREATE OR REPLACE VIEW ${sqlName(name)} AS ${query}`;
}
