/**
 * Cases of the state with the real recorder: one ring that is nearly full while the others are empty, then one drop, and
 * the quarter of an hour after it. Planned replacements are in planned-cut.test.ts, closed sockets and bounds that are
 * hit in status-faults.test.ts and bounds.test.ts, the exact end of the window in recorder/monitor.test.ts.
 */
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { startBinance } from "../../src/simulator/binance.ts";
import { statusSchema } from "../../src/status/answers.ts";
import { startRecorder } from "../helpers/recorder.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { waitFor } from "../helpers/wait.ts";

const cwd = scratchFolder("state-cases");
const RING = 128;
/** Events in it of which 85 % are full. */
const NEARLY = 109;
const CAPACITIES = { bbo: RING, mark_price: 2048, funding: 1024, liquidation: 512 };
const ALL = Object.values(CAPACITIES).reduce((sum, one) => sum + one, 0);
const MINUTE = 60_000;

test("one ring 85 % full, the sum 3 %: DEGRADED; a drop: DEGRADED for a quarter of an hour, then READY", async () => {
  // So slow, and catching nothing up, that it can be stopped at any event.
  const exchange = startBinance({ instruments: 2, rate: 100, maxCatchUpMs: 10, liquidationShare: 0 });
  try {
    await exchange.pause();
    const [drain, later] = [join(cwd, "drain"), join(cwd, "later")];
    const recorder = await startRecorder({
      cwd,
      exchange,
      args: ["--streams", "bbo,mark_price,funding,liquidation"],
      set: {
        "status.refresh": "0ms",
        ...Object.fromEntries(
          Object.entries(CAPACITIES).map(([stream, events]) => [`ring.capacity.${stream}`, `${events}`]),
        ),
      },
      env: { TEST_DRAIN: drain, TEST_LATER: later },
      preload: join(import.meta.dir, "../helpers/preload/state-cases.ts"),
    });
    const status = async () => statusSchema.parse(await recorder.get("/status"));
    const until = (what: string, holds: (now: Awaited<ReturnType<typeof status>>) => boolean) =>
      waitFor(what, async () => {
        const now = await status();
        return holds(now) && now;
      });
    const sent = () => exchange.stats().sent.bookTicker;
    /** Lets the exchange go on until it has sent so many quotes. */
    const sendUpTo = async (quotes: number) => {
      exchange.resume();
      await waitFor(`${quotes} quotes`, () => sent() >= quotes, { every: 1 });
      await exchange.pause();
    };
    await until("READY", ({ state }) => state === "READY");
    writeFileSync(drain, "hold");

    await sendUpTo(NEARLY);
    const quotes = sent();
    expect(quotes).toBeLessThanOrEqual(RING);
    const full = await until("a ring that is nearly full", ({ reason }) =>
      reason.startsWith(`the ring binance/bbo is ${((100 * quotes) / RING).toFixed(1)} % full`),
    );
    expect(full.state).toBe("DEGRADED");
    // Mark prices come each second whatever the markets do: they are in the sum as well.
    expect(full.metrics.queue_pct).toBeGreaterThanOrEqual((100 * quotes) / ALL);
    expect(full.metrics.queue_pct).toBeLessThan(5);
    expect(full.metrics.drops_15m).toBe(0);

    await sendUpTo(RING + 1);
    const drops = sent() - RING;
    await until("the drop", ({ metrics }) => metrics.drops_15m === drops);
    writeFileSync(drain, "");
    const reason = `${drops} ${drops === 1 ? "event" : "events"} dropped in the last 15 minutes`;
    await until("an empty ring, and the drop", (now) => now.state === "DEGRADED" && now.reason === reason);
    writeFileSync(later, `${14 * MINUTE}`);
    // The rate of the last ten seconds shows that the clock has been put forward.
    const uptime = async () => Number(((await recorder.get("/health")) as { uptime: number }).uptime);
    await waitFor("14 minutes later", async () => (await uptime()) > 14 * 60);
    expect(await status()).toMatchObject({ state: "DEGRADED", reason, metrics: { drops_15m: drops } });
    writeFileSync(later, `${15 * MINUTE}`);
    const forgotten = await until("15 minutes later", ({ state }) => state === "READY");
    expect(forgotten.metrics.drops_15m).toBe(0);
    const { code, end } = await recorder.stop();
    expect([code, end.dropped, end.holds, end.lost]).toEqual([0, drops, true, 0]);
    console.log(
      `state: ${full.reason}, queue_pct ${full.metrics.queue_pct.toFixed(2)}; ${drops} dropped, remembered for 15 minutes`,
    );
  } finally {
    await exchange.stop();
  }
}, 180_000);
