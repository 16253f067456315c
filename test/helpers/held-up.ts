/**
 * What a busy machine makes of a simulated exchange: one that is held up sends nothing of any symbol, and a recorder
 * that calls that a silence is right. The account says when that was, since it knows when each event was made.
 */
import type { Account } from "../../src/simulator/account/account.ts";
import type { GapRow } from "./account-rows.ts";
import type { Faulty } from "./faulty.ts";

/** An exchange with hundreds of events a second that makes none for so long does not run, µs. */
const HELD_UP = 1_000_000;

/** Times between two events, of whatever symbol, in which an exchange was held up, µs. */
function heldUp(account: Account | undefined): { from: number; to: number }[] {
  const spans: { from: number; to: number }[] = [];
  let last = Number.POSITIVE_INFINITY;
  for (const { madeUs } of account?.events() ?? []) {
    if (madeUs - last > HELD_UP) spans.push({ from: last, to: madeUs });
    last = madeUs;
  }
  return spans;
}

/** The gaps without silences of exchanges that were held up, which are printed. */
export function withoutHeldUp(gaps: readonly GapRow[], faulty: readonly Faulty[]): GapRow[] {
  const spans = new Map(faulty.map(({ name, exchange }) => [name as string, heldUp(exchange.account)]));
  return gaps.filter((gap) => {
    const { exchange, reason, certainty, from, to } = gap;
    if (reason !== "silence" || certainty !== "possible") return true;
    const span = spans.get(exchange)?.find((one) => one.from < Number(to) && one.to > from);
    if (span === undefined) return true;
    const ms = Math.round((span.to - span.from) / 1000);
    console.log(
      `a silence of ${exchange} ${gap.stream} ${gap.symbol}: the exchange was held up for ${ms} ms`,
    );
    return false;
  });
}
