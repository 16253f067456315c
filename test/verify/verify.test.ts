/** `tapedeck verify`: every fault is planted in a lake that a recorder made, and found; what is no fault is left alone. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, rmSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { startBinance } from "../../src/simulator/binance.ts";
import { FAULT_KINDS, reportSchema } from "../../src/verify/report.ts";
import { tapedeck } from "../cli/run.ts";
import { auditLake, lakeFiles } from "../helpers/audit.ts";
import { Sql } from "../helpers/lake.ts";
import { startRecorder } from "../helpers/recorder.ts";
import { FAULTS, startStandIn } from "../helpers/s3/stand-in.ts";
import { filesIn } from "../helpers/s3/union.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { waitFor } from "../helpers/wait.ts";
import { auditOf, faultsOf, Patient } from "./lakes.ts";

const cwd = scratchFolder("verify");
const [bucket, spare] = [await startStandIn(), await startStandIn({ bucket: "spare" })];
const sql = await Sql.open();
afterAll(async () => {
  sql.close();
  await Promise.all([bucket[Symbol.asyncDispose](), spare[Symbol.asyncDispose]()]);
});

const QUICK = {
  "flush.interval": "300ms",
  "flush.slow_interval": "300ms",
  "flush.min_gap": "0ms",
  "destinations.manifest_interval": "300ms",
};
/** Nothing is too young to be judged. */
const NOW = { "verify.grace": "1ms" };

const at = (name: "s3" | "gcs", { url, bucket: called, keys }: typeof bucket) => ({
  [`${name}.endpoint`]: url,
  [`${name}.bucket`]: called,
  [`${name}.access_key`]: keys.accessKey,
  [`${name}.secret_key`]: keys.secretKey,
});
const BUCKET = { "storage.backend": "s3", "s3.prefix": "team/lake", ...at("s3", bucket) };

const STREAMS = ["bbo", "trade"];

let copies = 0;
/** A copy of the recorded lake; without its ledger unless it is asked for, so that a planted fault is the only one. */
const patient = (ledger = false) => Patient.of(local, join(cwd, `patient-${copies++}`), sql, { ledger });

const local = join(cwd, "local");
const dropped = join(cwd, "dropped");
/** Audits of the local lake while a recorder was recording into it. */
const meanwhile: Awaited<ReturnType<typeof auditOf>>[] = [];
let received = 0;
let drops = 0;
let inBucket = 0;

/** An exchange of its own for each recording: it stands still as soon as that has what it needs, for each file more makes each audit dearer. */
async function recording(
  record: (exchange: ReturnType<typeof startBinance>) => Promise<void>,
): Promise<void> {
  const exchange = startBinance({ instruments: 8, rate: 2500, seed: "verify" });
  try {
    await record(exchange);
  } finally {
    await exchange.stop();
  }
}

/** Records, is killed, and records again into the same folder, audited all the while. */
async function recordLocal(exchange: ReturnType<typeof startBinance>): Promise<void> {
  const args = ["--streams", STREAMS.join()];
  const options = { cwd, data: local, exchange, args, set: { ...QUICK, "flush.interval": "500ms" } };
  const killed = await startRecorder(options);
  await killed.until("some files", ({ balance }) => balance.published > 1500);
  await killed.process.kill();
  const recorder = await startRecorder(options);
  for (const rows of [500, 2000]) {
    await recorder.until(`${rows} rows`, ({ balance }) => balance.published > rows);
    meanwhile.push(await auditOf(local), await auditOf(join(local, "lake"), { deep: true }));
  }
  const run = String((await recorder.process.event("collector_start")).run);
  await waitFor("four files of each ring", () => {
    const files = lakeFiles(local).filter((file) => file.run === run);
    return STREAMS.every((stream) => files.filter((file) => file.stream === stream).length >= 4);
  });
  await exchange.pause();
  const { code, end } = await recorder.stop();
  expect([code, end.holds]).toEqual([0, true]);
  received = end.received + end.recovered;
}

