/** `tapedeck compact` over lakes that a recorder made: every row once, at every instant, whatever ends it. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type CompactionStep, STEPS } from "../../src/compaction/steps.ts";
import { startBinance } from "../../src/simulator/binance.ts";
import { COMPACTED, isCompacted, recordKey } from "../../src/storage/compacted.ts";
import { parseKey } from "../../src/storage/names.ts";
import { expireDays } from "../../src/storage/retention.ts";
import { tapedeck } from "../cli/run.ts";
import { quoted, Sql } from "../helpers/lake.ts";
import { startRecorder } from "../helpers/recorder.ts";
import { FAULTS, startStandIn } from "../helpers/s3/stand-in.ts";
import { unionLake } from "../helpers/s3/union.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { waitFor } from "../helpers/wait.ts";
import { seeded } from "../lib/seed.ts";
import { auditOf, Patient } from "../verify/lakes.ts";
import { compactNow, contentOf, currentPaths, keysOf, later, today } from "./lakes.ts";

// The machine may be busy.
setDefaultTimeout(120_000);
const cwd = scratchFolder("compaction");
const random = seeded("compaction");
const sql = await Sql.open();
const bucket = await startStandIn();
afterAll(async () => {
  exchange.stop();
  sql.close();
  await bucket[Symbol.asyncDispose]();
});

const STREAMS = ["bbo", "trade"] as const;
const QUICK = { "flush.interval": "300ms", "flush.min_gap": "0ms" };
/** Nothing is too young to be judged. */
const NOW = { "verify.grace": "1ms" };
const SET = {
  "storage.backend": "s3",
  "s3.prefix": "team/lake",
  "s3.endpoint": bucket.url,
  "s3.bucket": bucket.bucket,
  "s3.access_key": bucket.keys.accessKey,
  "s3.secret_key": bucket.keys.secretKey,
};
const exchange = startBinance({ instruments: 8, rate: 2500, seed: "compaction" });
const original = join(cwd, "recorded");
const sent = join(cwd, "sent");
let date = "";
let received = 0;
/** What each stream holds, before anything is compacted. */
const before = new Map<string, Awaited<ReturnType<typeof contentOf>>>();

const partition = (key: string, stream: string) => key.startsWith(`v1/exchange=binance/stream=${stream}/`);
const filesOf = (lake: string, stream: string) =>
  keysOf(lake).filter((key) => partition(key, stream) && parseKey(key)?.date === date);

const datesOf = (lake: string) =>
  keysOf(lake)
    .map((key) => parseKey(key)?.date ?? "")
    .sort();

/** The recorded folder again, to be compacted. */
let copies = 0;
function copy(): string {
  const data = join(cwd, `copy-${copies++}`);
  cpSync(original, data, { recursive: true });
  return data;
}

/** Every row is there once: by the rule, and in every column. */
async function expectWhole(lake: string): Promise<void> {
  for (const stream of STREAMS)
    expect(await contentOf(sql, currentPaths(lake, stream)), stream).toEqual(
      before.get(stream) ?? { rows: -1 },
    );
}

/** Two runs, the first killed. */
async function recordLocal(): Promise<void> {
  const options = { cwd, data: original, exchange, args: ["--streams", STREAMS.join()], set: QUICK };
  const killed = await startRecorder(options);
  await killed.until("some files", ({ balance }) => balance.published > 500);
  await killed.process.kill();
  const recorder = await startRecorder(options);
  await recorder.until("more of them", ({ balance }) => balance.published > 1200);
  const { code, end } = await recorder.stop();
  expect([code, end.holds]).toEqual([0, true]);
  received = end.received + end.recovered;
}

async function recordBucket(): Promise<void> {
  const args = ["--streams", STREAMS.join()];
  const recorder = await startRecorder({ cwd, data: sent, exchange, args, set: { ...QUICK, ...SET } });
  await recorder.until("files in the bucket", ({ balance }) => balance.published > 800);
  const { code, end } = await recorder.stop();
  expect([code, end.holds]).toEqual([0, true]);
}

beforeAll(async () => {
  await Promise.all([recordLocal(), recordBucket()]);
  // A recording over midnight has two days; the later one has all that matters here.
  date = datesOf(join(original, "lake")).at(-1) ?? "";
  for (const stream of STREAMS)
    before.set(stream, await contentOf(sql, currentPaths(join(original, "lake"), stream)));
});

