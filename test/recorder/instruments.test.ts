import { expect, test } from "bun:test";
import { binance } from "../../src/exchanges/binance.ts";
import { bybit } from "../../src/exchanges/bybit.ts";
import type { Exchange } from "../../src/exchanges/exchange.ts";
import { okx } from "../../src/exchanges/okx.ts";
import { RestError, type RestGet } from "../../src/exchanges/rest.ts";
import { instrumentRow } from "../../src/recorder/datasets.ts";
import { InstrumentList, restReader } from "../../src/recorder/instruments.ts";
import { answered } from "../lib/rest.ts";

/** A server for the length of a test, and a reader of it. */
async function withServer(
  answer: (request: Request) => Response,
  use: (get: RestGet) => Promise<void>,
  waits?: Exchange["restWaits"],
): Promise<void> {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: answer });
  try {
    const restUrl = `http://127.0.0.1:${server.port}`;
    await use(restReader({ restUrl, timeout: 60_000, signal: new AbortController().signal, waits }));
  } finally {
    await server.stop(true);
  }
}

test("a refused request names the path and how long the exchange wants to be left alone", async () => {
  const banned = () => new Response("banned", { status: 418, headers: { "retry-after": "120" } });
  await withServer(banned, async (get) => {
    const error: unknown = await get("/list").catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(RestError);
    expect(error).toMatchObject({
      message: expect.stringContaining("GET /list answered 418"),
      retryAfter: 120_000,
    });
  });
});

test("an exchange whose status alone means a wait is left alone for that long, or longer if it says so", async () => {
  const waitAfter = async (path: string, { restWaits }: Exchange) => {
    const headers = new Headers(path === "/longer" ? { "retry-after": "3600" } : {});
    let wait: unknown;
    await withServer(
      () => new Response("access too frequent", { status: path === "/500" ? 500 : 403, headers }),
      async (get) => {
        wait = await get(path).catch((reason: unknown) => reason instanceof RestError && reason.retryAfter);
      },
      restWaits,
    );
    return wait;
  };
  expect(await waitAfter("/list", bybit)).toBe(600_000);
  expect(await waitAfter("/longer", bybit)).toBe(3_600_000);
  expect(await waitAfter("/500", bybit)).toBe(0);
  for (const other of [binance, okx]) expect(await waitAfter("/list", other)).toBe(0);
});

test("an answer that is not JSON names the path", async () => {
  await withServer(
    () => new Response("<html>"),
    async (get) => {
      await expect(get("/list")).rejects.toThrow("GET /list answered something that is not JSON");
    },
  );
});

/** Entries as no JSON.stringify writes them. */
const AS_THEY_CAME = {
  binance:
    '{ "symbol":"币安人生USDT",  "contractType":"PERPETUAL","status":"TRADING","quoteAsset":"USDT","id":9007199254740993,"n":0.10,\n"e":1E5,"e":2 }',
  bybit:
    '{"symbol":"1000PEPEUSDT","contractType":"LinearPerpetual","status":"Trading","settleCoin":"USDT", "id":18446744073709551615,"n":-0.0,"t":"]}\\",\\u0041"}',
  okx: '{"instId":"BTC-USDT-SWAP","ctType":"linear","state":"live","settleCcy":"USDT","id":12345678901234567890,"l":[ 1.50 , {} ]}',
} as const;

test("of each instrument the dataset has the entry letter by letter as it came", async () => {
  const texts: [Exchange, string, string][] = [
    [binance, AS_THEY_CAME.binance, `{"symbols":[],"x":"[","symbols":[ ${AS_THEY_CAME.binance} ]}`],
    [
      bybit,
      AS_THEY_CAME.bybit,
      `{"retCode":0,"result":{"list":[${AS_THEY_CAME.bybit}],"nextPageCursor":""},"time":1}`,
    ],
    [okx, AS_THEY_CAME.okx, `{"code":"0","d\\u0061ta":[\n${AS_THEY_CAME.okx}\n],"msg":""}`],
  ];
  for (const [exchange, wanted, text] of texts) {
    await withServer(
      () => new Response(text),
      async (get) => {
        const list = new InstrumentList(exchange, []);
        const { changed } = await list.read(get);
        expect(changed.map((one) => instrumentRow(one, 0).raw)).toEqual([wanted]);
        expect((await list.read(get)).changed).toEqual([]);
      },
    );
  }
});

