/** What a test file leaves behind is nothing: its folders and processes end with it. */
import { afterAll } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { killAll } from "./process.ts";

/** A folder of the calling test file; removed, and every process of the file killed, when its tests are over. */
export function scratchFolder(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `tapedeck-${name}-`));
  afterAll(async () => {
    await killAll();
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}