describe("a day of a local lake", () => {
  test("few files, the same rows, sorted; verify finds it clean, with and without the ledger", async () => {
    const data = copy();
    const lake = join(data, "lake");
    const counted = STREAMS.map((stream) => filesOf(lake, stream).length);
    const report = await compactNow({ data }, { date });
    expect(report.faults).toEqual([]);
    expect(report.filesBefore).toBe(counted.reduce((a, b) => a + b, 0));
    await expectWhole(lake);
    for (const stream of STREAMS) {
      const files = filesOf(lake, stream);
      expect([files.length, files.every(isCompacted)]).toEqual([1, true]);
      const path = quoted(join(lake, files[0] ?? ""));
      // A plain reader of the folder, which knows of no rule: nothing twice after the swap.
      const glob = quoted(join(lake, "v1", "**", "*.parquet"));
      const plain = await sql.row(
        `SELECT count(*) AS rows, count(DISTINCT (run, ring, seq)) AS keys
         FROM read_parquet(${glob}, hive_partitioning = true, union_by_name = true) WHERE stream = ${quoted(stream)}`,
      );
      expect(plain).toEqual({ rows: before.get(stream)?.rows ?? -1, keys: before.get(stream)?.keys ?? -1 });
      const unsorted = await sql.number(
        `SELECT count(*) FROM (SELECT (symbol, local_timestamp, run, ring, seq) <
           lag((symbol, local_timestamp, run, ring, seq)) OVER () AS back FROM ${path}) WHERE back`,
      );
      expect(unsorted).toBe(0);
      const columns = (from: string) =>
        sql.rows(`DESCRIBE SELECT * FROM read_parquet(${from}, hive_partitioning = false)`);
      const old = currentPaths(join(original, "lake"), stream)[0] ?? "";
      expect(await columns(path)).toEqual(await columns(quoted(old)));
    }
    const clean = await auditOf(data, { deep: true, set: NOW });
    expect(clean.faults).toEqual([]);
    const rows = clean.coverage.reduce((sum, { rows: of }) => sum + of, 0);
    expect(rows).toBeGreaterThanOrEqual(received);
    const uncompacted = await auditOf(original, { deep: true, set: NOW });
    expect(clean.rows).toBe(uncompacted.rows);
    expect(clean.drops).toEqual(uncompacted.drops);
    for (const part of ["", "-wal", "-shm"]) rmSync(join(data, `ledger.db${part}`), { force: true });
    expect((await auditOf(data)).faults).toEqual([]);
    // Once more: nothing is left to do.
    expect((await compactNow({ data }, { date })).filesBefore).toBe(0);
    expect(readdirSync(join(data, "compaction"))).toEqual([]);
  });

  test("bounds of rows and bytes make several files; one that comes late is left until there are two", async () => {
    const data = copy();
    const lake = join(data, "lake");
    const [late] = filesOf(lake, "trade").slice(-1);
    const path = join(lake, late ?? "");
    const aside = join(cwd, "late.parquet");
    cpSync(path, aside);
    rmSync(path);
    const half = Math.ceil((Number(before.get("trade")?.rows) + 1) / 2);
    const report = await compactNow({ data, "compaction.rows": String(half) }, { date, streams: ["trade"] });
    expect(report.faults).toEqual([]);
    expect(report.filesAfter).toBeGreaterThan(1);
    for (const key of filesOf(lake, "trade"))
      expect(await sql.number(`SELECT count(*) FROM ${quoted(join(lake, key))}`)).toBeLessThanOrEqual(half);
    cpSync(aside, path);
    await expectWhole(lake);
    // All of bbo; and the late one if the bounds had left another one alone.
    const lone = filesOf(lake, "trade").filter((key) => !isCompacted(key)).length;
    expect((await compactNow({ data }, { date })).filesAfter).toBe(lone > 1 ? 2 : 1);
    await expectWhole(lake);
    expect((await auditOf(data)).faults).toEqual([]);
  });

  test("a dry run names what would be done and touches nothing", async () => {
    const data = copy();
    const keys = keysOf(data);
    const report = await compactNow({ data }, { date, dryRun: true });
    expect(report.filesBefore).toBeGreaterThan(2);
    expect(report.lines.join("\n")).toContain("would become one");
    expect(keysOf(data).filter((key) => !key.startsWith("compact.db"))).toEqual(
      keys.filter((key) => !key.startsWith("compact.db")),
    );
  });

  test("retention takes the records along", async () => {
    const data = copy();
    const lake = join(data, "lake");
    await compactNow({ data }, { date });
    expect(keysOf(lake).some((key) => key.startsWith(COMPACTED))).toBe(true);
    await expireDays(lake, 0, later(), () => undefined);
    expect(keysOf(lake)).toEqual([]);
  });
});

