import { describe, expect, test } from "bun:test";
import { SequenceFollower, type SequenceGap } from "../../../src/exchanges/decoding/sequence.ts";
import { seeded } from "../../lib/seed.ts";

const SECOND = 1_000_000;

type Options = ConstructorParameters<typeof SequenceFollower>[1];

function follower(options?: Options) {
  const gaps: SequenceGap[] = [];
  return { gaps, sequence: new SequenceFollower((gap) => gaps.push({ ...gap }), options) };
}

/** First and last id of each gap, or what else it is. */
const spans = (gaps: readonly SequenceGap[]) =>
  gaps.map((gap) => (gap.kind === "missing" ? [gap.firstId, gap.lastId] : gap.kind));

/** A follower that has seen 1 at 1000 and 10 at 2000: 2 to 9 are missing. */
function jumped(options?: Options) {
  const made = follower(options);
  made.sequence.observe(0, 1, 1, 1000);
  made.sequence.observe(0, 10, 10, 2000);
  return made;
}

describe("a jump", () => {
  test("is told once it has been held long enough, and only once", () => {
    const { gaps, sequence } = jumped();
    sequence.settled(2000 + 2 * SECOND - 1);
    expect(gaps).toEqual([]);
    expect(sequence.held).toBe(1);
    sequence.settled(2000 + 2 * SECOND);
    expect(gaps).toEqual([{ kind: "missing", symbol: 0, from: 1000, to: 2000, firstId: 2, lastId: 9 }]);
    sequence.settled(100 * SECOND);
    sequence.flush();
    expect(gaps.length).toBe(1);
  });

  test("is told at the end of everything, however short it was held", () => {
    const { gaps, sequence } = jumped();
    sequence.flush();
    expect(spans(gaps)).toEqual([[2, 9]]);
    expect(sequence.held).toBe(0);
  });

  test("is none when its ids come late, in whatever order and grouping", () => {
    const { gaps, sequence } = jumped();
    sequence.observe(0, 5, 7, 2001);
    sequence.observe(0, 8, 9, 2002);
    sequence.observe(0, 2, 2, 2003);
    expect(sequence.held).toBe(1);
    sequence.observe(0, 3, 4, 2004);
    expect(sequence.held).toBe(0);
    sequence.flush();
    expect(gaps).toEqual([]);
  });

  test("becomes smaller from either side and is split in the middle", () => {
    const { gaps, sequence } = jumped();
    sequence.observe(0, 2, 3, 2001);
    sequence.observe(0, 9, 9, 2002);
    sequence.observe(0, 6, 6, 2003);
    sequence.flush();
    expect(spans(gaps)).toEqual([
      [4, 5],
      [7, 8],
    ]);
    expect(gaps.every(({ from, to }) => from === 1000 && to === 2000)).toBe(true);
  });

  test("is filled by a range that reaches beyond it on both sides, and that one moves on", () => {
    const { gaps, sequence } = jumped();
    sequence.observe(0, 1, 12, 3000);
    sequence.observe(0, 13, 13, 4000);
    sequence.flush();
    expect(gaps).toEqual([]);
  });

  test("counts for its own symbol only", () => {
    const { gaps, sequence } = jumped();
    sequence.observe(200, 5, 5, 2001);
    sequence.observe(200, 3, 4, 2002);
    sequence.flush();
    expect(spans(gaps)).toEqual([[2, 9]]);
  });

  test("that has been told is not told again by what comes even later", () => {
    const { gaps, sequence } = jumped({ settle: 0 });
    sequence.settled(2000);
    sequence.observe(0, 5, 5, 3000);
    sequence.observe(0, 11, 11, 3001);
    sequence.flush();
    expect(spans(gaps)).toEqual([[2, 9]]);
  });
});

describe("resends", () => {
  test("of what was never missing change nothing", () => {
    const { gaps, sequence } = jumped();
    sequence.observe(0, 1, 1, 2001);
    sequence.observe(0, 10, 10, 2002);
    sequence.observe(0, 11, 11, 2003);
    sequence.flush();
    expect(gaps).toEqual([{ kind: "missing", symbol: 0, from: 1000, to: 2000, firstId: 2, lastId: 9 }]);
  });

  test("of a first event make no gap, nor does an id that is none", () => {
    const { gaps, sequence } = follower();
    sequence.observe(0, 500, 500, 1);
    sequence.observe(0, 400, 400, 2);
    sequence.observe(0, Number.NaN, Number.NaN, 3);
    sequence.observe(0, 501, 501, 4);
    sequence.flush();
    expect(gaps).toEqual([]);
  });
});

