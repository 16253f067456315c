/** The page in a real browser: live, honest when it is not, readable at every width and in both schemes. */
import { describe, expect, test } from "bun:test";
import { Hono } from "hono";
import type { Page as BrowserPage } from "playwright-core";
import type { Live } from "../../../src/status/live.ts";
import { LiveFeed } from "../../../src/status/live-feed.ts";
import { mountPage } from "../../../src/status/page/routes.ts";
import { open, startChromium } from "../../helpers/chromium.ts";
import { waitFor } from "../../helpers/wait.ts";
import { sampleLive } from "./sample.ts";

const found = await startChromium();
const reason = "missing" in found ? ` (skipped: ${found.missing})` : "";
const browser = "browser" in found ? found.browser : undefined;

/** Pause between two messages of the feed, ms: a browser that does not read for four of them loses its connection. */
const INTERVAL = 200;

/** The page of a picture that a test changes; the policy is the one that the status API sends. */
function served(first: Live) {
  let live: Live | null = first;
  const app = new Hono();
  const feeds: LiveFeed[] = [];
  app.use(async (context, next) => {
    await next();
    context.header(
      "content-security-policy",
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'",
    );
  });
  const page = mountPage(app, {
    live: () => live,
    openFeed: (message) => {
      // A browser that gets no processor for a while is not one that does not read.
      const feed = new LiveFeed({ message, interval: INTERVAL, clientsMax: 10, waitingMax: 10_000 });
      feeds.push(feed);
      return feed;
    },
  });
  /** Complaints but those of a stream that the feed has ended because a browser without processor did not read it. */
  const unexpected = (complaints: readonly string[]) => {
    const ended = feeds.some(({ dropped }) => dropped > 0);
    return complaints.filter((one) => !(ended && STREAM_ENDED.test(one)));
  };
  let server = Bun.serve({ hostname: "127.0.0.1", port: 0, idleTimeout: 0, fetch: app.fetch });
  const { port } = server;
  const stop = async () => {
    for (const feed of feeds) feed.close();
    await server.stop(true);
  };
  return {
    url: `http://127.0.0.1:${port}/`,
    show(next: Live | null) {
      live = next;
    },
    stop,
    unexpected,
    again() {
      server = Bun.serve({ hostname: "127.0.0.1", port: port ?? 0, idleTimeout: 0, fetch: app.fetch });
    },
    async [Symbol.asyncDispose]() {
      page.close();
      await stop();
    },
  };
}

const text = (page: BrowserPage, selector: string) => page.locator(selector).first().innerText();
/** What a browser says of a stream of events that has been ended. */
const STREAM_ENDED = /net::ERR.*\/page\/events$|^failed: .*\/page\/events$/;
/** Loading what is gone is what the browser complains of, and nothing else may be. */
const NETWORK = /Failed to load resource|net::ERR|^failed: .*\/page\/events$/;

/** A picture in which everything is wrong at once, with texts that do not fit. */
function troubled(): Live {
  const live = sampleLive();
  return {
    ...live,
    state: "DEGRADED",
    reason: `the ring binance/bbo is 83.4 % full ${"and a reason without spaces ".repeat(4)}${"x".repeat(200)}`,
    instance: "an-instance-with-a-name-that-does-not-fit-on-a-phone-at-all",
    streams: live.streams.map((one, index) => ({
      ...one,
      health: (["fresh", "silent", "lagging", "waiting", "offline"] as const)[index % 5] ?? "fresh",
      events_per_sec: one.events_per_sec * 100,
      dropped_total: index % 2 === 0 ? 123_456_789 : 0,
      gaps_15m: index % 3 === 0 ? 1234 : 0,
      lag_p99_ms: 2_147_000,
      age_ms: 90_061_000,
      ring_pct: 83.4,
    })),
    exchanges: live.exchanges.map((one) => ({ ...one, open: 0, undecodable_total: 1_234_567 })),
    windows_15m: { drops: 1204, silences: 2, reconnects: 3, gaps: 17 },
    destinations: live.destinations.map((one) => ({
      ...one,
      state: "open",
      error: `https://${"y".repeat(300)}`,
    })),
    balance: { ...live.balance, received: 12_345_678_901_234, holds: false },
    gaps: live.gaps.map((one) => ({ ...one, symbol: "币安人生".repeat(20) })),
    logs: live.logs.map((one) => ({ ...one, level: "error", text: "z".repeat(500) })),
  };
}

