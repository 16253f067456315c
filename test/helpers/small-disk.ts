/** A small disk of the test's own: a tmpfs, where this user may mount one. */
import { afterAll } from "bun:test";
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { killAll } from "./process.ts";

/** Bytes written at once to fill it; then again with the size of a page, to the last one. */
const CHUNKS = [1024 * 1024, 4096];

/** A disk that can be filled. */
export interface SmallDisk {
  readonly folder: string;
  /** Writes a file of its own until nothing more fits on the disk. */
  fill(): void;
  /** Removes that file again. */
  free(): void;
}

/**
 * Mounts a disk for the calling test file, which is gone when its tests are over.
 *
 * @returns null where mounting is not possible: for root on Linux it is
 */
export function smallDisk(megabytes: number): SmallDisk | null {
  const folder = mkdtempSync(join(tmpdir(), "tapedeck-disk-"));
  const mount = ["mount", "-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", folder];
  if (process.platform !== "linux" || process.getuid?.() !== 0 || !succeeds(mount)) {
    rmSync(folder, { recursive: true });
    return null;
  }
  let mounted = true;
  const unmount = () => {
    if (!mounted) return;
    mounted = false;
    succeeds(["umount", "-l", folder]);
    rmSync(folder, { recursive: true, force: true });
  };
  afterAll(async () => {
    await killAll();
    unmount();
  });
  process.on("exit", unmount);
  const filler = join(folder, "filler");
  return {
    folder,
    fill() {
      const file = openSync(filler, "a");
      try {
        for (const bytes of CHUNKS) fillWith(file, new Uint8Array(bytes));
      } finally {
        closeSync(file);
      }
    },
    free: () => rmSync(filler, { force: true }),
  };
}

function fillWith(file: number, chunk: Uint8Array): void {
  try {
    while (writeSync(file, chunk) > 0);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error;
  }
}

function succeeds(command: string[]): boolean {
  try {
    return Bun.spawnSync(command, { stdout: "ignore", stderr: "ignore" }).exitCode === 0;
  } catch {
    return false;
  }
}
