/** The lock that keeps compactions of one bucket apart. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { lockBucket, lockHere } from "../../src/compaction/lock.ts";
import { bucketAt } from "../helpers/s3/buckets.ts";
import { FAULTS, startStandIn } from "../helpers/s3/stand-in.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { until } from "../lib/until.ts";

const bucket = await startStandIn();
const destination = bucketAt(bucket);
afterAll(async () => {
  destination.close();
  await bucket[Symbol.asyncDispose]();
});

const scratch = scratchFolder("lock");
const TTL = 600_000;
const { signal } = new AbortController();
const lockOf = (run: string, folder: string, ttl = TTL) =>
  lockBucket(destination, { run, folder, ttl, data: "/data", signal });
const locks = () => [...bucket.objects.keys()].filter((key) => key.includes("_compacting"));

describe("the lock of a bucket", () => {
  test("another machine whose host and path have the same names is refused, and leaves nothing", async () => {
    const held = await lockOf("compact.1-aaaa", "one");
    await expect(lockOf("compact.2-bbbb", "other")).rejects.toThrow(
      `another compaction is at work in ${destination.where} (${hostname()}, pid ${process.pid}, data folder /data)`,
    );
    expect(locks()).toHaveLength(1);
    held.check();
    await held.release();
    expect(locks()).toEqual([]);
    const next = await lockOf("compact.2-bbbb", "other");
    await next.release();
  });

  test("what a dead one of the same folder left is passed over at once, of another one after its time", async () => {
    const dead = await lockOf("compact.3-aaaa", "one");
    const again = await lockOf("compact.4-aaaa", "one");
    expect(locks()).toEqual([expect.stringContaining("compact.4-aaaa")]);
    await again.release();
    await dead.release();

    // Renewed only after a quarter of its time, so it is as if it were dead.
    const key = "v1/_compacting/compact.5-aaaa.json";
    const left = { host: "elsewhere", data: "/data", folder: "one", pid: 1, at: Date.now() - TTL - 1 };
    await destination.write(key, Buffer.from(JSON.stringify(left)), signal);
    const next = await lockOf("compact.6-bbbb", "other");
    expect(locks()).toEqual([expect.stringContaining("compact.6-bbbb")]);
    await next.release();
  });

  test("one that is no lock is in the way, with the mend", async () => {
    await destination.write("v1/_compacting/x.json", Buffer.from("{"), signal);
    await expect(lockOf("compact.7-aaaa", "one")).rejects.toThrow(
      "delete v1/_compacting/x.json if it is none",
    );
    await destination.remove("v1/_compacting/x.json", signal);
  });

  test("that cannot be renewed holds no more", async () => {
    const lock = await lockOf("compact.8-aaaa", "one", 200);
    bucket.fail(FAULTS.denied, "put", 1000);
    const refused = () => {
      try {
        lock.check();
        return false;
      } catch (error) {
        expect(String(error)).toContain("could not be renewed for half of compaction.lock_ttl");
        return true;
      }
    };
    await until(refused, "the lock is given up");
    bucket.back();
    await lock.release();
  });
});

test("a data folder has one id, whoever asks, and another folder another one", () => {
  const [one = "", other = ""] = ["one", "other"].map((name) => join(scratch, name));
  for (const folder of [one, other]) mkdirSync(folder);
  const ids = [one, one, other].map((data) => {
    const lock = lockHere(data);
    lock.release();
    return lock.folder;
  });
  expect(ids[0]).toHaveLength(36);
  expect([ids[1] === ids[0], ids[2] === ids[0]]).toEqual([true, false]);
});
