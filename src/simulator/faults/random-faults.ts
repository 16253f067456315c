/** Random faults from a seed, each over before the next is due. */
import type { Random } from "../random.ts";
import type { FaultHost } from "./behaviour.ts";
import { FAULT_KINDS, type Fault, type FaultInput, type FaultKind, parseFault } from "./model.ts";

/** Kinds that come only when asked for: they change the market for good, or ask for much patience. */
const NOT_BY_ITSELF: ReadonlySet<FaultKind> = new Set(["list", "delist", "hang"]);
/** A fault lasts between these shares of the time to the next. */
const SHORTEST = 0.1;
const LONGEST = 0.6;
const STEP_MS_MAX = 5000;
const NOTICE_SHARE = 0.1;

/** Draws faults. */
export class RandomFaults {
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  /** The next one, of `kinds` or of all that come by themselves. @param everyMs time to the next */
  draw(host: FaultHost, everyMs: number, kinds?: readonly FaultKind[]): Fault {
    const possible = (kinds ?? FAULT_KINDS.filter((kind) => !NOT_BY_ITSELF.has(kind))).filter((kind) =>
      canHave(host, kind),
    );
    const kind = this.#of(possible);
    // Drawn whether needed or not, so that one kind more does not change all that follow.
    const forMs = Math.round(everyMs * (SHORTEST + this.#random.unit() * (LONGEST - SHORTEST)));
    const connections = this.#random.unit() < 0.5 ? "one" : "all";
    const narrowed = this.#random.unit() < 0.5;
    const dice = this.#random.unit();
    const symbol = narrowed ? ({ symbol: "one" } as const) : {};
    return parseFault(build(kind, { host, forMs, everyMs, connections, symbol, dice }));
  }

  #of<T>(list: readonly T[]): T {
    const one = list[this.#random.below(Math.max(1, list.length))];
    if (one === undefined) throw new Error("none of the kinds of faults asked for is possible here");
    return one;
  }
}

interface Draw {
  readonly host: FaultHost;
  readonly forMs: number;
  readonly everyMs: number;
  readonly connections: "one" | "all";
  readonly symbol: { symbol?: "one" };
  /** 0 ≤ dice < 1 */
  readonly dice: number;
}

function canHave(host: FaultHost, kind: FaultKind): boolean {
  if (kind === "half-open") return host.wire !== undefined;
  if (kind === "clock-step") return host.clock !== undefined;
  if (kind === "list") return host.list !== undefined;
  return kind !== "delist" || host.delist !== undefined;
}

function build(kind: FaultKind, { host, forMs, everyMs, connections, symbol, dice }: Draw): FaultInput {
  const coin = dice < 0.5;
  switch (kind) {
    case "refuse":
    case "hang":
      return { kind, forMs };
    case "unavailable":
    case "429":
    case "418":
      return { kind, forMs, retryAfterS: Math.max(1, Math.round(forMs / 1000)) };
    case "accept-then-close":
      return { kind, forMs, code: coin ? 1000 : 1006 };
    case "close":
      return { kind, connections, code: coin ? 1000 : 1006 };
    case "half-open":
    case "pings-only":
      return { kind, forMs, connections };
    case "drip":
      return { kind, forMs, connections, share: 0.5 + dice * 0.45 };
    case "silence":
      return { kind, forMs, connections, ...symbol, sticky: dice < 0.25 };
    case "wrong-route":
      return { kind, forMs, connections, ...symbol, cut: true };
    case "missing-ack":
      return { kind, forMs, connections, cut: true, lost: coin ? "ack" : "request" };
    case "bad-topic":
      return { kind, forMs, cut: true };
    case "duplicates":
    case "reorder":
    case "unknown-fields":
      return { kind, forMs, connections, ...symbol, share: 0.05 + dice * 0.3 };
    case "malformed":
      return { kind, forMs, connections, ...symbol, how: coin ? "cut" : "damaged" };
    case "invalid-utf8":
      return { kind, forMs, connections, ...symbol, as: coin && host.wire !== undefined ? "text" : "binary" };
    case "huge":
      return { kind, forMs, connections, how: coin ? "noise" : "padded" };
    case "maintenance":
      return { kind, forMs, noticeMs: Math.round(everyMs * NOTICE_SHARE) };
    case "clock-step":
      return { kind, forMs, byMs: (coin ? -1 : 1) * (1000 + Math.round(dice * (STEP_MS_MAX - 1000))) };
    case "list":
    case "delist":
      return { kind };
  }
}