/** Rings so small that they overflow. */
async function recordDrops(exchange: ReturnType<typeof startBinance>): Promise<void> {
  const recorder = await startRecorder({
    cwd,
    data: dropped,
    exchange,
    args: ["--streams", "bbo,trade"],
    set: { ...QUICK, "ring.capacity.bbo": "64", "drain.poll": "200ms" },
  });
  await recorder.until("drops", ({ balance }) => balance.dropped > 500 && balance.published > 500);
  const { end } = await recorder.stop();
  drops = end.dropped;
}

/** Two instances, one bucket. */
async function recordBucket(exchange: ReturnType<typeof startBinance>): Promise<void> {
  const recorders = await Promise.all(
    ["one", "two"].map((instance) =>
      startRecorder({
        cwd,
        data: join(cwd, instance),
        exchange,
        args: ["--streams", "bbo,trade"],
        set: { ...QUICK, ...BUCKET, "flush.interval": "500ms", instance },
      }),
    ),
  );
  for (const recorder of recorders)
    await recorder.until("files in the bucket", ({ balance }) => balance.published > 1000);
  await exchange.pause();
  for (const recorder of recorders) {
    const all = { ...BUCKET, data: recorder.data };
    const { faults, files } = await auditOf(undefined, { deep: true, set: all });
    expect([faults, files > 0]).toEqual([[], true]);
    const { code, end } = await recorder.stop();
    expect([code, end.holds]).toEqual([0, true]);
    inBucket += end.published;
  }
}

beforeAll(async () => {
  await Promise.all([recordLocal, recordDrops, recordBucket].map(recording));
}, 180_000);

