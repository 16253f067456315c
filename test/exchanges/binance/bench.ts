import { binance } from "../../../src/exchanges/binance.ts";
import { type BenchOptions, DecoderBench } from "../decoder-bench.ts";

/** Receive time of frames unless a test says another, µs. */
const LOCAL = 1_785_048_483_771_001;

/** A Binance decoder with everything around it, as `decode` has it. */
export class Bench extends DecoderBench {
  constructor(options: BenchOptions = {}) {
    super(binance, LOCAL, options);
  }
}
