/** From the outbox to the destinations, with real files, through everything that goes wrong on the way. */
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Destination } from "../../src/storage/destinations/destination.ts";
import { LocalDestination } from "../../src/storage/destinations/local.ts";
import { Ledger } from "../../src/storage/ledger.ts";
import { acceptFile, readOutbox, temporaryPath } from "../../src/storage/outbox.ts";
import { digestFile } from "../../src/storage/upload/digest.ts";
import type { OutboxFile } from "../../src/storage/upload/job.ts";
import type { Double } from "../../src/storage/upload/reconciler.ts";
import {
  type Arrival,
  type Failure,
  Uploader,
  type UploaderOptions,
} from "../../src/storage/upload/uploader.ts";
import { bucketAt } from "../helpers/s3/buckets.ts";
import { FAULTS, type StandIn, startStandIn } from "../helpers/s3/stand-in.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { waitFor } from "../helpers/wait.ts";
import { seeded } from "../lib/seed.ts";

/** What looks like a Parquet file from outside: its magic at both ends, the length of a footer at the last. */
function framed(text: string): string {
  return `PAR1${text}\x01\0\0\0PAR1`;
}

const folder = scratchFolder("uploader");
const random = seeded("uploader");
let folders = 0;

const [main, spare] = [await startStandIn(), await startStandIn({ bucket: "spare" })];
afterAll(() => Promise.all([main[Symbol.asyncDispose](), spare[Symbol.asyncDispose]()]));

/** Limits for tests in which a server does not answer. Elsewhere none is reached, however slow the machine is. */
const SHORT = { requestTimeout: 250, uploadTimeout: 300 };
/** Where a server does not answer and it matters that others do. */
const MEDIUM = { requestTimeout: 3000, uploadTimeout: 3200 };
type Limits = Partial<typeof SHORT>;
const primary = (limits: Limits = {}) => bucketAt(main, limits);
const fallback = (limits: Limits = {}) => bucketAt(spare, { ...limits, name: "gcs", region: "auto" });

function clear(): void {
  for (const one of [main, spare]) {
    one.back();
    one.objects.clear();
    one.puts.clear();
    one.seen.length = 0;
  }
}

/** A data folder, files in its outbox, and uploaders over it, one after the other as runs are. */
function dataFolder() {
  const root = join(folder, String(folders++));
  const [lake, outbox] = [join(root, "lake"), join(root, "outbox")];
  for (const path of [lake, outbox]) mkdirSync(path, { recursive: true });
  const keyOf = (n: number) =>
    `v1/exchange=binance/stream=bbo/date=2026-11-${20 + (n % 3)}/${1795132800000000 + (n % 3) * 86_400_000_000 + n}_test-1795132800000000-abcd_0_${n}.parquet`;
  let runs = 0;
  return {
    root,
    lake,
    outbox,
    keyOf,
    ledgerPath: join(root, "ledger.db"),
    file(n: number, ring: number | null = 0, text = `file ${n}`): OutboxFile {
      const key = keyOf(n);
      const path = join(outbox, key.replaceAll("/", "~"));
      writeFileSync(path, framed(text));
      return { key, path, exchange: "binance", stream: "bbo", rows: 10, ring, sha256: null };
    },
    start(chain: readonly Destination[], options: Partial<UploaderOptions> = {}) {
      return startRun(
        join(root, "ledger.db"),
        outbox,
        chain,
        `test-${1795132800000000 + runs++}-abcd`,
        options,
      );
    },
  };
}

