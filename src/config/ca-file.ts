/** Files with certificates of authorities that a user wants to believe. */
import { X509Certificate } from "node:crypto";
import { readFileSync, statSync } from "node:fs";

/** The largest file of certificates that is read, bytes; a system's whole bundle is about 250 KB. */
const CA_FILE_BYTES_MAX = 4 * 1024 * 1024;

/**
 * The certificates in a PEM file, and nothing else that may stand in it, such as a key.
 *
 * @param path relative ones from the folder we run in
 * @throws Error that says what is wrong with the file
 */
export function readCaFile(path: string): string {
  const file = statSync(path);
  if (!file.isFile()) throw new Error("it is no file");
  if (file.size > CA_FILE_BYTES_MAX) throw new Error(`it is larger than ${CA_FILE_BYTES_MAX} bytes`);
  const blocks = readFileSync(path, "latin1").match(
    /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g,
  );
  if (blocks === null) throw new Error("it holds no certificate (-----BEGIN CERTIFICATE-----)");
  for (const [index, block] of blocks.entries()) {
    try {
      new X509Certificate(block);
    } catch {
      throw new Error(`its certificate number ${index + 1} cannot be read`);
    }
  }
  return `${blocks.join("\n")}\n`;
}
