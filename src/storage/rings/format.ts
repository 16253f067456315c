/** What the files of rings say of themselves, and how they are called: what a later start needs to take their rows over. */
import { z } from "zod";
import { RingFileError } from "../../ring/file.ts";
import type { JournalSymbols } from "../journal/format.ts";
import { journalSymbols } from "../journal/format.ts";

const names = z.array(z.string()).readonly();

const ringAbout = z.object({
  /** Versions of the schema and of the program that made it. */
  schema: z.string(),
  tapedeck: z.string(),
  exchange: z.string(),
  stream: z.string(),
  run: z.string(),
  ring: z.int().nonnegative(),
  /** Names of the numeric columns and of the texts, in their order. */
  numbers: names,
  texts: names,
  /** To what files its rows are dealt out, as in the header of a journal; absent = `flat`. */
  layout: z.literal("symbol").optional(),
  /** Start of the machine: see lib/boot.ts. */
  boot: z.string(),
});
/** What is said of a ring at the end of its file. */
export type RingAbout = Readonly<z.output<typeof ringAbout>>;

/** What is said, as bytes. */
export function writeAbout(about: RingAbout): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(about));
}

/** @throws RingFileError where it is not what this program writes */
export function readAbout(bytes: Uint8Array): RingAbout {
  try {
    return ringAbout.parse(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)));
  } catch {
    throw new RingFileError("what it says of itself is not what this program expects");
  }
}

/** Name of a ring's file. */
export function ringFileName({
  exchange,
  stream,
  run,
  ring,
}: Pick<RingAbout, "exchange" | "stream" | "run" | "ring">): string {
  return `${exchange}~${stream}~${run}~${ring}.ring`;
}

/** Whether a name is that of a ring's file. */
export function isRingFileName(name: string): boolean {
  return /^[a-z-]+~[a-z_]+~[a-z0-9-]+~\d+\.ring$/.test(name);
}

const SYMBOLS = ".symbols";

/** Name of the file with the symbols of a run. */
export function symbolsFileName(run: string): string {
  return `${run}${SYMBOLS}`;
}

/** The run whose symbols a file holds, by its name; null = it is none of these. */
export function runOfSymbols(name: string): string | null {
  return /^[a-z0-9-]+\.symbols$/.test(name) ? name.slice(0, -SYMBOLS.length) : null;
}

const symbolsLine = z.object({ exchange: z.string(), symbols: journalSymbols });

/** A line of a file of symbols. */
export function symbolsText(exchange: string, symbols: JournalSymbols): string {
  return `${JSON.stringify({ exchange, symbols })}\n`;
}

/** The symbols of each exchange in a file of them, up to its last whole line: no row has those of a torn one. */
export function readSymbols(text: string): ReadonlyMap<string, JournalSymbols> {
  const found = new Map<string, JournalSymbols>();
  for (const line of text.split("\n").slice(0, -1)) {
    const { exchange, symbols } = lineOf(line) ?? {};
    if (exchange === undefined || symbols === undefined) continue;
    found.set(exchange, [...(found.get(exchange) ?? []), ...symbols]);
  }
  return found;
}

function lineOf(line: string): z.output<typeof symbolsLine> | null {
  try {
    return symbolsLine.parse(JSON.parse(line));
  } catch {
    // Rows with these symbols are found to have none, and kept aside.
    return null;
  }
}