/** See the head of that file. */
const LOW_CONTRAST = await Bun.file(new URL("low-contrast.js", import.meta.url)).text();
/** The scheme in which the page is shown. */
const SCHEME = 'matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"';
/** Whether what is shown is what a fresh page would be. */
const LIKE_FRESH = `(async () => {
  const document = new DOMParser().parseFromString(await (await fetch("./")).text(), "text/html");
  return globalThis.document.querySelector("main").isEqualNode(document.querySelector("main"));
})()`;

describe.skipIf(browser === undefined)(`the page in Chromium${reason}`, () => {
  if (browser === undefined) return;

  test("is live: numbers, state, title and icon follow, and what is selected stays", async () => {
    await using page = served(sampleLive(100));
    const { page: tab, complaints } = await open(browser, page.url);
    await waitFor("live", async () => (await text(tab, "#link")) === "live");
    expect(await tab.title()).toBe("READY · tokyo-1 · tapedeck");
    const received = await text(tab, "[data-key=received] dd");
    await tab.evaluate(
      `getSelection().selectAllChildren(document.querySelector("[data-key='okx/trade'] th"))`,
    );

    page.show({ ...sampleLive(200), state: "DEGRADED", reason: "a test says so" });
    await waitFor("DEGRADED", async () => (await text(tab, ".word")).includes("DEGRADED"));
    expect(await text(tab, ".reason")).toBe("a test says so");
    expect(await tab.title()).toBe("DEGRADED · tokyo-1 · tapedeck");
    expect(await tab.locator("#icon").getAttribute("href")).toBe("page/degraded.svg");
    expect(await text(tab, "[data-key=received] dd")).not.toBe(received);
    expect(await tab.evaluate("getSelection().toString()")).toBe("trade");

    page.show(sampleLive(300));
    await waitFor("READY again", async () => (await text(tab, ".word")).includes("READY"));
    expect(await tab.title()).toBe("READY · tokyo-1 · tapedeck");
    expect(page.unexpected(complaints)).toEqual([]);
    await tab.context().close();
  }, 180_000);

  test("rows that come, go and move leave a page equal to a fresh one", async () => {
    await using page = served(sampleLive(100));
    const { page: tab } = await open(browser, page.url);
    await waitFor("live", async () => (await text(tab, "#link")) === "live");
    const base = sampleLive(100);
    const changes: Live[] = [
      { ...base, at: base.at + 1, gaps: [], logs: [] },
      { ...base, at: base.at + 2, streams: base.streams.slice(3), exchanges: base.exchanges.slice(1) },
      { ...base, at: base.at + 3, streams: base.streams.toReversed(), logs: base.logs.toReversed() },
      {
        ...base,
        at: base.at + 4,
        gaps: base.gaps.concat(base.gaps.map((one) => ({ ...one, at: one.at - 1 }))),
      },
      { ...base, at: base.at + 5, destinations: base.destinations.toReversed() },
      base,
    ];
    for (const [index, change] of changes.entries()) {
      page.show(change);
      const at = new Date(change.at).toISOString();
      const shown = async () => (await tab.locator("#as-of").getAttribute("datetime")) === at;
      await waitFor(`change ${index}`, shown);
      expect(await tab.evaluate(LIKE_FRESH), `change ${index}`).toBe(true);
    }
    await tab.context().close();
  }, 180_000);

  test("says that it is old when nobody answers, and is live again by itself", async () => {
    await using page = served(sampleLive(100));
    const { page: tab, complaints } = await open(browser, page.url);
    await waitFor("live", async () => (await text(tab, "#link")) === "live");
    expect(await tab.locator("#stale").isVisible()).toBe(false);
    await page.stop();
    await waitFor("old", () => tab.locator("#stale").isVisible());
    expect(await text(tab, "#stale")).toContain(
      "No news from the recorder: what is shown is as of 05:32:42 UTC",
    );
    expect(await tab.title()).toBe("old · READY · tokyo-1 · tapedeck");
    expect(await tab.locator("#icon").getAttribute("href")).toStartWith("data:image/svg+xml,");
    // Back, but not ready to say anything: browsers give up on such an answer by themselves.
    page.show(null);
    page.again();
    await waitFor("a refused attempt", () => complaints.some((one) => one.includes("503")));
    page.show(sampleLive(400));
    await waitFor("live again", async () => (await text(tab, "#link")) === "live");
    expect(await tab.locator("#stale").isVisible()).toBe(false);
    expect(await tab.title()).toBe("READY · tokyo-1 · tapedeck");
    expect(complaints.filter((one) => !NETWORK.test(one))).toEqual([]);
    await tab.context().close();
  }, 180_000);

  const looks = [
    ["light", 360],
    ["dark", 360],
    ["light", 800],
    ["dark", 1280],
  ] as const;
  test("fits and can be read, whatever it has to say, at every width and in both schemes", async () => {
    await using page = served(sampleLive());
    // What is looked at are colours that stay, not those on the way from one to another.
    const { page: tab, complaints } = await open(browser, page.url, { reducedMotion: "reduce" });
    for (const live of [sampleLive(), troubled()]) {
      page.show(live);
      await waitFor(live.state, async () => (await text(tab, ".word")).includes(live.state));
      for (const [colorScheme, width] of looks) {
        const look = `${live.state}, ${colorScheme}, ${width} px`;
        await tab.emulateMedia({ colorScheme });
        await tab.setViewportSize({ width, height: 740 });
        expect(await tab.evaluate(SCHEME), look).toBe(colorScheme);
        expect(await tab.evaluate("innerWidth"), look).toBe(width);
        expect(await tab.evaluate("document.documentElement.scrollWidth"), look).toBe(width);
        expect(await tab.evaluate(LOW_CONTRAST), look).toEqual([]);
      }
    }
    expect(page.unexpected(complaints)).toEqual([]);
    await tab.context().close();
  }, 180_000);

  test("is complete without a script", async () => {
    await using page = served(troubled());
    const { page: tab, complaints } = await open(browser, page.url, { javaScriptEnabled: false });
    expect(await text(tab, ".word")).toContain("DEGRADED");
    expect(await text(tab, "#link")).toBe("a snapshot; reloads every 5 s");
    expect(await tab.locator("tr[data-key='okx/trade']").count()).toBe(1);
    expect(await tab.locator("meta[http-equiv=refresh]").count()).toBe(1);
    page.show(sampleLive(900));
    await waitFor("the reload", async () => (await text(tab, ".word")).includes("READY"), { every: 200 });
    expect(page.unexpected(complaints)).toEqual([]);
    await tab.context().close();
  }, 180_000);

  test("is a table to those who hear it, at a phone's width too", async () => {
    await using page = served(sampleLive());
    const { page: tab } = await open(browser, page.url, { viewport: { width: 360, height: 740 } });
    const table = tab.getByRole("table", { name: "Streams" });
    expect(await table.getByRole("columnheader").count()).toBeGreaterThanOrEqual(5);
    expect(await table.getByRole("row").count()).toBe(1 + 3 + 17);
    expect(await table.getByRole("rowheader", { name: "open_interest" }).count()).toBe(2);
    for (const name of [
      "Streams",
      "Balance",
      "Queue",
      "Writer",
      "Destinations",
      "Recent gaps",
      "Recent log lines",
    ]) {
      expect(await tab.getByRole("heading", { name }).count(), name).toBeGreaterThanOrEqual(1);
    }
    expect(await tab.getByRole("status").first().innerText()).toContain("READY");
    await tab.context().close();
  }, 180_000);

  test("waits for a recorder that starts", async () => {
    await using page = served(sampleLive());
    page.show(null);
    const { page: tab } = await open(browser, page.url);
    expect(await text(tab, ".word")).toBe("STARTING");
    page.show(sampleLive());
    await waitFor("READY", async () => (await text(tab, ".word")).includes("READY"), { every: 100 });
    await tab.context().close();
  }, 180_000);
});
