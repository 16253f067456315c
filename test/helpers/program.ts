/** How tests start the command line in a process of its own. */
import { join } from "node:path";

/** The entry point of the sources. */
export const MAIN = join(import.meta.dir, "../../src/main.ts");

/** The executable that `bun run test` has built from these sources; undefined = none was, as with `bun test FILE`. */
export const EXECUTABLE = process.env.TAPEDECK_TEST_EXECUTABLE;

/**
 * Environment of processes that `bun run test` starts by the hundred. They live for seconds, in which what the compiler's
 * upper tiers make faster is hardly earned back: compiling was a fifth of their CPU. The last one is left out, the one
 * before it waits until code is ten times as hot as usual.
 */
export const SHORT_LIVED: Readonly<Record<string, string>> =
  EXECUTABLE === undefined
    ? {}
    : {
        BUN_JSC_useFTLJIT: "0",
        BUN_JSC_thresholdForOptimizeAfterWarmUp: "10000",
        BUN_JSC_thresholdForOptimizeAfterLongWarmUp: "10000",
        BUN_JSC_thresholdForOptimizeSoon: "10000",
      };

/** What stands before its arguments: the executable, or this Bun with the sources. */
export const PROGRAM: readonly string[] = EXECUTABLE === undefined ? [process.execPath, MAIN] : [EXECUTABLE];
