/** What every destination has to do, and what a bucket has to do when things go wrong. */
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type Destination,
  DestinationError,
  type PutFile,
} from "../../src/storage/destinations/destination.ts";
import { LocalDestination } from "../../src/storage/destinations/local.ts";
import { digestFile } from "../../src/storage/upload/digest.ts";
import { bucketAt } from "../helpers/s3/buckets.ts";
import { FAULTS, type Fault, startStandIn } from "../helpers/s3/stand-in.ts";
import { startVersitygw, VERSITYGW } from "../helpers/s3/versitygw.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { seeded } from "../lib/seed.ts";

const folder = scratchFolder("destinations");
const random = seeded("destinations");
const PART = 5 * 1024 * 1024;
const never = new AbortController().signal;
let files = 0;

/** A file of random content. */
async function file(
  bytes: number,
  key = `v1/exchange=a/stream=b/date=2026-11-21/${files}_x.parquet`,
): Promise<PutFile> {
  const path = join(folder, `file-${files++}`);
  // Blocks that differ in their first number: to draw each of millions would cost more than all that is tested.
  const block = Buffer.from(Uint32Array.from({ length: 4096 }, () => random.below(2 ** 32)).buffer);
  const content = Buffer.alloc(bytes, block);
  for (let at = 0; at + 4 <= bytes; at += block.length) content.writeUInt32LE(random.below(2 ** 32), at);
  writeFileSync(path, content);
  return { path, key, digest: await digestFile(path, PART), again: false };
}

const faultOf = async (promise: Promise<unknown>): Promise<DestinationError> => {
  const error: unknown = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(DestinationError);
  return error as DestinationError;
};

/** The contract. */
function conformance(open: () => Promise<Destination>): void {
  test("a file stands at its key as it was, and is found there by size and SHA-256", async () => {
    const destination = await open();
    for (const bytes of [1, 12_345, 300_000]) {
      const one = await file(bytes);
      const content = readFileSync(one.path);
      await destination.put(one, never);
      expect(await destination.stat(one.key, never)).toEqual({ bytes, sha256: one.digest.sha256 });
      expect(Buffer.from((await destination.read(one.key, 1e6, never)) ?? []).equals(content)).toBe(true);
    }
  });

  test("a large file goes in parts and is whole", async () => {
    const destination = await open();
    for (const bytes of [PART + 1, 2 * PART, 2 * PART + 17]) {
      const one = await file(bytes);
      const content = readFileSync(one.path);
      expect(one.digest.partMd5).toHaveLength(Math.ceil(bytes / PART));
      await destination.put({ ...one, again: true }, never);
      expect(await destination.stat(one.key, never)).toEqual({ bytes, sha256: one.digest.sha256 });
      const found = await destination.read(one.key, 1e8, never);
      expect(Buffer.from(found ?? []).equals(content)).toBe(true);
    }
  });

  test("a file that is put twice stands there once, as the last one", async () => {
    const destination = await open();
    const one = await file(1000);
    const same = { ...(await file(1000, one.key)), again: true };
    await destination.put(one, never);
    await destination.put(same, never);
    expect(await destination.stat(one.key, never)).toMatchObject({ sha256: same.digest.sha256 });
  });

  test("what is not there is null, and removing it is no error", async () => {
    const destination = await open();
    expect(await destination.stat("v1/nothing", never)).toBeNull();
    expect(await destination.read("v1/nothing", 10, never)).toBeNull();
    await destination.remove("v1/nothing", never);
  });

  test("small objects are written, written over, read up to a bound and removed", async () => {
    const destination = await open();
    const key = "v1/_manifest/date=2026-11-21/币安-x.jsonl";
    for (const text of ["a", "", "second, which is longer"]) {
      await destination.write(key, Buffer.from(text), never);
      expect(Buffer.from((await destination.read(key, 1000, never)) ?? []).toString()).toBe(text);
    }
    expect(Buffer.from((await destination.read(key, 6, never)) ?? []).toString()).toBe("second");
    await destination.remove(key, never);
    expect(await destination.read(key, 10, never)).toBeNull();
  });

  test("a file is told from another one of its size; what is listed is what is there", async () => {
    const destination = await open();
    const keys = Array.from(
      { length: 25 },
      (_, n) => `v1/exchange=list/stream=b/date=2026-11-21/${n}.parquet`,
    );
    for (const key of keys) await destination.put(await file(500, key), never);
    const listed = async (prefix: string) => {
      const found: [string, number][] = [];
      for await (const { key, bytes } of destination.list(prefix, never)) found.push([key, bytes]);
      return found.sort();
    };
    expect(await listed("v1/exchange=list")).toEqual(keys.map((key): [string, number] => [key, 500]).sort());
    expect(await listed("v1/exchange=li")).toHaveLength(25);
    expect(await listed("v1/exchange=other")).toEqual([]);
    for (const bytes of [500, PART + 5]) {
      const one = await file(bytes, keys[3]);
      const expected = { bytes, sha256: one.digest.sha256 };
      const other = await file(bytes, keys[4]);
      await destination.put(one, never);
      for (const digest of [one.digest, null]) {
        expect(await destination.holds(one.key, { ...expected, digest }, never)).toBe("same");
        expect(await destination.holds("v1/no", { ...expected, digest }, never)).toBe("nothing");
      }
      const wrong = { bytes, sha256: other.digest.sha256, digest: other.digest };
      expect(await destination.holds(one.key, wrong, never)).toBe("other");
    }
  });

  test("a file that is gone is the file's fault", async () => {
    const destination = await open();
    const one = await file(100);
    const error = await faultOf(destination.put({ ...one, path: join(folder, "gone") }, never));
    expect(error.trouble).toBe("file");
  });

  test("an aborted call ends at once", async () => {
    const destination = await open();
    const one = await file(100);
    await faultOf(destination.put(one, AbortSignal.abort()));
    await faultOf(destination.stat(one.key, AbortSignal.abort()));
    expect(existsSync(one.path)).toBe(true);
  });

  test("sixteen at once", async () => {
    const destination = await open();
    const many = await Promise.all(Array.from({ length: 16 }, () => file(200_000)));
    await Promise.all(many.map((one) => destination.put(one, never)));
    for (const one of many) {
      expect(await destination.stat(one.key, never)).toMatchObject({ sha256: one.digest.sha256 });
    }
  });
}

