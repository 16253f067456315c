import { describe, expect, test } from "bun:test";
import { SymbolWatch } from "../../../src/exchanges/watchdog/symbol-watch.ts";
import type { Random } from "../../../src/simulator/random.ts";
import { seeded } from "../../lib/seed.ts";
import { exponential, lognormal, pareto, type Shape, wandering } from "./markets.ts";

const SECOND = 1_000_000;
const TICK = SECOND / 2;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const BTC = 3;

interface Visit {
  readonly at: number;
  readonly symbol: number;
  readonly since: number;
  readonly threshold: number;
}

/** A watch with virtual time: one symbol is fed at a mean interval while it lives. */
class Bench {
  now = 0;
  last = Number.NaN;
  readonly watch: SymbolWatch;
  readonly visits: Visit[] = [];
  readonly holes: { symbol: number; from: number; to: number; flaggedAt: number }[] = [];

  constructor(
    readonly random: Random,
    options: ConstructorParameters<typeof SymbolWatch>[0] = {},
  ) {
    this.watch = new SymbolWatch(options);
  }

  tick(): void {
    this.watch.overdue(this.now, (symbol, since, threshold) =>
      this.visits.push({ at: this.now, symbol, since, threshold }),
    );
    this.watch.recovered((symbol, from, to, flaggedAt) => this.holes.push({ symbol, from, to, flaggedAt }));
  }

  event(): void {
    this.last = this.now;
    this.watch.observe(BTC, this.now);
  }

  /** Events with that mean interval, µs, for that long. */
  live(span: number, mean: number): void {
    const until = this.now + span;
    let next = this.now;
    for (; this.now <= until; this.now += TICK) {
      for (; next <= this.now; next += Math.ceil(mean * exponential(this.random))) {
        this.last = next;
        this.watch.observe(BTC, next);
      }
      this.tick();
    }
  }

  /** Silence until the first visit, at most `max`; how long it took from the last event, or null. */
  untilVisited(max = HOUR): number | null {
    const before = this.visits.length;
    for (const until = this.now + max; this.now <= until; this.now += TICK) {
      this.tick();
      if (this.visits.length > before) return this.now - this.last;
    }
    return null;
  }

  silence(span: number): void {
    for (const until = this.now + span; this.now < until; this.now += TICK) this.tick();
  }
}

describe("a busy symbol that goes silent", () => {
  test("is found within 7 s, twice in a row and more often, when a mend brings it back", () => {
    for (const [rate, warmUp] of [
      [20, 30],
      [100, 3],
      [100, 3600],
    ] as const) {
      const bench = new Bench(seeded(`BTC at ${rate} a second`));
      bench.live(warmUp * SECOND, SECOND / rate);
      expect(bench.visits).toEqual([]);
      for (let hole = 0; hole < 5; hole++) {
        const [from, found] = [bench.last, bench.untilVisited()];
        expect(found).toBeGreaterThan(5 * SECOND);
        expect(found).toBeLessThanOrEqual(7 * SECOND);
        expect(bench.visits.at(-1)).toMatchObject({ symbol: BTC, since: from });
        const flaggedAt = bench.now;
        expect(bench.watch.isFlagged(BTC)).toBe(true);
        bench.watch.mended(BTC, bench.now);
        bench.now += SECOND;
        const to = bench.now;
        bench.live(30 * SECOND, SECOND / rate);
        expect(bench.watch.isFlagged(BTC)).toBe(false);
        expect(bench.holes.at(-1)).toEqual({ symbol: BTC, from, to, flaggedAt });
        expect(bench.holes.length).toBe(hole + 1);
      }
      expect(bench.visits.length).toBe(5);
    }
  });

  test("silence that ends by itself is learned: the same does not flag again, for a while", () => {
    const bench = new Bench(seeded("learned"));
    bench.live(10 * MINUTE, SECOND / 20);
    expect(bench.untilVisited()).not.toBeNull();
    bench.silence(5 * SECOND);
    bench.live(MINUTE, SECOND / 20);
    expect(bench.holes.length).toBe(1);
    bench.silence(12 * SECOND);
    bench.live(MINUTE, SECOND / 20);
    expect(bench.visits.length).toBe(1);
    // Two fadings later it is as sharp as before.
    bench.live(70 * MINUTE, SECOND / 20);
    expect(bench.untilVisited()).toBeLessThanOrEqual(7 * SECOND);
  });

  test("an event long after the mend is not its doing, and learned", () => {
    const bench = new Bench(seeded("late mend"));
    bench.live(10 * MINUTE, SECOND / 20);
    bench.untilVisited();
    bench.watch.mended(BTC, bench.now);
    bench.silence(4 * SECOND);
    bench.live(MINUTE, SECOND / 20);
    expect(bench.watch.threshold(BTC)).toBeGreaterThan(1.5 * 9 * SECOND);
  });

  test("mends that always help are believed only so often: a snapshot answers each, needed or not", () => {
    const bench = new Bench(seeded("snapshots answer"), { holesMax: 4 });
    bench.live(5 * MINUTE, SECOND / 20);
    for (let i = 0; i < 20; i++) {
      bench.silence(8 * SECOND);
      if (bench.watch.isFlagged(BTC)) bench.watch.mended(BTC, bench.now);
      bench.live(10 * SECOND, SECOND / 20);
    }
    expect(bench.visits.length).toBe(5);
  });

  test("that stays silent is visited each time its silence has doubled, then every 15 minutes", () => {
    const bench = new Bench(seeded("back-off"));
    bench.live(5 * MINUTE, SECOND / 20);
    const visited = bench.visits.length;
    const { last } = bench;
    bench.silence(2 * HOUR);
    const silences = bench.visits.slice(visited).map(({ at }) => (at - last) / SECOND);
    expect(silences[0]).toBeLessThanOrEqual(5.5);
    for (let i = 1; i < silences.length; i++) {
      const wait = silences[i] - silences[i - 1];
      expect(Math.abs(wait - Math.min(silences[i - 1], 900))).toBeLessThanOrEqual(0.5);
    }
    expect(silences.length).toBe(15);
  });
});

