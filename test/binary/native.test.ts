import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EmbeddedPart } from "../../src/lib/native/embedded.ts";
import { cacheFolders, trustedFolder } from "../../src/lib/native/folders.ts";
import { placePart } from "../../src/lib/native/part.ts";

const CONTENT = Buffer.alloc(3_000_000, "duckdb");
let folder: string;
let part: EmbeddedPart;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tapedeck-native-"));
  const source = join(folder, "embedded");
  writeFileSync(source, CONTENT);
  mkdirSync(join(folder, "cache"));
  const sha256 = new Bun.CryptoHasher("sha256").update(CONTENT).digest("hex");
  part = { name: "lib.so", path: source, bytes: CONTENT.length, sha256 };
});
afterEach(() => rmSync(folder, { recursive: true }));

const cache = () => join(folder, "cache");
const placed = () => join(cache(), "lib.so");

describe("a native part", () => {
  test("is written once, whole, for its owner alone", () => {
    expect(placePart(cache(), part)).toBe(placed());
    expect(readFileSync(placed()).equals(CONTENT)).toBe(true);
    expect(statSync(placed()).mode & 0o777).toBe(0o500);
    const { ino } = statSync(placed());
    placePart(cache(), part);
    expect(statSync(placed()).ino).toBe(ino);
    expect(readdirSync(cache())).toEqual(["lib.so"]);
  });

  const damages: Record<string, (path: string) => void> = {
    "one byte changed": (path) => {
      const bytes = Buffer.from(CONTENT);
      bytes[2_999_999] = (bytes[2_999_999] ?? 0) ^ 1;
      rmSync(path);
      writeFileSync(path, bytes);
    },
    "cut short": (path) => {
      chmodSync(path, 0o600);
      truncateSync(path, 1000);
    },
    "a link to another file": (path) => {
      rmSync(path);
      symlinkSync(part.path, path);
    },
    removed: (path) => rmSync(path),
  };
  for (const [damage, doIt] of Object.entries(damages)) {
    test(`${damage}: is written anew`, () => {
      placePart(cache(), part);
      doIt(placed());
      placePart(cache(), part);
      expect(readFileSync(placed()).equals(CONTENT)).toBe(true);
      expect(statSync(placed()).mode & 0o777).toBe(0o500);
      expect(readdirSync(cache())).toEqual(["lib.so"]);
    });
  }

  test("is not read again by the next thread, unless it was touched", () => {
    const checked = new Set<string>();
    placePart(cache(), part, checked);
    placePart(cache(), part, checked);
    expect(checked.size).toBe(1);
    chmodSync(placed(), 0o700);
    writeFileSync(placed(), Buffer.alloc(CONTENT.length));
    utimesSync(placed(), new Date(0), new Date(0));
    placePart(cache(), part, checked);
    expect(readFileSync(placed()).equals(CONTENT)).toBe(true);
  });

  test("that is damaged inside the executable is not used", () => {
    writeFileSync(part.path, Buffer.alloc(CONTENT.length));
    expect(() => placePart(cache(), part)).toThrow("lib.so inside this executable is damaged");
    expect(readdirSync(cache())).toEqual([]);
  });

  test("leaves nothing where it cannot be written", () => {
    mkdirSync(placed());
    expect(() => placePart(cache(), part)).toThrow();
    expect(readdirSync(cache())).toEqual(["lib.so"]);
  });

  test("takes away what killed starts left, not what others are writing", () => {
    const old = join(cache(), ".lib.so.1.a.tmp");
    const young = join(cache(), ".lib.so.2.b.tmp");
    for (const path of [old, young]) writeFileSync(path, "half");
    utimesSync(old, new Date(0), new Date(0));
    placePart(cache(), part);
    expect(readdirSync(cache()).sort()).toEqual([".lib.so.2.b.tmp", "lib.so"]);
  });
});

describe("folders", () => {
  test("in their order; relative ones of the environment do not count; no data folder is made", () => {
    const data = join(folder, "data");
    const all = () =>
      cacheFolders({ cache: "/c", data }, { XDG_CACHE_HOME: "/x", HOME: "/h" }).map((path) =>
        path.startsWith(tmpdir()) && !path.startsWith(folder) ? "tmp" : path,
      );
    expect(all()).toEqual(["/c", "/x/tapedeck", "tmp"]);
    mkdirSync(data);
    expect(all()).toEqual(["/c", "/x/tapedeck", join(data, ".cache"), "tmp"]);
    expect(cacheFolders({}, { XDG_CACHE_HOME: "x", HOME: "/h" })[0]).toBe("/h/.cache/tapedeck");
  });

  test("are made for their owner alone, and made so again", () => {
    const base = join(folder, "a/b/tapedeck");
    const path = trustedFolder(base, "v1");
    for (const one of [base, path]) expect(statSync(one).mode & 0o777).toBe(0o700);
    chmodSync(path, 0o777);
    trustedFolder(base, "v1");
    expect(statSync(path).mode & 0o777).toBe(0o700);
  });

  test("that are links, or files, are refused", () => {
    symlinkSync(cache(), join(folder, "link"));
    writeFileSync(join(folder, "file"), "");
    expect(() => trustedFolder(join(folder, "link"), "v1")).toThrow("link is not a folder");
    expect(() => trustedFolder(join(folder, "file"), "v1")).toThrow();
  });

  const isRoot = process.getuid?.() === 0;
  test.skipIf(!isRoot)(`of another user are refused${isRoot ? "" : " (needs root)"}`, () => {
    const base = join(folder, "theirs");
    trustedFolder(base, "v1");
    chownSync(base, 12345, 12345);
    expect(() => trustedFolder(base, "v1")).toThrow("belongs to user 12345");
  });
});