function startRun(
  ledgerPath: string,
  outbox: string,
  chain: readonly Destination[],
  run: string,
  options: Partial<UploaderOptions>,
) {
  const ledger = Ledger.open(ledgerPath);
  const published: { key: string; arrival: Arrival }[] = [];
  const failed: ({ key: string } & Failure)[] = [];
  const fellBack: string[] = [];
  const lanes: string[] = [];
  const doubles: Double[] = [];
  const troubles: string[] = [];
  const corrupt: string[] = [];
  const missing: string[] = [];
  const lost: string[] = [];
  const full: boolean[] = [];
  const uploader = new Uploader(
    chain,
    ledger.files,
    {
      run,
      maxInFlight: 4,
      maxBytesInFlight: 64 * 1024 * 1024,
      partSize: 5 * 1024 * 1024,
      retryMin: 5,
      retryMax: 40,
      breakerFailures: 3,
      breakerPause: 40,
      breakerPauseMax: 80,
      reconcile: "remove",
      recheck: 60,
      manifestInterval: 50,
      outboxMax: 0,
      random: () => random.below(2 ** 32) / 2 ** 32,
      ...options,
    },
    {
      published: ({ key }, arrival) => published.push({ key, arrival }),
      failed: ({ key }, failure) => failed.push({ key, ...failure }),
      fallback: ({ key }, _destination, error) => {
        expect(error).not.toBe("");
        fellBack.push(key);
      },
      lane: (name, state) => lanes.push(`${name} ${state}`),
      corrupt: async ({ path }, why) => {
        corrupt.push(why);
        rmSync(path);
      },
      missing: (key) => missing.push(key),
      lost: ({ key }, why) => lost.push(`${why} ${key}`),
      double: (double) => doubles.push(double),
      trouble: (what, error) => troubles.push(`${what}: ${error}`),
      full: (now) => full.push(now),
    },
  );
  uploader.start();
  const add = (file: OutboxFile) => {
    ledger.files.copied({
      key: file.key,
      rows: file.rows,
      lastLocal: 1,
      firstSeq: 0,
      lastSeq: 9,
      bytes: null,
      sha256: null,
    });
    uploader.add(file);
  };
  return {
    uploader,
    ledger,
    add,
    published,
    failed,
    fellBack,
    lanes,
    doubles,
    troubles,
    corrupt,
    missing,
    lost,
    full,
    /** As a start does. */
    async recover() {
      const { files } = await readOutbox(outbox);
      uploader.recover(
        files.map(({ key, path }) => {
          const known = ledger.files.get(key);
          if (known === null)
            ledger.files.copied({
              key,
              rows: null,
              lastLocal: null,
              firstSeq: null,
              lastSeq: null,
              bytes: null,
              sha256: null,
            });
          return {
            key,
            path,
            exchange: "",
            stream: "",
            rows: null,
            ring: null,
            sha256: known?.sha256 ?? null,
          };
        }),
      );
    },
    /** Ends as a stop does. */
    async end(timeout = 60_000) {
      await uploader.finish(timeout);
      ledger.close();
    },
    keys: () => published.map(({ key }) => key),
  };
}

/** Keys of files, manifests aside. */
const filesAt = ({ objects }: StandIn) =>
  [...objects.keys()].filter((key) => key.endsWith(".parquet")).sort();

