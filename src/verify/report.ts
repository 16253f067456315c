/** What `tapedeck verify` finds, as `--json` prints it. The shape is a contract: names and meaning stay (docs/verify.md). */
import { z } from "zod";

/** Kinds of faults; docs/verify.md says of each what it means and what mends it. */
export const FAULT_KINDS = [
  "foreign",
  "key",
  "unreadable",
  "empty",
  "schema",
  "metadata",
  "rows",
  "range",
  "order",
  "content",
  "size",
  "hash",
  "missing",
  "double",
  "duplicate",
  "sequence",
] as const;

const count = z.int().nonnegative();
const seconds = z.number().nonnegative();

/** One thing that is wrong. */
export const faultSchema = z.strictObject({
  kind: z.enum(FAULT_KINDS),
  /** Key of the file, from `v1/` on, or, for `sequence`, what is concerned. */
  file: z.string(),
  /** In which lake. */
  where: z.string(),
  message: z.string(),
  mend: z.string(),
});
/** See {@link faultSchema}. */
export type Fault = z.output<typeof faultSchema>;
/** See {@link FAULT_KINDS}. */
export type FaultKind = Fault["kind"];

/** A stream on a day, as one recorder recorded it. */
export const coverageSchema = z.strictObject({
  instance: z.string(),
  exchange: z.string(),
  stream: z.string(),
  /** UTC. */
  date: z.string(),
  files: count,
  rows: count,
  /** Rows of `gaps` that touch the day, `planned` ones aside. */
  gaps: count,
  /** `gaps` by million rows; null where there are no rows. */
  gaps_per_million: z.number().nonnegative().nullable(),
  /** Seconds in which all symbols are lost; spans that overlap count once. */
  lost_s: seconds,
  /** Seconds in which all symbols are possibly incomplete, what is lost not counted again. */
  possible_s: seconds,
  /** Seconds in which it was not recorded as planned, neither of the above. */
  planned_s: seconds,
  /** Seconds in which at least one symbol, but not all of them, is lost or possibly incomplete; none of the above. */
  some_symbols_s: seconds,
});
/** See {@link coverageSchema}. */
export type Coverage = z.output<typeof coverageSchema>;

/** The whole answer. */
export const reportSchema = z.strictObject({
  /** Version of this shape. */
  format: z.literal(1),
  /** Version of the program. */
  tapedeck: z.string(),
  /** What was looked at. */
  lakes: z.array(z.string()),
  clean: z.boolean(),
  /** What the audit was limited to; null = not limited. */
  filter: z.strictObject({
    from: z.string().nullable(),
    to: z.string().nullable(),
    exchanges: z.array(z.string()).nullable(),
    streams: z.array(z.string()).nullable(),
  }),
  /** `footers`: what the footers say; `rows`: keys and order of every row; `deep`: every byte of every file. */
  depth: z.enum(["footers", "rows", "deep"]),
  files: count,
  rows: count,
  bytes: count,
  /** Fetched from buckets. */
  downloaded_bytes: count,
  /** Ledger that was compared with; null = there was none. */
  ledger: z.string().nullable(),
  /** Files published by the ledger or a manifest that were looked for. */
  claims: count,
  manifests: count,
  /** Files that stand in two destinations until one is removed: counted once, no fault. */
  doubles: count,
  /** What is not there and may still be on its way: segments, and holes whose row of `gaps` is not in a file yet. */
  pending: strictPending(),
  /** Numbers missing in `seq`, and drops counted in `gaps`. */
  drops: z.strictObject({ missing: count, counted: count }),
  coverage: z.array(coverageSchema),
  /** How many there are; `faults` has at most `verify.max_faults` of them. */
  faults_total: count,
  faults: z.array(faultSchema),
  /** What is worth knowing and no fault. */
  notes: z.array(z.string()),
});
/** See {@link reportSchema}. */
export type Report = z.output<typeof reportSchema>;

function strictPending() {
  return z.strictObject({ segments: count, holes: count });
}