describe("no fault", () => {
  test("a lake after kill -9 and a restart: each event once, the time between counted as lost", async () => {
    const report = await auditOf(local, { deep: true, set: NOW });
    expect(report.faults).toEqual([]);
    expect(report).toMatchObject({
      clean: true,
      depth: "deep",
      pending: { segments: 0, holes: 0 },
      downloaded_bytes: 0,
    });
    expect(report.claims).toBe(report.files);
    const second = lakeFiles(local).filter(
      ({ run }) =>
        run ===
        lakeFiles(local)
          .map((one) => one.run)
          .sort()
          .at(-1),
    );
    expect(second.length).toBeGreaterThan(0);
    expect(report.coverage.reduce((sum, { rows }) => sum + rows, 0)).toBeGreaterThanOrEqual(received);
    for (const { stream, lost_s, gaps, rows, gaps_per_million } of report.coverage) {
      expect(lost_s, stream).toBeGreaterThan(0);
      expect(gaps_per_million, stream).toBeCloseTo((1e6 * gaps) / rows);
    }
  });

  test("a lake that is being recorded, seen as data folder and as lake", () => {
    expect(meanwhile.flatMap(({ faults }) => faults)).toEqual([]);
    expect(meanwhile.map(({ depth }) => depth)).toEqual(["rows", "deep", "rows", "deep"]);
    for (const { files, ledger } of meanwhile) {
      expect(files).toBeGreaterThan(0);
      expect(ledger).toBe(join(local, "ledger.db"));
    }
  });

  test("drops: holes in seq that gaps tells of, number by number", async () => {
    const report = await auditOf(dropped, { set: NOW });
    expect(report.faults).toEqual([]);
    expect(report.drops.missing).toBeGreaterThan(0);
    // Drops behind the last row of a ring leave no hole.
    expect(report.drops.missing).toBeLessThanOrEqual(drops);
    expect(report.drops.counted).toBeGreaterThanOrEqual(report.drops.missing);
    expect(report.coverage.find(({ stream }) => stream === "bbo")?.gaps).toBeGreaterThan(0);
  });

  test("two instances in one bucket: footers alone are fetched, by range; --deep reads everything", async () => {
    // What passes by itself is tried again, pages of listings too.
    let ill = 0;
    bucket.fault = (operation) =>
      ["list", "get"].includes(operation) && ill++ % 7 === 3 ? FAULTS.slowDown : null;
    const report = await auditOf(undefined, { set: { ...BUCKET, ...NOW, data: join(cwd, "one") } });
    expect(report.faults).toEqual([]);
    bucket.back();
    expect(ill).toBeGreaterThan(3);
    expect(report).toMatchObject({ depth: "footers", files: filesIn(bucket, "team/lake/").length });
    expect(report.manifests).toBe(2);
    expect(report.coverage.reduce((sum, { rows }) => sum + rows, 0)).toBe(inBucket);
    expect(new Set(report.coverage.map(({ instance }) => instance))).toEqual(new Set(["one", "two"]));
    expect(report.downloaded_bytes).toBeGreaterThan(0);
    const byAddress = await auditOf(`s3://${bucket.bucket}/team/lake`, {
      deep: true,
      set: { ...at("s3", bucket), ...NOW },
    });
    expect([byAddress.faults, byAddress.depth, byAddress.ledger]).toEqual([[], "deep", null]);
    expect(byAddress.downloaded_bytes).toBeGreaterThan(report.bytes);
  });

  test("a file in both destinations counts once and is no fault", async () => {
    const [key = ""] = filesIn(bucket, "team/lake/");
    const stored = bucket.objects.get(`team/lake/${key}`);
    if (stored === undefined) throw new Error(`no ${key}`);
    const settings = {
      ...BUCKET,
      "storage.fallback": "gcs",
      ...at("gcs", spare),
      ...NOW,
      data: join(cwd, "none"),
    };
    const alone = await auditOf(undefined, { set: settings });
    spare.objects.set(key, stored);
    const report = await auditOf(undefined, { deep: true, set: settings });
    expect([report.faults, report.doubles, report.rows]).toEqual([[], 1, alone.rows]);
    const other = Buffer.from(stored.bytes);
    other[100] = (other[100] ?? 0) ^ 1;
    spare.objects.set(key, { ...stored, bytes: other });
    expect(faultsOf(await auditOf(undefined, { deep: true, set: settings }))).toEqual({ [key]: ["double"] });
    spare.objects.clear();
  });

  test("filters: days, exchanges, streams", async () => {
    const days = lakeFiles(local)
      .map(({ date }) => date)
      .sort();
    const [from, to] = [days.at(0) ?? "", days.at(-1) ?? ""];
    const some = await auditOf(local, {
      set: NOW,
      selection: { from, to, streams: ["trade"], exchanges: ["binance"] },
    });
    expect([some.faults, [...new Set(some.coverage.map(({ stream }) => stream))]]).toEqual([[], ["trade"]]);
    expect(some.files).toBe(lakeFiles(local).filter(({ stream }) => stream === "trade").length);
    for (const selection of [{ from: "2001-01-01", to: "2001-01-02" }, { exchanges: ["okx"] }])
      expect(await auditOf(local, { set: NOW, selection })).toMatchObject({
        files: 0,
        claims: 0,
        clean: true,
      });
  });

  test("a fresh lake without a ledger: what is young may still come", async () => {
    const one = patient();
    rmSync(one.middle("bbo").path);
    const report = await auditOf(one.data);
    expect([report.clean, report.pending]).toEqual([true, { segments: 1, holes: 0 }]);
  });
});

