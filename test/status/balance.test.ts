import { describe, expect, test } from "bun:test";
import type { RingReading } from "../../src/ring/memory.ts";
import { balanceOf } from "../../src/status/balance.ts";
import { seeded } from "../lib/seed.ts";

function ring(accepted: number, dropped: number, released: number, filed: number, parked = 0): RingReading {
  return {
    capacity: 1024,
    offered: accepted + dropped,
    accepted,
    dropped,
    highWater: 0,
    released,
    filed,
    parked,
    used: accepted - released,
  };
}

const NONE = { taken: 0, filed: 0, parked: 0 };

describe("balance", () => {
  test("nothing received, nothing anywhere", () => {
    expect(balanceOf([], NONE, 0, 0)).toEqual({
      received: 0,
      recovered: 0,
      published: 0,
      uploading: 0,
      inOutbox: 0,
      inJournal: 0,
      inTable: 0,
      inRing: 0,
      dropped: 0,
      holds: true,
    });
  });

  test("every event is in one place", () => {
    expect(
      balanceOf([ring(100, 7, 80, 50, 11), ring(10, 0, 10, 10)], { taken: 9, filed: 4, parked: 2 }, 40, 12),
    ).toEqual({
      received: 117,
      recovered: 9,
      published: 40,
      uploading: 12,
      inOutbox: 12,
      inJournal: 13,
      inTable: 22,
      inRing: 20,
      dropped: 7,
      holds: true,
    });
  });

  test("holds for any consistent set of rings", () => {
    const random = seeded("balance");
    for (let round = 0; round < 1000; round++) {
      const rings = Array.from({ length: 1 + random.below(20) }, () => {
        const accepted = random.below(1e6);
        const released = random.below(accepted + 1);
        const filed = random.below(released + 1);
        return ring(accepted, random.below(1e4), released, filed, random.below(released - filed + 1));
      });
      const taken = random.below(1e5);
      const before = random.below(taken + 1);
      const recovered = { taken, filed: before, parked: random.below(taken - before + 1) };
      const filed = rings.reduce((sum, one) => sum + one.filed, before);
      const published = random.below(filed + 1);
      const balance = balanceOf(rings, recovered, published, random.below(filed - published + 1));
      expect(balance.holds).toBe(true);
    }
  });

  test("does not hold when something is counted twice, lost, or ahead of its source", () => {
    const good = ring(100, 5, 80, 50);
    expect(balanceOf([{ ...good, offered: 106 }], NONE, 0, 0).holds).toBe(false);
    expect(balanceOf([{ ...good, offered: 104 }], NONE, 0, 0).holds).toBe(false);
    expect(balanceOf([{ ...good, used: 19 }], NONE, 0, 0).holds).toBe(false);
    // More filed than released, more published than filed.
    expect(balanceOf([{ ...good, filed: 81 }], NONE, 0, 0).holds).toBe(false);
    expect(balanceOf([{ ...good, parked: 31 }], NONE, 0, 0).holds).toBe(false);
    expect(balanceOf([], { taken: 3, filed: 4, parked: 0 }, 0, 0).holds).toBe(false);
    expect(balanceOf([good], NONE, 51, 0).holds).toBe(false);
    expect(balanceOf([good], NONE, 40, 11).holds).toBe(false);
  });
});
