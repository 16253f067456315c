/** Recording into buckets: the real program, S3 over loopback, and everything that may become of a bucket. */
import { afterAll, describe, expect, test } from "bun:test";
import { cpSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { DATASETS } from "../../src/events/streams.ts";
import { type SimulatedBinance, startBinance } from "../../src/simulator/binance.ts";
import { REPEAT_MAX } from "../../src/status/log.ts";
import { auditLake, lakeFiles } from "../helpers/audit.ts";
import { quoted, withSql } from "../helpers/lake.ts";
import { tapedeck } from "../helpers/process.ts";
import { recordArguments, startRecorder } from "../helpers/recorder.ts";
import { FAULTS, type StandIn, startStandIn } from "../helpers/s3/stand-in.ts";
import { doublesOf, filesIn, unionLake } from "../helpers/s3/union.ts";
import { startVersitygw, VERSITYGW } from "../helpers/s3/versitygw.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { waitFor } from "../helpers/wait.ts";

/** Where a machine that has more to do is slow. */
const PATIENT = { timeout: 90_000 };
const LONG = process.env.TAPEDECK_TEST_LONG === "1";
/** Recorders that are killed, one after the other; every other one of them leaves its ledger. */
const LIVES = LONG ? 6 : 3;
const folder = scratchFolder("buckets");
let folders = 0;
const subfolder = () => {
  const path = join(folder, String(folders++));
  mkdirSync(path);
  return path;
};

const standIns: StandIn[] = [];
afterAll(() => Promise.all(standIns.map((one) => one[Symbol.asyncDispose]())));

/** Small files, soon; limits that no answer reaches that comes at all. */
const QUICK = {
  "flush.interval": "300ms",
  "flush.slow_interval": "300ms",
  "flush.min_gap": "0ms",
  "storage.retry_max": "300ms",
  "upload.timeout": "30s",
  "upload.request_timeout": "30s",
  "upload.retry_min": "50ms",
  "upload.breaker_failures": "3",
  "upload.breaker_pause": "300ms",
  "upload.breaker_pause_max": "600ms",
  "destinations.recheck": "200ms",
  "destinations.manifest_interval": "500ms",
};
/** Two streams: each file more costs its sending, and shows nothing more. */
const STREAMS = ["--streams", "bbo,trade"];
/** Limits short enough for a test in which a bucket does not answer. */
const IMPATIENT = { "upload.timeout": "1500ms", "upload.request_timeout": "1500ms" };
const at = (name: "s3" | "gcs", { url, bucket, keys }: Pick<StandIn, "url" | "bucket" | "keys">) => ({
  [`${name}.endpoint`]: url,
  [`${name}.bucket`]: bucket,
  [`${name}.access_key`]: keys.accessKey,
  [`${name}.secret_key`]: keys.secretKey,
});

/** A primary and a fallback of a test's own, and the settings for one and for both of them. */
async function buckets() {
  const [main, spare] = await Promise.all([startStandIn(), startStandIn({ bucket: "spare" })]);
  standIns.push(main, spare);
  const alone = { ...QUICK, "storage.backend": "s3", ...at("s3", main) };
  const both = { ...alone, ...IMPATIENT, "storage.fallback": "gcs", ...at("gcs", spare) };
  return { main, spare, alone, both };
}

/** A simulated exchange in this process. */
function simulated(options: Parameters<typeof startBinance>[0]): SimulatedBinance & Disposable {
  const exchange = startBinance(options);
  return Object.assign(exchange, {
    [Symbol.dispose]: () => {
      void exchange.stop();
    },
  });
}

/** Audits what the buckets hold together; resolves to the rows of streams. */
async function audit(buckets: readonly StandIn[], prefix = ""): Promise<{ rows: number; runs: number }> {
  const data = unionLake(buckets, prefix);
  try {
    return await withSql(async (sql) => {
      const { rows, files } = await auditLake(sql, data);
      return { rows, runs: new Set(files.map(({ run }) => run)).size };
    });
  } finally {
    rmSync(data, { recursive: true });
  }
}

/** Rows of streams in the union, while files may still be missing anywhere; none of them twice. */
async function rowsNow(buckets: readonly StandIn[]): Promise<number> {
  const data = unionLake(buckets);
  try {
    const paths = lakeFiles(data).filter(({ stream }) => !(stream in DATASETS));
    if (paths.length === 0) return 0;
    const from = `read_parquet([${paths.map(({ path }) => quoted(path)).join(", ")}], union_by_name = true)`;
    return await withSql(async (sql) => {
      const { rows, keys } = await sql.row(
        `SELECT count(*) AS rows, count(DISTINCT (run, ring, seq)) AS keys FROM ${from}`,
      );
      expect(rows).toBe(keys ?? null);
      return Number(rows);
    });
  } finally {
    rmSync(data, { recursive: true });
  }
}

const metrics = z.looseObject({
  balance: z.looseObject({ published: z.int(), holds: z.boolean() }),
  destinations: z.array(z.looseObject({ destination: z.string(), state: z.string(), files: z.int() })),
  outbox: z.looseObject({ files: z.int(), bytes: z.int() }),
});
const status = z.looseObject({ state: z.string(), reason: z.string() });
/** What a stop has while nothing can be published, ms; without a bound it would go on until buckets are back. */
const IN_TIME = 5000;
const manifestLine = z.strictObject({
  key: z.string(),
  rows: z.int(),
  bytes: z.int(),
  sha256: z.string().length(64),
});

test.concurrent("a recording into a bucket with a prefix: every event once, every file in the manifest of its day", async () => {
  const { main, alone } = await buckets();
  using exchange = simulated({ instruments: 10, rate: 3000 });
  const recorder = await startRecorder({
    cwd: subfolder(),
    exchange,
    set: { ...alone, "s3.prefix": "team/lake" },
  });
  await recorder.until("some files", ({ balance }) => balance.published > 1500);
  expect(metrics.parse(await recorder.metrics()).destinations).toMatchObject([
    { destination: "s3", state: "closed" },
  ]);
  const { code, end } = await recorder.stop();
  expect([code, end.holds, end.inOutbox, end.dropped]).toEqual([0, true, 0, 0]);
  expect(end.published).toBe(end.received);
  expect((await audit([main], "team/lake/")).rows).toBe(end.received);
  expect(readdirSync(join(recorder.data, "lake"))).toEqual([]);
  expect(readdirSync(join(recorder.data, "outbox"))).toEqual([]);
  const lines = [...main.objects].flatMap(([key, { bytes }]) =>
    key.includes("/_manifest/")
      ? bytes
          .toString()
          .trim()
          .split("\n")
          .map((line) => manifestLine.parse(JSON.parse(line)))
      : [],
  );
  expect(lines.map(({ key }) => key).sort()).toEqual(filesIn(main, "team/lake/"));
  for (const { key, bytes, sha256 } of lines) {
    const stored = main.objects.get(`team/lake/${key}`)?.bytes ?? Buffer.alloc(0);
    expect([bytes, sha256]).toEqual([
      stored.length,
      new Bun.CryptoHasher("sha256").update(stored).digest("hex"),
    ]);
  }
  expect([...main.objects.keys()].filter((key) => key.includes("probe"))).toEqual([]);
  const log = recorder.process.stdout;
  for (const secret of [main.keys.secretKey, main.keys.accessKey]) expect(log).not.toContain(`"${secret}"`);
}, 180_000);

test.concurrent(`a bucket away for ${LONG ? "2 minutes at 20,000" : "a while at 2,000"} events/s: the union holds every event once at every moment`, async () => {
  const { main, spare, both } = await buckets();
  const away = LONG ? 120_000 : 3000;
  using exchange = simulated({ instruments: 20, rate: LONG ? 20_000 : 2000 });
  const cwd = subfolder();
  const recorder = await startRecorder({ cwd, exchange, set: both, args: STREAMS });
  /** What is published stands in the union, and nothing twice. */
  const look = async () => {
    const { balance } = metrics.parse(await recorder.metrics());
    const rows = await rowsNow([main, spare]);
    expect(balance.holds).toBe(true);
    expect(rows).toBeGreaterThanOrEqual(balance.published);
  };
  await recorder.until("some files", ({ balance }) => balance.published > 2000);
  await look();
  // Half of what it is sent it stores, but it answers nothing.
  let n = 0;
  main.fault = (operation) => (operation === "put" && n++ % 2 === 0 ? FAULTS.storedHang : FAULTS.hang);
  const opened = recorder.process.event("destination_failing", ({ destination }) => destination === "s3");
  let largest = 0;
  const watch = setInterval(async () => {
    const { outbox } = metrics.parse(await recorder.metrics());
    largest = Math.max(largest, outbox.files);
  }, 100);
  await opened;
  await recorder.process.event("publish_fallback");
  const until = performance.now() + away;
  while (performance.now() < until) {
    await look();
    await Bun.sleep(LONG ? 10_000 : 1000);
  }
  clearInterval(watch);
  expect(largest).toBeGreaterThan(3);
  // One bucket is enough. On a busy machine something else may be late for a moment.
  await waitFor("READY", async () => status.parse(await recorder.get("/status")).state === "READY", {
    state: () => recorder.process.words,
  });
  const fallen = filesIn(spare).length;
  expect(fallen).toBeGreaterThan(0);
  const before = main.seen.length;
  main.back();
  await recorder.process.event("destination_recovered", ({ destination }) => destination === "s3");
  await look();
  await waitFor("no double left", () => doublesOf(main, spare).length === 0, { every: 50, ...PATIENT });
  await look();
  // Step by step, not all at once.
  const puts = main.seen
    .slice(before)
    .filter(({ operation, key }) => operation === "put" && key.endsWith(".parquet"));
  expect(Math.max(...puts.slice(0, 6).map(({ beside }) => beside))).toBeLessThanOrEqual(4);
  const { code, end } = await recorder.stop();
  expect([code, end.holds, end.inOutbox, end.dropped]).toEqual([0, true, 0, 0]);
  expect((await audit([main, spare])).rows).toBe(end.received);
  // A file of the last moment of which a busy machine did not see the answer in time: the next run clears that up.
  if (doublesOf(main, spare).length > 0) {
    const next = await startRecorder({ cwd, exchange, set: both, args: STREAMS });
    await waitFor("no double left", () => doublesOf(main, spare).length === 0, { every: 50, ...PATIENT });
    expect(await next.stop()).toMatchObject({ code: 0, end: { holds: true } });
  }
  expect(doublesOf(main, spare)).toEqual([]);
  for (const [key, times] of main.puts) if (key.endsWith(".parquet")) expect(times, key).toBe(1);
  console.log(
    `bucket away: ${end.received} events, largest outbox ${largest} files, ${fallen} files in the fallback, ` +
      `${recorder.process.events("double_removed").length} doubles removed`,
  );
}, 400_000);

test.concurrent("both away: DEGRADED, then ERROR at the bound of the outbox; SIGTERM in time, exit 0; the next start publishes all", async () => {
  const { main, spare, both } = await buckets();
  using exchange = simulated({ instruments: 10, rate: 3000 });
  const cwd = subfolder();
  const first = await startRecorder({
    cwd,
    exchange,
    set: { ...both, "stop.timeout": `${IN_TIME}ms`, "outbox.max_bytes": "400KiB" },
    args: STREAMS,
  });
  await first.until("some files", ({ balance }) => balance.published > 500);
  main.away(FAULTS.hang);
  spare.away(FAULTS.slowDown);
  const becomes = (wanted: string) =>
    waitFor(
      wanted,
      async () => {
        const now = status.parse(await first.get("/status"));
        return now.state === wanted && now;
      },
      { every: 20, state: () => first.process.words },
    );
  expect((await becomes("DEGRADED")).reason).toContain("files cannot be published");
  expect((await becomes("ERROR")).reason).toContain("outbox.max_bytes");
  const before = performance.now();
  const { code, end } = await first.stop();
  const took = performance.now() - before;
  expect(code).toBe(0);
  expect(took).toBeLessThan(4 * IN_TIME);
  expect(end.inOutbox).toBeGreaterThan(0);
  // Beyond the bound of the outbox what is sealed stays in its journal.
  expect(end.inJournal).toBeGreaterThan(0);
  expect(end.published + end.inOutbox + end.inJournal).toBe(end.received);

  main.back();
  spare.back();
  const second = await startRecorder({ cwd, exchange, set: both, args: ["--streams", "funding"] });
  await second.until("nothing waits", (all) => metrics.parse(all).outbox.files === 0);
  const { code: secondCode, end: secondEnd } = await second.stop();
  expect(secondCode).toBe(0);
  const { rows, runs } = await audit([main, spare]);
  expect([rows, runs]).toEqual([end.received + secondEnd.received, 2]);
  expect(doublesOf(main, spare)).toEqual([]);
}, 180_000);

test.concurrent("kill -9 in the middle of uploads, the ledger deleted, again and again: nothing that stood in a file is lost, nothing is twice", async () => {
  const { main, spare, both } = await buckets();
  using exchange = simulated({ instruments: 10, rate: 3000 });
  const cwd = subfolder();
  const kinds = [FAULTS.storedHang, FAULTS.reset, FAULTS.storedReset, FAULTS.internal, FAULTS.slowDown];
  const finished = new Set<string>();
  for (let life = 0; life < LIVES; life++) {
    let n = life;
    const wild = () => (n++ % 3 === 0 ? (kinds[n % kinds.length] ?? null) : null);
    // The probe gets through.
    const recorder = await startRecorder({ cwd, exchange, set: both, args: ["--no-preflight", ...STREAMS] });
    main.fault = wild;
    spare.fault = wild;
    await Bun.sleep(1500);
    recorder.process.signal("SIGKILL");
    await recorder.process.exit();
    for (const name of readdirSync(join(recorder.data, "outbox"))) {
      if (name.endsWith(".parquet")) finished.add(name.replaceAll("~", "/"));
    }
    for (const key of [...filesIn(main), ...filesIn(spare)]) finished.add(key);
    for (const part of ["", "-wal", "-shm"])
      if (life % 2 === 0) rmSync(join(recorder.data, `ledger.db${part}`), { force: true });
    main.back();
    spare.back();
  }
  const last = await startRecorder({ cwd, exchange, set: both, args: ["--streams", "funding"] });
  await last.until("nothing waits", (all) => metrics.parse(all).outbox.files === 0);
  await waitFor("no double left", () => doublesOf(main, spare).length === 0, { every: 50, ...PATIENT });
  expect((await last.stop()).code).toBe(0);
  const union = new Set([...filesIn(main), ...filesIn(spare)]);
  expect([...finished].filter((key) => !union.has(key))).toEqual([]);
  await audit([main, spare]);
}, 180_000);

test.concurrent("kill -9 while the outbox is full; journals that come back when their files stand in buckets, with the ledger and without: nothing twice", async () => {
  const { main, spare, both } = await buckets();
  using exchange = simulated({ instruments: 10, rate: 3000 });
  const cwd = subfolder();
  const set = { ...both, "outbox.max_bytes": "200KiB" };
  const first = await startRecorder({ cwd, exchange, set, args: STREAMS });
  await first.until("some files", ({ balance }) => balance.published > 500);
  main.away(FAULTS.hang);
  spare.away(FAULTS.slowDown);
  await first.process.event("outbox_full");
  // What is sealed now is held back, and with it the journals; nothing is dropped.
  const names = () => readdirSync(join(first.data, "outbox")).filter((name) => name.endsWith(".parquet"));
  let held = names();
  for (let calm = 0; calm < 25; calm++) {
    await Bun.sleep(100);
    if (names().length !== held.length) calm = 0;
    held = names();
  }
  await first.until("segments in journals", ({ balance }) => balance.inTable + balance.inJournal > 5000);
  expect(names()).toEqual(held);
  expect(metrics.parse(await first.metrics()).balance.holds).toBe(true);
  first.process.signal("SIGKILL");
  await first.process.exit();
  const { data } = first;
  const [journals, kept] = [join(data, "journal"), join(cwd, "kept")];
  const events = /~(bbo|trade|mark_price|funding|open_interest|liquidation)~/;
  cpSync(journals, kept, {
    recursive: true,
    filter: (path) => !path.endsWith(".journal") || events.test(path),
  });
  expect(readdirSync(kept).length).toBeGreaterThan(5);

  // The primary is still away: what the journals held goes to the fallback.
  spare.back();
  const segments = readdirSync(kept).map(
    (name) => `_${name.split("~").slice(2).join("_").replace(".journal", ".parquet")}`,
  );
  const second = await startRecorder({ cwd, exchange, set: both, args: ["--streams", "funding"] });
  await waitFor(
    "what the journals held",
    () => {
      const keys = [...filesIn(main), ...filesIn(spare)];
      return segments.every((end) => keys.some((key) => key.endsWith(end)));
    },
    PATIENT,
  );
  const { code, end } = await second.stop();
  expect([code, end.holds]).toEqual([0, true]);
  expect(end.recovered).toBeGreaterThan(5000);
  main.back();

  const restarted = async () => {
    const before = [main, spare].map(({ puts }) => new Map(puts));
    const keys = new Set([...filesIn(main), ...filesIn(spare)]);
    cpSync(kept, journals, { recursive: true });
    const recorder = await startRecorder({ cwd, exchange, set: both, args: ["--streams", "funding"] });
    await recorder.until("all looked at", (all) => {
      const { inJournal, inOutbox, uploading, received } = all.balance;
      return received > 0 && inJournal + inOutbox + uploading === 0 && metrics.parse(all).outbox.files === 0;
    });
    const { code, end } = await recorder.stop();
    expect([code, end.holds]).toEqual([0, true]);
    for (const [index, { puts }] of [main, spare].entries())
      for (const key of keys) expect(puts.get(key), key).toBe(before[index]?.get(key));
    return { recorder, end };
  };
  const known = await restarted();
  expect(known.end.recovered).toBe(0);
  // Of what repeats the log tells so many.
  const told = Math.min(segments.length, REPEAT_MAX);
  expect(known.recorder.process.events("journal_removed")).toHaveLength(told);

  for (const part of ["", "-wal", "-shm"]) rmSync(join(data, `ledger.db${part}`), { force: true });
  const lost = await restarted();
  expect(lost.end.recovered).toBe(end.recovered);
  const found = lost.recorder.process.events("file_published").filter((one) => one.found === true);
  // Beside them stand those of the run itself.
  expect(found.length).toBeGreaterThanOrEqual(Math.min(segments.length, REPEAT_MAX / 2));
  expect(doublesOf(main, spare)).toEqual([]);
  const { runs } = await audit([main, spare]);
  expect(runs).toBe(4);
}, 180_000);

describe("what is wrong with a bucket is told at the start", () => {
  const exchange = startBinance({ instruments: 2, rate: 10 });
  afterAll(() => exchange.stop());
  const { url, restUrl } = exchange;
  const start = async (set: Record<string, string>, args: readonly string[] = []) => {
    const cwd = subfolder();
    const process = tapedeck(
      recordArguments({
        cwd,
        exchange: { url, restUrl },
        set: { ...set },
        args: ["--duration", "300ms", ...args],
      }),
      { cwd },
    );
    return { code: await process.exit(), process };
  };

  test.each<[string, Record<string, string>, RegExp]>([
    ["no such bucket", { "s3.bucket": "nowhere" }, /no such bucket.*S3_BUCKET/],
    ["an unknown key", { "s3.access_key": "nobody" }, /S3_ACCESS_KEY/],
    ["a wrong secret", { "s3.secret_key": "wrong-one" }, /S3_SECRET_KEY/],
  ])("%s: exit 1", async (_, set, message) => {
    const { alone } = await buckets();
    const { code, process } = await start({ ...alone, ...set });
    expect(code).toBe(1);
    expect(process.stderr).toMatch(message);
    expect(process.stderr).not.toContain("wrong-one");
  });

  test("one bucket under two names is no fallback: exit 1", async () => {
    const { main, both } = await buckets();
    const { url, bucket, keys } = main;
    const alias = { url: url.replace("127.0.0.1", "localhost"), bucket, keys };
    const { code, process } = await start({ ...both, ...at("gcs", alias) });
    expect(code).toBe(1);
    expect(process.stderr).toMatch(/are one place.*storage\.fallback/);
    expect([...main.objects.keys()]).toEqual([]);
  });

  test("a clock that is wrong: exit 1, and by how much", async () => {
    const { main, alone } = await buckets();
    main.clockOffset = 20 * 60_000;
    const { code, process } = await start(alone);
    expect(code).toBe(1);
    expect(process.stderr).toMatch(/clock.*(119\d|120\d) s behind/);
  });

  test("rights that are missing for one of the three: exit 1, unless the check is not wanted", async () => {
    const { main, alone } = await buckets();
    main.fault = (operation) => (operation === "delete" ? FAULTS.denied : null);
    const { code, process } = await start(alone);
    expect(code).toBe(1);
    expect(process.stderr).toMatch(/remove \.tapedeck-probe.*rights/);
    expect((await start(alone, ["--no-preflight"])).code).toBe(0);
  });

  test("a bucket that does not answer is told, and recording begins", async () => {
    const { main, alone } = await buckets();
    main.away(FAULTS.hang);
    const { code, process } = await start({ ...alone, ...IMPATIENT, "stop.timeout": "2s" });
    expect(code).toBe(0);
    expect(process.events("preflight_failed")).toHaveLength(1);
  });

  test("SIGTERM while the check waits for a bucket ends the check, and all: exit 0", async () => {
    const { main, alone } = await buckets();
    main.away(FAULTS.hang);
    // Longer than any test: only the signal can end it.
    const set = { ...alone, "upload.request_timeout": "10m", "upload.timeout": "10m", "stop.timeout": "1s" };
    const cwd = subfolder();
    const process = tapedeck(recordArguments({ cwd, exchange: { url, restUrl }, set, args: [] }), { cwd });
    await waitFor("the probe", () => main.seen.length > 0, PATIENT);
    process.signal("SIGTERM");
    expect(await process.exit()).toBe(0);
  });

  test("a fallback without its keys: exit 2", async () => {
    const { alone } = await buckets();
    const { code, process } = await start({ ...alone, "storage.fallback": "gcs", "gcs.bucket": "spare" });
    expect(code).toBe(2);
    expect(process.stderr).toContain("gcs.access_key");
    expect(process.stderr).toContain("gcs.secret_key");
  });
});

test.skipIf(VERSITYGW === null)(
  VERSITYGW === null
    ? "versitygw: SKIPPED, it is not installed (see .ci/run)"
    : "a recording into a real S3 server",
  async () => {
    await using server = await startVersitygw(subfolder());
    using exchange = simulated({ instruments: 10, rate: 3000 });
    const recorder = await startRecorder({
      cwd: subfolder(),
      exchange,
      set: { ...QUICK, "storage.backend": "s3", ...at("s3", server as never), "s3.prefix": "lake" },
    });
    await recorder.until("some files", ({ balance }) => balance.published > 1000);
    const { code, end } = await recorder.stop();
    expect([code, end.published]).toEqual([0, end.received]);
    // Its objects are files.
    rmSync(join(server.root, "lake/v1/_manifest"), { recursive: true });
    await withSql(async (sql) => expect((await auditLake(sql, server.root)).rows).toBe(end.received));
  },
  180_000,
);
