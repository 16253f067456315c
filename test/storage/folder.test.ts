/** The lock of a data folder that cannot be taken: why, and what mends it. */
import { expect, test } from "bun:test";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { lockFolder, openFolder } from "../../src/storage/folder.ts";
import { scratchFolder } from "../helpers/scratch.ts";

const root = scratchFolder("folder");

test("a lock.db that is damaged is named with what mends it, and that does", () => {
  const folder = openFolder(join(root, "damaged"));
  writeFileSync(join(folder.root, "lock.db"), "no database ".repeat(500));
  expect(() => lockFolder(folder, "one")).toThrow(/lock\.db \(.+\); .*delete it/);
  rmSync(join(folder.root, "lock.db"));
  lockFolder(folder, "one").release();
});

test("a lock.db that cannot be opened: another folder", () => {
  const folder = openFolder(join(root, "unopened"));
  mkdirSync(join(folder.root, "lock.db"));
  expect(() => lockFolder(folder, "one")).toThrow(/--data DIR/);
});
