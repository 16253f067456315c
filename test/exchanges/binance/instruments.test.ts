/** Binance's list of instruments. */
import { expect, test } from "bun:test";
import { binance } from "../../../src/exchanges/binance.ts";
import type { Skipped } from "../../../src/exchanges/decoding/entries.ts";
import { answered } from "../../lib/rest.ts";

const entry = (change: object = {}) => ({
  symbol: "1000PEPEUSDT",
  contractType: "PERPETUAL",
  status: "TRADING",
  baseAsset: "1000PEPE",
  quoteAsset: "USDT",
  marginAsset: "USDT",
  onboardDate: 1683216000000,
  deliveryDate: 4133404800000,
  filters: [
    { filterType: "PRICE_FILTER", minPrice: "0.0000001", tickSize: "0.0000001" },
    { filterType: "LOT_SIZE", stepSize: "1" },
  ],
  ...change,
});
const fetched = (symbols: unknown, skipped?: Skipped) =>
  binance.fetchInstruments(async () => answered({ timezone: "UTC", symbols }), skipped);

test("an instrument with all that is said of it", async () => {
  expect(await fetched([entry()])).toEqual([
    {
      instrument: "1000PEPEUSDT",
      symbol: "1000PEPEUSDT",
      index: null,
      base: "1000PEPE",
      quote: "USDT",
      settle: "USDT",
      contractType: "PERPETUAL",
      contractSize: 1,
      contractMultiplier: 1,
      priceMultiplier: 1000,
      tickSize: 0.0000001,
      lotSize: 1,
      status: "TRADING",
      listed: 1683216000000000,
      delisting: null,
      raw: JSON.stringify(entry()),
      recordable: true,
    },
  ]);
});

test("dates: 0 stands for none, the year 2100 for never", async () => {
  const dates = [0, 1790323200000, 4133404800000, 4133404800001];
  const list = await fetched(dates.map((date) => entry({ onboardDate: date, deliveryDate: date })));
  expect(list.map(({ listed }) => listed)).toEqual([null, ...dates.slice(1).map((ms) => ms * 1000)]);
  expect(list.map(({ delisting }) => delisting)).toEqual([null, 1790323200000000, null, null]);
});

test("an odd field is NULL and told, the instrument is listed; one whose id, kind, state or coin is odd is not", async () => {
  const told: unknown[] = [];
  const odd = entry({
    baseAsset: 7,
    marginAsset: {},
    onboardDate: "1683216000000",
    deliveryDate: 1e300,
    filters: [{ filterType: "PRICE_FILTER", tickSize: 0.1 }, 5, { filterType: "LOT_SIZE", stepSize: "1" }],
    extra: [1],
  });
  const keys = ["symbol", "contractType", "status", "quoteAsset"].map((key) => entry({ [key]: 7 }));
  const found = await fetched(
    [odd, { symbol: "A", contractType: "PERPETUAL", status: "TRADING", filters: null }, ...keys],
    (...args) => told.push(args),
  );
  const nothing = { base: null, settle: null, listed: null, delisting: null, tickSize: null };
  expect(found).toMatchObject([
    { ...nothing, lotSize: 1, priceMultiplier: 1000, recordable: true, raw: JSON.stringify(odd) },
    { ...nothing, symbol: "A", lotSize: null, recordable: false },
  ]);
  expect(told).toEqual([
    ["entries", 4, expect.stringContaining("symbol")],
    ["fields", 6, expect.stringMatching(/^1000PEPEUSDT: .*baseAsset/)],
  ]);
});

test("an unexpected shape names the path", async () => {
  for (const wrong of [undefined, {}, [5], [entry({ status: null })]]) {
    await expect(fetched(wrong)).rejects.toThrow("/fapi/v1/exchangeInfo has an unexpected shape");
  }
});
