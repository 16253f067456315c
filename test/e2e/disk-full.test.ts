/** A disk that is full to the last byte: the real program on a real file system of 64 MB, by the exchange's own account. */
import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { startBinance } from "../../src/simulator/binance.ts";
import { compareAccount, missedIn, uncovered } from "../helpers/account.ts";
import { auditLake } from "../helpers/audit.ts";
import { withSql } from "../helpers/lake.ts";
import { type RunningRecorder, startRecorder } from "../helpers/recorder.ts";
import { smallDisk } from "../helpers/small-disk.ts";
import { waitFor } from "../helpers/wait.ts";
import { seeded } from "../lib/seed.ts";

const LONG = process.env.TAPEDECK_TEST_LONG === "1";
const MEGABYTES = 64;
const ROUNDS = 12;
const disk = smallDisk(MEGABYTES);
/** Why a test is not run here; null = it is. */
const SKIPPED = disk === null ? "SKIPPED, this user cannot mount a file system (root on Linux can)" : null;
const SKIPPED_LONG = SKIPPED ?? (LONG ? null : "SKIPPED, TAPEDECK_TEST_LONG=1 runs it");
const status = z.looseObject({ state: z.string(), reason: z.string() });

/** Small files, often, so that whatever can be under way is when the disk is full. */
const SET = {
  "flush.interval": "150ms",
  "flush.slow_interval": "150ms",
  "flush.min_gap": "0ms",
  "storage.retry_max": "200ms",
  "journal.fsync_interval": "100ms",
  "ring.capacity.bbo": "1024",
};

/** Asks all the time whether every event is accounted for. */
function watchBalance(recorder: RunningRecorder) {
  let asked = 0;
  let wrong: string | null = null;
  const timer = setInterval(async () => {
    const answer = await recorder.metrics().catch(() => null);
    if (answer === null) return;
    asked++;
    if (!answer.balance.holds) wrong ??= JSON.stringify(answer.balance);
  }, 20);
  return () => {
    clearInterval(timer);
    return { asked, wrong };
  };
}

test.skipIf(SKIPPED_LONG !== null)(
  SKIPPED_LONG !== null
    ? `a full disk, again and again: ${SKIPPED_LONG}`
    : `a full disk, ${ROUNDS} times: ERROR, counted, and on it goes without a restart when there is room`,
  async () => {
    if (disk === null) return;
    const random = seeded("disk-full");
    const exchange = startBinance({ instruments: 20, rate: 4000, account: true });
    try {
      const cwd = disk.folder;
      const args = ["--streams", "bbo,trade"];
      const recorder = await startRecorder({ cwd, exchange, set: SET, args });
      const balance = watchBalance(recorder);
      await recorder.until("a file", ({ balance: { published } }) => published > 1000);
      const state = async () => status.parse(await recorder.get("/status"));
      for (let round = 0; round < ROUNDS; round++) {
        await Bun.sleep(random.below(200));
        disk.fill();
        await waitFor("ERROR", async () => (await state()).state === "ERROR", { every: 10 });
        const { reason } = await state();
        expect(reason).toMatch(/^(journals cannot be written: |segment .* cannot be written: )/);
        // Until more than the rings hold had to be dropped.
        const before = (await recorder.metrics()).dropped_events_total;
        await recorder.until("drops", (all) => all.dropped_events_total > before + random.below(500));
        disk.free();
        await waitFor("no ERROR", async () => (await state()).state !== "ERROR", { every: 10 });
        const { published } = (await recorder.metrics()).balance;
        await recorder.until("files again", (all) => all.balance.published > published);
      }
      await exchange.pause();
      const { code, end } = await recorder.stop();
      const { asked, wrong } = balance();
      expect(wrong).toBeNull();
      expect(asked).toBeGreaterThan(10);
      expect([code, end.lost, end.inJournal, end.inOutbox, end.holds]).toEqual([0, 0, 0, 0, true]);
      expect(end.dropped).toBeGreaterThan(0);
      for (const folder of ["journal", "outbox"])
        expect(readdirSync(join(recorder.data, folder))).toEqual([]);
      await withSql(async (sql) => {
        const { rows, holes } = await auditLake(sql, recorder.data);
        expect([rows, holes]).toEqual([end.received - end.dropped, end.dropped]);
        const { sent, missing } = await compareAccount(sql, exchange, recorder.data);
        expect([sent, missing.length]).toEqual([end.received, end.dropped]);
        expect(await missedIn(sql, recorder.data, ["overflow"])).toBe(end.dropped);
        console.log(
          `a full disk: ${ROUNDS} times, ${sent} events, ${end.dropped} dropped, counted and in gaps`,
        );
      });
      // A disk that stays full must not fill the log.
      expect(recorder.process.log.length).toBeLessThan(60 * (ROUNDS + 1));
    } finally {
      await exchange.stop();
    }
  },
  180_000,
);

test.skipIf(SKIPPED !== null)(
  SKIPPED !== null
    ? `kill -9 on a full disk: ${SKIPPED}`
    : "kill -9 on a full disk, and a start while it is full: it begins; with room again everything is there or in a gap",
  async () => {
    if (disk === null) return;
    const exchange = startBinance({ instruments: 20, rate: 4000, account: true });
    try {
      const [cwd, data] = [disk.folder, join(disk.folder, "second")];
      const args = ["--streams", "bbo,trade"];
      const options = { cwd, data, exchange, set: SET, args };
      const first = await startRecorder(options);
      await first.until("a file", ({ balance: { published } }) => published > 1000);
      disk.fill();
      await first.process.event("journal_failed");
      first.process.signal("SIGKILL");
      await first.process.exit();
      disk.fill();
      const second = await startRecorder(options);
      const balance = watchBalance(second);
      await second.process.event("journal_failed");
      // A file that was being written when it was killed is none that was finished.
      const finished = second.process
        .events("file_quarantined")
        .filter(({ path }) => !/\.tmp$/.test(String(path)));
      expect(finished).toEqual([]);
      disk.free();
      await second.until("events in files", ({ balance: { published } }) => published > 1000);
      await exchange.pause();
      const { code, end } = await second.stop();
      expect(balance().wrong).toBeNull();
      expect([code, end.holds, end.inJournal, end.lost]).toEqual([0, true, 0, 0]);
      await withSql(async (sql) => {
        await auditLake(sql, data);
        const { sent, missing } = await compareAccount(sql, exchange, data);
        expect(await uncovered(sql, data, missing)).toEqual([]);
        console.log(
          `kill -9 on a full disk: ${sent} events, ${missing.length} not there, all of them in gaps`,
        );
      });
    } finally {
      await exchange.stop();
    }
  },
  180_000,
);
