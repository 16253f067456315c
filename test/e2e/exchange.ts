/** `tapedeck simulate` in a process of its own. */
import { z } from "zod";
import { type Running, tapedeck } from "../helpers/process.ts";
import type { Endpoints } from "../helpers/recorder.ts";

const kinds = z.object({
  bookTicker: z.int(),
  aggTrade: z.int(),
  markPrice: z.int(),
  forceOrder: z.int(),
});
const statsSchema = z.looseObject({ sent: kinds, symbols: z.record(z.string(), kinds) });

/** A running simulated exchange. */
export interface SimulatedExchange extends Endpoints {
  readonly process: Running;
  /** What it has sent. */
  stats(): Promise<z.infer<typeof statsSchema>>;
}

/** Starts it and waits until it serves. */
export async function startSimulate(cwd: string, ...args: readonly string[]): Promise<SimulatedExchange> {
  const process = tapedeck(["simulate", "--port", "0", "--quiet-log", ...args], { cwd });
  const [url = ""] = await process.text(/ws:\/\/127\.0\.0\.1:\d+/);
  const restUrl = url.replace("ws:", "http:");
  return {
    process,
    url,
    restUrl,
    stats: async () => statsSchema.parse(await (await fetch(`${restUrl}/sim/stats`)).json()),
  };
}
