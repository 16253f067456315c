/** The state of the recorder, as one pure function of what is known. */

/** In the order in which they are tried: the first that holds. */
export const STATES = ["ERROR", "OFFLINE", "DEGRADED", "READY"] as const;
/** One of them. */
export type State = (typeof STATES)[number];

/** What the state depends on. Faults are in words; null = all is well. */
export interface StateInput {
  /** A thread is dead: the process is about to end. */
  readonly fatal: string | null;
  /** The drain is being rebuilt after an error. */
  readonly drainFault: string | null;
  /** Journals cannot be written, or have reached their bound. */
  readonly journalFault: string | null;
  /** Segments cannot be written as files. */
  readonly copyFault: string | null;
  /** The outbox has reached its bound. */
  readonly outboxFault: string | null;
  /** WebSockets open now. */
  readonly open: number;
  /** Fill of the fullest ring, per cent. */
  readonly fullestRingPct: number;
  /** Name of the fullest ring. */
  readonly fullestRing: string;
  /** Events dropped in the last 15 minutes. */
  readonly drops15m: number;
  /** Exchanges that should be recorded, and whether any connection to them is open. */
  readonly exchanges: readonly { readonly exchange: string; readonly online: boolean }[];
  /** Whether files cannot reach any destination; the message of the last attempt. */
  readonly destinationFault: string | null;
}

/** One thing that was looked at. */
export interface Check {
  readonly name: string;
  /** The state that it leads to when it fails. */
  readonly state: Exclude<State, "READY">;
  /** What is wrong, in words; null = nothing. */
  readonly fault: string | null;
}

/** Fill of a ring above which the recorder is degraded, per cent. */
const RING_PCT_MAX = 80;

/** Everything the state depends on, most severe first. */
export function checksOf(input: StateInput): readonly Check[] {
  const { fullestRing, fullestRingPct, drops15m, exchanges, destinationFault } = input;
  const check = (name: string, state: Check["state"], fault: string | null): Check => ({
    name,
    state,
    fault,
  });
  return [
    check("threads", "ERROR", input.fatal),
    check("drain", "ERROR", input.drainFault),
    check("journal", "ERROR", input.journalFault),
    check("copy", "ERROR", input.copyFault),
    check("outbox", "ERROR", input.outboxFault),
    check("connections", "OFFLINE", input.open === 0 ? "no WebSocket is connected" : null),
    check(
      "rings",
      "DEGRADED",
      fullestRingPct > RING_PCT_MAX ? `the ring ${fullestRing} is ${fullestRingPct.toFixed(1)} % full` : null,
    ),
    check(
      "drops",
      "DEGRADED",
      drops15m > 0
        ? `${drops15m} ${drops15m === 1 ? "event" : "events"} dropped in the last 15 minutes`
        : null,
    ),
    ...exchanges.map(({ exchange, online }) =>
      check(`exchange-${exchange}`, "DEGRADED", online ? null : `no connection to ${exchange}`),
    ),
    check(
      "destinations",
      "DEGRADED",
      destinationFault === null ? null : `files cannot be published: ${destinationFault}`,
    ),
  ];
}

/** The state and, in words, why: all that leads to it. */
export function stateOf(input: StateInput): { state: State; reason: string } {
  const failed = checksOf(input).filter(({ fault }) => fault !== null);
  const [first] = failed;
  if (first === undefined) return { state: "READY", reason: "all is well" };
  const { state } = first;
  const reason = failed.filter((one) => one.state === state).map(({ fault }) => fault);
  return { state, reason: reason.join("; ") };
}