test("a recorder at work beside it: its open day is left alone, and it misses nothing of what it published", async () => {
  const data = copy();
  expect((await compactNow({ data }, { date })).faults).toEqual([]);
  const args = ["--streams", STREAMS.join()];
  const recorder = await startRecorder({ cwd, data, exchange, args, set: QUICK });
  await recorder.until("further files", ({ balance }) => balance.published > 500);
  const last = datesOf(join(data, "lake")).at(-1) ?? "";
  await waitFor("a stream that is open", async () => {
    const { faults } = await compactNow({ data }, { date: last });
    return faults.some((fault) => /it is not closed: (the journal|by the ledger|a file of it)/.test(fault));
  });
  const { code, end } = await recorder.stop();
  expect([code, end.holds, end.recovered]).toEqual([0, true, 0]);
  expect((await compactNow({ data }, { date: last })).faults).toEqual([]);
  const all = await Promise.all(
    STREAMS.map((stream) => contentOf(sql, currentPaths(join(data, "lake"), stream))),
  );
  const old = STREAMS.map((stream) => Number(before.get(stream)?.rows));
  expect(all.reduce((sum, { rows }) => sum + Number(rows), 0)).toBe(
    old.reduce((a, b) => a + b, 0) + end.received,
  );
  for (const { rows, keys } of all) expect(keys).toBe(rows);
  expect((await auditOf(data, { deep: true, set: NOW })).faults).toEqual([]);
});

describe("verify", () => {
  /** A compacted folder, its trades' file and record. */
  async function compacted() {
    const data = copy();
    const lake = join(data, "lake");
    await compactNow({ data }, { date });
    const [key = ""] = filesOf(lake, "trade");
    return { data, lake, key, record: recordKey(key) };
  }
  const faultsOf = async (data: string, deep = false) =>
    (await auditOf(data, { deep, set: NOW })).faults.map(({ kind, file }) => `${kind} ${file}`);

  test("finds a compacted file that is gone, and one without its record", async () => {
    const { data, lake, key, record } = await compacted();
    cpSync(join(lake, key), join(cwd, "gone.parquet"));
    rmSync(join(lake, key));
    expect(await faultsOf(data)).toContain(`missing ${key}`);
    const gone = await compactNow({ data }, { date });
    expect(gone.faults.join()).toContain(`${key} is gone, and its record says`);
    cpSync(join(cwd, "gone.parquet"), join(lake, key));
    expect(await faultsOf(data)).toEqual([]);
    rmSync(join(lake, record));
    expect((await faultsOf(data)).filter((fault) => fault.startsWith("missing v1/")).length).toBeGreaterThan(
      1,
    );
    expect((await compactNow({ data }, { date })).faults.join()).toContain(`${key} has no record`);
  });

  test("finds rows taken out of a compacted file, and rows altered in it", async () => {
    const rewrite = async (lake: string, key: string, change: Parameters<Patient["rewrite"]>[1]) => {
      const names = {
        exchange: "binance",
        stream: "trade",
        date,
        symbol: null,
        first: 0,
        run: "",
        ring: 0,
        n: 0,
      };
      await new Patient(lake, sql).rewrite({ path: join(lake, key), ...names }, change);
    };
    const one = await compacted();
    const path = quoted(join(one.lake, one.key));
    const left = await sql.number(`SELECT count(*) FROM ${path} WHERE seq <> 3`);
    expect(left).toBeLessThan(Number(before.get("trade")?.rows));
    const metadata = { rows: String(left) };
    await rewrite(one.lake, one.key, { rows: "SELECT * FROM file WHERE seq <> 3", metadata });
    const found = await faultsOf(one.data);
    expect(found).toContain(`content ${one.key}`);
    const other = await compacted();
    await rewrite(other.lake, other.key, { rows: "SELECT * REPLACE (price + 1 AS price) FROM file" });
    const altered = (await faultsOf(other.data, true)).filter((fault) => fault.endsWith(other.key));
    expect(altered[0]).toMatch(/^(hash|size) /);
  });
});

