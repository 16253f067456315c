/** Where a compaction is: for tests that end it there, as kill -9 would. */
export const STEPS = [
  "locked",
  "fetched",
  "merged",
  "checked",
  "published",
  "committed",
  "deleting",
  "deleted",
] as const;
/** See {@link STEPS}. */
export type CompactionStep = (typeof STEPS)[number];

/** A day, or a part of it, cannot be compacted now; nothing was deleted. The message names the thing and the mend. */
export class CompactionError extends Error {
  override name = "CompactionError";
}
