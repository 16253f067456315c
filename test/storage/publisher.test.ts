/** From the outbox into the lake, with real files. */
import { expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LocalDestination } from "../../src/storage/destinations/local.ts";
import { acceptFile, readOutbox, temporaryPath } from "../../src/storage/outbox.ts";
import { type OutboxFile, Publisher } from "../../src/storage/publisher.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { waitFor } from "../helpers/wait.ts";

/** What looks like a Parquet file from outside: its magic at both ends, the length of a footer at the last. */
function framed(text: string): string {
  return `PAR1${text}\x01\0\0\0PAR1`;
}

const folder = scratchFolder("publisher");
let folders = 0;

/** A lake, an outbox and a publisher between them. */
function parts(retryMax = 50) {
  const root = join(folder, String(folders++));
  const [lake, outbox] = [join(root, "lake"), join(root, "outbox")];
  for (const path of [lake, outbox]) mkdirSync(path, { recursive: true });
  const published: string[] = [];
  const failed: { key: string; error: string; retryIn: number }[] = [];
  const publisher = new Publisher(new LocalDestination(lake), retryMax, {
    published: ({ key }) => published.push(key),
    failed: ({ key }, error, retryIn) => failed.push({ key, error, retryIn }),
  });
  const file = (n: number, ring: number | null = 0): OutboxFile => {
    const key = `v1/exchange=binance/stream=bbo/date=2026-11-${10 + (n % 3)}/1795132800000000_test_0_${n}.parquet`;
    const path = join(outbox, key.replaceAll("/", "~"));
    writeFileSync(path, framed(`file ${n}`));
    return { key, path, exchange: "binance", stream: "bbo", rows: 10, ring };
  };
  return { lake, outbox, publisher, published, failed, file };
}

test("files go to their keys in order, folders are made, the outbox is empty after it", async () => {
  const { lake, outbox, publisher, published, failed, file } = parts();
  const files = Array.from({ length: 7 }, (_, n) => file(n));
  for (const one of files) publisher.add(one);
  await publisher.finish(5000);
  expect(published).toEqual(files.map(({ key }) => key));
  const texts = files.map(({ key }) => readFileSync(join(lake, key), "utf8"));
  expect(texts).toEqual(files.map((_, n) => framed(`file ${n}`)));
  expect(await readOutbox(outbox)).toEqual({ files: [], foreign: [] });
  expect([failed.length, publisher.failures, publisher.waiting, publisher.uploadingRows]).toEqual([
    0, 0, 0, 0,
  ]);
});

test("a file added after the others are through is published as well", async () => {
  const { publisher, published, file } = parts();
  for (let n = 0; n < 5; n++) {
    publisher.add(file(n));
    await waitFor(`file ${n}`, () => published.length === n + 1);
  }
  await publisher.finish(1000);
  expect(publisher.waiting).toBe(0);
});

test("what fails is tried again until it is there, once, and nothing overtakes it", async () => {
  const { lake, publisher, published, failed, file } = parts();
  rmSync(lake, { recursive: true });
  writeFileSync(lake, "in the way");
  const files = [file(0), file(1, null), file(2)];
  for (const one of files) publisher.add(one);
  await waitFor("three failures", () => failed.length >= 3);
  expect(published).toEqual([]);
  expect(publisher.fault).not.toBeNull();
  expect(publisher.waiting).toBe(3);
  expect(new Set(failed.map(({ key }) => key))).toEqual(new Set([files[0]?.key ?? ""]));
  for (const { retryIn } of failed) expect(retryIn).toBeLessThanOrEqual(50);
  for (const { path } of files) expect(existsSync(path)).toBe(true);
  rmSync(lake);
  await waitFor("all files", () => published.length === 3);
  expect(published).toEqual(files.map(({ key }) => key));
  expect(publisher.fault).toBeNull();
  expect(publisher.failures).toBe(failed.length);
  expect(publisher.waiting).toBe(0);
});

test("what cannot be published in time stays in the outbox, and the end does not wait for it", async () => {
  const { lake, outbox, publisher, published, file } = parts(60_000);
  rmSync(lake, { recursive: true });
  writeFileSync(lake, "in the way");
  const files = [file(0), file(1)];
  for (const one of files) publisher.add(one);
  await publisher.finish(200);
  expect(published).toEqual([]);
  const left = await readOutbox(outbox);
  expect(left.files.map(({ key }) => key).sort()).toEqual(files.map(({ key }) => key).sort());
});

test("a destination brings a file to a key that exists already without harm", async () => {
  const { lake, file } = parts();
  const destination = new LocalDestination(lake);
  const { path, key } = file(0);
  await destination.put(path, key);
  await destination.put(file(0).path, key);
  expect(readFileSync(join(lake, key), "utf8")).toBe(framed("file 0"));
  expect(existsSync(path)).toBe(false);
});

test("an error leaves the local copy untouched", async () => {
  const { lake, file } = parts();
  const { path, key } = file(0);
  mkdirSync(join(lake, key), { recursive: true });
  const error: unknown = await new LocalDestination(lake).put(path, key).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(Error);
  expect(readFileSync(path, "utf8")).toBe(framed("file 0"));
});

test("a temporary file is not finished before it is accepted", async () => {
  const { outbox } = parts();
  const key = "v1/exchange=binance/stream=bbo/date=2026-11-20/1795132800000000_test_0_0.parquet";
  const temporary = temporaryPath(outbox, key, 3);
  writeFileSync(temporary, framed("whole"));
  expect(await readOutbox(outbox)).toEqual({ files: [], foreign: [temporary] });
  const path = await acceptFile(outbox, temporary, key);
  expect(await readOutbox(outbox)).toEqual({ files: [{ key, path }], foreign: [] });
  expect(statSync(path).size).toBe(framed("whole").length);
});

test("a file that was cut off is foreign, whatever its name", async () => {
  const { outbox, file } = parts();
  const { path, key } = file(0);
  expect((await readOutbox(outbox)).files.map((one) => one.key)).toEqual([key]);
  const whole = readFileSync(path);
  for (const bytes of [whole.subarray(0, -1), whole.subarray(1), whole.subarray(0, 11), Buffer.alloc(0)]) {
    writeFileSync(path, bytes);
    expect(await readOutbox(outbox)).toEqual({ files: [], foreign: [path] });
  }
});

test("a put that moved the file and failed after that goes through when it is repeated", async () => {
  const { lake, file } = parts();
  const destination = new LocalDestination(lake);
  const { path, key } = file(0);
  await destination.put(path, key);
  await destination.put(path, key);
  expect(readFileSync(join(lake, key), "utf8")).toBe(framed("file 0"));
});
