/** The page and `tapedeck status` of a real recorder, through an outage of an exchange. */
import { expect, test } from "bun:test";
import { startBinance } from "../../src/simulator/binance.ts";
import { startOkx } from "../../src/simulator/okx.ts";
import { liveSchema } from "../../src/status/live.ts";
import { tapedeck } from "../cli/run.ts";
import { open, startChromium } from "../helpers/chromium.ts";
import { startRecorder } from "../helpers/recorder.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { still, waitFor } from "../helpers/wait.ts";

const cwd = scratchFolder("page");
const found = await startChromium();
const browser = "browser" in found ? found.browser : undefined;
const reason = "missing" in found ? ` (skipped: ${found.missing})` : "";

test.skipIf(browser === undefined)(
  `READY, DEGRADED and back are seen, and the numbers are true${reason}`,
  async () => {
    if (browser === undefined) return;
    const binance = startBinance({ instruments: 8, rate: 500 });
    const okx = startOkx({ instruments: 8, rate: 300 });
    try {
      const recorder = await startRecorder({
        cwd,
        exchange: binance,
        args: ["--exchanges", "binance,okx"],
        set: {
          "exchanges.okx.ws_url": okx.url,
          "exchanges.okx.rest_url": okx.restUrl,
          "connection.backoff_max": "1s",
          "flush.interval": "1s",
          "flush.slow_interval": "1s",
          "flush.min_gap": "0ms",
        },
      });
      const { page, complaints } = await open(browser, recorder.url);
      const word = () => page.locator(".word").innerText();
      const shows = (state: string) =>
        waitFor(`${state} on the page`, async () => (await word()).endsWith(state), {
          timeout: 90_000,
          every: 50,
        });
      const screen = async (args: string[], code: number) => {
        const outcome = await tapedeck([...args, recorder.url], { cwd });
        expect(outcome.code, outcome.stderr).toBe(code);
        return outcome.stdout;
      };
      await shows("READY");

      // An exchange that is away is no reason to end the process, but nothing is complete.
      const { end } = okx.faults.inject({ kind: "refuse", forMs: 600_000, cut: true });
      await shows("DEGRADED");
      expect(await page.locator(".reason").innerText()).toContain("okx");
      expect(await page.title()).toStartWith("DEGRADED");
      expect(await page.locator("[data-key=okx] .fact").first().innerText()).toBe("0 of 1 connections");
      expect(await screen(["status"], 0)).toContain("▲ DEGRADED");
      expect(await screen(["healthcheck"], 0)).toBe("ok\n");
      end();
      await shows("READY");
      await waitFor("the gap on the page", async () =>
        (await page.locator(".gaps-lines").innerText()).includes("okx"),
      );

      // When nothing comes any more, page, terminal and counters say the same to the last event.
      await Promise.all([binance.pause(), okx.pause()]);
      await still("what comes in", async () => (await recorder.metrics()).balance.received);
      await recorder.until("everything published", ({ balance }) => balance.published === balance.received);
      const { received } = (await recorder.metrics()).balance;
      expect(received).toBeGreaterThan(0);
      const count = received.toLocaleString("en-US");
      for (const term of ["received", "published"]) {
        await waitFor(`${term} on the page`, async () =>
          (await page.locator(`.term[data-key=${term}] dd`).innerText()).endsWith(count),
        );
      }
      expect(await page.locator(".verdict").innerText()).toContain("holds: every event is accounted for");
      expect(await screen(["status"], 0)).toContain(`received ${count} + recovered 0 =`);
      const live = liveSchema.parse(JSON.parse(await screen(["status", "--json"], 0)));
      expect(live.balance).toMatchObject({ received, published: received, holds: true });
      expect(complaints).toEqual([]);
      await page.context().close();
      expect((await recorder.stop()).code).toBe(0);
    } finally {
      await Promise.all([binance.stop(), okx.stop()]);
    }
  },
  180_000,
);
