/** What every stage of the bench is: a file in `stages/`, run in a process of its own. */
import type { StageReport } from "./report.ts";

/** How much work a stage may put into its figures. */
export interface StageOptions {
  /** Repeats of each measurement; figures are their medians. */
  readonly repeats: number;
  /** Least CPU time of one reading of a piece of work, ms. */
  readonly slice: number;
  /** Length of one recording at a rate, s. */
  readonly seconds: number;
  /** A folder that is removed afterwards. */
  readonly scratch: string;
}

/** A stage. */
export interface Stage {
  readonly name: string;
  /** What it measures, for the list of stages. */
  readonly about: string;
  /** Whether `bun run bench` runs it; the others are asked for by name. */
  readonly always: boolean;
  run(options: StageOptions): Promise<StageReport>;
}
