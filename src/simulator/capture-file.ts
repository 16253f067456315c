/** Reads captured frames from files, line by line, without holding a file in memory. */
import { z } from "zod";
import { TornError, unpacked } from "../lib/zstd.ts";

/** One captured text. */
export interface CapturedLine {
  /** Receive time in µs since the epoch; null = unknown. */
  readonly ts: number | null;
  /** The text as it was on the wire; bytes where they were no UTF-8. */
  readonly raw: string | Uint8Array;
}

/** Longest line that is read; a longer one is an error that names its place. */
export const LINE_CHARS_MAX = 64 << 20;

const BASE = {
  ts: z.number().nullish(),
  dir: z.enum(["in", "out", "rest"]),
  url: z.string().optional(),
};
const RECORD = z.union([
  z.object({ ...BASE, raw: z.string() }),
  z.object({ ...BASE, raw_base64: z.base64() }),
]);

/**
 * The incoming frames of the files, in order. A line is either `{"ts":…,"dir":"in"|"out"|"rest","raw":"…"}`
 * (ts in µs; only `in` is yielded; `raw_base64` instead of `raw` where a frame is not UTF-8) or one raw frame.
 * Empty lines are passed over. A file may be packed by zstd.
 *
 * Throws when a file cannot be read or a line is longer than {@link LINE_CHARS_MAX}.
 *
 * @param torn told of a packed file that is torn or damaged, after all that could be read of it; without it,
 *   that is an error too
 */
export async function* capturedLines(
  files: readonly string[],
  torn?: (file: string, why: string) => void,
): AsyncGenerator<CapturedLine> {
  for (const file of files) {
    let number = 0;
    try {
      for await (const line of lines(file)) {
        number++;
        if (line.length > LINE_CHARS_MAX) {
          throw new Error(`${file}:${number} is longer than ${LINE_CHARS_MAX}`);
        }
        const captured = parseLine(line);
        if (captured !== undefined) yield captured;
      }
    } catch (error) {
      if (!(error instanceof TornError)) throw error;
      if (torn === undefined) throw new TornError(`${file} is ${error.message}`);
      torn(file, error.message);
    }
  }
}

function parseLine(line: string): CapturedLine | undefined {
  if (line.trim() === "") return undefined;
  const record = RECORD.safeParse(json(line));
  if (!record.success) return { ts: null, raw: line };
  const { data } = record;
  if (data.dir !== "in") return undefined;
  return { ts: data.ts ?? null, raw: "raw" in data ? data.raw : Buffer.from(data.raw_base64, "base64") };
}

async function* lines(file: string): AsyncGenerator<string> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const bytes of unpacked(Bun.file(file).stream())) {
    const parts = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = parts.pop() ?? "";
    for (const part of parts) yield part.endsWith("\r") ? part.slice(0, -1) : part;
    if (rest.length > LINE_CHARS_MAX) break;
  }
  rest += decoder.decode();
  if (rest !== "") yield rest;
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