describe("a local lake", () => {
  const local = (lake: string) => [new LocalDestination(lake)];

  test("files go to their keys in order, folders are made, the outbox is empty after it", async () => {
    const { lake, outbox, start, file } = dataFolder();
    const run = start(local(lake), { maxInFlight: 1 });
    const files = Array.from({ length: 7 }, (_, n) => file(n));
    for (const one of files) run.add(one);
    await run.uploader.finish(60_000);
    expect(run.keys()).toEqual(files.map(({ key }) => key));
    expect(run.ledger.files.counts()).toEqual({ published: 7 });
    const { sha256, destination, rows, attempts } = run.ledger.files.get(files[3]?.key ?? "") ?? {};
    expect([destination, rows, attempts]).toEqual(["local", 10, 1]);
    const text = framed("file 3");
    expect(sha256).toBe(new Bun.CryptoHasher("sha256").update(text).digest("hex"));
    run.ledger.close();
    const texts = files.map(({ key }) => readFileSync(join(lake, key), "utf8"));
    expect(texts).toEqual(files.map((_, n) => framed(`file ${n}`)));
    expect(await readOutbox(outbox)).toEqual({ files: [], foreign: [], others: [] });
    expect([run.failed.length, run.uploader.failures, run.uploader.uploadingRows]).toEqual([0, 0, 0]);
    expect(run.uploader.outbox).toEqual({ files: 0, bytes: 0 });
    // No manifest: the ledger is beside the lake.
    expect(readdirSync(join(lake, "v1"))).toEqual(["exchange=binance"]);
  });

  test("a file added after the others are through is published as well", async () => {
    const { lake, start, file } = dataFolder();
    const run = start(local(lake));
    for (let n = 0; n < 5; n++) {
      run.add(file(n));
      await waitFor(`file ${n}`, () => run.published.length === n + 1);
    }
    await run.end();
  });

  test("what fails is tried again until it is there, once; the state tells it meanwhile", async () => {
    const { lake, start, file } = dataFolder();
    const run = start(local(lake));
    rmSync(lake, { recursive: true });
    writeFileSync(lake, "in the way");
    const files = [file(0), file(1, null), file(2)];
    for (const one of files) run.add(one);
    await waitFor("the breaker", () => run.lanes.length > 0);
    expect(run.published).toEqual([]);
    expect(run.uploader.fault).not.toBeNull();
    expect(run.uploader.outbox.files).toBe(3);
    for (const { retryIn } of run.failed) expect(retryIn).toBeLessThanOrEqual(40);
    for (const { path } of files) expect(existsSync(path)).toBe(true);
    rmSync(lake);
    await waitFor("all files", () => run.published.length === 3);
    expect(run.keys().sort()).toEqual(files.map(({ key }) => key).sort());
    expect(run.uploader.fault).toBeNull();
    expect(run.uploader.failures).toBe(run.failed.length);
    expect(run.lanes).toEqual(["local open", "local closed"]);
    await run.end();
  });

  test("what cannot be published in time stays in the outbox, and the end does not wait for it", async () => {
    const { lake, outbox, start, file } = dataFolder();
    const run = start(local(lake), { retryMax: 60_000, breakerPause: 60_000, breakerPauseMax: 60_000 });
    rmSync(lake, { recursive: true });
    writeFileSync(lake, "in the way");
    const files = [file(0), file(1)];
    for (const one of files) run.add(one);
    await run.end(200);
    expect(run.published).toEqual([]);
    const left = await readOutbox(outbox);
    expect(left.files.map(({ key }) => key).sort()).toEqual(files.map(({ key }) => key).sort());
  });

  test("one file that cannot be published does not hold up those behind it", async () => {
    const { lake, start, file } = dataFolder();
    const run = start(local(lake));
    const stuck = file(0, 0, "first");
    // A folder in its place: it cannot be read.
    rmSync(stuck.path);
    mkdirSync(stuck.path);
    run.add(stuck);
    for (let n = 1; n < 20; n++) run.add(file(n));
    await waitFor("those behind it", () => run.published.length === 19);
    expect(run.uploader.fault).not.toBeNull();
    expect(run.lanes).toEqual([]);
    rmSync(stuck.path, { recursive: true });
    writeFileSync(stuck.path, framed("first"));
    await waitFor("it", () => run.published.length === 20);
    expect(run.uploader.fault).toBeNull();
    await run.end();
  });

  test("a file that is not what it was when it was written is not published", async () => {
    const { lake, start, file } = dataFolder();
    const run = start(local(lake));
    const whole = file(0);
    const { sha256 } = await digestFile(whole.path, 1000);
    writeFileSync(whole.path, framed("file 1"));
    run.add({ ...whole, sha256 });
    await waitFor("it", () => run.corrupt.length === 1);
    run.add(file(2));
    await waitFor("the next", () => run.published.length === 1);
    expect(run.ledger.files.get(whole.key)?.state).toBe("corrupt");
    expect(run.lost).toEqual([`corrupt ${whole.key}`]);
    await run.end();
  });

  test("the bound of the outbox is told when it is reached and when it is not any more", async () => {
    const { lake, start, file } = dataFolder();
    const size = statSync(file(0).path).size;
    const run = start(local(lake), { outboxMax: 10 * size });
    rmSync(lake, { recursive: true });
    writeFileSync(lake, "in the way");
    for (let n = 0; n < 10; n++) run.add(file(n));
    expect([run.uploader.full, run.full]).toEqual([false, []]);
    run.add(file(10));
    expect([run.uploader.full, run.full]).toEqual([true, [true]]);
    rmSync(lake);
    await waitFor("all files", () => run.published.length === 11);
    expect([run.uploader.full, run.full]).toEqual([false, [true, false]]);
    await run.end();
  });
});

