/** The temporary folder of a command. */
import { tmpdir } from "node:os";
import { Scratch } from "../verify/scratch.ts";
import { Failure } from "./command.ts";

/**
 * Makes it.
 *
 * @param command part of its name
 * @param ended what a signal leads to, given the usual exit code
 * @throws Failure that names the mend
 */
export function temporaryFolder(command: string, ended?: (code: number) => void): Scratch {
  try {
    return new Scratch(command, ended);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Failure(
      `no temporary folder can be made in ${tmpdir()} (${why}); name another with TMPDIR=DIR`,
    );
  }
}
