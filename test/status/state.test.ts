import { describe, expect, test } from "bun:test";
import { checksOf, type StateInput, stateOf } from "../../src/status/state.ts";
import { WELL } from "../helpers/snapshot.ts";

/** Everything that can be wrong, most severe first, with the state and a word of the reason. */
const FAULTS: readonly [Partial<StateInput>, string, string][] = [
  [{ fatal: "the drain worker died" }, "ERROR", "the drain worker died"],
  [{ drainFault: "the drain is being rebuilt" }, "ERROR", "the drain is being rebuilt"],
  [{ journalFault: "journals have reached their bound" }, "ERROR", "journals have reached their bound"],
  [{ copyFault: "a segment cannot be written" }, "ERROR", "a segment cannot be written"],
  [{ outboxFault: "the outbox has reached its bound" }, "ERROR", "the outbox has reached its bound"],
  [{ open: 0 }, "OFFLINE", "no WebSocket is connected"],
  [{ fullestRingPct: 80.06 }, "DEGRADED", "the ring binance/bbo is 80.1 % full"],
  [{ drops15m: 12 }, "DEGRADED", "12 events dropped in the last 15 minutes"],
  [
    {
      exchanges: [
        { exchange: "okx", online: false },
        { exchange: "bybit", online: true },
      ],
    },
    "DEGRADED",
    "no connection to okx",
  ],
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

  test("the reason names everything that leads to the state, and nothing that is less severe", () => {
    const { state, reason } = stateOf({ ...WELL, fatal: "dead", copyFault: "no space", drops15m: 3 });
    expect([state, reason]).toEqual(["ERROR", "dead; no space"]);
    const offline = WELL.exchanges.map((one) => ({ ...one, online: false }));
    expect(stateOf({ ...WELL, exchanges: offline }).reason).toBe(
      "no connection to okx; no connection to bybit",
    );
  });

  test("one ring 85 % full is enough, however empty the others are", () => {
    expect(stateOf({ ...WELL, fullestRingPct: 85, fullestRing: "okx/trade" })).toEqual({
      state: "DEGRADED",
      reason: "the ring okx/trade is 85.0 % full",
    });
  });

  test("every check is named once, and the state is that of the first that fails", () => {
    const names = checksOf(WELL).map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const [fault, state] of FAULTS) {
      const failed = checksOf({ ...WELL, ...fault }).filter((one) => one.fault !== null);
      expect(failed.map((one) => one.state as string)).toEqual([state]);
    }
  });

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
