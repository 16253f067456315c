/** A ledger that is an old copy, or gone: nothing is lost, nothing is twice, in a local lake and in a bucket. */
import { afterAll, expect, test } from "bun:test";
import { cpSync, existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { startBinance } from "../../src/simulator/binance.ts";
import { compareAccount, uncovered } from "../helpers/account.ts";
import { auditLake } from "../helpers/audit.ts";
import { withSql } from "../helpers/lake.ts";
import { startRecorder } from "../helpers/recorder.ts";
import { startStandIn } from "../helpers/s3/stand-in.ts";
import { unionLake } from "../helpers/s3/union.ts";
import { scratchFolder } from "../helpers/scratch.ts";

const LONG = process.env.TAPEDECK_TEST_LONG === "1";
const cwd = scratchFolder("restored");
const bucket = await startStandIn();
afterAll(() => bucket[Symbol.asyncDispose]());
const PARTS = ["", "-wal", "-shm"];
const ARGS = ["--streams", "bbo,trade"];
const SET = { "flush.interval": "150ms", "flush.min_gap": "0ms", "destinations.recheck": "100ms" };
const S3 = {
  "storage.backend": "s3",
  "s3.endpoint": bucket.url,
  "s3.bucket": bucket.bucket,
  "s3.access_key": bucket.keys.accessKey,
  "s3.secret_key": bucket.keys.secretKey,
};

/** Copies a ledger, of which nobody may be writing, or puts a copy in its place. */
function copyLedger(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  for (const part of PARTS) {
    rmSync(join(to, `ledger.db${part}`), { force: true });
    if (existsSync(join(from, `ledger.db${part}`)))
      cpSync(join(from, `ledger.db${part}`), join(to, `ledger.db${part}`));
  }
}

for (const { name, set, kinds } of [
  { name: "a local lake", set: {}, kinds: ["restored", "deleted"] },
  { name: "a bucket", set: S3, kinds: LONG ? ["deleted", "restored"] : ["restored"] },
]) {
  const isRun = LONG || name === "a bucket";
  test.skipIf(!isRun)(
    `${isRun ? "" : "SKIPPED, TAPEDECK_TEST_LONG=1 runs it: "}${name}: the ledger ${kinds.join(", then ")}, after runs that were killed`,
    async () => {
      const exchange = startBinance({ instruments: 10, rate: 6000, account: true });
      try {
        const data = join(cwd, name.replaceAll(" ", "-"));
        const live = async (end: "SIGKILL" | "SIGTERM") => {
          const recorder = await startRecorder({ cwd, data, exchange, args: ARGS, set: { ...SET, ...set } });
          await recorder.until("files", ({ balance: { published } }) => published > 300);
          if (end === "SIGTERM") {
            await exchange.pause();
            const { code, end: said } = await recorder.stop();
            expect([code, said.holds, said.inJournal, said.inOutbox]).toEqual([0, true, 0, 0]);
            exchange.resume();
          } else {
            recorder.process.signal(end);
            await recorder.process.exit();
          }
          return recorder;
        };
        await live("SIGKILL");
        copyLedger(data, join(cwd, "copy"));
        if (LONG) await live("SIGTERM");
        for (const kind of kinds) {
          await live("SIGKILL");
          if (kind === "restored") copyLedger(join(cwd, "copy"), data);
          else for (const part of PARTS) rmSync(join(data, `ledger.db${part}`), { force: true });
          const { process } = await live("SIGTERM");
          expect(process.events("ledger_behind")).toHaveLength(1);
        }
        await exchange.pause();
        const lake = name === "a bucket" ? unionLake([bucket]) : data;
        await withSql(async (sql) => {
          await auditLake(sql, lake);
          const { sent, missing } = await compareAccount(sql, exchange, lake);
          expect(await uncovered(sql, lake, missing)).toEqual([]);
          console.log(`${name}, ledger ${kinds.join(", ")}: ${sent} events, ${missing.length} between runs`);
        });
        if (lake !== data) rmSync(lake, { recursive: true });
        for (const [key, times] of bucket.puts) if (key.endsWith(".parquet")) expect(times, key).toBe(1);
      } finally {
        await exchange.stop();
      }
    },
    180_000,
  );
}
