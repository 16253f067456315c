import type { ExchangeName } from "../config/exchanges.ts";
import type { Settings } from "../config/schema.ts";
import { exchangeByName } from "../exchanges/exchanges.ts";
import { CONNECTION_WATCH } from "../exchanges/watchdog/connection-watch.ts";
import { LAG_WATCH } from "../exchanges/watchdog/lag-watch.ts";
import { SYMBOL_WATCH } from "../exchanges/watchdog/symbol-watch.ts";
import type { LaneBounds } from "../ingest/messages.ts";

/**
 * Rows of bbo without a single trade from which on trades are believed to be dead: a market that trades has a trade
 * in some hundreds of them, a quiet one in a few thousand.
 */
export const QUOTES_WITHOUT_TRADE = 20_000;

/** The bounds that the settings give to everything that is done for an exchange. */
export function laneBounds(settings: Settings, name: ExchangeName): LaneBounds {
  const { connection } = settings;
  return {
    handshakeTimeout: connection.handshake_timeout,
    backoffMin: connection.backoff_min,
    backoffMax: connection.backoff_max,
    ackTimeout: connection.ack_timeout,
    refusedRetry: connection.refused_retry,
    pingInterval: connection.ping_interval,
    pongTimeout: connection.pong_timeout,
    turnBytes: connection.turn_bytes,
    messageBytesMax: connection.max_message_bytes,
    watch: {
      ...CONNECTION_WATCH,
      floor: connection.silence,
      cap: connection.silence_max,
      firstData: connection.first_data,
      firstDataQuiet: connection.first_data_quiet,
    },
    symbols: {
      ...SYMBOL_WATCH,
      floor: connection.symbol_silence,
      judgedMax: connection.silence_max,
      againMax: connection.silence_max,
      firstData: connection.first_data,
      firstDataQuiet: connection.first_data_quiet,
    },
    quotesWithoutTrade: QUOTES_WITHOUT_TRADE,
    lag: { ...LAG_WATCH, limit: connection.lag },
    maxAge: connection.max_age ?? exchangeByName(name).limits.lifetime,
    overlap: connection.overlap,
    replaceTimeout: connection.replace_timeout,
  };
}
