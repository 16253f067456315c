import type { Stream } from "../events/streams.ts";
import { gapOf } from "./gaps.ts";
import type { GapNotice } from "./messages.ts";

/** Since when receive time and wall clock do not agree, as a hole of all streams that is open. */
export class ClockApart {
  readonly #exchange: string;
  readonly #streams: () => Iterable<Stream>;
  #since: number | null = null;
  #changes = 0;

  /** @param streams those that are wanted now */
  constructor(exchange: string, streams: () => Iterable<Stream>) {
    this.#exchange = exchange;
    this.#streams = streams;
  }

  /** Grows with every change of what {@link untold} says. */
  get changes(): number {
    return this.#changes;
  }

  /** They do not agree. @param since µs */
  begin(since: number): void {
    this.#since = since;
    this.#changes++;
  }

  /** They agree again; what is to be told. @param to µs */
  end(to: number): GapNotice[] {
    const gaps = this.#gaps(to);
    this.#since = null;
    this.#changes++;
    return gaps;
  }

  /** What is not told yet: a clock that is far ahead takes ten times as long to come back, and the process may end before. */
  untold(): GapNotice[] {
    return this.#gaps(null);
  }

  #gaps(to: number | null): GapNotice[] {
    const since = this.#since;
    if (since === null) return [];
    return [...this.#streams()].map((stream) =>
      gapOf({ exchange: this.#exchange, stream, instrument: null }, "clock", "possible", since, to),
    );
  }
}