describe("the outbox", () => {
  test("a temporary file is not finished before it is accepted", async () => {
    const { outbox } = dataFolder();
    const key = "v1/exchange=binance/stream=bbo/date=2026-11-20/1795132800000000_test_0_0.parquet";
    const temporary = temporaryPath(outbox, key, 3);
    writeFileSync(temporary, framed("whole"));
    expect(await readOutbox(outbox)).toMatchObject({ files: [], foreign: [{ path: temporary, key: null }] });
    const path = await acceptFile(outbox, temporary, key);
    expect(await readOutbox(outbox)).toEqual({ files: [{ key, path }], foreign: [], others: [] });
    expect(statSync(path).size).toBe(framed("whole").length);
  });

  test("a file that was cut off is foreign, whatever its name", async () => {
    const { outbox, file } = dataFolder();
    const { path, key } = file(0);
    expect((await readOutbox(outbox)).files.map((one) => one.key)).toEqual([key]);
    const whole = readFileSync(path);
    for (const bytes of [whole.subarray(0, -1), whole.subarray(1), whole.subarray(0, 11), Buffer.alloc(0)]) {
      writeFileSync(path, bytes);
      expect(await readOutbox(outbox)).toMatchObject({ files: [], foreign: [{ path, key }], others: [] });
    }
  });

  test("a file whose name says two days is none of ours: nobody takes its times for a gap", async () => {
    const { outbox } = dataFolder();
    const path = join(outbox, "v1~exchange=binance~stream=bbo~date=2026-11-20~1_vm-1-abcd_0_0.parquet");
    for (const content of [Buffer.alloc(0), framed("whole")]) {
      writeFileSync(path, content);
      expect(await readOutbox(outbox)).toMatchObject({ files: [], foreign: [{ path, key: null }] });
    }
  });
});

