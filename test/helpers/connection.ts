/** What every test that opens connections needs: bounds, a way to dial, and events nobody listens to. */
import type { ConnectionEvents, Expectation } from "../../src/exchanges/connection.ts";
import { DIRECT, dialer } from "../../src/exchanges/dialer.ts";
import { CONNECTION_WATCH } from "../../src/exchanges/watchdog/connection-watch.ts";
import { LAG_WATCH } from "../../src/exchanges/watchdog/lag-watch.ts";
import { SYMBOL_WATCH } from "../../src/exchanges/watchdog/symbol-watch.ts";
import type { Dial } from "../../src/exchanges/websocket/wire.ts";
import type { LaneBounds } from "../../src/ingest/messages.ts";
import { QUOTES_WITHOUT_TRADE } from "../../src/recorder/lane-bounds.ts";

/** Bounds with quick back-off; the watchdogs are as patient as they are by default. */
export const TEST_BOUNDS: LaneBounds = {
  handshakeTimeout: 5000,
  backoffMin: 50,
  backoffMax: 1000,
  ackTimeout: 5000,
  refusedRetry: 60_000,
  pingInterval: 20_000,
  pongTimeout: 10_000,
  turnBytes: 64 * 1024,
  messageBytesMax: 64 * 1024 * 1024,
  watch: CONNECTION_WATCH,
  symbols: SYMBOL_WATCH,
  quotesWithoutTrade: QUOTES_WITHOUT_TRADE,
  lag: LAG_WATCH,
  maxAge: null,
  overlap: 5000,
  replaceTimeout: 60_000,
};

/** Goes straight to the address. */
export const dialDirectly: Dial = dialer(DIRECT);

/** Something is to be expected of every connection, soon. */
export const LIVELY = (): Expectation => ({ judged: true, prompt: true });

/** Events that nobody listens to; sockets are numbered from 0, receive time is the wall clock, µs. */
export function unheard(): ConnectionEvents {
  let number = 0;
  return {
    nextNumber: () => number++,
    now: () => Date.now() * 1000,
    opened: () => undefined,
    arriving: () => undefined,
    closed: () => undefined,
    lost: () => undefined,
    accepted: () => undefined,
    decoded: () => undefined,
    instrumentsChanged: () => undefined,
    undecodable: () => undefined,
    refused: () => undefined,
    leaving: () => undefined,
  };
}
