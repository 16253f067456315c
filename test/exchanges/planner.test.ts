import { describe, expect, test } from "bun:test";
import type { Subscription } from "../../src/exchanges/exchange.ts";
import { type Changes, planChanges, splitByRate } from "../../src/exchanges/planner.ts";
import { pick, seeded } from "../lib/seed.ts";

const subscription = (route: string, channel: string): Subscription => ({
  route,
  channel,
  streams: ["trade"],
  instrument: channel,
});

const wantedOn = (route: string, count: number, prefix = "c"): Subscription[] =>
  Array.from({ length: count }, (_, i) => subscription(route, `${prefix}${i}`));

const limits = (channels: number, characters: number | null = null) => ({ channels, characters });

interface Carried {
  route: string;
  channels: Set<string>;
}

/** What connections carry once the changes are made. */
function after(current: readonly Carried[], { updates, open }: Changes): Carried[] {
  const changed = current.map(({ route, channels }, i) => {
    const next = new Set(channels);
    for (const channel of updates[i]?.remove ?? []) next.delete(channel);
    for (const channel of updates[i]?.add ?? []) next.add(channel);
    return { route, channels: next };
  });
  return [...changed, ...open.map(({ route, channels }) => ({ route, channels: new Set(channels) }))];
}

const name = ({ route, channel }: Pick<Subscription, "route" | "channel">) => `${route} ${channel}`;

/** Every wanted channel on its route exactly once, and nothing else. */
function expectExact(carried: readonly Carried[], wanted: readonly Subscription[]): void {
  const all = carried.flatMap(({ route, channels }) =>
    [...channels].map((channel) => name({ route, channel })),
  );
  expect(all.sort()).toEqual([...new Set(wanted.map(name))].sort());
}

describe("from nothing", () => {
  test("routes are kept apart", () => {
    const wanted = [...wantedOn("/public", 3), ...wantedOn("/market", 2)];
    const { updates, open } = planChanges([], wanted, limits(200));
    expect(updates).toEqual([]);
    expect(open).toEqual([
      { route: "/public", channels: ["c0", "c1", "c2"] },
      { route: "/market", channels: ["c0", "c1"] },
    ]);
  });

  test("the limit is kept, as few connections as possible, evenly filled, none lost or twice", () => {
    for (let max = 1; max <= 12; max++) {
      for (let count = 0; count <= 60; count++) {
        const wanted = wantedOn("/r", count);
        const { open } = planChanges([], wanted, limits(max));
        expect(open.length).toBe(Math.ceil(count / max));
        const sizes = open.map(({ channels }) => channels.length);
        expect(open.flatMap(({ channels }) => channels)).toEqual(wanted.map(({ channel }) => channel));
        if (count > 0) {
          expect(Math.max(...sizes)).toBeLessThanOrEqual(max);
          expect({ max, count, spread: Math.max(...sizes) - Math.min(...sizes) <= 1, sizes }).toEqual({
            max,
            count,
            spread: true,
            sizes,
          });
        }
      }
    }
  });

  test("the limit of characters is kept; one channel that is longer still gets a connection", () => {
    const random = seeded("planner characters");
    for (let round = 0; round < 300; round++) {
      const wanted = Array.from({ length: random.below(60) }, (_, i) =>
        subscription("/r", `${i}-`.padEnd(2 + random.below(40), "x")),
      );
      const bounds = limits(1 + random.below(20), 10 + random.below(100));
      const { open } = planChanges([], wanted, bounds);
      expectExact(after([], { updates: [], open }), wanted);
      for (const { channels } of open) {
        expect(channels.length).toBeGreaterThan(0);
        expect(channels.length).toBeLessThanOrEqual(bounds.channels);
        const characters = JSON.stringify(channels).length;
        if (channels.length > 1) expect(characters).toBeLessThanOrEqual(bounds.characters ?? 0);
      }
    }
  });

  test("nothing wanted, nothing opened; a channel asked for twice is carried once", () => {
    expect(planChanges([], [], limits(5))).toEqual({ updates: [], open: [] });
    const twice = [...wantedOn("/r", 3), ...wantedOn("/r", 3)];
    expect(planChanges([], twice, limits(5)).open).toEqual([{ route: "/r", channels: ["c0", "c1", "c2"] }]);
  });
});

