/** The yardstick: JSON.parse alone on the very frames that a recording gets, measured in this process. */
import { MIX, spellTape } from "../source/tape.ts";
import { cpuTime } from "./measure.ts";

/** Frames of a lot: half of the tape. */
const FRAMES = 16_384;
/** Least CPU time of a reading, ms. */
const SLICE = 200;

/** Parses the frames of the mix again and again; one reading a call. */
export class JsonReference {
  readonly #texts: readonly string[];
  #kept: unknown = null;

  constructor(symbols: number) {
    this.#texts = spellTape({ ...MIX, symbols, frames: FRAMES }).map(({ text }) =>
      Buffer.from(text).toString(),
    );
    this.measure();
  }

  /** CPU ns a frame. */
  measure(): number {
    const from = cpuTime();
    let parsed = 0;
    do {
      for (const text of this.#texts) this.#kept = JSON.parse(text);
      parsed += this.#texts.length;
    } while (cpuTime() - from < SLICE * 1000);
    if (typeof this.#kept !== "object") throw new Error("a frame is no object");
    return ((cpuTime() - from) * 1000) / parsed;
  }
}