describe("ids that start anew", () => {
  /** A follower that has seen 1001 to 1010 of symbol 0, the last one at second 10. */
  function risen(options?: Options) {
    const made = follower(options);
    for (let n = 1; n <= 10; n++) made.sequence.observe(0, 1000 + n, 1000 + n, n * SECOND);
    return made;
  }

  test("are believed when no id was above the highest for 30 s and three rose; jumps are then seen again", () => {
    const { gaps, sequence } = risen();
    for (let n = 1; n <= 300; n++) sequence.observe(0, n, n, (10 + n / 10) * SECOND);
    expect(gaps).toEqual([{ kind: "renumbered", symbol: 0, from: 10 * SECOND, to: 40 * SECOND }]);
    sequence.observe(0, 301, 301, 41 * SECOND);
    sequence.observe(0, 305, 305, 42 * SECOND);
    sequence.observe(0, 300, 300, 43 * SECOND);
    sequence.settled(44 * SECOND);
    expect(gaps.slice(1)).toEqual([
      { kind: "missing", symbol: 0, from: 41 * SECOND, to: 42 * SECOND, firstId: 302, lastId: 304 },
    ]);
  });

  test("are believed of a symbol that is seldom traded with the third that rises", () => {
    const { gaps, sequence } = risen();
    sequence.observe(0, 5, 7, 100 * SECOND);
    sequence.observe(0, 8, 8, 200 * SECOND);
    expect(gaps).toEqual([]);
    sequence.observe(0, 9, 12, 300 * SECOND);
    expect(gaps).toEqual([{ kind: "renumbered", symbol: 0, from: 10 * SECOND, to: 300 * SECOND }]);
    sequence.observe(0, 14, 14, 301 * SECOND);
    sequence.flush();
    expect(spans(gaps)).toEqual(["renumbered", [13, 13]]);
  });

  test("are none where the same ids come again and again, nor of another symbol", () => {
    const { gaps, sequence } = risen({ rebaseAfter: SECOND });
    for (let n = 0; n < 100; n++) {
      const at = (20 + n) * SECOND;
      for (const id of [1009, 1009, 1010, 1010]) sequence.observe(0, id, id, at);
      sequence.observe(n + 1, 3, 3, at);
    }
    expect(gaps).toEqual([]);
  });

  test("are none while higher ones come: a second socket that is behind brings thousands that rise", () => {
    const { gaps, sequence } = follower();
    const behind = 5000;
    for (let id = 1; id <= 60_000; id++) {
      // A trade every 2 ms, for two minutes.
      sequence.observe(0, id, id, id * 2000);
      if (id > behind) sequence.observe(0, id - behind, id - behind, id * 2000 + 1);
      if (id % 100 === 0) sequence.settled(id * 2000);
    }
    sequence.flush();
    expect(gaps).toEqual([]);
  });

  test("are none of a quiet symbol while two sockets bring the same, nor counted from that time", () => {
    const { gaps, sequence } = risen();
    sequence.overlapping = true;
    for (let id = 1001; id < 1010; id++) sequence.observe(0, id, id, 60 * SECOND);
    sequence.overlapping = false;
    sequence.observe(0, 1002, 1002, 61 * SECOND);
    sequence.observe(0, 1003, 1003, 61 * SECOND);
    sequence.observe(0, 1011, 1011, 62 * SECOND);
    sequence.observe(0, 1004, 1004, 63 * SECOND);
    sequence.flush();
    expect(gaps).toEqual([]);
  });

  test("are none where they fill a jump, and do not fill one of before", () => {
    const { gaps, sequence } = risen({ settle: 1000 * SECOND });
    sequence.observe(0, 1020, 1020, 11 * SECOND);
    for (let id = 1011; id <= 1016; id++) sequence.observe(0, id, id, (50 + id) * SECOND);
    expect(gaps).toEqual([]);
    for (let id = 1; id <= 3; id++) sequence.observe(0, id, id, (2000 + id) * SECOND);
    expect(spans(gaps)).toEqual([[1017, 1019], "renumbered"]);
    for (let id = 4; id <= 1018; id++) sequence.observe(0, id, id, (2000 + id) * SECOND);
    sequence.flush();
    expect(spans(gaps)).toEqual([[1017, 1019], "renumbered"]);
  });
});

