import { expect, test } from "bun:test";
import { UnheardTrades } from "../../src/ingest/unheard-trades.ts";

const SECOND = 1_000_000;
const QUOTES = 100;
const PATIENCE = 60 * SECOND;
const BTC = 7;

/** Trades of one symbol, of which it is told how many rows there are; time is a number. */
function bench() {
  const rows = { trade: 5, bbo: 1000 };
  const suspected: { symbol: number; since: number }[] = [];
  const trades = new UnheardTrades({
    quotesMax: QUOTES,
    patience: PATIENCE / 1000,
    rowsOf: (stream, symbol) => (symbol === BTC ? rows[stream] : 0),
    watch: () => ({ suspect: (symbol, since) => suspected.push({ symbol, since }) }),
  });
  return { rows, suspected, trades };
}

test("so many quotes without a trade, and so much time: both are needed, and it is said once", () => {
  const { rows, suspected, trades } = bench();
  trades.accepted("trades", BTC, SECOND);
  rows.bbo += QUOTES;
  trades.tick(PATIENCE);
  expect(suspected).toEqual([]);
  rows.bbo -= 1;
  trades.tick(2 * PATIENCE);
  expect(suspected).toEqual([]);
  rows.bbo += 1;
  trades.tick(3 * PATIENCE);
  expect(suspected).toEqual([{ symbol: BTC, since: SECOND }]);
  rows.bbo += QUOTES;
  trades.tick(4 * PATIENCE);
  expect(suspected.length).toBe(1);
  // Accepted again it has as much time again.
  trades.accepted("trades", BTC, 4 * PATIENCE);
  trades.tick(6 * PATIENCE);
  expect(suspected.length).toBe(1);
  rows.bbo += QUOTES;
  trades.tick(7 * PATIENCE);
  expect(suspected.at(-1)).toEqual({ symbol: BTC, since: 4 * PATIENCE });
});

test("a single trade shows that they live; what is not wanted, or has no connection, is not judged", () => {
  const { rows, suspected, trades } = bench();
  trades.accepted("trades", BTC, 0);
  rows.bbo += 10 * QUOTES;
  rows.trade++;
  trades.tick(2 * PATIENCE);
  trades.accepted("trades", BTC, 2 * PATIENCE);
  trades.forget("trades");
  rows.bbo += 10 * QUOTES;
  trades.tick(4 * PATIENCE);
  expect(suspected).toEqual([]);
});