describe("what is not compacted", () => {
  test("a day that is not over, by the command itself: exit 1 and from when on", async () => {
    const { code, stderr } = await tapedeck(["compact", "--date", today(), "--data", copy()], { cwd });
    expect(code).toBe(1);
    expect(stderr).toMatch(/is not closed: it may be compacted from \d{4}-/);
    // Date takes the last one for the 2nd of March.
    for (const date of ["yesterday", "2026-02-30"]) {
      const wrong = await tapedeck(["compact", "--date", date], { cwd });
      expect(wrong.code).toBe(2);
      expect(wrong.stderr).toContain(`--date ${date}: a day such as 2026-11-20 is wanted`);
    }
    const missing = await tapedeck(["compact"], { cwd });
    expect(missing.stderr).toContain("--date: is missing: a day such as 2026-11-20 is wanted\n");
  });

  test("a stream of which a file waits in the outbox, and one whose file is not what was published", async () => {
    const data = copy();
    const lake = join(data, "lake");
    const keys = keysOf(lake);
    const [waits = ""] = filesOf(lake, "bbo");
    writeFileSync(join(data, "outbox", waits.replaceAll("/", "~")), "");
    const [altered = ""] = filesOf(lake, "trade");
    const path = join(lake, altered);
    await sql.rows(
      `COPY (SELECT * FROM read_parquet(${quoted(path)}, hive_partitioning = false)) TO ${quoted(`${path}.new`)} (FORMAT parquet)`,
    );
    cpSync(`${path}.new`, path);
    rmSync(`${path}.new`);
    const report = await compactNow({ data }, { date });
    expect(report.filesAfter).toBe(0);
    expect(report.faults).toHaveLength(2);
    expect(report.faults[0]).toContain("waits in the outbox");
    expect(report.faults[1]).toContain("is not what was published");
    expect(keysOf(lake)).toEqual(keys);
  });

  for (const [what, rows] of Object.entries({
    "lacks a row": "SELECT * FROM file WHERE seq <> 5",
    "has a row twice":
      "SELECT * FROM file UNION ALL SELECT * FROM file WHERE seq = 5 ORDER BY symbol, local_timestamp",
    "has another value":
      "SELECT * REPLACE (CASE seq WHEN 5 THEN price + 1 ELSE price END AS price) FROM file",
    "has another key": "SELECT * REPLACE (CASE seq WHEN 5 THEN 6 ELSE seq END AS seq) FROM file",
    "is in another order": "SELECT * FROM file ORDER BY seq",
  })) {
    test(`where what was written ${what}`, async () => {
      const data = copy();
      const lake = join(data, "lake");
      const keys = keysOf(lake);
      const work = join(data, "compaction");
      const { faults, filesAfter } = await compactNow(
        { data },
        {
          date,
          streams: ["trade"],
          step: async (at) => {
            if (at !== "merged") return;
            const file = readdirSync(work, { recursive: true, encoding: "utf8" }).find((name) =>
              name.endsWith(".parquet"),
            );
            const path = quoted(join(work, file ?? ""));
            const query = rows.replaceAll(
              "FROM file",
              `FROM read_parquet(${path}, hive_partitioning = false)`,
            );
            await sql.rows(`COPY (${query}) TO ${quoted(join(cwd, "altered.parquet"))} (FORMAT parquet)`);
            cpSync(join(cwd, "altered.parquet"), join(work, file ?? ""));
          },
        },
      );
      expect([filesAfter, faults.length]).toEqual([0, 1]);
      expect(faults[0]).toMatch(/does not hold what it was made of .*nothing is replaced/);
      expect(keysOf(lake)).toEqual(keys);
    });
  }

  test("while another compaction is at work: it is named", async () => {
    const data = copy();
    const said: string[] = [];
    await compactNow(
      { data },
      {
        date,
        step: async (at) => {
          if (at !== "locked") return;
          const error = await compactNow({ data }, { date }).catch((caught: unknown) => caught);
          said.push(String(error));
        },
      },
    );
    expect(said.join()).toContain(`another compaction of ${data} is at work (pid ${process.pid})`);
  });
});

/** Runs a compaction that is killed at a step. */
async function killedAt(set: Readonly<Record<string, string>>, step: CompactionStep, passes: number) {
  const told = JSON.stringify({ set, date, step, passes });
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "step-process.ts"), told], {
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, TAPEDECK_TEST_SEED: "" },
  });
  const said = `${await new Response(child.stdout).text()}\n${await new Response(child.stderr).text()}`;
  await child.exited;
  return { signal: child.signalCode, said };
}

/** One for each state that the lake can be in; the others leave it as one of these does, and are killed at with TAPEDECK_TEST_LONG=1. */
const STATES: readonly CompactionStep[] = ["merged", "published", "committed", "deleting"];
const LONG = process.env.TAPEDECK_TEST_LONG === "1";

