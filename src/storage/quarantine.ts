import { randomBytes } from "node:crypto";
import { appendFile, lstat, mkdir, readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { capturedLine } from "../capture/line.ts";
import { moveFile } from "./files.ts";

/** A frame to keep. */
export interface KeptFrame {
  readonly exchange: string;
  readonly connection: number;
  /** Receive time, µs. */
  readonly local: number;
  readonly reason: string;
  readonly frame: Uint8Array;
}

/** One line of a quarantine file: the form in which captures are kept, with what went wrong beside it. */
export function quarantineLine({ exchange, connection, local, reason, frame }: KeptFrame): string {
  return capturedLine({ ts: local, exchange, connection, frame }, { reason });
}

/** The quarantine: frames that could not be decoded, and files that are not what they should be. */
export class Quarantine {
  readonly #folder: string;
  readonly #file: string;
  readonly #maxBytes: number;
  #bytes = 0;
  #tail: Promise<void> = Promise.resolve();
  /** Frames that were counted but not written: the bound was reached or the disk refused. */
  notKept = 0;
  /** Frames written. */
  kept = 0;

  private constructor(folder: string, run: string, maxBytes: number) {
    this.#folder = folder;
    this.#file = join(folder, `frames-${run}.jsonl`);
    this.#maxBytes = maxBytes;
  }

  /** @param maxBytes bound of the whole folder; what is there already counts */
  static async open(folder: string, run: string, maxBytes: number): Promise<Quarantine> {
    const quarantine = new Quarantine(folder, run, maxBytes);
    for (const name of await readdir(folder)) quarantine.#bytes += await sizeOf(join(folder, name));
    return quarantine;
  }

  /** Keeps a frame; resolves when it is written or counted as not kept. Never rejects. */
  keep(frame: KeptFrame): Promise<void> {
    this.#tail = this.#tail.then(async () => {
      const line = quarantineLine(frame);
      const bytes = Buffer.byteLength(line);
      if (this.#bytes + bytes > this.#maxBytes) {
        this.notKept++;
        return;
      }
      try {
        await appendFile(this.#file, line);
        this.#bytes += bytes;
        this.kept++;
      } catch {
        this.notKept++;
      }
    });
    return this.#tail;
  }

  /** Moves a file that is not what it should be out of the way; returns where it is now. */
  async moveFile(path: string): Promise<string> {
    await mkdir(this.#folder, { recursive: true });
    const target = join(
      this.#folder,
      `${randomBytes(4).toString("hex")}-${basename(path).replace(/^\.+/, "")}`,
    );
    await moveFile(path, target);
    this.#bytes += await sizeOf(target);
    return target;
  }

  /** Resolves when everything handed over is written. */
  flush(): Promise<void> {
    return this.#tail;
  }
}

/** Size of whatever it is, a link that leads nowhere included; 0 where it is gone. */
async function sizeOf(path: string): Promise<number> {
  try {
    return (await lstat(path)).size;
  } catch {
    return 0;
  }
}
