import type { Stream } from "../../../src/events/streams.ts";
import { binance } from "../../../src/exchanges/binance.ts";
import { Collector, type DecodedEvent } from "../../../src/exchanges/decoding/collector.ts";
import type { DecodeCounters, FrameClass, Writers } from "../../../src/exchanges/decoding/decoder.ts";
import { SymbolTable } from "../../../src/exchanges/decoding/symbols.ts";

/** A decoder with everything around it, as `decode` has it. */
export class Bench {
  readonly counters: DecodeCounters = { fallback: 0, inexact: 0, oversized: 0 };
  readonly symbols: SymbolTable;
  readonly #collector: Collector;
  readonly #decoder;

  /**
   * @param known instruments of a closed table; none = an open table
   * @param streams wanted streams; all without
   */
  constructor({
    scanners = true,
    known,
    streams,
  }: {
    scanners?: boolean;
    known?: readonly string[];
    streams?: readonly Stream[];
  } = {}) {
    this.symbols = new SymbolTable({ open: known === undefined });
    known?.forEach((instrument, number) => {
      this.symbols.add(instrument, number);
    });
    this.#collector = new Collector(binance, this.symbols);
    const all = this.#collector.writers;
    const writers: Writers =
      streams === undefined ? all : Object.fromEntries(streams.map((stream) => [stream, all[stream]]));
    this.#decoder = binance.createDecoder({
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
    const kind = this.#decoder.decode(bytes, 1_785_048_483_771_001, 7);
    return { kind, rows: this.#collector.take() };
  }
}

/** Whether two lists of rows are the same in every value, -0 and 0 told apart. */
export function sameRows(a: readonly DecodedEvent[], b: readonly DecodedEvent[]): boolean {
  if (a.length !== b.length) return false;
  return a.every((row, i) => {
    const names = Object.keys(row);
    const other = b[i];
    return (
      names.length === Object.keys(other).length && names.every((name) => Object.is(row[name], other[name]))
    );
  });
}
