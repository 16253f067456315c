/** A temporary folder of one command: what it notes, and copies of what it reads; gone when the command is over. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What ends an audit from outside, and the usual exit codes. */
const SIGNALS = [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const;

/** See the head of the file. */
export class Scratch {
  readonly folder: string;
  #next = 0;
  readonly #remove = () => rmSync(this.folder, { recursive: true, force: true });
  readonly #ends: readonly { readonly signal: NodeJS.Signals; readonly end: () => void }[];

  /**
   * @param command part of the folder's name
   * @param ended what a signal leads to, given the usual exit code
   * @param parent folder in which it is made
   */
  constructor(
    command = "verify",
    ended: (code: number) => void = (code) => process.exit(code),
    parent = tmpdir(),
  ) {
    this.folder = mkdtempSync(join(parent, `tapedeck-${command}-`));
    this.#ends = SIGNALS.map(([signal, code]) => ({ signal, end: () => ended(code) }));
    // Also where the process ends in the middle, as after Ctrl-C.
    process.on("exit", this.#remove);
    for (const { signal, end } of this.#ends) process.once(signal, end);
  }

  /** A path that nobody else uses. */
  path(ending: string): string {
    return join(this.folder, `${this.#next++}${ending}`);
  }

  close(): void {
    process.off("exit", this.#remove);
    for (const { signal, end } of this.#ends) process.off(signal, end);
    this.#remove();
  }
}