describe("a fault, named", () => {
  /** Each is done to a copy of the lake; `expected`: kinds by file, and nothing else. */
  const PLANTED: Readonly<
    Record<
      string,
      {
        deep?: boolean;
        ledger?: boolean;
        plant: (one: Patient) => Promise<Record<string, string[]>> | Record<string, string[]>;
      }
    >
  > = {
    "a deleted file, by the ledger and by its numbers": {
      ledger: true,
      plant: (one) => {
        const file = one.middle("trade");
        rmSync(file.path);
        const next = one
          .files("trade")
          .find(({ run, ring, n }) => run === file.run && ring === file.ring && n === file.n + 1);
        return { [one.key(file)]: ["missing"], [next === undefined ? "" : one.key(next)]: ["sequence"] };
      },
    },
    "the last file of a dataset deleted, by the ledger alone": {
      ledger: true,
      plant: (one) => {
        const file = one.files("instruments").at(-1);
        if (file === undefined) throw new Error("no instruments");
        rmSync(file.path);
        return { [one.key(file)]: ["missing"] };
      },
    },
    "a flipped byte in a page, by the SHA-256 of the ledger": {
      deep: true,
      ledger: true,
      plant: (one) => {
        const file = one.middle("bbo");
        one.flip(file);
        return { [one.key(file)]: ["hash"] };
      },
    },
    "a truncated file": {
      plant: (one) => {
        const file = one.middle("bbo");
        truncateSync(file.path, 1000);
        return { [one.key(file)]: ["unreadable"] };
      },
    },
    "a file of nothing but a beginning": {
      plant: (one) => {
        const file = one.middle("bbo");
        truncateSync(file.path, 4);
        return { [one.key(file)]: ["unreadable"] };
      },
    },
    "a Parquet of few bytes, without rows": {
      plant: async (one) => {
        const file = one.middle("trade");
        await one.rewrite(file, { rows: "SELECT symbol FROM file WHERE false" });
        return { [one.key(file)]: ["empty"] };
      },
    },
    "a foreign file": {
      plant: (one) => {
        const key = one.key(one.middle("bbo")).replace(/[^/]+$/, "notes.txt");
        one.put(key, "not a Parquet file");
        return { [key]: ["foreign"] };
      },
    },
    "a file under a wrong date": {
      plant: (one) => {
        const file = one.files("bbo").at(-1);
        if (file === undefined) throw new Error("no bbo");
        const key = one.key(file).replace(/date=[^/]+/, "date=2001-02-03");
        one.put(key, readFileSync(file.path));
        rmSync(file.path);
        return { [key]: ["key"] };
      },
    },
    "a file under a wrong stream": {
      plant: (one) => {
        const file = one.files("trade").at(-1);
        if (file === undefined) throw new Error("no trade");
        const key = one.key(file).replace("stream=trade", "stream=bbo");
        one.put(key, readFileSync(file.path));
        rmSync(file.path);
        return { [key]: ["schema"] };
      },
    },
    "a duplicate under another name": {
      plant: (one) => {
        const file = one.middle("bbo");
        const key = one.key(file).replace(/_\d+\.parquet$/, "_7777.parquet");
        one.put(key, readFileSync(file.path));
        return { [key]: ["metadata"] };
      },
    },
    "a duplicate under another name, with the metadata of that name": {
      plant: async (one) => {
        const file = one.middle("bbo");
        const key = one.key(file).replace(/_\d+\.parquet$/, "_7777.parquet");
        one.put(key, readFileSync(file.path));
        const path = join(one.data, "lake", key);
        await one.rewrite({ ...file, path }, { metadata: { n: "7777" } });
        return { [key]: ["duplicate"] };
      },
    },
    "rows taken out of a file: seq says so, gaps does not": {
      plant: async (one) => {
        const file = one.middle("bbo");
        const { low } = await one.sql.row(`SELECT min(seq) AS low FROM '${file.path}'`);
        const rows = `SELECT * FROM file WHERE seq NOT BETWEEN ${Number(low) + 3} AND ${Number(low) + 7}`;
        const { left } = await one.sql.row(`SELECT count(*) AS left FROM '${file.path}'`);
        await one.rewrite(file, { rows, metadata: { rows: String(Number(left) - 5) } });
        return { [one.key(file)]: ["sequence"] };
      },
    },
    "an unsorted file": {
      plant: async (one) => {
        const file = one.middle("bbo");
        await one.rewrite(file, { rows: "SELECT * FROM file ORDER BY seq DESC" });
        return { [one.key(file)]: ["order"] };
      },
    },
    "rows of metadata that are not those of the file": {
      plant: async (one) => {
        const file = one.middle("bbo");
        await one.rewrite(file, { metadata: { rows: "12345" } });
        return { [one.key(file)]: ["rows"] };
      },
    },
    "a range of seq in metadata that is not that of the rows": {
      plant: async (one) => {
        const file = one.middle("bbo");
        await one.rewrite(file, { metadata: { last_seq: "99999999" } });
        return { [one.key(file)]: ["range"] };
      },
    },
    "rows of another run": {
      plant: async (one) => {
        const file = one.middle("bbo");
        await one.rewrite(file, { rows: "SELECT * REPLACE ('other-1-abcd' AS run) FROM file" });
        return { [one.key(file)]: ["content"] };
      },
    },
    "a column that schema v1 does not have": {
      plant: async (one) => {
        const file = one.middle("bbo");
        await one.rewrite(file, { rows: "SELECT *, 1 AS mid_price FROM file" });
        return { [one.key(file)]: ["schema"] };
      },
    },
    "a column of another type": {
      plant: async (one) => {
        const file = one.middle("bbo");
        await one.rewrite(file, { rows: "SELECT * REPLACE (bid_price::FLOAT AS bid_price) FROM file" });
        return { [one.key(file)]: ["schema"] };
      },
    },
    "a file that was written anew: not what the ledger knows": {
      ledger: true,
      plant: async (one) => {
        const file = one.middle("bbo");
        await one.rewrite(file, { metadata: { remark: "written by somebody else, with other bytes" } });
        return { [one.key(file)]: ["size"] };
      },
    },
  };

  /** What nothing in the lake itself shows. */
  const LEDGER_ALONE = [
    "the last file of a dataset deleted, by the ledger alone",
    "a flipped byte in a page, by the SHA-256 of the ledger",
  ];

  test("without one: the tests' own audit finds nothing either", async () => {
    const one = patient();
    expect((await auditLake(sql, one.data)).rows).toBeGreaterThan(0);
    rmSync(one.data, { recursive: true });
  });

  for (const [name, { deep = false, ledger = false, plant }] of Object.entries(PLANTED)) {
    test(name, async () => {
      const one = patient(ledger);
      const expected = await plant(one);
      // The tests' own audit, on which most of them rely, sees it as well.
      const audited = auditLake(sql, one.data);
      if (LEDGER_ALONE.includes(name)) await audited;
      else expect(audited).rejects.toThrow();
      await audited.catch(() => undefined);
      const report = await auditOf(one.data, { deep, set: NOW });
      // What else a reader notices depends on the byte that was hit.
      if (deep) report.faults = report.faults.filter(({ kind }) => kind !== "unreadable");
      expect(faultsOf(report), JSON.stringify(report.faults, null, 1)).toEqual(expected);
      expect(report.clean).toBe(false);
      for (const { message, mend, where } of report.faults) {
        expect(Math.min(message.length, mend.length)).toBeGreaterThan(10);
        expect(where).toBe(join(one.data, "lake"));
      }
      rmSync(one.data, { recursive: true });
    });
  }

  test("an object that its manifest names and nobody has; one that was changed at its key", async () => {
    const keys = filesIn(bucket, "team/lake/").filter((key) => key.includes("stream=bbo"));
    const [gone = "", changed = ""] = [keys.at(-1), keys.at(0)];
    const full = (key: string) => `team/lake/${key}`;
    const [kept, before] = [bucket.objects.get(full(gone)), bucket.objects.get(full(changed))];
    if (kept === undefined || before === undefined) throw new Error("no bbo in the bucket");
    bucket.objects.delete(full(gone));
    const bytes = Buffer.from(before.bytes);
    bytes[bytes.length >> 2] = (bytes[bytes.length >> 2] ?? 0) ^ 1;
    bucket.objects.set(full(changed), { ...before, bytes });
    const set = { ...at("s3", bucket), ...NOW };
    const name = `s3://${bucket.bucket}/team/lake`;
    expect(faultsOf(await auditOf(name, { set }))).toMatchObject({ [gone]: ["missing"] });
    const report = faultsOf(await auditOf(name, { set, deep: true }));
    expect(report).toMatchObject({ [gone]: ["missing"] });
    expect(report[changed]).toContain("hash");
    bucket.objects.set(full(gone), kept);
    bucket.objects.set(full(changed), before);
  });

  test("a manifest that was emptied is a fault, and no end of the audit", async () => {
    const [manifest = ""] = [...bucket.objects.keys()].filter((key) => key.includes("/_manifest/"));
    const before = bucket.objects.get(manifest);
    if (before === undefined) throw new Error("no manifest in the bucket");
    bucket.objects.set(manifest, { ...before, bytes: Buffer.alloc(0) });
    const set = { ...at("s3", bucket), ...NOW };
    const report = faultsOf(await auditOf(`s3://${bucket.bucket}/team/lake`, { set }));
    expect(report).toMatchObject({ [manifest.slice("team/lake/".length)]: ["unreadable"] });
    bucket.objects.set(manifest, before);
  });

  test("more numbers missing than drops were counted, where a ring was full", async () => {
    const one = Patient.of(dropped, join(cwd, `patient-${copies++}`), sql, { ledger: false });
    const rows = "SELECT * REPLACE (if(reason = 'overflow', 0, missed)::BIGINT AS missed) FROM file";
    for (const file of one.files("gaps")) await one.rewrite(file, { rows });
    const { faults } = await auditOf(one.data, { set: NOW });
    expect(faults.map(({ kind, file }) => [kind, file])).toContainEqual([
      "sequence",
      "exchange=binance/stream=bbo",
    ]);
  });

  test("more faults than are kept are counted", async () => {
    const one = patient();
    for (let k = 0; k < 5; k++) one.put(`v1/exchange=binance/${k}.csv`, "x");
    const report = await auditOf(one.data, { set: { ...NOW, "verify.max_faults": "2" } });
    expect([report.faults.length, report.faults_total]).toEqual([2, 5]);
  });
});

