import { BlockWriter, spaceOf } from "./block.ts";
import { type HandoverMark, MARKS_MAX } from "./mark.ts";
import type { ToWriter } from "./messages.ts";

/** Size of a block unless a frame needs a larger one, bytes. */
export const BLOCK_BYTES: number = 256 * 1024;
/** Oldest frame of a block that waits to be full, ms. */
const BLOCK_AGE = 200;
/** Blocks on their way up to which one that is not full is sent because of its age: else they only pile up. */
const HASTE_MAX = 8;
/** Blocks kept for use again. */
const SPARE_MAX = 8;
/** Connection number of a mark: it says itself of which it is. */
const NO_CONNECTION = -1;

/** What a tap has counted for one exchange. */
export interface TapCounts {
  /** Frames on their way to the writer, or there. */
  captured: number;
  /** Frames that found no room: the writer is too far behind. */
  notCaptured: number;
}

/**
 * Takes copies of frames in an ingest worker and hands them to the writer in blocks. It never waits: what
 * finds no room is counted.
 */
export class RawTap {
  readonly counts = new Map<string, TapCounts>();
  readonly #send: (message: ToWriter, transfer: ArrayBuffer[]) => void;
  /** Bytes of blocks that may still be made. */
  #room: number;
  #block: BlockWriter | null = null;
  #onTheirWay = 0;
  #spare: ArrayBuffer[] = [];
  /** Marks that stand before the next frame that finds room: what comes between is not captured. */
  #marks: { readonly exchange: string; readonly ts: number; readonly bytes: Uint8Array }[] = [];
  readonly #timer: ReturnType<typeof setInterval>;
  #ended = false;

  /**
   * @param inFlight bytes of blocks that may exist at once, the one that is being filled included
   * @param send hands a message to the writer, giving it the buffers
   */
  constructor(inFlight: number, send: (message: ToWriter, transfer: ArrayBuffer[]) => void) {
    this.#room = inFlight;
    this.#send = send;
    this.#timer = setInterval(() => {
      if (this.#onTheirWay < HASTE_MAX) this.flush();
    }, BLOCK_AGE);
  }

  /** A connection was opened: its number stands for this address from now on. */
  opened(exchange: string, connection: number, url: string): void {
    if (!this.#ended) this.#send({ type: "opened", exchange, connection, url }, []);
  }

  /** Takes a frame; false when it was counted as not captured. */
  take(exchange: string, connection: number, ts: number, frame: Uint8Array): boolean {
    let counts = this.counts.get(exchange);
    if (counts === undefined) {
      counts = { captured: 0, notCaptured: 0 };
      this.counts.set(exchange, counts);
    }
    if (!this.#placeMarks() || !this.#place(exchange, connection, ts, frame, false)) {
      counts.notCaptured++;
      return false;
    }
    counts.captured++;
    return true;
  }

  /** Takes note of something that was done between two frames of an exchange. @param ts receive time, µs */
  mark(exchange: string, ts: number, mark: HandoverMark): void {
    if (this.#marks.length >= MARKS_MAX) this.#marks.shift();
    this.#marks.push({ exchange, ts, bytes: new TextEncoder().encode(JSON.stringify(mark)) });
  }

  #placeMarks(): boolean {
    while (this.#marks.length > 0) {
      const [{ exchange, ts, bytes }] = this.#marks;
      if (!this.#place(exchange, NO_CONNECTION, ts, bytes, true)) return false;
      this.#marks.shift();
    }
    return true;
  }

  #place(exchange: string, connection: number, ts: number, bytes: Uint8Array, isMark: boolean): boolean {
    if (this.#block?.add(exchange, connection, ts, bytes, isMark)) return true;
    this.flush();
    this.#block = this.#ended ? null : this.#newBlock(spaceOf(bytes.length));
    return this.#block?.add(exchange, connection, ts, bytes, isMark) ?? false;
  }

  #newBlock(atLeast: number): BlockWriter | null {
    const size = Math.max(BLOCK_BYTES, atLeast);
    if (size > this.#room) return null;
    this.#room -= size;
    const spare = size === BLOCK_BYTES ? this.#spare.pop() : undefined;
    return new BlockWriter(spare ?? new ArrayBuffer(size));
  }

  /** Sends what has been gathered. */
  flush(): void {
    const block = this.#block;
    if (block === null || block.frames === 0) return;
    this.#block = null;
    this.#onTheirWay++;
    const { buffer, used, exchanges } = block;
    this.#send({ type: "block", buffer, used, exchanges }, [buffer]);
  }

  /** The writer has worked off a block and gives its memory back. */
  done(buffer: ArrayBuffer): void {
    this.#onTheirWay--;
    this.#room += buffer.byteLength;
    if (buffer.byteLength === BLOCK_BYTES && this.#spare.length < SPARE_MAX) this.#spare.push(buffer);
  }

  /** Sends what has been gathered and says that it was the last. */
  end(): void {
    if (this.#ended) return;
    clearInterval(this.#timer);
    this.flush();
    this.#ended = true;
    this.#send({ type: "end" }, []);
  }
}