describe("a bucket and its fallback", () => {
  test("everything goes to the primary while it is well, each file once", async () => {
    clear();
    const { outbox, start, file } = dataFolder();
    const run = start([primary(), fallback()]);
    const files = Array.from({ length: 30 }, (_, n) => file(n));
    for (const one of files) run.add(one);
    await run.end();
    expect(run.keys().sort()).toEqual(files.map(({ key }) => key).sort());
    expect(filesAt(main)).toEqual(files.map(({ key }) => key).sort());
    expect(filesAt(spare)).toEqual([]);
    expect([...main.puts].filter(([key]) => key.endsWith(".parquet")).every(([, puts]) => puts === 1)).toBe(
      true,
    );
    expect(await readOutbox(outbox)).toEqual({ files: [], foreign: [], others: [] });
  });

  test("an outage: the breaker opens, the fallback takes over, the primary comes back without a storm", async () => {
    clear();
    const { start, file, keyOf } = dataFolder();
    const run = start([primary(MEDIUM), fallback(MEDIUM)], { maxInFlight: 16 });
    let added = 0;
    const feed = (count: number) => {
      for (let n = 0; n < count; n++) run.add(file(added++));
    };
    feed(10);
    await waitFor("a beginning", () => run.published.length === 10);
    main.away(FAULTS.hang);
    feed(40);
    await waitFor("the fallback", () => run.published.length === 50);
    expect(run.lanes[0]).toBe("s3 open");
    expect(run.fellBack.length).toBeGreaterThan(30);
    // Not both: recording is well.
    expect(run.uploader.fault).toBeNull();
    // Both away: all waits.
    spare.away(FAULTS.slowDown);
    feed(60);
    await waitFor("both", () => run.uploader.fault !== null && run.lanes.includes("gcs open"));
    expect(run.uploader.outbox.files).toBeGreaterThanOrEqual(60);
    const before = main.seen.length;
    main.back();
    await waitFor("the return", () => run.published.length === 110);
    const returned = main.seen
      .slice(before)
      .filter(({ operation, key }) => operation === "put" && key.endsWith(".parquet"));
    // One to see whether it is back, then step by step; what waited longest first.
    expect(returned[0]?.beside).toBe(1);
    const steps = returned.slice(0, 10).map(({ beside }) => beside);
    expect(Math.max(...steps), steps.join()).toBeLessThanOrEqual(5);
    expect(run.lanes.at(-1)).toMatch(/closed$/);
    spare.back();
    await waitFor("no doubt left", () => run.ledger.files.doubtful(Date.now() + 1e9, 1).length === 0);
    await run.end();
    const [a, b] = [filesAt(main), filesAt(spare)];
    expect([...a, ...b].sort()).toEqual(Array.from({ length: 110 }, (_, n) => keyOf(n)).sort());
    expect(a.filter((key) => b.includes(key))).toEqual([]);
    for (const [key, puts] of main.puts) if (key.endsWith(".parquet")) expect(puts).toBe(1);
  }, 180_000);

  test("timed out but in fact stored: asked for, not sent again", async () => {
    clear();
    const { start, file } = dataFolder();
    const run = start([primary(MEDIUM), fallback()]);
    for (const fault of [FAULTS.storedHang, FAULTS.storedReset]) {
      const one = file(folders++);
      main.fail(fault, "put", 1, one.key);
      run.add(one);
      await waitFor("it", () => run.keys().includes(one.key));
      expect(main.puts.get(one.key)).toBe(1);
      expect(run.published.at(-1)?.arrival).toMatchObject({ destination: "s3", found: true });
    }
    expect(run.failed.map(({ unknown }) => unknown)).toEqual([true, true]);
    expect(filesAt(spare)).toEqual([]);
    await run.end();
  });

  test.each([
    "remove",
    "report",
  ] as const)("an upload that turns up after the fallback took the file: %s", async (reconcile) => {
    clear();
    const { start, file } = dataFolder();
    const run = start([primary(MEDIUM), fallback()], { breakerFailures: 1, reconcile });
    // Stored, but neither the upload nor any question is answered.
    main.fault = (operation) => (operation === "put" ? FAULTS.storedHang : FAULTS.hang);
    const one = file(0);
    run.add(one);
    await waitFor("the fallback", () => run.published.length === 1);
    expect(run.published[0]?.arrival.destination).toBe("gcs");
    expect([filesAt(main), filesAt(spare)]).toEqual([[one.key], [one.key]]);
    expect(run.ledger.files.get(one.key)).toMatchObject({
      state: "published",
      destination: "gcs",
      doubtful: ["s3"],
    });
    main.back();
    const next = file(1);
    run.add(next);
    await waitFor("the double", () => run.doubles.length === 1);
    expect(run.doubles).toEqual([
      { key: one.key, kept: "s3", other: "gcs", same: true, removed: reconcile === "remove" },
    ]);
    expect(filesAt(main)).toContain(one.key);
    expect(filesAt(spare).includes(one.key)).toBe(reconcile === "report");
    const record = run.ledger.files.get(one.key);
    expect(record?.destination).toBe(reconcile === "remove" ? "s3" : "gcs");
    // The manifests say where it stands, as soon as the primary may be asked again.
    const listed = (at: StandIn) => manifestLines(at).map(({ key }) => key);
    const right = reconcile === "remove" ? main : spare;
    await waitFor("the manifest", () => listed(right).includes(one.key));
    await run.end();
    expect(listed(reconcile === "remove" ? spare : main)).not.toContain(one.key);
  });

  test.each([
    "corrupt",
    "forget",
    "badDigest",
    "full",
    "denied",
  ] as const)("a primary that only ever answers %s: the fallback has everything", async (name) => {
    clear();
    const { start, file } = dataFolder();
    const run = start([primary(), fallback()]);
    main.fault = (operation) => (operation === "put" ? FAULTS[name] : null);
    const files = Array.from({ length: 8 }, (_, n) => file(n));
    for (const one of files) run.add(one);
    await waitFor("the fallback", () => run.published.length === 8);
    expect(filesAt(spare)).toEqual(files.map(({ key }) => key).sort());
    expect(filesAt(main)).toEqual([]);
    await run.end();
  });

  test("random faults of all kinds, kill -9 and ledgers lost in between: nothing lost, nothing twice", async () => {
    clear();
    const data = dataFolder();
    const kinds = Object.values(FAULTS);
    const wild = () => (random.below(3) === 0 ? (kinds[random.below(kinds.length)] ?? null) : null);
    let added = 0;
    for (let life = 0; life < 6; life++) {
      main.fault = wild;
      spare.fault = wild;
      const run = data.start([primary(SHORT), fallback(SHORT)]);
      await run.recover();
      for (let n = 0; n < 15; n++) run.add(data.file(added++));
      await Bun.sleep(150 + random.below(300));
      // As kill -9: requests are cut off in the middle, nothing more is noted.
      await run.end(0);
      // Lost, or kept.
      if (life % 2 === 1)
        for (const part of ["", "-wal", "-shm"]) rmSync(data.ledgerPath + part, { force: true });
    }
    main.back();
    spare.back();
    const last = data.start([primary(), fallback()], { recheck: 20 });
    await last.recover();
    await waitFor("everything", () => last.uploader.outbox.files === 0);
    await waitFor("a look through the fallback", () => last.uploader.swept);
    await waitFor("no doubt", () => last.ledger.files.doubtful(Date.now() + 1e9, 1).length === 0);
    await last.end();
    expect(last.missing).toEqual([]);
    expect(readdirSync(data.outbox)).toEqual([]);
    const keys = Array.from({ length: added }, (_, n) => data.keyOf(n)).sort();
    const union = new Set([...filesAt(main), ...filesAt(spare)]);
    expect([...union].sort()).toEqual(keys);
    for (const at of [main, spare]) {
      for (const key of filesAt(at)) {
        const n = Number(/_(\d+)\.parquet$/.exec(key)?.[1]);
        expect(at.objects.get(key)?.bytes.toString("latin1")).toBe(framed(`file ${n}`));
      }
    }
    expect(filesAt(main).filter((key) => spare.objects.has(key))).toEqual([]);
  }, 180_000);

  test("a file that may stand somewhere already is asked for, and not sent a second time to the other place", async () => {
    clear();
    const { start, file } = dataFolder();
    const first = start([fallback()]);
    const one = file(0);
    first.add(one);
    await first.end();
    const next = start([primary(), fallback()]);
    // Written again, from its journal.
    next.uploader.add(file(0), true);
    await waitFor("it", () => next.published.length === 1);
    expect(next.published[0]?.arrival).toMatchObject({ destination: "gcs", found: true });
    expect(filesAt(main)).toEqual([]);
    await next.end();
  });

  test("a file that the ledger knows and nobody has is told, once", async () => {
    clear();
    const { start, keyOf } = dataFolder();
    const run = start([primary(), fallback()]);
    run.ledger.files.copied({
      key: keyOf(0),
      rows: 1,
      lastLocal: 1,
      firstSeq: 0,
      lastSeq: 0,
      bytes: null,
      sha256: null,
    });
    // While it is being written anew, from its journal, nobody misses it.
    run.uploader.recover([], new Set([keyOf(0)]));
    expect(run.uploader.outbox.files).toBe(0);
    await run.recover();
    await waitFor("it", () => run.missing.length === 1);
    expect(run.ledger.files.get(keyOf(0))?.state).toBe("missing");
    expect(run.lost).toEqual([`missing ${keyOf(0)}`]);
    await run.end();
    const next = start([primary(), fallback()]);
    await next.recover();
    expect(next.uploader.outbox.files).toBe(0);
    await next.end();
  });

  test("one bucket under two names: what seems to stand in both is not removed from one", async () => {
    clear();
    const { start, file } = dataFolder();
    const alias = bucketAt(
      { url: main.url.replace("127.0.0.1", "localhost"), bucket: main.bucket, keys: main.keys },
      { name: "gcs" },
    );
    const run = start([primary(), alias]);
    const one = file(0);
    // What is in the outbox at a start: the other destination is asked for it later.
    await run.recover();
    await waitFor("it", () => run.published.length === 1);
    await waitFor("no doubt left", () => run.ledger.files.doubtful(Date.now() + 1e9, 1).length === 0);
    await run.end();
    expect(filesAt(main)).toEqual([one.key]);
    expect(run.doubles).toEqual([]);
    expect(run.troubles.join()).toMatch(/are one place.*storage\.fallback = none/);
    expect([...main.objects.keys()].filter((key) => key.includes("probe"))).toEqual([]);
  });

  test("a double that a clock ahead has put off for a year is looked for now", async () => {
    clear();
    const { root, start, keyOf } = dataFolder();
    const key = keyOf(0);
    const path = join(root, "both");
    writeFileSync(path, framed("in both"));
    const digest = await digestFile(path, 5 * 1024 * 1024);
    for (const at of [primary(), fallback()])
      await at.put({ path, key, digest, again: false }, new AbortController().signal);
    const run = start([primary(), fallback()]);
    const { bytes, sha256 } = digest;
    run.ledger.files.copied({ key, rows: 1, lastLocal: 1, firstSeq: 0, lastSeq: 0, bytes: null, sha256 });
    const recheckAt = Date.now() + 365 * 86_400_000;
    run.ledger.files.published(key, {
      destination: "gcs",
      bytes,
      sha256,
      doubtful: ["s3"],
      recheckAt,
      run: "x",
    });
    await waitFor("the double", () => run.doubles.length === 1);
    expect([filesAt(main), filesAt(spare)]).toEqual([[key], []]);
    await run.end();
  });

  test("of another instance, whose name begins as ours, nothing is taken up from the fallback", async () => {
    clear();
    const { root, start, keyOf } = dataFolder();
    const other = keyOf(0).replace("_test-", "_test-b-");
    const path = join(root, "other");
    writeFileSync(path, framed("of another instance"));
    const digest = await digestFile(path, 5 * 1024 * 1024);
    await fallback().put({ path, key: other, digest, again: false }, new AbortController().signal);
    const run = start([primary(), fallback()]);
    await run.recover();
    await waitFor("a look through the fallback", () => run.uploader.swept);
    expect(run.ledger.files.get(other)).toBeNull();
    await run.end();
  });

  test("a bucket and a local lake as its fallback", async () => {
    clear();
    const { lake, start, file } = dataFolder();
    main.away(FAULTS.internal);
    const run = start([primary(), new LocalDestination(lake)]);
    for (let n = 0; n < 6; n++) run.add(file(n));
    await waitFor("the lake", () => run.published.length === 6);
    expect(new Set(run.published.map(({ arrival }) => arrival.destination))).toEqual(new Set(["local"]));
    main.back();
    await run.end();
  });
});