describe("interruptions", () => {
  test("a paused symbol is not judged, nor is the interval learned; renewed, its silence counts from there", () => {
    const bench = new Bench(seeded("paused"));
    bench.live(10 * MINUTE, SECOND / 20);
    const threshold = bench.watch.threshold(BTC);
    bench.watch.pause(BTC);
    bench.silence(HOUR);
    expect(bench.visits).toEqual([]);
    bench.watch.renewed(BTC, bench.now);
    const renewedAt = bench.now;
    bench.silence(4 * SECOND);
    expect(bench.visits).toEqual([]);
    bench.untilVisited(10 * SECOND);
    expect(bench.visits[0]).toMatchObject({ since: renewedAt, threshold: 5 * SECOND });
    bench.event();
    bench.tick();
    // The hole began with the last event, an hour before.
    expect(bench.holes[0].to - bench.holes[0].from).toBeGreaterThan(HOUR);
    expect(bench.watch.threshold(BTC)).toBe(threshold);
  });

  test("a flagged symbol whose connection is replaced is visited again only after its threshold", () => {
    const bench = new Bench(seeded("flagged and replaced"));
    bench.live(10 * MINUTE, SECOND / 20);
    bench.untilVisited();
    bench.watch.pause(BTC);
    bench.silence(MINUTE);
    expect(bench.visits.length).toBe(1);
    bench.watch.renewed(BTC, bench.now);
    const renewedAt = bench.now;
    bench.untilVisited();
    expect(bench.now - renewedAt).toBeGreaterThan(5 * SECOND);
    expect(bench.now - renewedAt).toBeLessThanOrEqual(6 * SECOND);
    expect(bench.visits.length).toBe(2);
  });

  test("an expected first event is due within 10 s, whatever is known of the symbol", () => {
    const bench = new Bench(seeded("expected"));
    bench.watch.expect(BTC, bench.now);
    bench.silence(10 * SECOND);
    expect(bench.visits).toEqual([]);
    bench.silence(SECOND);
    expect(bench.visits).toMatchObject([{ symbol: BTC, since: 0, threshold: 10 * SECOND }]);
    bench.event();
    bench.tick();
    expect(bench.holes).toMatchObject([{ from: 0, to: bench.now }]);
    // Heard once, it has no rhythm yet.
    bench.silence(HOUR);
    expect(bench.visits.length).toBe(1);
    bench.watch.expect(BTC, bench.now);
    bench.event();
    bench.silence(HOUR);
    expect(bench.visits.length).toBe(1);
  });

  test("where no rhythm is known the first event is due within 5 min, or what is judged at most; else by the rhythm", () => {
    const bench = new Bench(seeded("expected in time"));
    bench.watch.expectInTime(BTC, bench.now);
    bench.silence(5 * MINUTE);
    expect(bench.visits).toEqual([]);
    bench.silence(SECOND);
    expect(bench.visits).toMatchObject([{ symbol: BTC, since: 0, threshold: 5 * MINUTE }]);
    bench.event();
    bench.tick();
    expect(bench.holes).toMatchObject([{ from: 0, to: bench.now }]);
    // A lost connection ends what was due.
    bench.watch.expectInTime(BTC, bench.now);
    bench.watch.pause(BTC);
    bench.silence(HOUR);
    expect(bench.visits.length).toBe(1);
    // One with a snapshot that is due is due soon all the same.
    bench.watch.expectInTime(BTC, bench.now);
    bench.watch.expect(BTC, bench.now);
    bench.silence(11 * SECOND);
    expect(bench.visits.at(-1)).toMatchObject({ threshold: 10 * SECOND });
    bench.event();

    const slow = new Bench(seeded("expected in time, slow"));
    slow.live(20 * HOUR, 2 * MINUTE);
    const threshold = slow.watch.threshold(BTC);
    expect(threshold).toBeGreaterThan(5 * MINUTE);
    const visited = slow.visits.length;
    slow.watch.expectInTime(BTC, slow.now);
    slow.silence(6 * MINUTE);
    expect(slow.visits.length).toBe(visited);

    const short = new Bench(seeded("expected in time, judged"), { judgedMax: 60_000 });
    short.watch.expectInTime(BTC, short.now);
    short.silence(MINUTE + SECOND);
    expect(short.visits).toMatchObject([{ threshold: MINUTE }]);
  });

  test("the own clock set ahead by an hour is no silence, and is not learned; a hole begins where it did", () => {
    const bench = new Bench(seeded("set ahead"));
    bench.live(20 * MINUTE, SECOND / 10);
    const threshold = bench.watch.threshold(BTC);
    const { last } = bench;
    bench.silence(3 * SECOND);
    bench.now += HOUR;
    bench.watch.stepped(HOUR);
    bench.silence(SECOND);
    expect(bench.visits).toEqual([]);
    // Silent for its own time, it is found.
    const found = bench.untilVisited();
    expect((Number(found) - HOUR) / SECOND).toBeLessThan(7);
    bench.watch.mended(BTC, bench.now);
    bench.now += SECOND;
    bench.event();
    bench.tick();
    expect(bench.holes).toMatchObject([{ symbol: BTC, from: last, to: bench.now }]);
    bench.live(MINUTE, SECOND / 10);
    expect(bench.watch.threshold(BTC)).toBeLessThanOrEqual(2 * threshold);
    expect(bench.visits.length).toBe(1);
  });

  test("a forgotten symbol is not judged, its hole is none, and it is judged again once it is heard", () => {
    const bench = new Bench(seeded("forgotten"));
    bench.live(10 * MINUTE, SECOND / 20);
    bench.untilVisited();
    bench.watch.forget(BTC);
    bench.silence(DAY);
    expect(bench.visits.length).toBe(1);
    bench.live(10 * SECOND, SECOND / 20);
    expect(bench.holes).toEqual([]);
    expect(bench.untilVisited()).toBeLessThanOrEqual(7 * SECOND);
    bench.watch.expect(BTC + 1, bench.now);
    bench.watch.forget(BTC + 1);
    bench.silence(HOUR);
    expect(bench.visits.filter(({ symbol }) => symbol !== BTC)).toEqual([]);
  });

  test("two holes between two fetches come as one span", () => {
    const bench = new Bench(seeded("two holes"));
    const { watch } = bench;
    bench.live(10 * MINUTE, SECOND / 20);
    const from = bench.last;
    const overdue = () => {
      bench.now += 6 * SECOND;
      let visited = 0;
      watch.overdue(bench.now, () => visited++);
      expect(visited).toBe(1);
      watch.mended(BTC, bench.now);
      bench.event();
    };
    overdue();
    overdue();
    watch.recovered((symbol, start, to) => bench.holes.push({ symbol, from: start, to, flaggedAt: 0 }));
    expect(bench.holes).toEqual([{ symbol: BTC, from, to: bench.now, flaggedAt: 0 }]);
    watch.recovered(() => expect.unreachable());
  });
});

