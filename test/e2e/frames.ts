/**
 * Frames of Binance USD-M futures as this project's tests spell them: shapes and field order from the
 * exchange's WebSocket reference, values made up.
 */

/** Exchange time of the first made-up frame, ms. */
export const START_MS = 1_795_132_800_123;

const wrap = (stream: string, payload: object): string => JSON.stringify({ stream, data: payload });
const lower = (symbol: string): string => symbol.toLowerCase();

/** `<symbol>@bookTicker` */
export function bookTicker(symbol: string, u: number, at: number, more: object = {}): string {
  return wrap(`${lower(symbol)}@bookTicker`, {
    e: "bookTicker",
    u,
    s: symbol,
    ps: symbol,
    b: (100 + (u % 7) / 100).toFixed(2),
    B: ((u % 997) / 1000).toFixed(3),
    a: (100.1 + (u % 5) / 100).toFixed(2),
    A: ((u % 991) / 1000 + 1).toFixed(3),
    T: at - 2,
    E: at,
    st: 1,
    ...more,
  });
}

/** `<symbol>@aggTrade` */
export function aggTrade(symbol: string, a: number, at: number, more: object = {}): string {
  const q = ((a % 89) / 1000 + 0.001).toFixed(3);
  return wrap(`${lower(symbol)}@aggTrade`, {
    e: "aggTrade",
    E: at,
    a,
    s: symbol,
    p: (100 + (a % 11) / 10).toFixed(2),
    q,
    nq: q,
    f: 10 * a,
    l: 10 * a + (a % 4),
    T: at - 140,
    m: a % 3 === 0,
    st: 1,
    ...more,
  });
}

/** `<symbol>@markPrice@1s` */
export function markPrice(symbol: string, at: number, more: object = {}): string {
  return wrap(`${lower(symbol)}@markPrice@1s`, {
    e: "markPriceUpdate",
    E: at,
    s: symbol,
    p: "100.12345678",
    ap: "100.11000000",
    P: "100.20000001",
    i: "100.15000000",
    r: "-0.00012500",
    T: START_MS - (START_MS % 3_600_000) + 3_600_000,
    st: 1,
    ...more,
  });
}

/** `!forceOrder@arr` */
export function forceOrder(symbol: string, at: number, more: object = {}): string {
  return wrap("!forceOrder@arr", {
    e: "forceOrder",
    E: at,
    o: {
      s: symbol,
      S: "SELL",
      o: "LIMIT",
      f: "IOC",
      q: "0.190",
      p: "82.30",
      ap: "82.65",
      X: "FILLED",
      l: "0.155",
      z: "0.190",
      T: at - 933,
      ps: symbol,
      st: 1,
      ...more,
    },
  });
}
