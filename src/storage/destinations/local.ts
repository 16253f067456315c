import { copyFile, mkdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import { syncFile, syncFolder } from "../files.ts";
import type { Destination } from "./destination.ts";

/** A lake in a folder. */
export class LocalDestination implements Destination {
  readonly name = "local";
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  async put(path: string, key: string): Promise<void> {
    const target = join(this.#root, key);
    const folder = dirname(target);
    await this.#makeFolder(folder);
    try {
      await rename(path, target);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : null;
      if (code === "EXDEV") await this.#moveAcross(path, target);
      // An earlier attempt may have moved it and failed after that.
      else if (code !== "ENOENT" || !(await isFile(target))) throw error;
    }
    await syncFolder(folder);
    await syncFolder(dirname(path));
  }

  /** Creates a folder and makes each new entry on the way durable. */
  async #makeFolder(folder: string): Promise<void> {
    try {
      if ((await stat(folder)).isDirectory()) return;
    } catch {
      // Not there yet.
    }
    await mkdir(folder, { recursive: true });
    let at = this.#root;
    await syncFolder(at);
    for (const part of relative(this.#root, folder).split(sep)) {
      at = join(at, part);
      await syncFolder(at);
    }
  }

  /** The lake is on another file system: copy beside the target, then rename. */
  async #moveAcross(path: string, target: string): Promise<void> {
    const temporary = `${dirname(target)}/.${target.slice(dirname(target).length + 1)}.tmp`;
    await copyFile(path, temporary);
    await syncFile(temporary);
    await rename(temporary, target);
    await rm(path);
  }
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
