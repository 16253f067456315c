import { expect, test } from "bun:test";
import { binance } from "../../src/exchanges/binance.ts";
import { InstrumentList, RestError, restReader } from "../../src/recorder/instruments.ts";

test("a refused request names the path and how long the exchange wants to be left alone", async () => {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () => new Response("banned", { status: 418, headers: { "retry-after": "120" } }),
  });
  const get = restReader({
    restUrl: `http://127.0.0.1:${server.port}`,
    timeout: 5000,
    signal: new AbortController().signal,
  });
  const error: unknown = await get("/list").catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(RestError);
  if (!(error instanceof RestError)) return;
  expect(error.message).toContain("GET /list answered 418");
  expect(error.retryAfter).toBe(120_000);
  await server.stop(true);
});

test("an instrument is given up after two lists without it, an empty list is no answer, a status counts at once", async () => {
  const entry = (symbol: string, status = "TRADING") => ({
    symbol,
    status,
    contractType: "PERPETUAL",
    quoteAsset: "USDT",
  });
  const list = new InstrumentList(binance, []);
  const read = (...symbols: object[]) => list.read(async () => ({ symbols }));
  const names = async (...symbols: object[]) => (await read(...symbols)).wanted.map(({ symbol }) => symbol);
  expect(await names(entry("AUSDT"), entry("BUSDT"))).toEqual(["AUSDT", "BUSDT"]);
  const once = await read(entry("AUSDT"), { symbol: 5 });
  expect([once.wanted.length, once.delisted, once.changed]).toEqual([2, [], []]);
  expect((await read(entry("AUSDT"), entry("BUSDT"))).changed).toEqual([]);
  await expect(read()).rejects.toThrow("came empty");
  expect(await names(entry("AUSDT"))).toEqual(["AUSDT", "BUSDT"]);
  const twice = await read(entry("AUSDT"));
  expect([twice.delisted, twice.changed.map(({ status }) => status)]).toEqual([["BUSDT"], ["absent"]]);
  expect((await read(entry("AUSDT", "SETTLING"))).delisted).toEqual(["AUSDT"]);
});
