/** kill -9 in the middle of an upload, and after one whose answer never came: every event once, no object written twice. */
import { afterAll, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { startBinance } from "../../src/simulator/binance.ts";
import { compareAccount, uncovered } from "../helpers/account.ts";
import { auditLake } from "../helpers/audit.ts";
import { withSql } from "../helpers/lake.ts";
import { startRecorder } from "../helpers/recorder.ts";
import { FAULTS, startStandIn } from "../helpers/s3/stand-in.ts";
import { unionLake } from "../helpers/s3/union.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { waitFor } from "../helpers/wait.ts";

const LONG = process.env.TAPEDECK_TEST_LONG === "1";
const cwd = scratchFolder("kill-upload");
const bucket = await startStandIn();
afterAll(() => bucket[Symbol.asyncDispose]());
const SET = {
  "storage.backend": "s3",
  "s3.endpoint": bucket.url,
  "s3.bucket": bucket.bucket,
  "s3.access_key": bucket.keys.accessKey,
  "s3.secret_key": bucket.keys.secretKey,
  "upload.retry_min": "50ms",
  "flush.interval": "150ms",
  "flush.min_gap": "0ms",
};

test.skipIf(!LONG)(
  `${LONG ? "" : "SKIPPED, TAPEDECK_TEST_LONG=1 runs it: "}killed while the bucket takes a file, and after it has taken one and not answered: the next start asks, and sends what is missing`,
  async () => {
    const exchange = startBinance({ instruments: 10, rate: 4000, account: true });
    try {
      const options = { cwd, data: join(cwd, "data"), exchange, args: ["--streams", "bbo,trade"], set: SET };
      const struck: string[] = [];
      for (const fault of [FAULTS.hang, FAULTS.storedHang]) {
        const recorder = await startRecorder(options);
        const before = struck.length;
        bucket.fault = (operation, key) => {
          if (operation !== "put" || !key.endsWith(".parquet")) return null;
          struck.push(key);
          return fault;
        };
        await waitFor("an upload", () => struck.length > before, { every: 1 });
        const key = struck[before] ?? "";
        if (fault === FAULTS.storedHang)
          await waitFor("it is stored", () => bucket.objects.has(key), { every: 1 });
        recorder.process.signal("SIGKILL");
        await recorder.process.exit();
        bucket.back();
        expect(bucket.objects.has(key)).toBe(fault === FAULTS.storedHang);
      }
      const last = await startRecorder(options);
      await last.until("files", ({ balance: { published } }) => published > 500);
      await exchange.pause();
      const { code, end } = await last.stop();
      expect([code, end.holds, end.inOutbox, end.inJournal]).toEqual([0, true, 0, 0]);
      for (const key of struck) expect(bucket.puts.get(key), key).toBe(1);
      const lake = unionLake([bucket]);
      try {
        await withSql(async (sql) => {
          await auditLake(sql, lake);
          const { missing } = await compareAccount(sql, exchange, lake);
          expect(await uncovered(sql, lake, missing)).toEqual([]);
        });
      } finally {
        rmSync(lake, { recursive: true });
      }
    } finally {
      await exchange.stop();
    }
  },
  180_000,
);