describe("the command", () => {
  test("exit 0 and a table; exit 1 and the fault with its mend; JSON as promised", async () => {
    const clean = await tapedeck(["verify", local], { cwd });
    expect([clean.code, clean.stderr]).toEqual([0, ""]);
    expect(clean.stdout).toMatch(/binance +bbo +\d{4}-\d\d-\d\d/);
    expect(clean.stdout).toContain("No fault.");
    const one = patient(true);
    const file = one.middle("bbo");
    rmSync(file.path);
    const [found, json] = await Promise.all([
      tapedeck(["verify", "--data", one.data], { cwd }),
      tapedeck(["verify", one.data, "--json", "--deep"], { cwd }),
    ]);
    expect([found.code, json.code]).toEqual([1, 1]);
    expect(found.stdout).toContain(one.key(file));
    expect(found.stdout).toContain("mend: ");
    expect(reportSchema.parse(JSON.parse(json.stdout)).faults.map(({ kind }) => kind)).toContain("missing");
  });

  test("wrong use: exit 2 and what is wanted", async () => {
    mkdirSync(join(cwd, "empty"));
    for (const [name, wanted] of [
      ["empty", "is no lake"],
      ["ftp://bucket", "s3://bucket/prefix"],
      ["gs://bucket", "GCS_ACCESS_KEY"],
    ] as const)
      await expect(auditOf(name === "empty" ? join(cwd, name) : name)).rejects.toThrow(wanted);
    const cases: [string[], string][] = [
      [["nowhere"], "there is no folder"],
      [[local, "--date", "yesterday"], "2026-11-20"],
      [[local, "--streams", "bbo,books"], "there is no books"],
    ];
    const outcomes = await Promise.all(cases.map(([args]) => tapedeck(["verify", ...args], { cwd })));
    for (const [index, { code, stderr }] of outcomes.entries()) {
      expect(code, stderr).toBe(2);
      expect(stderr).toContain(cases[index]?.[1] ?? "");
    }
  });

  test("a bucket that cannot be read is no fault of the lake: exit 1 and why", async () => {
    const sets = Object.entries({ ...at("s3", bucket), "s3.secret_key": "wrong" }).flatMap(
      ([path, value]) => ["--set", `${path}=${value}`],
    );
    const { code, stdout, stderr } = await tapedeck(["verify", `s3://${bucket.bucket}/team/lake`, ...sets], {
      cwd,
    });
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toContain("cannot be audited");
    expect(stderr).not.toContain("wrong");
  });
});

test("docs/verify.md explains every kind of fault and every field of the report", () => {
  const page = readFileSync(join(import.meta.dir, "../../docs/verify.md"), "utf8");
  for (const kind of FAULT_KINDS) expect(page).toContain(`| \`${kind}\` |`);
  for (const field of Object.keys(reportSchema.shape)) expect(page).toContain(`\`${field}\``);
});