describe("local", () => {
  let lakes = 0;
  conformance(async () => {
    const root = join(folder, `lake-${lakes++}`);
    mkdirSync(root);
    return new LocalDestination(root);
  });

  test("below the disk floor nothing is taken, and the file stays", async () => {
    const root = join(folder, "floor");
    mkdirSync(root);
    const one = await file(100);
    const error = await faultOf(new LocalDestination(root, 2 ** 60).put(one, never));
    expect(error.trouble).toBe("full");
    expect(error.message).toContain("lake.disk_floor");
    expect(existsSync(one.path)).toBe(true);
  });
});

const standIn = await startStandIn();
afterAll(() => standIn[Symbol.asyncDispose]());

describe("s3, stand-in", () => {
  conformance(async () => bucketAt(standIn, { prefix: "team/lake/" }));
});

describe("gcs, stand-in", () => {
  conformance(async () => bucketAt(standIn, { name: "gcs", region: "auto", prefix: "" }));
});

describe.skipIf(VERSITYGW === null)(
  VERSITYGW === null ? "s3, versitygw: SKIPPED, it is not installed (see .ci/run)" : "s3, versitygw",
  () => {
    const server = VERSITYGW === null ? null : startVersitygw(join(folder, "versitygw"));
    afterAll(async () => (await server)?.[Symbol.asyncDispose]());
    conformance(async () => {
      if (server === null) throw new Error("not here");
      return bucketAt(await server, { prefix: "team" });
    });

    test("a wrong key, a wrong secret, no bucket: each is told", async () => {
      if (server === null) throw new Error("not here");
      const { url, bucket, keys } = await server;
      const one = await file(10);
      const put = (other: object) => faultOf(bucketAt({ url, bucket, keys, ...other }).put(one, never));
      expect((await put({ bucket: "nowhere" })).message).toContain("there is no such bucket");
      expect((await put({ keys: { ...keys, secretKey: "x" } })).message).toContain("S3_SECRET_KEY");
      expect((await put({ keys: { ...keys, accessKey: "x" } })).message).toContain("S3_ACCESS_KEY");
    });
  },
);

