/** Reads captured frames from files, line by line, without holding a file in memory. */
import { z } from "zod";
import { TornError, unpacked } from "../lib/zstd.ts";

/** One captured text. */
export interface CapturedLine {
  /** Receive time in µs since the epoch; null = unknown. */
  readonly ts: number | null;
  /** The text as it was on the wire; bytes where they were no UTF-8. */
  readonly raw: string | Uint8Array;
  /** Number of the connection that brought it; null = unknown. */
  readonly connection: number | null;
}

/** Longest line that is read; a longer one is an error that names its place. */
export const LINE_CHARS_MAX = 64 << 20;

const BASE = {
  ts: z.number().nullish(),
  dir: z.literal("in"),
  connection: z.int().nullish(),
};
const RECORD = z.union([
  z.object({ ...BASE, raw: z.string() }),
  z.object({ ...BASE, raw_base64: z.base64() }),
]);
const OTHER = z.looseObject({ ts: z.number().nullable(), dir: z.string().refine((dir) => dir !== "in") });

/** What stands in a capture beside the frames that came in. */
export type OtherLine = z.infer<typeof OTHER>;

/**
 * The incoming frames of the files, in order. A line is either `{"ts":…,"dir":"in","raw":"…"}` (ts in µs;
 * `raw_base64` instead of `raw` where a frame is not UTF-8; of any other `dir` it is not yielded) or one raw frame.
 * Empty lines are passed over. A file may be packed by zstd.
 *
 * Throws when a file cannot be read or a line is longer than {@link LINE_CHARS_MAX}.
 *
 * @param torn told of a packed file that is torn or damaged, after all that could be read of it; without it,
 *   that is an error too
 * @param other told of lines that hold no incoming frame, at their place
 */
export async function* capturedLines(
  files: readonly string[],
  torn?: (file: string, why: string) => void,
  other?: (line: OtherLine) => void,
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
        if (captured === undefined) continue;
        if ("dir" in captured) other?.(captured);
        else yield captured;
      }
    } catch (error) {
      if (!(error instanceof TornError)) throw error;
      if (torn === undefined) throw new TornError(`${file} is ${error.message}`);
      torn(file, error.message);
    }
  }
}

function parseLine(line: string): CapturedLine | OtherLine | undefined {
  if (line.trim() === "") return undefined;
  const parsed = json(line);
  const record = RECORD.safeParse(parsed);
  if (!record.success) return OTHER.safeParse(parsed).data ?? { ts: null, raw: line, connection: null };
  const { data } = record;
  const raw = "raw" in data ? data.raw : Buffer.from(data.raw_base64, "base64");
  return { ts: data.ts ?? null, raw, connection: data.connection ?? null };
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
