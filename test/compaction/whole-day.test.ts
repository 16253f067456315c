/** A day as large as they are: how long plain readers see rows twice. Prints the figures of docs/compaction.md. */
import { expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { columnsOf } from "../../src/events/streams.ts";
import { lakeKey } from "../../src/storage/names.ts";
import { quoted, withSql } from "../helpers/lake.ts";
import { startStandIn } from "../helpers/s3/stand-in.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { auditOf } from "../verify/lakes.ts";
import { compactNow, currentPaths } from "./lakes.ts";

const DATE = "2026-11-10";
const DAY = Date.parse(`${DATE}T00:00:00Z`) * 1000;
const FILES = 288;
const ROWS = 2000;
const EVERY = 100_000;
const run = `test-${DAY}-abcd`;
const cwd = scratchFolder("whole-day");

/** A day of trades of one ring, a file every five minutes; resolves to the files by key. */
async function writeDay(lake: string): Promise<Map<string, string>> {
  const written = new Map<string, string>();
  await withSql(async (sql) => {
    for (let n = 0; n < FILES; n++) {
      const first = DAY + n * 300_000_000;
      const key = lakeKey({
        exchange: "binance",
        stream: "trade",
        firstLocal: first,
        key: { run, ring: 0, n },
      });
      const values: Record<string, string> = {
        symbol: "'S' || hash(i) % 500",
        instrument: "'S' || hash(i) % 500",
        local_timestamp: `make_timestamptz(${first} + i * ${EVERY})`,
        price: "round(random() * 1e6) / 100",
        run: quoted(run),
        ring: "0::SMALLINT",
        seq: `(${n * ROWS} + i)::BIGINT`,
        connection: "1::INTEGER",
      };
      const columns = columnsOf("trade").map(
        ({ name, type }) => `${values[name] ?? `NULL::${type}`} AS ${name}`,
      );
      const metadata = {
        schema_version: "v1",
        tapedeck_version: "test",
        exchange: "binance",
        stream: "trade",
        run,
        ring: 0,
        n,
        rows: ROWS,
        first_local_timestamp: first,
        last_local_timestamp: first + (ROWS - 1) * EVERY,
        first_seq: n * ROWS,
        last_seq: n * ROWS + ROWS - 1,
      };
      const pairs = Object.entries(metadata).map(([name, value]) => `${name}: '${value}'`);
      const path = join(lake, key);
      mkdirSync(dirname(path), { recursive: true });
      await sql.rows(
        `COPY (SELECT ${columns.join(", ")} FROM range(${ROWS}) t(i) ORDER BY symbol, local_timestamp, seq)
         TO ${quoted(path)} (FORMAT parquet, COMPRESSION zstd, KV_METADATA {${pairs.join(", ")}})`,
      );
      written.set(key, path);
    }
  });
  return written;
}

test.skipIf(process.env.TAPEDECK_TEST_LONG !== "1")(
  "a day of 288 files, in a folder and in a bucket: one file each, and how long both were there (long)",
  async () => {
    const data = join(cwd, "data");
    const files = await writeDay(join(data, "lake"));
    await using bucket = await startStandIn();
    for (const [key, path] of files) {
      const bytes = Buffer.from(await Bun.file(path).bytes());
      const etag = `"${new Bun.CryptoHasher("md5").update(bytes).digest("hex")}"`;
      bucket.objects.set(key, { bytes, etag, metadata: {} });
    }
    const remote = {
      data: join(cwd, "remote"),
      "storage.backend": "s3",
      "s3.endpoint": bucket.url,
      "s3.bucket": bucket.bucket,
      "s3.access_key": bucket.keys.accessKey,
      "s3.secret_key": bucket.keys.secretKey,
    };
    for (const [name, set] of Object.entries({ folder: { data }, bucket: remote })) {
      const at: Record<string, number> = {};
      const begun = performance.now();
      const report = await compactNow(set, {
        date: DATE,
        step: (step) => {
          at[step] = performance.now();
        },
      });
      expect(report).toMatchObject({ filesBefore: FILES, filesAfter: 1, rows: FILES * ROWS, faults: [] });
      const all = ((at.deleted ?? 0) - begun) / 1000;
      const window = (at.deleted ?? 0) - (at.checked ?? 0);
      console.log(
        `${name}: ${FILES} files in ${all.toFixed(1)} s; rows were there twice for at most ${window.toFixed(0)} ms`,
      );
    }
    const [path = ""] = currentPaths(join(data, "lake"), "trade");
    await withSql(async (sql) => {
      expect(await sql.number(`SELECT count(DISTINCT seq) FROM ${quoted(path)}`)).toBe(FILES * ROWS);
    });
    expect((await auditOf(data, { deep: true })).faults).toEqual([]);
    expect((await auditOf(undefined, { deep: true, set: remote })).faults).toEqual([]);
  },
  180_000,
);
