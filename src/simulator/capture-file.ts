/** Reads captured frames from files, line by line, without holding a file in memory. */
import { z } from "zod";

/** One captured text. */
export interface CapturedLine {
  /** Receive time in µs since the epoch; null = unknown. */
  readonly ts: number | null;
  /** The text as it was on the wire. */
  readonly raw: string;
}

/** Longest line that is read; a longer one is an error that names its place. */
export const LINE_CHARS_MAX = 64 << 20;

const RECORD = z.object({
  ts: z.number().nullish(),
  dir: z.enum(["in", "out", "rest"]),
  url: z.string().optional(),
  raw: z.string(),
});

/**
 * The incoming frames of the files, in order. A line is either `{"ts":…,"dir":"in"|"out"|"rest","raw":"…"}`
 * (ts in µs; only `in` is yielded) or one raw frame. Empty lines are passed over.
 *
 * Throws when a file cannot be read or a line is longer than {@link LINE_CHARS_MAX}.
 */
export async function* capturedLines(files: readonly string[]): AsyncGenerator<CapturedLine> {
  for (const file of files) {
    let number = 0;
    for await (const line of lines(file)) {
      number++;
      if (line.length > LINE_CHARS_MAX) throw new Error(`${file}:${number} is longer than ${LINE_CHARS_MAX}`);
      const captured = parseLine(line);
      if (captured !== undefined) yield captured;
    }
  }
}

function parseLine(line: string): CapturedLine | undefined {
  if (line.trim() === "") return undefined;
  const record = RECORD.safeParse(json(line));
  if (!record.success) return { ts: null, raw: line };
  return record.data.dir === "in" ? { ts: record.data.ts ?? null, raw: record.data.raw } : undefined;
}

async function* lines(file: string): AsyncGenerator<string> {
  let rest = "";
  for await (const chunk of Bun.file(file).stream().pipeThrough(new TextDecoderStream())) {
    const parts = (rest + chunk).split("\n");
    rest = parts.pop() ?? "";
    for (const part of parts) yield part.endsWith("\r") ? part.slice(0, -1) : part;
    if (rest.length > LINE_CHARS_MAX) break;
  }
  if (rest !== "") yield rest;
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
