import { bybit } from "../../../src/exchanges/bybit.ts";
import { type BenchOptions, DecoderBench } from "../decoder-bench.ts";

/** Receive time of frames unless a test says another, µs. */
const LOCAL = 1_795_170_600_871_001;

/** A Bybit decoder with everything around it, as `decode` has it. */
export class Bench extends DecoderBench {
  constructor(options: BenchOptions = {}) {
    super(bybit, LOCAL, options);
  }
}
