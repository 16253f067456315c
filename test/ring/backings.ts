/** The two places where a ring's memory may be: whatever holds of one holds of the other. */
import { join } from "node:path";
import { createRingFile } from "../../src/ring/file.ts";
import { createRing, type RingHandle, type RingShape } from "../../src/ring/memory.ts";
import { scratchFolder } from "../helpers/scratch.ts";

/** A place for the memory of rings. */
export interface Backing {
  readonly name: "memory" | "file";
  create(shape: RingShape): RingHandle;
}

/** Both of them, for the calling test file. */
export function backings(): readonly Backing[] {
  const folder = scratchFolder("rings");
  const about = new TextEncoder().encode("a ring of a test");
  let files = 0;
  return [
    { name: "memory", create: createRing },
    { name: "file", create: (shape) => createRingFile(join(folder, `${files++}.ring`), shape, about) },
  ];
}
