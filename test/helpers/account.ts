/** What a simulated Binance says it has sent, against what a lake holds. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { quoted, type Sql, streamFrom } from "./lake.ts";

/** An event that was sent and is not in the lake. */
export interface MissingEvent {
  readonly stream: string;
  readonly symbol: string;
  /** When the exchange made it, µs. */
  readonly made: number;
}

/** See {@link compareAccount}. */
export interface Comparison {
  /** Events that were handed to a socket. */
  readonly sent: number;
  readonly missing: readonly MissingEvent[];
}

/**
 * Compares best bids and offers, and trades, by the exchange's own numbers.
 *
 * @param exchange started with `account: true`
 * @param data folder whose `lake/` is compared
 * @throws Error where an event stands there twice, or one that was never sent
 */
export async function compareAccount(
  sql: Sql,
  exchange: { readonly restUrl: string },
  data: string,
): Promise<Comparison> {
  const text = await (await fetch(`${exchange.restUrl}/sim/account?sent=yes`)).text();
  const file = join(data, "account.jsonl");
  writeFileSync(file, text);
  await sql.rows(
    `CREATE OR REPLACE TABLE account AS
     SELECT symbol, CASE kind WHEN 'bookTicker' THEN 'bbo' ELSE 'trade' END AS stream, id::BIGINT AS id, "madeUs" AS made
     FROM read_json(${quoted(file)}, format = 'newline_delimited',
       columns = {kind: 'VARCHAR', symbol: 'VARCHAR', id: 'VARCHAR', "madeUs": 'BIGINT', sent: 'INTEGER[]'})
     WHERE kind IN ('bookTicker', 'aggTrade') AND len(sent) > 0`,
  );
  await sql.rows(
    `CREATE OR REPLACE TABLE recorded AS
     SELECT symbol, 'bbo' AS stream, update_id AS id FROM ${streamFrom(data, "bbo")}
     UNION ALL SELECT symbol, 'trade', id::BIGINT FROM ${streamFrom(data, "trade")}`,
  );
  const twice = await sql.rows("SELECT * FROM recorded GROUP BY ALL HAVING count(*) > 1 LIMIT 3");
  if (twice.length > 0) throw new Error(`events that are in the lake twice: ${JSON.stringify(twice)}`);
  const never = await sql.rows("SELECT * FROM recorded ANTI JOIN account USING (stream, symbol, id) LIMIT 3");
  if (never.length > 0) throw new Error(`events that were never sent: ${JSON.stringify(never)}`);
  const missing = await sql.rows(
    "SELECT stream, symbol, made FROM account ANTI JOIN recorded USING (stream, symbol, id) ORDER BY made",
  );
  return {
    sent: await sql.number("SELECT count(*) FROM account"),
    missing: missing.map(({ stream, symbol, made }) => ({
      stream: String(stream),
      symbol: String(symbol),
      made: Number(made),
    })),
  };
}

/** How many events the rows of `gaps` of some reasons say are missing. */
export async function missedIn(sql: Sql, data: string, reasons: readonly string[]): Promise<number> {
  const list = reasons.map(quoted).join(", ");
  return await sql.number(
    `SELECT coalesce(sum(missed), 0)::BIGINT FROM ${streamFrom(data, "gaps")} WHERE reason IN (${list})`,
  );
}

/** How much earlier than its last row a hole may begin for an event that was made then and was still on its way, µs. */
const ON_ITS_WAY = 1_000_000;

/** Those of the missing events that no row of `gaps` covers. */
export async function uncovered(
  sql: Sql,
  data: string,
  missing: readonly MissingEvent[],
): Promise<readonly MissingEvent[]> {
  const gaps = await sql.rows(
    `SELECT affected_stream, symbol, epoch_us(from_timestamp) AS "from", epoch_us(to_timestamp) AS "to"
     FROM ${streamFrom(data, "gaps")}`,
  );
  return missing.filter(
    ({ stream, symbol, made }) =>
      !gaps.some(
        (gap) =>
          gap.affected_stream === stream &&
          (gap.symbol === null || gap.symbol === symbol) &&
          made >= Number(gap.from) - ON_ITS_WAY &&
          (gap.to === null || made <= Number(gap.to)),
      ),
  );
}