describe("changes", () => {
  const carries = (route: string, ...channels: string[]): Carried => ({ route, channels: new Set(channels) });

  test("what is right is not touched", () => {
    const current = [carries("/a", "c0", "c1"), carries("/b", "c0")];
    const wanted = [...wantedOn("/a", 2), ...wantedOn("/b", 1)];
    expect(planChanges(current, wanted, limits(2))).toEqual({
      updates: [
        { add: [], remove: [] },
        { add: [], remove: [] },
      ],
      open: [],
    });
  });

  test("what goes makes room for what comes; the rest gets a connection of its own", () => {
    const current = [carries("/a", "c0", "old"), carries("/a", "c1", "c2")];
    const { updates, open } = planChanges(current, wantedOn("/a", 5), limits(2));
    expect(updates).toEqual([
      { add: ["c3"], remove: ["old"] },
      { add: [], remove: [] },
    ]);
    expect(open).toEqual([{ route: "/a", channels: ["c4"] }]);
  });

  test("a channel carried twice is given up once; a channel on the wrong route moves", () => {
    const current = [carries("/a", "c0"), carries("/a", "c0", "c1"), carries("/b", "c1")];
    const changes = planChanges(current, wantedOn("/a", 2), limits(2));
    expect(changes.updates.map(({ remove }) => remove)).toEqual([[], ["c0"], ["c1"]]);
    expectExact(after(current, changes), wantedOn("/a", 2));
  });

  test("random listings and delistings: always exactly what is wanted, within the limits, the least change", () => {
    const random = seeded("planner changes");
    for (let round = 0; round < 100; round++) {
      const bounds = limits(1 + random.below(10), random.below(2) === 0 ? null : 30 + random.below(60));
      let current: Carried[] = [];
      let before: Subscription[] = [];
      for (let step = 0; step < 15; step++) {
        const wanted = Array.from({ length: random.below(50) }, () =>
          subscription(pick(random, ["/public", "/market"]), `channel${random.below(60)}`),
        );
        const changes = planChanges(current, wanted, bounds);
        const names = new Set(wanted.map(name));
        const had = new Set(before.map(name));
        changes.updates.forEach(({ add, remove }, i) => {
          const { route } = current[i];
          for (const channel of remove) expect(names.has(name({ route, channel }))).toBe(false);
          for (const channel of add) expect(had.has(name({ route, channel }))).toBe(false);
        });
        current = after(current, changes);
        expectExact(current, wanted);
        for (const { channels } of current) {
          expect(channels.size).toBeLessThanOrEqual(bounds.channels);
          const characters = JSON.stringify([...channels]).length;
          if (bounds.characters !== null && channels.size > 1) {
            expect(characters).toBeLessThanOrEqual(bounds.characters);
          }
        }
        before = wanted;
      }
    }
  });
});

describe("splitting a connection that carries too much", () => {
  const sum = (rates: readonly number[], part: readonly string[]) =>
    part.reduce((total, channel) => total + rates[Number(channel.slice(1))], 0);
  const split = (rates: readonly number[]) =>
    splitByRate(
      rates.map((_, i) => `c${i}`),
      (channel) => rates[Number(channel.slice(1))],
    );

  test("the rate decides: one loud channel weighs as much as all quiet ones", () => {
    expect(split([1, 100, 1, 1])).toEqual([["c1"], ["c0", "c2", "c3"]]);
    expect(split([5, 4, 3, 2])).toEqual([
      ["c0", "c3"],
      ["c1", "c2"],
    ]);
  });

  test("where no rate is known, the number of channels does", () => {
    expect(split([0, 0, 0, 0, 0]).map(({ length }) => length)).toEqual([3, 2]);
    // Behind a loud one, silent channels must not all go to the other side's burden alone, nor any be lost.
    const [loud, silent] = split([7, 0, 0, 0]);
    expect([...loud, ...silent].sort()).toEqual(["c0", "c1", "c2", "c3"]);
  });

  test("any rates: none lost, none twice, neither part empty, about the same rate", () => {
    const random = seeded("planner split");
    for (let round = 0; round < 500; round++) {
      const rates = Array.from({ length: 2 + random.below(80) }, () =>
        random.below(4) === 0 ? 0 : random.below(10) ** (1 + random.below(4)),
      );
      const parts = split(rates);
      expect(parts.length).toBe(2);
      expect(parts.every(({ length }) => length > 0)).toBe(true);
      expect(parts.flat().sort()).toEqual(rates.map((_, i) => `c${i}`).sort());
      const [a, b] = parts.map((part) => sum(rates, part));
      // What is left between them is at most one channel, and that is the loudest.
      expect(Math.abs(a - b)).toBeLessThanOrEqual(Math.max(...rates));
    }
  });

  test("the channels given are not touched; a single one stays whole", () => {
    const channels = ["a", "b", "c"];
    splitByRate(channels, (channel) => channel.charCodeAt(0));
    expect(channels).toEqual(["a", "b", "c"]);
    expect(splitByRate(["a"], () => 1)).toEqual([["a"], []]);
  });
});
