import { discardingWriters } from "../capture/discard.ts";
import { markOf } from "../capture/mark.ts";
import { SymbolTable } from "../exchanges/decoding/symbols.ts";
import { exchangeByName } from "../exchanges/exchanges.ts";
import type { CapturedLine } from "../simulator/capture-file.ts";
import type { CopyFinder } from "../simulator/replay.ts";
import { CaptureDecoder } from "./capture-decoder.ts";

const utf8 = new TextEncoder();

/** Tells which frames of a capture brought nothing that was recorded, since another connection had brought it. */
export class SecondCopies implements CopyFinder {
  readonly #decoder: CaptureDecoder;
  /** Rows recorded so far. */
  #rows = 0;

  /** @param name of the exchange */
  constructor(name: string) {
    const exchange = exchangeByName(name);
    let marked = 0;
    const writers = Object.entries(discardingWriters()).map(([stream, { row }]) => [
      stream,
      {
        row,
        commit: () => {
          this.#rows++;
          return true;
        },
        mark: () => {
          marked = this.#rows;
        },
        rewind: () => {
          this.#rows = marked;
        },
      },
    ]);
    this.#decoder = new CaptureDecoder({
      exchange,
      symbols: new SymbolTable({ open: true }),
      writers: Object.fromEntries(writers),
      counters: { fallback: 0, inexact: 0, oversized: 0 },
    });
  }

  /** Takes the JSON of a line that is no frame. */
  mark(line: unknown): void {
    const mark = markOf(line);
    if (mark !== null) this.#decoder.mark(mark);
  }

  /**
   * Whether none, some or all of a frame's rows were kept out of the recording.
   *
   * @param line ts in µs
   */
  copiesIn({ raw, ts, connection }: CapturedLine): "none" | "some" | "all" {
    if (ts === null || connection === null) return "none";
    const rows = this.#rows;
    const out = this.#decoder.keptOut;
    this.#decoder.decode(typeof raw === "string" ? utf8.encode(raw) : raw, ts, connection);
    if (this.#decoder.keptOut === out) return "none";
    return this.#rows === rows ? "all" : "some";
  }
}
