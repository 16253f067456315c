/** A disk without room for the rings is said at the start, and nothing of them is left there. */
import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { settingsSchema } from "../../../src/config/schema.ts";
import { openRings } from "../../../src/recorder/ring-store.ts";
import { viewsOf } from "../../../src/ring/memory.ts";
import { FolderError } from "../../../src/storage/folder.ts";
import { RingFolders } from "../../../src/storage/rings/folders.ts";
import { tapedeck } from "../../cli/run.ts";
import { scratchFolder } from "../../helpers/scratch.ts";
import { smallDisk } from "../../helpers/small-disk.ts";

const root = scratchFolder("no-room");
const RUN = "test-1795132800000000-abcd";
const disk = smallDisk(16);

function ringsIn(folder: string, data: string, capacity: number) {
  const settings = settingsSchema.parse({
    record: { exchanges: ["binance"], streams: ["bbo", "trade"] },
    ring: { backing: "file", folder, capacity: { bbo: capacity, trade: 1024 } },
  });
  return openRings(settings, new RingFolders(data), RUN);
}

test.skipIf(disk === null)(
  `rings that do not fit are refused with what to do, those that fit are written to the last page${disk === null ? " (SKIPPED, needs a user who may mount)" : ""}`,
  () => {
    const folder = disk?.folder ?? "";
    expect(() => ringsIn(folder, join(root, "a"), 2 ** 18)).toThrow(FolderError);
    expect(() => ringsIn(folder, join(root, "a"), 2 ** 18)).toThrow(
      /the ring of binance bbo \(\d+ MiB\) cannot be a file in .*ENOSPC.*; make room there, choose another folder with ring.folder, lower ring.capacity, or set ring.backing = "memory"/,
    );
    // What it had begun is gone, the first ring too.
    expect(readdirSync(folder)).toEqual([]);
    const { rings, files } = ringsIn(folder, join(root, "b"), 2 ** 16);
    disk?.fill();
    expect(statfsSync(folder).bfree).toBe(0);
    // No page of them has to be found any more: a hole in a file would end the process here.
    for (const { handle } of rings) new Uint8Array(viewsOf(handle).buffer).fill(1);
    disk?.free();
    files?.remove();
    expect(readdirSync(folder)).toEqual([]);
  },
);

test("record ends with exit code 1 and says so where the folder of rings cannot be used", async () => {
  const file = join(root, "file");
  mkdirSync(root, { recursive: true });
  writeFileSync(file, "");
  const set = ["--set", "ring.backing=file", "--set", `ring.folder=${file}`];
  const { code, stderr } = await tapedeck(["record", "--data", join(root, "data"), "--port", "0", ...set], {
    cwd: root,
  });
  expect(stderr).toContain(`the folder of rings ${file} cannot be written (E`);
  expect(code).toBe(1);
});