describe("an absurd id", () => {
  test("is not believed as a count, and those that follow are believed again", () => {
    const { gaps, sequence } = follower();
    let at = SECOND;
    const next = (id: number) => {
      sequence.observe(0, id, id, at);
      sequence.settled(at);
      at += SECOND;
    };
    for (let id = 1; id <= 5; id++) next(id);
    next(9_000_000_000_000_000);
    for (let id = 6; id <= 50; id++) next(id);
    next(53);
    sequence.flush();
    expect(gaps).toEqual([
      { kind: "leap", symbol: 0, from: 5 * SECOND, to: 6 * SECOND },
      { kind: "renumbered", symbol: 0, from: 6 * SECOND, to: 36 * SECOND },
      { kind: "missing", symbol: 0, from: 51 * SECOND, to: 52 * SECOND, firstId: 51, lastId: 52 },
    ]);
  });

  test("is one that leaves out more than the bound", () => {
    for (const [missing, told] of [
      [100_000_000, [[2, 100_000_001]]],
      [100_000_001, ["leap"]],
    ] as const) {
      const { gaps, sequence } = follower();
      sequence.observe(0, 1, 1, 1);
      sequence.observe(0, 2 + missing, 2 + missing, 2);
      sequence.flush();
      expect(spans(gaps)).toEqual([...told.map((one) => (typeof one === "string" ? one : [...one]))]);
    }
  });
});

describe("bound", () => {
  test("the oldest jump is told early when there are too many", () => {
    const { gaps, sequence } = follower({ maxHeld: 2 });
    for (const [at, id] of [1, 10, 20, 30].entries()) sequence.observe(0, id, id, at);
    expect(spans(gaps)).toEqual([[2, 9]]);
    expect(sequence.held).toBe(2);
  });

  test("so it is when a split makes one too many", () => {
    const { gaps, sequence } = jumped({ maxHeld: 1 });
    sequence.observe(0, 5, 5, 3000);
    expect(spans(gaps)).toEqual([[2, 4]]);
    sequence.flush();
    expect(spans(gaps)).toEqual([
      [2, 4],
      [6, 9],
    ]);
  });
});

test("two sockets, reordering, resends and loss: exactly the ids that never came are told", () => {
  const random = seeded("sequence");
  for (let round = 0; round < 200; round++) {
    const { gaps, sequence } = follower();
    const symbols = 3;
    const missing: string[] = [];
    const arrivals: { at: number; symbol: number; first: number; last: number }[] = [];
    for (let symbol = 0; symbol < symbols; symbol++) {
      let id = 1 + random.below(1000);
      const events = 60;
      for (let event = 0; event < events; event++) {
        const last = id + random.below(3);
        const time = event * 1000;
        // The first and the last event come in any case, and in their order: nothing is known beyond them.
        const edge = event === 0 || event === events - 1;
        const copies = edge ? 1 : random.below(4);
        for (let copy = 0; copy < copies; copy++)
          arrivals.push({ at: edge ? time : time + random.below(20_000), symbol, first: id, last });
        if (copies === 0) for (let one = id; one <= last; one++) missing.push(`${symbol}/${one}`);
        if (event === events - 1) arrivals.push({ at: time + 21_000, symbol, first: id, last });
        id = last + 1;
      }
    }
    arrivals.sort((a, b) => a.at - b.at);
    for (const { at, symbol, first, last } of arrivals) {
      sequence.observe(symbol, first, last, at);
      sequence.settled(at);
    }
    sequence.flush();
    const told: string[] = [];
    for (const gap of gaps) {
      if (gap.kind !== "missing") throw new Error(`${gap.kind}: no ids were ever out of the ordinary`);
      for (let id = gap.firstId; id <= gap.lastId; id++) told.push(`${gap.symbol}/${id}`);
    }
    expect(told.sort()).toEqual(missing.sort());
  }
});

test("cost of a consecutive id", () => {
  const { sequence } = follower();
  const rows = 5_000_000;
  for (let id = 1; id <= rows / 10; id++) sequence.observe(id & 63, id >>> 6, id >>> 6, id);
  const start = performance.now();
  for (let id = rows / 10; id <= rows; id++) sequence.observe(id & 63, id >>> 6, id >>> 6, id);
  console.log(`sequence: ${(((performance.now() - start) * 1e6) / (rows * 0.9)).toFixed(1)} ns per event`);
  expect(sequence.held).toBe(0);
});
