import type { Stream } from "../../../src/events/streams.ts";
import { bybit } from "../../../src/exchanges/bybit.ts";
import { Collector, type DecodedEvent } from "../../../src/exchanges/decoding/collector.ts";
import type {
  DecodeCounters,
  Decoder,
  FrameClass,
  Writers,
} from "../../../src/exchanges/decoding/decoder.ts";
import { SymbolTable } from "../../../src/exchanges/decoding/symbols.ts";

/** What a bench may be made with. */
export interface BenchOptions {
  readonly scanners?: boolean;
  /** Instruments of a closed table; none = an open table. */
  readonly known?: readonly string[];
  /** Wanted streams; all without. */
  readonly streams?: readonly Stream[];
}

/** A Bybit decoder with everything around it, as `decode` has it. */
export class Bench {
  readonly counters: DecodeCounters = { fallback: 0, inexact: 0, oversized: 0 };
  readonly symbols: SymbolTable;
  readonly #collector: Collector;
  readonly #decoder: Decoder;

  constructor({ scanners = true, known, streams }: BenchOptions = {}) {
    this.symbols = new SymbolTable({ open: known === undefined });
    known?.forEach((instrument, number) => {
      this.symbols.add(instrument, number);
    });
    this.#collector = new Collector(bybit, this.symbols);
    const all = this.#collector.writers;
    const writers: Writers =
      streams === undefined ? all : Object.fromEntries(streams.map((stream) => [stream, all[stream]]));
    this.#decoder = bybit.createDecoder({
      symbols: this.symbols,
      writers,
      counters: this.counters,
      scanners,
    });
  }

  /** Why the last frame could not be decoded. */
  get reason(): string {
    return this.#decoder.reason;
  }

  /** Decodes a frame; a text is encoded first. */
  decode(frame: Uint8Array | string): { kind: FrameClass; rows: DecodedEvent[] } {
    const bytes = typeof frame === "string" ? new TextEncoder().encode(frame) : frame;
    const kind = this.#decoder.decode(bytes, 1_795_170_600_871_001, 7);
    return { kind, rows: this.#collector.take() };
  }
}
