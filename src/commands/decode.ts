import { z } from "zod";
import { EXCHANGE_NAMES } from "../config/exchanges.ts";
import { Collector } from "../exchanges/decoding/collector.ts";
import { FRAME } from "../exchanges/decoding/decoder.ts";
import { SymbolTable } from "../exchanges/decoding/symbols.ts";
import { exchangeByName } from "../exchanges/exchanges.ts";
import { lines } from "../lib/lines.ts";
import type { Command } from "./command.ts";

const captured = z.object({ dir: z.enum(["in", "out", "rest"]), raw: z.string() });

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
    'Reads one frame a line, either as the exchange sent it or as a capture keeps it ({"ts","dir","raw"}; ' +
    "only frames that came in are decoded). Times are epoch microseconds, absent values null. Frames that are " +
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
          ? `is missing; say whose frames they are: ${EXCHANGE_NAMES.join(", ")}`
          : `is not an exchange; there are: ${EXCHANGE_NAMES.join(", ")}`,
    }),
  }),
  async run({ options }) {
    const exchange = exchangeByName(options.exchange);
    const symbols = new SymbolTable({ open: true });
    const collector = new Collector(exchange, symbols);
    const counters = { fallback: 0, inexact: 0, oversized: 0 };
    const decoder = exchange.createDecoder({ symbols, writers: collector.writers, counters });
    const output = Bun.stdout.writer({ highWaterMark: WRITE_SIZE });
    let number = 0;
    let failed = 0;
    for await (const line of lines(Bun.stdin.stream())) {
      number++;
      const frame = frameOf(line);
      if (frame === null) continue;
      if (decoder.decode(frame, 0, 0) === FRAME.UNDECODABLE) {
        failed++;
        process.stderr.write(`line ${number}: ${decoder.reason}: ${preview(frame)}\n`);
      }
      for (const event of collector.take()) output.write(`${JSON.stringify(event)}\n`);
    }
    await output.end();
    if (counters.inexact > 0) {
      process.stderr.write(`${counters.inexact} values have more digits than a DOUBLE holds\n`);
    }
    return failed === 0 ? 0 : 1;
  },
};

const CAPTURE_START = new TextEncoder().encode('{"ts":');

/** The frame in a line: the line itself, or what a capture line carries. null = nothing that came in. */
function frameOf(line: Uint8Array): Uint8Array | null {
  if (line.length === 0) return null;
  if (!CAPTURE_START.every((byte, i) => line[i] === byte)) return line;
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder().decode(line));
  } catch {
    return line;
  }
  const entry = captured.safeParse(parsed);
  if (!entry.success) return line;
  return entry.data.dir === "in" ? new TextEncoder().encode(entry.data.raw) : null;
}

function preview(frame: Uint8Array): string {
  const text = new TextDecoder().decode(frame.subarray(0, 120));
  return frame.length > 120 ? `${text}…` : text;
}