test("a change that only the text shows is one, and what is gone has none", async () => {
  const list = new InstrumentList(okx, []);
  const read = async (id: string, last: string) => {
    const swaps = [`{"instId":"A-USDT-SWAP","id":${id}}`, last];
    const text = `{"code":"0","data":[${swaps.filter((one) => one !== "").join()}]}`;
    const { changed } = await list.read(async () => ({ text, body: JSON.parse(text) }));
    return changed.map((one) => [one.instrument, instrumentRow(one, 0).raw]);
  };
  const other = '{"instId":"B-USDT-SWAP"}';
  expect((await read("9007199254740992", other)).length).toBe(2);
  expect(await read("9007199254740993", other)).toEqual([
    ["A-USDT-SWAP", '{"instId":"A-USDT-SWAP","id":9007199254740993}'],
  ]);
  expect(await read("9007199254740993", "")).toEqual([]);
  expect(await read("9007199254740993", "")).toEqual([["B-USDT-SWAP", null]]);
});

test("an instrument is given up after two lists without it, an empty list is no answer, a status counts at once", async () => {
  const entry = (symbol: string, status = "TRADING") => ({
    symbol,
    status,
    contractType: "PERPETUAL",
    quoteAsset: "USDT",
  });
  const list = new InstrumentList(binance, []);
  const read = (...symbols: object[]) => list.read(async () => answered({ symbols }));
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

test("an instrument that stands on two pages is one, as the last of them has it", async () => {
  const entry = (symbol: string, tickSize: string) => ({
    symbol,
    status: "Trading",
    contractType: "LinearPerpetual",
    settleCoin: "USDT",
    priceFilter: { tickSize },
  });
  const pages = [
    [entry("AUSDT", "0.1"), entry("BUSDT", "0.1")],
    // B has moved on by one, for something was listed meanwhile.
    [entry("BUSDT", "0.5"), entry("CUSDT", "0.1")],
  ];
  const get: RestGet = async (path) => {
    const page = path.includes("cursor=") ? 1 : 0;
    return answered({ retCode: 0, result: { list: pages[page], nextPageCursor: page === 0 ? "next" : "" } });
  };
  const list = new InstrumentList(bybit, []);
  const { wanted, changed, fresh, listed } = await list.read(get);
  const all = ["AUSDT", "BUSDT", "CUSDT"];
  expect(wanted.map(({ instrument }) => instrument)).toEqual(all);
  expect(listed).toEqual(all);
  expect(fresh.map(({ instrument }) => instrument)).toEqual(all);
  expect(changed.map(({ instrument, tickSize }) => [instrument, tickSize])).toEqual([
    ["AUSDT", 0.1],
    ["BUSDT", 0.5],
    ["CUSDT", 0.1],
  ]);
  expect((await list.read(get)).changed).toEqual([]);
});

/** An entry of OKX's list, live and linear unless told otherwise. */
const swap = (instId: string, fields: object = {}) => ({
  instId,
  uly: instId.replace(/-SWAP$/, ""),
  settleCcy: "USDT",
  ctType: "linear",
  state: "live",
  ...fields,
});

/** Reads a list of OKX. */
const readSwaps = (list: InstrumentList, ...data: object[]) =>
  list.read(async () => answered({ code: "0", msg: "", data }));

test("what was asked for and is not there is named with the id looked for, and what differs by its multiplier alone", async () => {
  const symbols = ["1000pepeusdt", "SHIB1000USDT", "BTCUSDT", "NOPEUSDT", "币安人生USDT", "OLDUSDT"];
  const list = new InstrumentList(okx, symbols);
  const { wanted, unknown } = await readSwaps(
    list,
    ...["BTC", "PEPE", "SHIB", "币安"].map((coin) => swap(`${coin}-USDT-SWAP`)),
    swap("OLD-USDT-SWAP", { state: "suspend" }),
  );
  expect(wanted.map(({ symbol }) => symbol)).toEqual(["BTCUSDT"]);
  expect(unknown).toEqual([
    { symbol: "1000PEPEUSDT", lookedFor: "1000PEPE-USDT-SWAP", similar: ["PEPEUSDT"] },
    { symbol: "SHIB1000USDT", lookedFor: "SHIB1000-USDT-SWAP", similar: ["SHIBUSDT"] },
    { symbol: "NOPEUSDT", lookedFor: "NOPE-USDT-SWAP", similar: [] },
    { symbol: "币安人生USDT", lookedFor: "币安人生-USDT-SWAP", similar: [] },
    { symbol: "OLDUSDT", lookedFor: "OLD-USDT-SWAP", similar: [] },
  ]);
  const { unknown: none } = await readSwaps(
    new InstrumentList(okx, ["btc-usdt-swap", "PepeUsdt"]),
    ...["BTC", "PEPE"].map((coin) => swap(`${coin}-USDT-SWAP`)),
  );
  expect(none).toEqual([]);
});

test("the other exchanges' names of a coin are found as well", async () => {
  const spot = { status: "TRADING", contractType: "PERPETUAL", quoteAsset: "USDT" };
  const linear = { status: "Trading", contractType: "LinearPerpetual", settleCoin: "USDT" };
  const answers: [Exchange, (symbol: string) => unknown][] = [
    [binance, (symbol) => ({ symbols: [{ symbol, ...spot }] })],
    [bybit, (symbol) => ({ retCode: 0, result: { list: [{ symbol, ...linear }], nextPageCursor: "" } })],
  ];
  for (const [exchange, answer] of answers) {
    for (const [asked, listed] of [
      ["PEPEUSDT", "1000PEPEUSDT"],
      ["1000SATSUSDT", "10000SATSUSDT"],
      ["1000SHIBUSDT", "SHIB1000USDT"],
      ["1000000BABYDOGEUSDT", "1MBABYDOGEUSDT"],
    ] as const) {
      const { unknown } = await new InstrumentList(exchange, [asked]).read(async () =>
        answered(answer(listed)),
      );
      expect(unknown).toEqual([{ symbol: asked, lookedFor: asked, similar: [listed] }]);
    }
  }
});

test("an index is heard under the id that the exchange gives it, and a change of it is one of what is subscribed", async () => {
  const list = new InstrumentList(okx, []);
  const first = await readSwaps(list, swap("NEW-USDT-SWAP", { uly: "" }));
  expect(first.fresh.map(({ instrument }) => instrument)).toEqual(["NEW-USDT-SWAP", "NEW-USDT"]);
  expect(first.same).toBe(false);
  expect((await readSwaps(list, swap("NEW-USDT-SWAP", { uly: "NEW-USDT" }))).same).toBe(true);
  const moved = await readSwaps(list, swap("NEW-USDT-SWAP", { uly: "NEWER-USDT" }));
  expect(moved.fresh).toEqual([{ number: 2, instrument: "NEWER-USDT", symbol: "NEWERUSDT" }]);
  expect([moved.same, moved.listed, moved.delisted]).toEqual([false, [], []]);
  expect((await readSwaps(list, swap("NEW-USDT-SWAP", { uly: "NEWER-USDT" }))).same).toBe(true);
  const both = await readSwaps(list, swap("NEW-USDT-SWAP"), swap("NEW2-USDT-SWAP", { uly: "NEW-USDT" }));
  expect([both.same, both.listed]).toEqual([false, ["NEW2-USDT-SWAP"]]);
  expect(both.fresh.map(({ instrument }) => instrument)).toEqual(["NEW2-USDT-SWAP"]);
});
