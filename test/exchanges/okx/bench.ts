import { okx } from "../../../src/exchanges/okx.ts";
import { type BenchOptions, DecoderBench } from "../decoder-bench.ts";

/** Receive time of frames unless a test says another, µs. */
export const LOCAL = 1_795_170_600_871_001;

/** An OKX decoder with everything around it, as `decode` has it. */
export class Bench extends DecoderBench {
  constructor(options: BenchOptions = {}) {
    super(okx, LOCAL, options);
  }
}
