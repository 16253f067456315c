import type { CapturedMark } from "../capture/mark.ts";
import type { Stream } from "../events/streams.ts";
import type { DecodeCounters, Decoder, FrameClass, Writers } from "../exchanges/decoding/decoder.ts";
import type { SymbolTable } from "../exchanges/decoding/symbols.ts";
import type { Exchange } from "../exchanges/exchange.ts";
import { Handover } from "./handover.ts";
import { type FrameFacts, RowGate } from "./row-gate.ts";

/** What a {@link CaptureDecoder} works with. */
export interface CaptureDecoderOptions {
  readonly exchange: Exchange;
  readonly symbols: SymbolTable;
  /** Take the rows that were recorded. */
  readonly writers: Writers;
  readonly counters: DecodeCounters;
}

/** A hand-over that is going on on an ingest worker. */
interface Going {
  readonly handover: Handover;
  readonly connections: number[];
}

/**
 * Decodes the frames of a capture to the rows that were recorded: while a connection was replaced, the capture has
 * the frames of both, of which one copy of each event was recorded. Frames and marks come in the order of the file.
 */
export class CaptureDecoder {
  readonly #options: CaptureDecoderOptions;
  #run: string | null = null;
  #decoder: Decoder;
  #facts: FrameFacts;
  #gates: ReadonlyMap<Stream, RowGate>;
  /** By ingest worker, each of which replaces one connection of an exchange at a time. */
  readonly #going = new Map<number, Going>();
  /** By connection. */
  readonly #handovers = new Map<number, Handover>();

  constructor(options: CaptureDecoderOptions) {
    this.#options = options;
    ({ decoder: this.#decoder, facts: this.#facts, gates: this.#gates } = begin(options));
  }

  /** Why the last frame was UNDECODABLE. */
  get reason(): string {
    return this.#decoder.reason;
  }

  /** Rows that were kept out by the replacements that are going on. */
  get keptOut(): number {
    let sum = 0;
    for (const { handover } of this.#going.values()) sum += handover.suppressed + handover.restated;
    return sum;
  }

  /** Takes a mark. */
  mark(mark: CapturedMark): void {
    if (mark.run !== this.#run) this.#startRun(mark.run);
    const going = this.#going.get(mark.worker);
    switch (mark.handover) {
      case "none":
        this.#end(mark.worker);
        return;
      case "begins": {
        this.#end(mark.worker);
        const { connection: old, remember } = mark;
        const { stateStreams = [] } = this.#options.exchange;
        const lastTimes = new Map([...this.#gates].map(([stream, gate]) => [stream, gate.lastTimes]));
        const handover = new Handover({ old, remember, lastTimes, stateStreams });
        this.#going.set(mark.worker, { handover, connections: [old] });
        this.#handovers.set(old, handover);
        return;
      }
      case "opened":
        if (going === undefined) return;
        going.handover.opened(mark.connection);
        going.connections.push(mark.connection);
        this.#handovers.set(mark.connection, going.handover);
        return;
      case "ended":
        going?.handover.oldEnded();
        return;
    }
  }

  /** Decodes a frame; see {@link Decoder.decode}. */
  decode(frame: Uint8Array, local: number, connection: number): FrameClass {
    this.#facts.handover = this.#handovers.get(connection) ?? null;
    return this.#decoder.decode(frame, local, connection);
  }

  #end(worker: number): void {
    for (const connection of this.#going.get(worker)?.connections ?? []) this.#handovers.delete(connection);
    this.#going.delete(worker);
  }

  /** Connections are numbered anew, and nothing was known to the recorder of what came before. */
  #startRun(run: string): void {
    this.#run = run;
    this.#going.clear();
    this.#handovers.clear();
    ({ decoder: this.#decoder, facts: this.#facts, gates: this.#gates } = begin(this.#options));
  }
}

function begin({ exchange, symbols, writers, counters }: CaptureDecoderOptions) {
  const facts: FrameFacts = {
    published: Number.NaN,
    handover: null,
    isSnapshot: () => decoder.snapshot,
  };
  const gates = new Map<Stream, RowGate>();
  for (const stream of exchange.streams) {
    const to = writers[stream];
    if (to !== undefined) gates.set(stream, new RowGate({ stream, to, watch: UNWATCHED, facts }));
  }
  const decoder = exchange.createDecoder({ symbols, writers: Object.fromEntries(gates), counters });
  return { decoder, facts, gates };
}

const UNWATCHED = { observe: () => undefined };