describe("symbols", () => {
  test("are judged each by its own rhythm, any number of them, up to symbolsMax", () => {
    const watch = new SymbolWatch({ symbolsMax: 5_000 });
    for (let now = 0; now < MINUTE; now += SECOND / 10)
      for (const symbol of [0, 63, 64, 4_999, 5_000]) watch.observe(symbol, now);
    expect(watch.unwatched).toBe(600);
    for (const act of [watch.pause, watch.forget]) act.call(watch, 5_000);
    for (const act of [watch.renewed, watch.expect, watch.mended]) act.call(watch, 6_000, MINUTE);
    for (let now = MINUTE; now < 2 * MINUTE; now += SECOND / 10)
      for (const symbol of [0, 64, 4_999]) watch.observe(symbol, now);
    const silent: number[] = [];
    watch.overdue(2 * MINUTE, (symbol) => silent.push(symbol));
    expect(silent).toEqual([63]);
    expect([watch.isFlagged(63), watch.isFlagged(64), watch.isFlagged(6_000)]).toEqual([true, false, false]);
    expect(watch.threshold(6_000)).toBeNaN();
  });

  test("with fewer than 100 intervals are not judged", () => {
    const watch = new SymbolWatch();
    for (let i = 0; i < 100; i++) watch.observe(0, i * 10_000);
    watch.overdue(HOUR, () => expect.unreachable());
    watch.observe(0, HOUR);
    for (let i = 0; i < 100; i++) watch.observe(1, HOUR + i * 10_000);
    watch.observe(1, HOUR + 1_000_000);
    let visits = 0;
    watch.overdue(2 * HOUR, () => visits++);
    expect(visits).toBe(1);
  });
});

