import { describe, expect, test } from "bun:test";
import { type StateInput, stateOf } from "../../src/status/state.ts";

const WELL: StateInput = {
  fault: null,
  open: 2,
  fullestRingPct: 10,
  fullestRing: "binance/bbo",
  drops15m: 0,
  exchangesOffline: [],
  destinationFault: null,
};

/** Everything that can be wrong, most severe first, with the state and a word of the reason. */
const FAULTS: readonly [Partial<StateInput>, string, string][] = [
  [{ fault: "the drain worker died" }, "ERROR", "the drain worker died"],
  [{ open: 0 }, "OFFLINE", "no WebSocket is connected"],
  [{ fullestRingPct: 80.06 }, "DEGRADED", "the ring binance/bbo is 80.1 % full"],
  [{ drops15m: 12 }, "DEGRADED", "12 events dropped in the last 15 minutes"],
  [{ exchangesOffline: ["okx", "bybit"] }, "DEGRADED", "no connection to okx, bybit"],
  [{ destinationFault: "ENOSPC" }, "DEGRADED", "ENOSPC"],
];

describe("state", () => {
  test("READY when nothing is wrong", () => {
    expect(stateOf(WELL)).toEqual({ state: "READY", reason: "all is well" });
  });

  test("80 per cent is still well", () => {
    expect(stateOf({ ...WELL, fullestRingPct: 80 }).state).toBe("READY");
  });

  for (const [fault, state, reason] of FAULTS) {
    test(`${state}: ${reason}`, () => {
      const found = stateOf({ ...WELL, ...fault });
      expect(found.state as string).toBe(state);
      expect(found.reason).toContain(reason);
    });
  }

  test("of any set of faults the first in the list decides", () => {
    for (let set = 1; set < 2 ** FAULTS.length; set++) {
      const present = FAULTS.filter((_, i) => (set & (1 << i)) !== 0);
      const input = Object.assign({}, WELL, ...present.map(([fault]) => fault)) as StateInput;
      const found = stateOf(input);
      expect(found.state as string).toBe(present[0][1]);
      expect(found.reason).toContain(present[0][2]);
    }
  });
});
