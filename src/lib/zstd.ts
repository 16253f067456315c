/** Reading zstd: the format is RFC 8878, https://www.rfc-editor.org/rfc/rfc8878 */
import { createZstdDecompress } from "node:zlib";

/** A zstd frame's first four bytes. */
const MAGIC = [0x28, 0xb5, 0x2f, 0xfd] as const;
/** First byte of a skippable frame; its low four bits are free. The other three stand behind. */
const SKIPPABLE = 0x50;
const SKIPPABLE_REST = [0x2a, 0x4d, 0x18] as const;
/** Bytes of a frame's dictionary id, by the two lowest bits of its descriptor. */
const DICTIONARY_BYTES = [0, 1, 2, 4] as const;
/** Bytes of a frame's content size, by the two highest bits; the first is 1 in a single segment. */
const CONTENT_SIZE_BYTES = [0, 2, 4, 8] as const;
const CHECKSUM_BYTES = 4;
const BLOCK_HEADER_BYTES = 3;
const RLE_BLOCK = 1;
const RESERVED_BLOCK = 3;

/** A packed input ends in the middle, or is damaged; everything whole before that was read. */
export class TornError extends Error {
  override name = "TornError";
}

type Part = "magic" | "skippable" | "descriptor" | "block";

const LENGTHS: Readonly<Record<Part, number>> = {
  magic: MAGIC.length,
  skippable: 4,
  descriptor: 1,
  block: BLOCK_HEADER_BYTES,
};

/**
 * Walks over zstd frames without unpacking them: finds where each ends, and so whether an input ends between
 * two. The decompressor itself takes a torn end and foreign bytes behind the last frame in silence.
 */
export class ZstdFrames {
  /** Bytes up to the end of the last whole frame. */
  whole = 0;
  /** Whether bytes came that are no zstd; nothing after them is looked at. */
  foreign = false;
  readonly #onFrame: ((end: number) => void) | undefined;
  #part: Part = "magic";
  #gathered: number[] = [];
  /** Bytes to pass over before the next part. */
  #skip = 0;
  /** Whether the frame is over when they are passed. */
  #last = false;
  #checksum = false;
  #at = 0;

  /** @param onFrame told the offset at which a whole frame ends */
  constructor(onFrame?: (end: number) => void) {
    this.#onFrame = onFrame;
  }

  /** Whether everything so far is whole frames. */
  get atBoundary(): boolean {
    return !this.foreign && this.#at === this.whole;
  }

  /** Takes the next bytes; returns how many of them, from the first on, may belong to frames. */
  push(chunk: Uint8Array): number {
    let at = 0;
    while (at < chunk.length && !this.foreign) {
      if (this.#skip > 0) {
        const step = Math.min(this.#skip, chunk.length - at);
        this.#skip -= step;
        at += step;
        this.#at += step;
      } else {
        this.#gathered.push(chunk[at]);
        at++;
        this.#at++;
        if (this.#gathered.length === LENGTHS[this.#part]) this.#read();
      }
      if (this.#last && this.#skip === 0) this.#ended();
    }
    return at;
  }

  #ended(): void {
    this.#last = false;
    this.#part = "magic";
    this.whole = this.#at;
    this.#onFrame?.(this.whole);
  }

  #read(): void {
    const bytes = this.#gathered;
    this.#gathered = [];
    const number = bytes.reduceRight((value, byte) => value * 256 + byte, 0);
    switch (this.#part) {
      case "magic":
        if (MAGIC.every((byte, i) => bytes[i] === byte)) this.#part = "descriptor";
        else if (isSkippable(bytes)) this.#part = "skippable";
        else this.foreign = true;
        return;
      case "skippable":
        this.#skip = number;
        this.#last = true;
        return;
      case "descriptor": {
        const singleSegment = (number & 0x20) !== 0;
        const sizeFlag = number >> 6;
        const sizeBytes = sizeFlag === 0 && singleSegment ? 1 : CONTENT_SIZE_BYTES[sizeFlag];
        this.#checksum = (number & 0x04) !== 0;
        this.#skip = (singleSegment ? 0 : 1) + DICTIONARY_BYTES[number & 0x03] + sizeBytes;
        this.#part = "block";
        return;
      }
      case "block": {
        const type = (number >> 1) & 0x03;
        if (type === RESERVED_BLOCK) {
          this.foreign = true;
          return;
        }
        this.#skip = type === RLE_BLOCK ? 1 : number >> 3;
        this.#last = (number & 1) === 1;
        if (this.#last && this.#checksum) this.#skip += CHECKSUM_BYTES;
        return;
      }
    }
  }
}

function isSkippable(bytes: readonly number[]): boolean {
  const [first, ...rest] = bytes;
  return (first & 0xf0) === SKIPPABLE && SKIPPABLE_REST.every((byte, i) => rest[i] === byte);
}

/**
 * The bytes of an input, unpacked if it begins as zstd does; any number of zstd frames one after the other.
 * Memory is bounded by what zstd itself needs.
 *
 * @throws TornError after the last bytes that could be unpacked, when the input is torn or damaged
 */
export async function* unpacked(input: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const chunks = input[Symbol.asyncIterator]();
  let head = new Uint8Array(0);
  while (head.length < MAGIC.length) {
    const next = await chunks.next();
    if (next.done === true) break;
    head = Buffer.concat([head, next.value]);
  }
  const packed = MAGIC.every((byte, i) => head[i] === byte);
  const all = chained(head, chunks);
  if (packed) yield* unpack(all);
  else yield* all;
}

async function* chained(head: Uint8Array, rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  if (head.length > 0) yield head;
  for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
}

async function* unpack(input: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const frames = new ZstdFrames();
  const inflate = createZstdDecompress();
  let inputError: Error | null = null;
  feed(input, frames, inflate).catch((error: Error) => {
    inputError = error;
    // Ends the reading below.
    inflate.destroy(error);
  });
  try {
    yield* inflate as AsyncIterable<Uint8Array>;
  } catch (error) {
    if (error === inputError) throw error;
    throw new TornError(`damaged zstd: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (frames.foreign) throw new TornError(`bytes that are no zstd behind byte ${frames.whole}`);
  if (!frames.atBoundary) {
    throw new TornError(`torn at its end: the zstd frame that begins at byte ${frames.whole} is not whole`);
  }
}

async function feed(
  input: AsyncIterable<Uint8Array>,
  frames: ZstdFrames,
  inflate: ReturnType<typeof createZstdDecompress>,
): Promise<void> {
  for await (const chunk of input) {
    const good = frames.push(chunk);
    if (inflate.destroyed) return;
    if (good > 0 && !inflate.write(chunk.subarray(0, good))) {
      await new Promise<void>((resolve) => {
        const go = () => {
          inflate.off("drain", go);
          inflate.off("close", go);
          resolve();
        };
        inflate.on("drain", go);
        inflate.on("close", go);
      });
    }
    if (frames.foreign || inflate.destroyed) break;
  }
  inflate.end();
}
