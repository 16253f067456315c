/** Decoders on the bench: with all around them that `decode` gives them, and two of them compared. */
import { expect } from "bun:test";
import type { Stream } from "../../src/events/streams.ts";
import { Collector, type DecodedEvent } from "../../src/exchanges/decoding/collector.ts";
import type { DecodeCounters, Decoder, FrameClass, Writers } from "../../src/exchanges/decoding/decoder.ts";
import { SequenceFollower, type SequenceGap } from "../../src/exchanges/decoding/sequence.ts";
import { SymbolTable } from "../../src/exchanges/decoding/symbols.ts";
import type { Exchange } from "../../src/exchanges/exchange.ts";
import { FrameReader } from "../../src/exchanges/websocket/frame-reader.ts";
import { frame as asFrame, PING, TEXT } from "./websocket/frames.ts";

/** What a bench may be made with. */
export interface BenchOptions {
  readonly scanners?: boolean;
  /** Instruments of a closed table; none = an open table. */
  readonly known?: readonly string[];
  /** Wanted streams; all without. */
  readonly streams?: readonly Stream[];
}

/** When and where a frame was received. */
export interface Receipt {
  /** µs */
  readonly local?: number;
  readonly connection?: number;
  /** Whether it is decoded where it was read, among others of its kind, as frames of a socket are. */
  readonly inPlace?: boolean;
}

/** A decoder of an exchange with everything around it. */
export class DecoderBench {
  readonly counters: DecodeCounters = { fallback: 0, inexact: 0, oversized: 0 };
  readonly symbols: SymbolTable;
  /** Jumps of trade ids so far. */
  readonly gaps: SequenceGap[] = [];
  readonly #local: number;
  readonly #collector: Collector;
  readonly #decoder: Decoder;
  readonly #follower = new SequenceFollower((gap) => this.gaps.push(gap));
  #inPlace = 0;

  /** @param local receive time of frames unless a test says another, µs */
  constructor(exchange: Exchange, local: number, { scanners = true, known, streams }: BenchOptions = {}) {
    this.#local = local;
    this.symbols = new SymbolTable({ open: known === undefined });
    known?.forEach((instrument, number) => {
      this.symbols.add(instrument, number);
    });
    this.#collector = new Collector(exchange, this.symbols);
    const all = this.#collector.writers;
    const writers: Writers =
      streams === undefined ? all : Object.fromEntries(streams.map((stream) => [stream, all[stream]]));
    this.#decoder = exchange.createDecoder({
      symbols: this.symbols,
      writers,
      counters: this.counters,
      tradeSequence: this.#follower,
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
    { local = this.#local, connection = 7, inPlace = false }: Receipt = {},
  ): { kind: FrameClass; rows: DecodedEvent[] } {
    const bytes = typeof frame === "string" ? new TextEncoder().encode(frame) : frame;
    const kind = inPlace
      ? this.#decodeInPlace(bytes, local, connection)
      : this.#decoder.decode(bytes, local, connection);
    // Jumps are told at once: nothing comes late here.
    this.#follower.flush();
    return { kind, rows: this.#collector.take() };
  }

  /** At any alignment, with a copy of it right behind it. */
  #decodeInPlace(bytes: Uint8Array, local: number, connection: number): FrameClass {
    const kinds: FrameClass[] = [];
    const reader = new FrameReader(bytes.length, {
      message: (data, from, to) => {
        kinds.push(this.#decoder.decode(data, local, connection, from, to));
        reader.end();
      },
      control: () => undefined,
      broken: (reason) => {
        throw new Error(reason);
      },
    });
    const before = new Uint8Array(this.#inPlace++ % 8);
    reader.read(Buffer.concat([asFrame(PING, before), asFrame(TEXT, bytes), asFrame(TEXT, bytes)]));
    const [kind] = kinds;
    if (kind === undefined) throw new Error("the frame was not handed out");
    return kind;
  }
}

/** Makes a bench of one exchange. */
export type BenchMaker = new (options?: BenchOptions) => DecoderBench;

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

/** Decodes a frame on both ways, checks that they agree, and answers with the one that scans. */
export function decodeBoth(Bench: BenchMaker, frame: object | string, options: BenchOptions) {
  const text = typeof frame === "string" ? frame : JSON.stringify(frame);
  const scanning = new Bench(options);
  const parsing = new Bench({ ...options, scanners: false });
  const decoded = scanning.decode(text);
  const again = parsing.decode(text);
  expect({ kind: decoded.kind, rows: decoded.rows }).toEqual({ kind: again.kind, rows: again.rows });
  expect(sameRows(decoded.rows, again.rows)).toBe(true);
  const { fallback, ...counted } = scanning.counters;
  expect(parsing.counters).toEqual({ fallback: 0, ...counted });
  return { ...decoded, fallback, ...counted, reason: scanning.reason };
}