describe("a bucket in trouble", () => {
  const bucket = (options = {}) => bucketAt(standIn, options);
  /** Limits where the server does not answer; the usual ones are far above. */
  const SHORT = { requestTimeout: 1000, uploadTimeout: 1500 };
  /** What is far below the usual limits and above these. */
  const SOON = 20_000;
  const limitsOf = ({ kind }: Fault) => (kind === "hang" || kind === "stored-hang" ? SHORT : {});

  /** Fault, when, what kind of trouble, whether the outcome is unknown, what is there afterwards. */
  const cases: readonly [string, Fault, string, boolean, boolean][] = [
    ["500", FAULTS.internal, "unreachable", true, false],
    ["502 of an intermediary", FAULTS.badGateway, "unreachable", true, false],
    ["503 SlowDown", FAULTS.slowDown, "throttled", false, false],
    ["expired credentials", FAULTS.expired, "refused", false, false],
    ["denied", FAULTS.denied, "refused", false, false],
    ["a checksum that does not fit", FAULTS.badDigest, "file", false, false],
    ["a full disk there", FAULTS.full, "full", false, false],
    ["a server that hangs", FAULTS.hang, "unreachable", true, false],
    ["a reset in the middle", FAULTS.reset, "unreachable", true, false],
    ["stored, but no answer", FAULTS.storedHang, "unreachable", true, true],
    ["stored, then reset", FAULTS.storedReset, "unreachable", true, true],
    ["answered, but not stored", FAULTS.forget, "unreachable", true, false],
    ["stored wrongly", FAULTS.corrupt, "unreachable", true, false],
  ];
  test.each(cases)("%s: told as what it is, and the next attempt goes through", async (...args) => {
    const [, fault, trouble, unknown, there] = args;
    const one = await file(200_000);
    const destination = bucket();
    standIn.fail(fault, "put");
    const before = performance.now();
    const error = await faultOf(bucket(limitsOf(fault)).put(one, never));
    expect(performance.now() - before).toBeLessThan(SOON);
    expect([error.trouble, error.unknown]).toEqual([trouble, unknown] as never);
    expect(error.message).toContain(destination.where);
    standIn.back();
    const found = await destination.stat(one.key, never);
    expect(found === null).toBe(!there);
    await destination.put({ ...one, again: true }, never);
    expect(await destination.stat(one.key, never)).toMatchObject({ sha256: one.digest.sha256 });
  });

  test.each([
    "begin",
    "part",
    "complete",
  ] as const)("faults in %s leave no parts behind", async (operation) => {
    for (const fault of [FAULTS.internal, FAULTS.slowDown, FAULTS.hang, FAULTS.reset, FAULTS.storedHang]) {
      const one = await file(PART + 1000);
      const destination = bucket();
      standIn.fail(fault, operation);
      await faultOf(bucket(limitsOf(fault)).put(one, never));
      standIn.back();
      // A begin that was carried out and not answered can only be found by the next attempt.
      if (!(operation === "begin" && fault === FAULTS.storedHang)) expect(standIn.uploads.size).toBe(0);
      const there = await destination.stat(one.key, never);
      expect(there !== null).toBe(operation === "complete" && fault === FAULTS.storedHang);
      await destination.put({ ...one, again: true }, never);
      expect(await destination.stat(one.key, never)).toMatchObject({ sha256: one.digest.sha256 });
      expect(standIn.uploads.size).toBe(0);
    }
  });

  test("an answer to HEAD that does not come leaves the outcome unknown", async () => {
    const one = await file(1000);
    standIn.fail(FAULTS.hang, "head");
    const error = await faultOf(bucket(SHORT).put(one, never));
    standIn.back();
    expect(error.unknown).toBe(true);
  });

  test("an upload that takes longer than a connection may is not cut", async () => {
    const one = await file(1000);
    standIn.fail({ kind: "late", ms: 2500 }, "put");
    await bucket({ connectTimeout: 1500 }).put(one, never);
    standIn.back();
  });

  test("ETags that are no MD5 are seen through once, then let be", async () => {
    standIn.strangeEtags = true;
    const destination = bucket();
    const reads = standIn.of("get").length;
    for (let n = 0; n < 3; n++) await destination.put(await file(5000), never);
    standIn.strangeEtags = false;
    expect(standIn.of("get").length).toBe(reads + 1);
  });

  test("a clock that is wrong is told with its distance; from the answer the SDK learns the time, and goes on", async () => {
    const one = await file(1000);
    const destination = bucket();
    standIn.clockOffset = -3600_000;
    const error = await faultOf(destination.put(one, never));
    expect(error.trouble).toBe("clock");
    expect(error.message).toMatch(/clock.*(3599|3600|3601) s ahead/);
    await destination.put(one, never);
    standIn.clockOffset = 0;
  });

  test("a request that only the caller limits ends with that limit", async () => {
    standIn.away(FAULTS.hang);
    const before = performance.now();
    const error = await faultOf(
      bucket({ uploadTimeout: 60_000 }).write("v1/x", Buffer.from("x"), AbortSignal.timeout(100)),
    );
    standIn.back();
    expect(error.message).toContain("no answer in time");
    expect(performance.now() - before).toBeLessThan(SOON);
  });

  test("nobody listens there: certain, and at once", async () => {
    const nowhere = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    const url = `http://127.0.0.1:${nowhere.port}`;
    nowhere.stop(true);
    const error = await faultOf(bucketAt({ ...standIn, url, bucket: "lake" }).put(await file(10), never));
    expect([error.trouble, error.unknown]).toEqual(["unreachable", false] as never);
  });

  test("a caller who breaks off ends an upload that hangs", async () => {
    const one = await file(1000);
    standIn.away(FAULTS.hang);
    const controller = new AbortController();
    const put = faultOf(bucket({ uploadTimeout: 60_000 }).put(one, controller.signal));
    await Bun.sleep(100);
    controller.abort();
    const error = await put;
    standIn.back();
    expect(error.message).toContain("broken off");
    expect(error.unknown).toBe(true);
  });

  test("no secret in any message", async () => {
    const one = await file(10);
    const keys = { accessKey: "AKhunter2", secretKey: "SKhunter2" };
    const error = await faultOf(bucketAt({ url: standIn.url, bucket: "lake", keys }).put(one, never));
    expect(error.message).toContain("S3_ACCESS_KEY");
    expect(error.message).not.toContain("hunter2");
  });
});
