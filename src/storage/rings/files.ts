import { appendFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { LAYOUTS } from "../../events/layout.ts";
import { SCHEMA_VERSION, type Stream } from "../../events/streams.ts";
import { bootNow } from "../../lib/boot.ts";
import { createRingFile } from "../../ring/file.ts";
import { type RingHandle, type RingShape, ringBytes } from "../../ring/memory.ts";
import { FolderError } from "../folder.ts";
import type { JournalSymbols } from "../journal/format.ts";
import type { FileLayout } from "../names.ts";
import type { RingFolders } from "./folders.ts";
import { ringFileName, symbolsFileName, symbolsText, writeAbout } from "./format.ts";

/** Which ring of a run it is. */
export interface RingName {
  readonly ring: number;
  readonly exchange: string;
  readonly stream: Stream;
}

/**
 * The files in which a run has its rings (`ring.backing = "file"`): what was published into one of them outlives the
 * process. Beside them stands a file with the symbols, without which rows would be numbers only.
 */
export class RingFiles {
  readonly #folders: RingFolders;
  readonly #folder: string;
  readonly #run: string;
  readonly #version: string;
  readonly #layout: FileLayout;
  readonly #boot = bootNow();
  readonly #symbols: string;
  readonly #paths: string[] = [];
  /** Lines that are not in the file of symbols yet. */
  #unwritten = "";

  private constructor(
    folders: RingFolders,
    folder: string,
    { run, version, layout }: { readonly run: string; readonly version: string; readonly layout: FileLayout },
  ) {
    this.#folders = folders;
    this.#folder = folder;
    this.#run = run;
    this.#version = version;
    this.#layout = layout;
    this.#symbols = join(folder, symbolsFileName(run));
  }

  /**
   * Prepares the folder.
   *
   * @param options.parent `ring.folder`; undefined = in the data folder
   * @throws FolderError where it cannot be written
   */
  static open(options: {
    readonly folders: RingFolders;
    readonly parent: string | undefined;
    readonly run: string;
    readonly version: string;
    readonly layout: FileLayout;
  }): RingFiles {
    const { folders, parent } = options;
    try {
      return new RingFiles(folders, folders.use(parent), options);
    } catch (error) {
      throw new FolderError(
        `the folder of rings ${parent ?? folders.own} cannot be written (${wordsOf(error)}); give this user the ` +
          'right to write there, choose another with ring.folder, or set ring.backing = "memory"',
      );
    }
  }

  /**
   * Creates the file of a ring.
   *
   * @throws FolderError where there is no room for it, or the file system refuses; then no file of the run is left
   */
  create(shape: RingShape, { ring, exchange, stream }: RingName): RingHandle {
    const { numbers, texts } = LAYOUTS[stream];
    const about = {
      schema: SCHEMA_VERSION,
      tapedeck: this.#version,
      exchange,
      stream,
      run: this.#run,
      ring,
      numbers,
      texts,
      ...(this.#layout === "flat" ? {} : { layout: this.#layout }),
      boot: this.#boot,
    };
    const path = join(this.#folder, ringFileName(about));
    try {
      const handle = createRingFile(path, shape, writeAbout(about));
      this.#paths.push(path);
      return handle;
    } catch (error) {
      this.remove();
      const size = `${Math.ceil(ringBytes(shape) / 2 ** 20)} MiB`;
      throw new FolderError(
        `the ring of ${exchange} ${stream} (${size}) cannot be a file in ${this.#folder} (${wordsOf(error)}); make ` +
          'room there, choose another folder with ring.folder, lower ring.capacity, or set ring.backing = "memory"',
      );
    }
  }

  /**
   * Keeps symbols: to be called before a row can carry their numbers. Where it fails they are kept with the next ones.
   *
   * @throws Error of the file system
   */
  keepSymbols(exchange: string, symbols: JournalSymbols): void {
    if (symbols.length > 0) this.#unwritten += symbolsText(exchange, symbols);
    if (this.#unwritten === "") return;
    const text = this.#unwritten;
    // Should this fail in the middle of a line, the next one must not become a part of it.
    this.#unwritten = `\n${text}`;
    appendFileSync(this.#symbols, text);
    this.#unwritten = "";
  }

  /** Removes all of them: their rows stand in journals. */
  remove(): void {
    // Symbols last: a ring without them could not be read.
    for (const path of [...this.#paths.splice(0), this.#symbols]) rmSync(path, { force: true });
    this.#folders.leave(this.#folder);
  }
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
