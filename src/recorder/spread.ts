/** Which ingest workers an exchange is on, and which of them carries what. */
import type { Stream } from "../events/streams.ts";
import type { Exchange, Subscription } from "../exchanges/exchange.ts";

/** Whether a stream has a channel for each instrument is seen from what would be subscribed for this one. */
const ANY_SYMBOL = "BTCUSDT";

/**
 * The workers of exchange number `exchange` of `exchanges`, of `workers` in all, counted from 0. With no more workers
 * than exchanges each exchange is on one; with more of them, each worker is on one exchange. Exchanges are dealt out
 * there and back (0 1 1 0 0 1 …), so that those named first, the busiest by default, share with those named last.
 *
 * @returns at least one worker, in ascending order
 */
export function workersOf(exchange: number, exchanges: number, workers: number): number[] {
  if (workers <= exchanges) {
    const place = exchange % workers;
    return [Math.floor(exchange / workers) % 2 === 0 ? place : workers - 1 - place];
  }
  return Array.from({ length: workers }, (_, worker) => worker).filter(
    (worker) => worker % exchanges === exchange,
  );
}

/** Which of `parts` workers a subscription is on. */
function partOf({ instrument, channel }: Subscription, exchange: Exchange, parts: number): number {
  // By symbol: an index has another id than its instrument, and belongs to it.
  const name = instrument === null ? channel : exchange.normalizeSymbol(instrument);
  return Bun.hash.xxHash32(name) % parts;
}

/**
 * Splits the subscriptions of an exchange over `parts` workers, by a hash of the symbol, of the channel where it is
 * of all instruments. So all channels of an instrument are on one worker, and a listing or delisting moves nothing
 * else.
 *
 * @returns one list for each part, each in the order given; some may be empty
 */
export function splitSubscriptions(
  exchange: Exchange,
  subscriptions: readonly Subscription[],
  parts: number,
): Subscription[][] {
  const split: Subscription[][] = Array.from({ length: parts }, () => []);
  for (const subscription of subscriptions) split[partOf(subscription, exchange, parts)]?.push(subscription);
  return split;
}

/**
 * Which of `parts` workers may get events of a stream, in ascending order: all of them, or the one that has the
 * channel that brings the events of all instruments.
 */
export function partsWith(exchange: Exchange, stream: Stream, parts: number): number[] {
  const anyone = exchange.instrumentOf(ANY_SYMBOL) ?? ANY_SYMBOL;
  const channels = exchange
    .subscriptions([stream], [{ instrument: anyone }])
    .filter(({ streams }) => streams.includes(stream));
  if (channels.some(({ instrument }) => instrument !== null))
    return Array.from({ length: parts }, (_, i) => i);
  return [...new Set(channels.map((channel) => partOf(channel, exchange, parts)))].sort((a, b) => a - b);
}
