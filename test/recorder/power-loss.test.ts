/**
 * A power loss, for the whole recorder: killed, and its journals cut back to what stood in them a sync interval before
 * (all that a power loss may take; what began since is gone). The next start takes what is whole, and what is missing
 * lies in a row of `gaps`.
 */
import { expect, test } from "bun:test";
import { readdirSync, rmSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { startBinance } from "../../src/simulator/binance.ts";
import { compareAccount, uncovered } from "../helpers/account.ts";
import { auditLake } from "../helpers/audit.ts";
import { withSql } from "../helpers/lake.ts";
import { startRecorder } from "../helpers/recorder.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { SEED, seeded } from "../lib/seed.ts";

const LONG = process.env.TAPEDECK_TEST_LONG === "1";
const LOSSES = LONG ? 10 : 1;
/** `journal.fsync_interval`, and for how long a sync of a busy disk may go on beside, ms. */
const INTERVAL = 200;
const SYNCING = 300;
const cwd = scratchFolder("power-loss");
const data = join(cwd, "data");
const journals = join(data, "journal");

/** Sizes of the journals, by name. */
function sizes(): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const name of readdirSync(journals))
    try {
      found.set(name, statSync(join(journals, name)).size);
    } catch {
      // It became a file in this instant.
    }
  return found;
}

test(
  `${LOSSES} power losses: journals cut back by a sync interval; the rest is there once, and what is missing is told`,
  async () => {
    const random = seeded("power loss");
    const exchange = startBinance({ instruments: 10, rate: 5000, account: true, seed: SEED });
    const set = {
      "flush.interval": "2s",
      "flush.min_gap": "0ms",
      "journal.fsync_interval": `${INTERVAL}ms`,
    };
    const start = () => startRecorder({ cwd, data, exchange, args: ["--streams", "bbo,trade"], set });
    try {
      let cut = 0;
      for (let loss = 0; loss < LOSSES; loss++) {
        const recorder = await start();
        await recorder.until("rows in journals", ({ balance }) => balance.inJournal > 1000);
        await recorder.process.event("gap", ({ stream }) => stream === "trade");
        await Bun.sleep(random.below(1000));
        const before = sizes();
        await Bun.sleep(INTERVAL + SYNCING);
        recorder.process.signal("SIGKILL");
        expect(await recorder.process.exit()).toBe("SIGKILL");
        for (const [name, size] of sizes()) {
          const path = join(journals, name);
          // A little of what was not synced may be there all the same, torn anywhere.
          const kept = Math.min(size, (before.get(name) ?? 0) + random.below(100));
          cut += size - kept;
          if (before.has(name)) truncateSync(path, kept);
          else rmSync(path);
        }
      }
      expect(cut).toBeGreaterThan(0);
      const last = await start();
      await last.until("events", ({ balance }) => balance.inJournal > 1000);
      await exchange.pause();
      const { code, end } = await last.stop();
      expect([code, end.holds, end.lost, end.inJournal]).toEqual([0, true, 0, 0]);
      await withSql(async (sql) => {
        const { rows } = await auditLake(sql, data);
        const { sent, missing } = await compareAccount(sql, exchange, data);
        expect(await uncovered(sql, data, missing)).toEqual([]);
        console.log(
          `power loss: ${LOSSES} times, ${cut} bytes of journals gone; ${rows} of ${sent} events there`,
        );
      });
    } finally {
      await exchange.stop();
    }
  },
  LONG ? 600_000 : 180_000,
);
