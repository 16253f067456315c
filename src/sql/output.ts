/** Where an answer goes: stdout, or a file that is there when it is whole and not before. */
import { createReadStream } from "node:fs";
import { type FileHandle, open, realpath, rename as replace, rm, stat } from "node:fs/promises";

/** Takes an answer piece by piece; each is waited for, so that a slow reader does not fill the memory. */
export interface Sink {
  write(piece: string | Uint8Array): Promise<void>;
  /** It is whole. */
  done(): Promise<void>;
  /** It will not be. */
  drop(): Promise<void>;
}

/** Standard output. */
export const stdoutSink: Sink = {
  write: (piece) => new Promise((resolve) => process.stdout.write(piece, () => resolve())),
  done: async () => undefined,
  drop: async () => undefined,
};

/** A file for an answer cannot be written; the message names it and why. */
export class OutputError extends Error {
  override name = "OutputError";

  constructor(path: string, cause: unknown) {
    super(`${path} cannot be written: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/**
 * A file; what was there before stays until the answer is whole. A device or a pipe, such as /dev/stdout, is written to as
 * the answer comes: renaming a file over it would take it away from everyone.
 *
 * @throws OutputError, and so do the sink's own calls
 */
export async function fileSink(path: string): Promise<Sink> {
  try {
    // Of a link it is the file behind it that is written, and the link stays.
    const target = await realpath(path).catch(() => path);
    const there = await stat(target).catch(() => null);
    if (there?.isDirectory() === true) throw new Error("it is a folder; name a file");
    const isFile = there === null || there.isFile();
    const written = isFile ? `${target}.${process.pid}.part` : target;
    return sinkInto(path, await open(written, isFile ? "wx" : "w"), isFile ? { target, written } : null);
  } catch (error) {
    throw new OutputError(path, error);
  }
}

/** @param rename what is renamed when it is whole, and removed when it will not be; null = nothing */
function sinkInto(
  path: string,
  handle: FileHandle,
  rename: { readonly target: string; readonly written: string } | null,
): Sink {
  const tried = async (step: () => Promise<void>) => {
    try {
      await step();
    } catch (error) {
      throw new OutputError(path, error);
    }
  };
  return {
    write: (piece) => tried(() => handle.writeFile(piece)),
    done: () =>
      tried(async () => {
        if (rename !== null) await handle.sync();
        await handle.close();
        if (rename !== null) await replace(rename.written, rename.target);
      }),
    async drop() {
      // It may be closed already.
      await handle.close().catch(() => undefined);
      if (rename !== null) await rm(rename.written, { force: true });
    },
  };
}

/** A file's content to a sink. */
export async function pour(path: string, sink: Sink): Promise<void> {
  for await (const piece of createReadStream(path)) await sink.write(piece as Uint8Array);
}
