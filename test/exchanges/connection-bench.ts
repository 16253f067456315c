/** One Binance connection with everything it reports, for tests against {@link ExchangeServer}. */
import { binance } from "../../src/exchanges/binance.ts";
import { ConnectGate } from "../../src/exchanges/connect-gate.ts";
import {
  Connection,
  type ConnectionBounds,
  type ConnectionEvents,
  type Expectation,
  type LossReason,
} from "../../src/exchanges/connection.ts";
import { Collector } from "../../src/exchanges/decoding/collector.ts";
import { SymbolTable } from "../../src/exchanges/decoding/symbols.ts";
import type { Exchange } from "../../src/exchanges/exchange.ts";
import type { Dial } from "../../src/exchanges/websocket/wire.ts";
import { dialDirectly, LIVELY, TEST_BOUNDS, unheard } from "../helpers/connection.ts";

/** Route of the channels below. */
export const ROUTE = "/market/stream";
/** What a connection carries unless told otherwise. */
export const CHANNELS = ["btcusdt@aggTrade"];

/** Quick back-off; handshakes have the time that a busy machine takes. */
export const BOUNDS: ConnectionBounds = {
  ...TEST_BOUNDS,
  backoffMin: 4,
  backoffMax: 64,
  ackTimeout: 10_000,
};

/** A trade as Binance sends it. */
export const trade = (id: number) =>
  `{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1791300000000,"a":${id},"s":"BTCUSDT","p":"1.5",` +
  `"q":"2","f":1,"l":1,"T":1791300000000,"m":true}}`;

/** How one socket ended. */
export interface Closed {
  readonly number: number;
  readonly code: number | null;
  readonly reason: string;
  readonly retryIn: number | null;
}

/** What a bench may have otherwise. */
export interface BenchOptions {
  readonly exchange?: Exchange;
  readonly channels?: readonly string[];
  readonly bounds?: Partial<ConnectionBounds>;
  readonly expectation?: Expectation;
  readonly dial?: Dial;
  readonly gate?: ConnectGate;
  /** Told as well of what is lost and accepted. */
  readonly also?: Partial<Pick<ConnectionEvents, "lost" | "accepted">>;
  /** Number of the first socket. */
  readonly firstNumber?: number;
  /** Receive time, µs; by default it counts its readings. */
  now?(): number;
}

/** Makes a connection that is not started yet, and lists of all that it tells. */
export function connect(wsUrl: string, options: BenchOptions = {}) {
  const { exchange = binance, channels = CHANNELS, bounds = {}, expectation = LIVELY() } = options;
  const symbols = new SymbolTable();
  symbols.add("BTCUSDT", 0);
  const collector = new Collector(exchange, symbols);
  const seen = {
    opened: [] as number[],
    closed: [] as Closed[],
    lost: [] as { reason: LossReason; from: number }[],
    accepted: [] as string[][],
    decoded: [] as number[],
    undecodable: [] as { text: string; local: number; reason: string }[],
    refused: [] as { channels: string[]; error: string }[],
    instrumentsChanged: 0,
    leaving: 0,
  };
  let number = options.firstNumber ?? 100;
  let local = 5_000_000;
  const connection = new Connection({
    exchange,
    wsUrl,
    plan: { route: ROUTE, channels },
    decoder: exchange.createDecoder({
      symbols,
      writers: collector.writers,
      counters: { fallback: 0, inexact: 0, oversized: 0 },
    }),
    bounds: { ...BOUNDS, ...bounds },
    gate: options.gate ?? new ConnectGate({ connectsPerSecond: 1000, connectsPerFiveMinutes: null }),
    dial: options.dial ?? dialDirectly,
    judged: () => expectation,
    events: {
      ...unheard(),
      nextNumber: () => number++,
      now: options.now ?? (() => local++),
      opened: (one) => seen.opened.push(one.number),
      closed: (_, why) => {
        const { number: of, code, reason, retryIn } = why;
        seen.closed.push({ number: of, code, reason, retryIn });
      },
      lost: (one, reason, from) => {
        seen.lost.push({ reason, from });
        options.also?.lost?.(one, reason, from);
      },
      accepted: (one, list) => {
        seen.accepted.push([...list]);
        options.also?.accepted?.(one, list);
      },
      decoded: (_, at) => seen.decoded.push(at),
      instrumentsChanged: () => seen.instrumentsChanged++,
      undecodable: (_, frame, at, reason) =>
        seen.undecodable.push({ text: Buffer.from(frame).toString(), local: at, reason }),
      refused: (_, list, error) => seen.refused.push({ channels: [...list], error }),
      leaving: () => seen.leaving++,
    },
  });
  return { connection, seen, collector };
}