describe("manifests", () => {
  test("each file stands in the manifest of its day, with rows, size and SHA-256; over several runs", async () => {
    clear();
    const { start, file } = dataFolder();
    const files: OutboxFile[] = [];
    for (let life = 0; life < 3; life++) {
      const run = start([primary()], { manifestInterval: life === 1 ? 60_000 : 20 });
      for (let n = 0; n < 7; n++) {
        const one = file(files.length);
        files.push(one);
        run.add(one);
      }
      if (life === 1) {
        // Ends before the manifest is written: the next run has it.
        main.fault = (operation, key) =>
          operation === "put" && key.includes("_manifest") ? FAULTS.internal : null;
        await waitFor("files", () => run.published.length === 7);
      }
      await run.end(life === 1 ? 0 : 60_000);
      main.back();
    }
    const lines = manifestLines(main);
    expect(lines.map(({ key }) => key).sort()).toEqual(files.map(({ key }) => key).sort());
    for (const { key, rows, bytes, sha256, manifest } of lines) {
      const stored = main.objects.get(key)?.bytes ?? Buffer.alloc(0);
      expect([rows, bytes]).toEqual([10, stored.length]);
      expect(sha256).toBe(new Bun.CryptoHasher("sha256").update(stored).digest("hex"));
      expect(manifest).toContain(/date=[^/]+/.exec(key)?.[0] ?? "?");
    }
  });
});

