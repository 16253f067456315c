/**
 * A recording whose only way to the exchange is a proxy, with TLS of an own authority behind it: nothing goes past
 * the proxy, it may go down and come back, its password may be wrong for a while, and is never shown.
 */
import { expect, test } from "bun:test";
import { startBinance } from "../../src/simulator/binance.ts";
import { tapedeck } from "../helpers/process.ts";
import { CA_FILE, HttpProxy, SocksProxy, TlsFront } from "../helpers/proxies.ts";
import { startRecorder } from "../helpers/recorder.ts";
import { scratchFolder } from "../helpers/scratch.ts";

const cwd = scratchFolder("proxy");

const ACCOUNT = { user: "recorder", password: "hunter2 & co" };
const proxies = [
  ["http", () => new HttpProxy(ACCOUNT)],
  ["socks5h", () => new SocksProxy(ACCOUNT)],
] as const;

test.each(proxies)("by way of %s", async (scheme, make) => {
  const exchange = startBinance({ instruments: 4, rate: 400 });
  await using front = await new TlsFront(Number(new URL(exchange.url).port)).listen();
  await using proxy = await make().listen();
  try {
    const recorder = await startRecorder({
      cwd,
      data: `${cwd}/${scheme}`,
      exchange: { url: `wss://127.0.0.1:${front.port}`, restUrl: `https://127.0.0.1:${front.port}` },
      set: {
        "exchanges.binance.proxy": `${scheme}://${HttpProxy.userinfo(ACCOUNT)}127.0.0.1:${proxy.port}`,
        "exchanges.binance.ca_file": CA_FILE,
        "connection.backoff_min": "20ms",
        "connection.backoff_max": "80ms",
      },
    });
    const { process } = recorder;
    const disconnects = () => process.events("ws_disconnect").length;
    const goesOn = async (when: string) => {
      const { total_events } = await recorder.metrics();
      await recorder.until(`events ${when}`, (metrics) => metrics.total_events > total_events + 50);
    };
    await goesOn("at first");

    // Down for several attempts, and up again.
    await proxy.down();
    const before = disconnects();
    await recorder.until("attempts while it is down", () => disconnects() >= before + 6);
    await proxy.listen();
    await goesOn("after it came back");

    // The account is closed for a while.
    proxy.account = { user: ACCOUNT.user, password: "another" };
    proxy.cut();
    const refused = await process.event("ws_disconnect", ({ reason }) => /\b407\b/.test(String(reason)));
    expect(refused.reason).toContain("Proxy authentication required");
    proxy.account = ACCOUNT;
    await goesOn("with the right password again");

    const { code, end } = await recorder.stop();
    expect(code).toBe(0);
    expect(end).toMatchObject({ holds: true, dropped: 0 });
    // Everything that reached the exchange had asked the proxy; the lists of instruments too.
    expect(front.taken).toBeGreaterThan(2);
    expect(front.taken).toBeLessThanOrEqual(proxy.asked.length);
    expect(process.events("discovery_failed")).toEqual([]);
    for (const secret of [ACCOUNT.password, encodeURIComponent(ACCOUNT.password), "hunter2"])
      expect(process.stdout + process.stderr).not.toContain(secret);
  } finally {
    await exchange.stop();
  }
});

test("a proxy or certificates that cannot be used end it with exit code 2, and the setting is named", async () => {
  const set = ["exchanges.okx.proxy=socks4://me:hunter2@127.0.0.1:1", "exchanges.bybit.ca_file=missing.pem"];
  const process = tapedeck(["record", ...set.flatMap((one) => ["--set", one])], { cwd });
  expect(await process.exit()).toBe(2);
  expect(process.stderr).toContain(
    "exchanges.okx.proxy=socks4://***@127.0.0.1:1: must be the URL of a proxy",
  );
  expect(process.stderr).toContain("exchanges.bybit.ca_file=missing.pem: must be the path of a PEM file");
  expect(process.stderr).not.toContain("hunter2");
});
