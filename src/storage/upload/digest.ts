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
 * @param partSize files larger than this are uploaded in parts of it
 * @throws Error when it cannot be read
 */
export async function digestFile(path: string, partSize: number): Promise<FileDigest> {
  const sha256 = new Bun.CryptoHasher("sha256");
  const md5 = new Bun.CryptoHasher("md5");
  let part = new Bun.CryptoHasher("md5");
  const partMd5: string[] = [];
  let bytes = 0;
  let inPart = 0;
  const stream: AsyncIterable<Buffer> = createReadStream(path, { highWaterMark: CHUNK });
  for await (const chunk of stream) {
    sha256.update(chunk);
    md5.update(chunk);
    bytes += chunk.length;
    for (let rest = chunk; rest.length > 0; ) {
      const taken = rest.subarray(0, partSize - inPart);
      part.update(taken);
      inPart += taken.length;
      rest = rest.subarray(taken.length);
      if (inPart < partSize) continue;
      partMd5.push(part.digest("base64"));
      part = new Bun.CryptoHasher("md5");
      inPart = 0;
    }
  }
  if (inPart > 0) partMd5.push(part.digest("base64"));
  return {
    bytes,
    sha256: sha256.digest("hex"),
    md5: md5.digest("base64"),
    partSize,
    partMd5: partMd5.length > 1 ? partMd5 : [],
  };
}