test("a manifest from which a line has to go and that cannot be read keeps no other one from being written", async () => {
  clear();
  const { start, file, keyOf } = dataFolder();
  const run = start([fallback()], { manifestInterval: 20 });
  // Of a file that an earlier run had in the fallback, and that has moved.
  const nothing = { rows: 1, lastLocal: 1, firstSeq: 0, lastSeq: 0, bytes: null, sha256: null };
  const moved = keyOf(100);
  const before = "test-1795132700000000-abcd";
  run.ledger.files.copied({ key: moved, ...nothing });
  run.ledger.files.published(moved, {
    destination: "gcs",
    bytes: 1,
    sha256: null,
    doubtful: [],
    recheckAt: 0,
    run: before,
  });
  run.ledger.files.listed("gcs", before, [moved]);
  run.ledger.files.moved(moved, "gcs", "s3", before);
  spare.fault = (operation, key) => (operation === "get" && key.includes(before) ? FAULTS.denied : null);
  const one = file(0);
  run.add(one);
  await waitFor("a trouble", () => run.troubles.some((text) => text.includes(before)));
  await waitFor("the manifest", () => manifestLines(spare).some(({ key }) => key === one.key));
  await run.end();
});

interface Line {
  readonly key: string;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
  readonly manifest: string;
}

function manifestLines({ objects }: StandIn): Line[] {
  return [...objects]
    .filter(([key]) => key.startsWith("v1/_manifest/"))
    .flatMap(([manifest, { bytes }]) =>
      bytes
        .toString()
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => ({ ...(JSON.parse(line) as Line), manifest })),
    );
}
