import { z } from "zod";
import { type CapturedMark, MARK_DIR, markOf } from "../capture/mark.ts";
import { EXCHANGE_NAMES } from "../config/exchanges.ts";
import { Collector } from "../exchanges/decoding/collector.ts";
import { FRAME } from "../exchanges/decoding/decoder.ts";
import { SymbolTable } from "../exchanges/decoding/symbols.ts";
import { exchangeByName } from "../exchanges/exchanges.ts";
import { CaptureDecoder } from "../ingest/capture-decoder.ts";
import { lines } from "../lib/lines.ts";
import { TornError, unpacked } from "../lib/zstd.ts";
import { type Command, Failure } from "./command.ts";

const base = {
  /** Receive time, µs. */
  ts: z.number().nullish(),
  dir: z.literal("in"),
  connection: z.number().nullish(),
};
const captured = z.union([
  z.object({ ...base, raw: z.string() }),
  z.object({ ...base, raw_base64: z.base64() }),
  // What did not come in: `out`, `rest`, marks and what later versions may write.
  z.object({ dir: z.string().refine((dir) => dir !== "in") }),
]);

/** A frame with what its capture says of it. */
interface Frame {
  readonly bytes: Uint8Array;
  /** Receive time, µs; 0 where it is not known. */
  readonly ts: number;
  readonly connection: number;
}

/** Output is written in pieces of about this many characters. */
const WRITE_SIZE = 64 * 1024;

interface Options {
  exchange: string;
}

/** `tapedeck decode` */
export const command: Command<Options> = {
  name: "decode",
  summary: "Decodes frames from stdin to one event per line of JSON.",
  description:
    'Reads one frame a line, either as the exchange sent it or as a capture keeps it ({"ts","dir","raw"} or ' +
    "raw_base64; only frames that came in are decoded, and of two copies of an event during a planned replacement the " +
    "one that was recorded), packed by zstd or not. Times are epoch microseconds, absent values null. Frames that are " +
    "known but not recorded are passed over in silence; a frame that cannot be decoded is named on stderr with " +
    "its line, and the exit code is 1.",
  flags: [
    { name: "exchange", value: "NAME", meaning: `Whose frames they are: ${EXCHANGE_NAMES.join(", ")}.` },
  ],
  common: [],
  options: z.strictObject({
    exchange: z.enum(EXCHANGE_NAMES, {
      error: (issue) =>
        issue.input === undefined
          ? `say whose frames they are: ${EXCHANGE_NAMES.join(", ")}`
          : `is not an exchange; there are: ${EXCHANGE_NAMES.join(", ")}`,
    }),
  }),
  async run({ options }) {
    const exchange = exchangeByName(options.exchange);
    const symbols = new SymbolTable({ open: true });
    const collector = new Collector(exchange, symbols);
    const counters = { fallback: 0, inexact: 0, oversized: 0 };
    const decoder = new CaptureDecoder({ exchange, symbols, writers: collector.writers, counters });
    let output = "";
    // Waits for the reader, so that a slow one does not let the output grow in memory.
    const flush = async () => {
      const text = output;
      output = "";
      if (text !== "") await new Promise<void>((resolve) => process.stdout.write(text, () => resolve()));
    };
    let number = 0;
    let failed = 0;
    try {
      for await (const line of lines(unpacked(Bun.stdin.stream()))) {
        number++;
        const frame = frameOf(line);
        if (frame === null) continue;
        if ("handover" in frame) {
          decoder.mark(frame);
          continue;
        }
        const { bytes, ts, connection } = frame;
        if (decoder.decode(bytes, ts, connection) === FRAME.UNDECODABLE) {
          failed++;
          process.stderr.write(`line ${number}: ${decoder.reason}: ${preview(bytes)}\n`);
        }
        for (const event of collector.take()) output += `${JSON.stringify(event)}\n`;
        if (output.length >= WRITE_SIZE) await flush();
      }
    } catch (error) {
      await flush();
      if (!(error instanceof TornError)) {
        const why = error instanceof Error ? error.message : String(error);
        throw new Failure(`stdin cannot be read after line ${number}: ${why}`);
      }
      failed++;
      process.stderr.write(`after line ${number}: the capture is ${error.message}; all before was decoded\n`);
    }
    await flush();
    if (counters.inexact > 0) {
      process.stderr.write(`${counters.inexact} values have more digits than a DOUBLE holds\n`);
    }
    if (counters.oversized > 0) {
      process.stderr.write(`${counters.oversized} integers are above 2^53: they are null\n`);
    }
    return failed === 0 ? 0 : 1;
  },
};

const CAPTURE_START = new TextEncoder().encode('{"ts":');

/** The frame in a line: the line itself, or what a capture line carries; or its mark. null = neither. */
function frameOf(line: Uint8Array): Frame | CapturedMark | null {
  if (line.length === 0) return null;
  const whole = { bytes: line, ts: 0, connection: 0 };
  if (!CAPTURE_START.every((byte, i) => line[i] === byte)) return whole;
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder().decode(line));
  } catch {
    return whole;
  }
  const entry = captured.safeParse(parsed);
  if (!entry.success) return whole;
  const { data } = entry;
  if (!("raw" in data) && !("raw_base64" in data)) return data.dir === MARK_DIR ? markOf(parsed) : null;
  const bytes = "raw" in data ? new TextEncoder().encode(data.raw) : Buffer.from(data.raw_base64, "base64");
  return { bytes, ts: data.ts ?? 0, connection: data.connection ?? 0 };
}

function preview(frame: Uint8Array): string {
  const text = new TextDecoder().decode(frame.subarray(0, 120));
  return frame.length > 120 ? `${text}…` : text;
}