describe("kill -9", () => {
  for (const step of STEPS) {
    test.skipIf(!LONG && !STATES.includes(step))(
      `at the step "${step}": every row once, before and after the next compaction`,
      async () => {
        const data = copy();
        const lake = join(data, "lake");
        // The second partition now and then; of deletions some are done.
        const passes = step === "locked" ? 0 : step === "deleting" ? random.below(4) : random.below(2);
        const { signal, said } = await killedAt({ data }, step, passes);
        expect(signal, said).toBe("SIGKILL");
        await expectWhole(lake);
        expect((await auditOf(data)).faults).toEqual([]);
        const { faults, lines } = await compactNow({ data }, { date });
        expect(faults, lines.join("\n")).toEqual([]);
        await expectWhole(lake);
        for (const stream of STREAMS) {
          const files = filesOf(lake, stream);
          expect([files.length, files.every(isCompacted)], lines.join("\n")).toEqual([1, true]);
        }
        expect(readdirSync(join(data, "compaction"))).toEqual([]);
      },
      180_000,
    );
  }

  test("in the middle of everything, again and again, read all the while", async () => {
    const data = copy();
    const lake = join(data, "lake");
    let over = false;
    let looks = 0;
    const reader = (async () => {
      while (!over) {
        // A file may go between listing and reading: then a reader lists again.
        const found = await Promise.all(
          STREAMS.map((stream) => contentOf(sql, currentPaths(lake, stream)).catch(() => null)),
        );
        for (const [i, content] of found.entries())
          if (content !== null) expect(content).toEqual(before.get(STREAMS[i] ?? "") ?? { rows: -1 });
        if (found.every((content) => content !== null)) looks++;
        await Bun.sleep(1);
      }
    })();
    for (const step of ["published", "committed"] as const) await killedAt({ data }, step, random.below(2));
    expect((await compactNow({ data }, { date })).faults).toEqual([]);
    over = true;
    await reader;
    expect(looks).toBeGreaterThan(0);
    await expectWhole(lake);
  });
});

test("sql counts each row once while both are there", async () => {
  const data = copy();
  const { signal, said } = await killedAt({ data }, "committed", 0);
  expect(signal, said).toBe("SIGKILL");
  const { code, stdout, stderr } = await tapedeck(
    ["sql", "SELECT count(*) AS n FROM bbo", "--format", "json", "--data", data],
    { cwd },
  );
  expect(code, stderr).toBe(0);
  expect(stdout.match(/\d+/)?.[0], stdout).toBe(String(before.get("bbo")?.rows));
});

describe("a bucket", () => {
  test("errors of the store, a kill after the record: every row once, nothing left over, verify agrees", async () => {
    const content = async () => {
      const union = unionLake([bucket], "team/lake/");
      try {
        for (const [key, { bytes }] of bucket.objects)
          if (key.includes("/_compacted/"))
            await Bun.write(join(union, "lake", key.slice("team/lake/".length)), bytes);
        const all = STREAMS.map((stream) => contentOf(sql, currentPaths(join(union, "lake"), stream)));
        return await Promise.all(all);
      } finally {
        rmSync(union, { recursive: true, force: true });
      }
    };
    const whole = await content();
    const own = { data: sent, ...SET };
    const { signal, said } = await killedAt(own, "committed", 0);
    expect(signal, said).toBe("SIGKILL");
    expect(await content()).toEqual(whole);
    expect((await auditOf(undefined, { set: own })).faults).toEqual([]);
    // The lock of the killed one is of this data folder: it holds nobody up.
    bucket.fail(FAULTS.internal, "put", 1);
    const report = await compactNow(own, { date });
    expect(report.faults, report.lines.join("\n")).toEqual([]);
    expect(report.finished).toBe(1);
    expect(await content()).toEqual(whole);
    const left = [...bucket.objects.keys()].filter(
      (key) => /\/stream=(bbo|trade)\//.test(key) && key.endsWith(".parquet"),
    );
    expect(left.map((key) => isCompacted(key.slice("team/lake/".length)))).toEqual([true, true]);
    expect([...bucket.objects.keys()].filter((key) => key.includes("_compacting"))).toEqual([]);
    const clean = await auditOf(undefined, { deep: true, set: own });
    expect(clean.faults).toEqual([]);
    expect(clean.ledger).toBe(join(sent, "ledger.db"));
  });
});
