import { createReadStream } from "node:fs";
import type { FileDigest } from "../destinations/destination.ts";

/** Bytes read at once: small enough that hashing them does not hold up the thread. */
const CHUNK = 256 * 1024;

/**
 * SHA-256 of a file, hexadecimal.
 *
 * @throws Error when it cannot be read
 */
export async function sha256OfFile(path: string): Promise<string> {
  const sha256 = new Bun.CryptoHasher("sha256");
  const stream: AsyncIterable<Buffer> = createReadStream(path, { highWaterMark: CHUNK });
  for await (const chunk of stream) sha256.update(chunk);
  return sha256.digest("hex");
}

/**
 * Reads a file once, for all the checksums that its upload needs.
 *
 * @param partSize files larger than this are uploaded in parts of it; null = no MD5s are wanted
 * @throws Error when it cannot be read
 */
export async function digestFile(path: string, partSize: number | null): Promise<FileDigest> {
  const sha256 = new Bun.CryptoHasher("sha256");
  const parts = partSize === null ? null : new PartHasher(partSize);
  let bytes = 0;
  const stream: AsyncIterable<Buffer> = createReadStream(path, { highWaterMark: CHUNK });
  for await (const chunk of stream) {
    sha256.update(chunk);
    parts?.update(chunk);
    bytes += chunk.length;
  }
  return {
    bytes,
    sha256: sha256.digest("hex"),
    partSize: partSize ?? bytes,
    partMd5: parts?.digest() ?? [],
  };
}

/** MD5s of the parts of a file. */
class PartHasher {
  readonly #size: number;
  readonly #digests: string[] = [];
  #part = new Bun.CryptoHasher("md5");
  /** Bytes of the part in hand. */
  #bytes = 0;

  constructor(size: number) {
    this.#size = size;
  }

  update(chunk: Buffer): void {
    for (let rest = chunk; rest.length > 0; ) {
      const taken = rest.subarray(0, this.#size - this.#bytes);
      this.#part.update(taken);
      this.#bytes += taken.length;
      rest = rest.subarray(taken.length);
      if (this.#bytes === this.#size) this.#end();
    }
  }

  #end(): void {
    this.#digests.push(this.#part.digest("base64"));
    this.#part = new Bun.CryptoHasher("md5");
    this.#bytes = 0;
  }

  /** Base64; at least one, also of an empty file. */
  digest(): readonly string[] {
    if (this.#bytes > 0 || this.#digests.length === 0) this.#end();
    return this.#digests;
  }
}
