/** The exchanges that settings may name, with the defaults of their settings. */

/** Known exchanges; another one is one more name here and one more entry in {@link EXCHANGE_DEFAULTS}. */
export const EXCHANGE_NAMES = ["binance", "bybit", "okx"] as const;

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
 * bybit: v5 linear; no limit on the number of topics, but on the characters of all of them.
 * okx: v5 public; 500 to 1200 args on one connection were seen to work.
 */
export const EXCHANGE_DEFAULTS: Readonly<Record<ExchangeName, ExchangeDefaults>> = {
  binance: {
    wsUrl: "wss://fstream.binance.com",
    restUrl: "https://fapi.binance.com",
    streamsPerConnection: 200,
    streamsPerConnectionMax: 1024,
  },
  bybit: {
    wsUrl: "wss://stream.bybit.com",
    restUrl: "https://api.bybit.com",
    streamsPerConnection: 200,
    streamsPerConnectionMax: 2000,
  },
  okx: {
    wsUrl: "wss://ws.okx.com:8443",
    restUrl: "https://www.okx.com",
    streamsPerConnection: 480,
    streamsPerConnectionMax: 1200,
  },
};
