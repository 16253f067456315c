import type { Stream } from "../events/streams.ts";
import type { Connection } from "../exchanges/connection.ts";
import { gapOf } from "./gaps.ts";
import type { GapNotice } from "./messages.ts";
import type { RowGate } from "./row-gate.ts";

/** What was lost is told of together when nothing more was lost for this long, µs … */
const QUIET = 1_000_000;
/** … or at the latest after this time, µs. */
const TOLD_AFTER = 30_000_000;

/** A span (µs) in which frames of a connection could not be decoded. */
interface Garbled {
  readonly connection: Connection;
  /** Whether the frames stand in quarantine. */
  readonly kept: boolean;
  readonly from: number;
  to: number;
}

/** What is lost on our side of the sockets: frames that could not be decoded, rows that found no room. */
export class Losses {
  readonly #exchange: string;
  readonly #gates: ReadonlyMap<Stream, RowGate>;
  readonly #streamsOf: (connection: Connection) => Iterable<Stream>;
  readonly #instrumentOf: (symbol: number) => string | null;
  readonly #nextSeq: (stream: Stream) => number | undefined;
  #changes = 0;
  #garbled: Garbled[] = [];

  constructor(options: {
    exchange: string;
    gates: ReadonlyMap<Stream, RowGate>;
    streamsOf(connection: Connection): Iterable<Stream>;
    instrumentOf(symbol: number): string | null;
    /** The number that the next row of a stream takes; undefined = it goes into no ring. */
    nextSeq(stream: Stream): number | undefined;
  }) {
    this.#exchange = options.exchange;
    this.#gates = options.gates;
    this.#streamsOf = options.streamsOf;
    this.#instrumentOf = options.instrumentOf;
    this.#nextSeq = options.nextSeq;
  }

  /** Grows with every change of what {@link untold} says. */
  get changes(): number {
    return this.#changes;
  }

  /** A frame could not be decoded. @param local receive time, µs */
  undecodable(connection: Connection, kept: boolean, local: number): void {
    const known = this.#garbled.find((one) => one.connection === connection && one.kept === kept);
    if (known !== undefined) known.to = local;
    else this.#garbled.push({ connection, kept, from: local, to: local });
    this.#changes++;
  }

  /** Frames that could not be decoded and are not told yet. Rows that found no room leave a hole in `seq` instead. */
  untold(): GapNotice[] {
    return this.#gapsOf(this.#garbled);
  }

  /** The losses that are over; with `all`, also those that may go on. @param now µs */
  take(now: number, all = false): GapNotice[] {
    return [...this.#takeGarbled(now, all), ...this.#takeOverflows(now, all)];
  }

  #takeGarbled(now: number, all: boolean): GapNotice[] {
    if (this.#garbled.length === 0) return [];
    const told = this.#garbled.filter(({ from, to }) => all || isOver(from, to, now));
    if (told.length === 0) return [];
    this.#garbled = this.#garbled.filter((one) => !told.includes(one));
    this.#changes++;
    return this.#gapsOf(told);
  }

  /** Which of the connection's streams such a frame was of is not known. */
  #gapsOf(garbled: readonly Garbled[]): GapNotice[] {
    return garbled.flatMap(({ connection, kept, from, to }) =>
      [...this.#streamsOf(connection)].map((stream) => {
        const of = { exchange: this.#exchange, stream, instrument: null };
        return kept
          ? gapOf(of, "decode_error", "possible", from, to)
          : gapOf(of, "quarantine", "lost", from, to);
      }),
    );
  }

  #takeOverflows(now: number, all: boolean): GapNotice[] {
    const gaps: GapNotice[] = [];
    for (const [stream, gate] of this.#gates) {
      const { overflowFrom: from, overflowTo: to } = gate;
      if (!all && !isOver(from, to, now)) continue;
      const toldBelow = this.#nextSeq(stream);
      for (const { symbol, missed } of gate.takeOverflow() ?? []) {
        const of = { exchange: this.#exchange, stream, instrument: this.#instrumentOf(symbol) };
        const gap = { ...gapOf(of, "overflow", "lost", from, to), missed };
        gaps.push(toldBelow === undefined ? gap : { ...gap, toldBelow });
      }
    }
    return gaps;
  }
}

function isOver(from: number, to: number, now: number): boolean {
  return now - to > QUIET || now - from > TOLD_AFTER;
}
