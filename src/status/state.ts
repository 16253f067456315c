/** The state of the recorder, as one pure function of what is known. */

/** In the order in which they are tried: the first that holds. */
export type State = "ERROR" | "OFFLINE" | "DEGRADED" | "READY";

/** What the state depends on. */
export interface StateInput {
  /** A fatal exception, a dead worker, a COPY that cannot write; null when all is well. */
  readonly fault: string | null;
  /** WebSockets open now. */
  readonly open: number;
  /** Fill of the fullest ring, per cent. */
  readonly fullestRingPct: number;
  /** Name of the fullest ring. */
  readonly fullestRing: string;
  /** Events dropped in the last 15 minutes. */
  readonly drops15m: number;
  /** Exchanges that should be recorded and have no connection. */
  readonly exchangesOffline: readonly string[];
  /** Whether files cannot reach any destination; the message of the last attempt, null when all is well. */
  readonly destinationFault: string | null;
}

/** Fill of a ring above which the recorder is degraded, per cent. */
const RING_PCT_MAX = 80;

/** The state and, in words, why. */
export function stateOf(input: StateInput): { state: State; reason: string } {
  if (input.fault !== null) return { state: "ERROR", reason: input.fault };
  if (input.open === 0) return { state: "OFFLINE", reason: "no WebSocket is connected" };
  if (input.fullestRingPct > RING_PCT_MAX) {
    const pct = input.fullestRingPct.toFixed(1);
    return { state: "DEGRADED", reason: `the ring ${input.fullestRing} is ${pct} % full` };
  }
  if (input.drops15m > 0) {
    return { state: "DEGRADED", reason: `${input.drops15m} events dropped in the last 15 minutes` };
  }
  if (input.exchangesOffline.length > 0) {
    return { state: "DEGRADED", reason: `no connection to ${input.exchangesOffline.join(", ")}` };
  }
  if (input.destinationFault !== null) {
    return { state: "DEGRADED", reason: `files cannot be published: ${input.destinationFault}` };
  }
  return { state: "READY", reason: "all is well" };
}
