/** The exchanges that settings may name, with the defaults of their settings. */

/** Known exchanges; another one is one more name here and one more entry in {@link EXCHANGE_DEFAULTS}. */
export const EXCHANGE_NAMES = ["binance"] as const;

/** One market endpoint. */
export type ExchangeName = (typeof EXCHANGE_NAMES)[number];

/** What differs per exchange in the settings `exchanges.<name>.*`. */
export interface ExchangeDefaults {
  /** Base of the WebSocket endpoints, to which the exchange's own paths are added. */
  readonly wsUrl: string;
  /** Base of the REST endpoints (instruments). */
  readonly restUrl: string;
  /** Streams on one connection unless set otherwise. */
  readonly streamsPerConnection: number;
  /** The most streams that the exchange accepts on one connection. */
  readonly streamsPerConnectionMax: number;
}

/**
 * Defaults per exchange.
 *
 * binance: USDⓈ-M futures, https://developers.binance.com/docs/derivatives/usds-margined-futures
 * ("a single connection can listen to a maximum of 1024 streams").
 */
export const EXCHANGE_DEFAULTS: Readonly<Record<ExchangeName, ExchangeDefaults>> = {
  binance: {
    wsUrl: "wss://fstream.binance.com",
    restUrl: "https://fapi.binance.com",
    streamsPerConnection: 200,
    streamsPerConnectionMax: 1024,
  },
};
