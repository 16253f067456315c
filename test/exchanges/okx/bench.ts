import type { Stream } from "../../../src/events/streams.ts";
import { Collector, type DecodedEvent } from "../../../src/exchanges/decoding/collector.ts";
import type {
  DecodeCounters,
  Decoder,
  FrameClass,
  Writers,
} from "../../../src/exchanges/decoding/decoder.ts";
import { SequenceFollower, type SequenceGap } from "../../../src/exchanges/decoding/sequence.ts";
import { SymbolTable } from "../../../src/exchanges/decoding/symbols.ts";
import { okx } from "../../../src/exchanges/okx.ts";

/** What a bench may be made with. */
export interface BenchOptions {
  readonly scanners?: boolean;
  /** Instruments of a closed table; none = an open table. */
  readonly known?: readonly string[];
  /** Wanted streams; all without. */
  readonly streams?: readonly Stream[];
}

/** Receive time of frames unless a test says another, µs. */
export const LOCAL = 1_795_170_600_871_001;

/** An OKX decoder with everything around it, as `decode` has it. */
export class Bench {
  readonly counters: DecodeCounters = { fallback: 0, inexact: 0, oversized: 0 };
  readonly symbols: SymbolTable;
  /** Jumps of trade ids so far. */
  readonly gaps: SequenceGap[] = [];
  readonly #collector: Collector;
  readonly #decoder: Decoder;

  constructor({ scanners = true, known, streams }: BenchOptions = {}) {
    this.symbols = new SymbolTable({ open: known === undefined });
    known?.forEach((instrument, number) => {
      this.symbols.add(instrument, number);
    });
    this.#collector = new Collector(okx, this.symbols);
    const all = this.#collector.writers;
    const writers: Writers =
      streams === undefined ? all : Object.fromEntries(streams.map((stream) => [stream, all[stream]]));
    this.#decoder = okx.createDecoder({
      symbols: this.symbols,
      writers,
      counters: this.counters,
      tradeSequence: new SequenceFollower((gap) => this.gaps.push(gap)),
      scanners,
    });
  }

  /** Why the last frame could not be decoded. */
  get reason(): string {
    return this.#decoder.reason;
  }

  /** Decodes a frame; a text is encoded first. */
  decode(
    frame: Uint8Array | string,
    { local = LOCAL, connection = 7 }: { local?: number; connection?: number } = {},
  ): { kind: FrameClass; rows: DecodedEvent[] } {
    const bytes = typeof frame === "string" ? new TextEncoder().encode(frame) : frame;
    const kind = this.#decoder.decode(bytes, local, connection);
    return { kind, rows: this.#collector.take() };
  }
}

/** Whether two lists of rows are the same in every value, -0 and 0 told apart. */
export function sameRows(a: readonly DecodedEvent[], b: readonly DecodedEvent[]): boolean {
  if (a.length !== b.length) return false;
  return a.every((row, i) => {
    const names = Object.keys(row);
    const other = b[i] ?? {};
    return (
      names.length === Object.keys(other).length && names.every((name) => Object.is(row[name], other[name]))
    );
  });
}