interface Market {
  readonly shape: () => Shape;
  readonly mean: (now: number) => number;
  readonly symbols: number;
  readonly days: number;
}

/** False alarms of symbols over some days: silences that ended by themselves after they were flagged. */
function falseAlarms(random: Random, { shape, mean, symbols, days }: Market) {
  const watch = new SymbolWatch();
  const shapes = Array.from({ length: symbols }, shape);
  const step = (symbol: number, now: number) => Math.ceil(mean(now) * shapes[symbol](random));
  const next = shapes.map((_, symbol) => step(symbol, 0));
  const thresholds: number[] = [];
  let alarms = 0;
  let looks = 0;
  for (let now = 0; now < days * DAY; now += 2 * SECOND) {
    for (let symbol = 0; symbol < symbols; symbol++) {
      for (; next[symbol] <= now; next[symbol] += step(symbol, next[symbol]))
        watch.observe(symbol, next[symbol]);
      if (now % (10 * MINUTE) !== 0) continue;
      looks++;
      const threshold = watch.threshold(symbol);
      if (threshold <= 15 * MINUTE) thresholds.push(threshold);
    }
    watch.overdue(now, () => {});
    watch.recovered(() => alarms++);
  }
  thresholds.sort((a, b) => a - b);
  const judged = Math.round((100 * thresholds.length) / looks);
  const median = Math.round((thresholds[thresholds.length >> 1] ?? Number.NaN) / SECOND);
  const said = `${alarms} in ${symbols * days} symbol-days, judged ${judged} %, median threshold ${median} s`;
  return { alarms, symbolDays: symbols * days, said };
}

describe("false alarms a symbol and day, nothing being wrong", () => {
  const shapes: readonly [string, () => Shape][] = [
    ["Poisson", () => exponential],
    ["log-normal, sigma 1", () => lognormal(1)],
    ["log-normal, sigma 1.5", () => lognormal(1.5)],
    ["Pareto, alpha 2.5", () => pareto(2.5)],
    ["Pareto, alpha 1.5", () => pareto(1.5)],
    ["clusters", () => wandering(600)],
  ];
  test.each(shapes)(
    "stay well below 0.1 from the first event on: %s",
    (name, shape) => {
      const random = seeded(`false alarms, ${name}`);
      let alarms = 0;
      let symbolDays = 0;
      for (const [mean, symbols] of [
        [0.2, 2],
        [1, 8],
        [5, 24],
        [20, 24],
      ] as const) {
        const result = falseAlarms(random, { shape, mean: () => mean * SECOND, symbols, days: 2 });
        console.log(`${name}, mean ${mean} s: ${result.said}`);
        alarms += result.alarms;
        symbolDays += result.symbolDays;
      }
      expect(alarms / symbolDays).toBeLessThan(0.1);
    },
    120_000,
  );

  test("from a day to a night that is 50 times slower and back", () => {
    const random = seeded("false alarms by day and night");
    for (const noon of [0.1, 1]) {
      const mean = (now: number) => noon * SECOND * 50 ** ((1 - Math.cos((now / DAY) * 2 * Math.PI)) / 2);
      const result = falseAlarms(random, { shape: () => exponential, mean, symbols: 6, days: 3 });
      console.log(`noon ${noon} s: ${result.said}`);
      expect(result.alarms / result.symbolDays).toBeLessThan(0.1);
    }
  }, 120_000);

  test("300 symbols with one trade an hour each in 24 h: none", () => {
    const random = seeded("an hour each");
    const market = { shape: () => exponential, mean: () => HOUR, symbols: 300, days: 1 };
    expect(falseAlarms(random, market).alarms).toBe(0);
  }, 120_000);
});
