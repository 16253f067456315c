/** In which folders the files of rings may be. */
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, rmdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { z } from "zod";
import { isFileError } from "../files.ts";

/** Says where rings of this data folder are that are not in it. */
const PLACES = "places.json";

const placesSchema = z.object({
  /** Name of its own folders elsewhere: so two recorders never meet in one. */
  id: z.string().regex(/^[0-9a-f]{16}$/),
  /** Folders elsewhere that may hold rings. */
  folders: z.array(z.string()).readonly(),
});
type Places = z.output<typeof placesSchema>;

/**
 * The folders with rings of one data folder: `rings/` in it, and those elsewhere that a run was told to use. The
 * data folder remembers these, for the next start may be told otherwise.
 */
export class RingFolders {
  /** The folder in the data folder. */
  readonly own: string;
  #places: Places | null;

  /** @param root the data folder */
  constructor(root: string) {
    this.own = resolve(root, "rings");
    this.#places = placesOf(join(this.own, PLACES));
  }

  /** All that may hold rings. */
  get all(): readonly string[] {
    return [this.own, ...(this.#places?.folders ?? [])];
  }

  /** Whether a file of the data folder's own is none of a ring, but this list. */
  static isList(name: string): boolean {
    return name === PLACES || name === `${PLACES}.tmp`;
  }

  /**
   * Creates the folder for the rings of a run, and notes it before any ring can be in it.
   *
   * @param parent where they are to be; undefined = in the data folder
   * @throws Error of the file system
   */
  use(parent: string | undefined): string {
    mkdirSync(this.own, { recursive: true });
    if (parent === undefined) return this.own;
    const id = this.#places?.id ?? randomBytes(8).toString("hex");
    const folder = resolve(parent, id);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const folders = this.#places?.folders ?? [];
    if (!folders.includes(folder)) this.#note({ id, folders: [...folders, folder] });
    return folder;
  }

  /** Removes a folder elsewhere, and forgets it, where nothing is left in it. On a full disk it stays noted, which does no harm. */
  leave(folder: string): void {
    if (folder === this.own || this.#places === null) return;
    try {
      rmdirSync(folder);
    } catch (error) {
      // Gone with a file system in memory; anything else stays, and stays noted.
      if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) return;
    }
    const { id, folders } = this.#places;
    try {
      this.#note({ id, folders: folders.filter((one) => one !== folder) });
    } catch (error) {
      if (!isFileError(error)) throw error;
    }
  }

  #note(places: Places): void {
    const path = join(this.own, PLACES);
    writeFileSync(`${path}.tmp`, JSON.stringify(places));
    renameSync(`${path}.tmp`, path);
    this.#places = places;
  }
}

function placesOf(path: string): Places | null {
  try {
    return placesSchema.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    // There is none, or it is not ours: then it is written anew when it is needed.
    return null;
  }
}
