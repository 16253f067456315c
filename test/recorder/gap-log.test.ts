/** The book of gaps: every gap is a row, whatever the log says; a start reaches back to the run before. */
import { describe, expect, test } from "bun:test";
import type { GapNotice } from "../../src/ingest/messages.ts";
import { GapLines, type LinesTime } from "../../src/recorder/gap-lines.ts";
import { GapLog } from "../../src/recorder/gap-log.ts";
import { createLogger } from "../../src/status/log.ts";
import type { DatasetRow } from "../../src/storage/dataset-segment.ts";
import type { EarlierRecording } from "../../src/storage/ledger.ts";

const T = 1_795_132_800_000_000;

function notice(fields: Partial<GapNotice> = {}): GapNotice {
  return {
    exchange: "okx",
    stream: "bbo",
    instrument: null,
    reason: "disconnect",
    certainty: "possible",
    from: T,
    to: T + 1000,
    firstId: null,
    lastId: null,
    missed: null,
    ...fields,
  };
}

/** Time that passes when the test says so. */
class TestTime implements LinesTime {
  #now = 0;
  readonly #due = new Map<() => void, number>();

  now(): number {
    return this.#now;
  }

  later(run: () => void, ms: number): () => void {
    this.#due.set(run, this.#now + ms);
    return () => this.#due.delete(run);
  }

  pass(ms: number): void {
    this.#now += ms;
    for (const [run, at] of [...this.#due]) {
      if (at > this.#now) continue;
      this.#due.delete(run);
      run();
    }
  }
}

/** A gap log, its rows by exchange, and the lines it wrote. */
function bench(options: {
  room?: () => number;
  earlier?: readonly EarlierRecording[];
  lanes?: readonly { exchange: string; stream: "bbo" | "trade" }[];
  bounds?: { lines?: number; span?: number };
  time?: LinesTime;
  /** Workers that carry a stream. */
  parts?: number;
}) {
  const rows: [exchange: string, row: DatasetRow][] = [];
  /** What stands in the ledger as holes, by exchange and worker. */
  const noted = new Map<string, readonly DatasetRow[]>();
  /** What happened in the ledger, one list for each transaction. */
  const commits: string[][] = [];
  let within = 0;
  const lines: Record<string, unknown>[] = [];
  const log = createLogger({
    format: "json",
    level: "debug",
    write: (line) => lines.push(JSON.parse(line) as Record<string, unknown>),
  });
  const gaps = new GapLog({
    log,
    lines: new GapLines(log, options.bounds ?? {}, options.time),
    sink: {
      room: options.room ?? (() => 1_000_000),
      rows: (exchange, more) => {
        rows.push(...more.map((row): [string, DatasetRow] => [exchange, row]));
        commits.at(-1)?.push(...more.map(({ reason }) => `${within} row ${reason}`));
      },
      started: (_exchange, stream) => commits.at(-1)?.push(`${within} started ${stream}`),
      untold: (exchange, worker, some) => {
        noted.set(`${exchange} ${worker}`, some);
        commits.at(-1)?.push(`${within} noted ${some.length}`);
      },
      toldBelow: (exchange, stream, worker, seq) =>
        commits.at(-1)?.push(`${within} told ${exchange} ${stream} ${worker} below ${seq}`),
      together: (act) => {
        if (within++ === 0) commits.push([]);
        act();
        within--;
      },
    },
    began: T - 50,
    lanes: options.lanes ?? [{ exchange: "okx", stream: "bbo" }],
    earlier: options.earlier ?? [],
    partsOf: () => options.parts ?? 1,
    ...(options.time === undefined ? {} : { time: options.time }),
  });
  const told = (event: string) => lines.filter((line) => line.event === event);
  return { gaps, rows, noted, commits, told, spans: () => rows.map(([, row]) => spanOf(row)) };
}

const spanOf = (row: DatasetRow) => [
  row.reason,
  row.certainty,
  row.symbol,
  row.from_timestamp,
  row.to_timestamp,
];

describe("rows", () => {
  test("have what the notice has, with the unified symbol", () => {
    const { gaps, rows, told } = bench({});
    const jump = { reason: "sequence", certainty: "lost", firstId: "7", lastId: "9", missed: 3 } as const;
    gaps.add([notice({ ...jump, stream: "trade", instrument: "BTC-USDT-SWAP" })], 4);
    expect(rows).toEqual([
      [
        "okx",
        {
          affected_stream: "trade",
          symbol: "BTCUSDT",
          from_timestamp: T,
          to_timestamp: T + 1000,
          reason: "sequence",
          certainty: "lost",
          first_id: "7",
          last_id: "9",
          missed: 3,
        },
      ],
    ]);
    const times = { from: "2026-11-20T00:00:00.000Z", to: "2026-11-20T00:00:00.001Z" };
    expect(told("gap")).toMatchObject([
      { level: "warn", symbols: ["BTCUSDT"], first_id: "7", last_id: "9", missed: 3, ...times },
    ]);
    expect(told("gaps_not_named")).toMatchObject([{ level: "error", count: 4 }]);
  });

  test("that find no room become one a stream and reason, over the whole span, and nothing is left out", () => {
    let room = 2;
    const { gaps, rows, spans, told } = bench({ room: () => room });
    const lost = { reason: "sequence", certainty: "lost" } as const;
    const many = (from: number, count: number) =>
      Array.from({ length: count }, (_, i) =>
        notice({ ...lost, instrument: "BTC-USDT-SWAP", from: T + from + i, to: T + from + i + 1, missed: 2 }),
      );
    gaps.add(many(0, 5));
    expect(rows.length).toBe(2);
    room = 0;
    gaps.add([...many(10, 2), notice({ to: null })]);
    expect(rows.length).toBe(2);
    room = 10;
    gaps.add(many(20, 1));
    expect(spans().slice(2)).toEqual([
      ["sequence", "lost", null, T + 2, T + 12],
      ["disconnect", "possible", null, T, null],
      ["sequence", "lost", "BTCUSDT", T + 20, T + 21],
    ]);
    expect(rows.reduce((sum, [, row]) => sum + Number(row.missed), 0)).toBe(2 * 8);
    expect(told("gaps_folded").length).toBe(1);
    expect(told("gaps_unfolded")).toMatchObject([{ count: 6, rows: 2 }]);
    // At the end they are written without asking.
    room = 0;
    gaps.add(many(30, 1));
    gaps.close();
    expect(spans().at(-1)).toEqual(["sequence", "lost", null, T + 30, T + 31]);
  });
});

describe("a start", () => {
  const start = (fields: Partial<GapNotice> = {}) =>
    notice({ reason: "start", certainty: "planned", from: T, to: T + 9000, ...fields });
  const earlier = { exchange: "okx", stream: "bbo", until: T - 700, ended: null, clean: false };

  test("of the first run ever begins with the run", () => {
    const { gaps, spans, told } = bench({});
    gaps.add([start()]);
    expect(spans()).toEqual([["start", "planned", null, T - 50, T + 9000]]);
    expect(told("gap")).toMatchObject([{ level: "info", symbols: "all" }]);
  });

  test("after a run that ended well begins at its end", () => {
    const { gaps, spans } = bench({ earlier: [{ ...earlier, until: T - 600, ended: T - 600, clean: true }] });
    gaps.add([start()]);
    expect(spans()).toEqual([["start", "planned", null, T - 600, T + 9000]]);
  });

  test("after one that was killed is a crash, from its last row in a file", () => {
    const { gaps, spans } = bench({ earlier: [earlier] });
    gaps.add([start({ instrument: "BTC-USDT-SWAP" }), start({ instrument: "ETH-USDT-SWAP", to: T + 8000 })]);
    gaps.add([start({ instrument: "XRP-USDT-SWAP", to: T + 5_000_000 })]);
    expect(spans()).toEqual([
      ["crash", "lost", "BTCUSDT", T - 700, T + 9000],
      ["crash", "lost", "ETHUSDT", T - 700, T + 8000],
      ["crash", "lost", "XRPUSDT", T - 700, T + 5_000_000],
    ]);
  });

  test("of a listing begins with the listing", () => {
    const { gaps, spans } = bench({ earlier: [earlier] });
    gaps.add([start()]);
    gaps.add([start({ instrument: "NEW-USDT-SWAP", from: T + 60_000_000, to: T + 61_000_000 })]);
    expect(spans()[1]).toEqual(["start", "planned", "NEWUSDT", T + 60_000_000, T + 61_000_000]);
  });

  test("after one that stopped without knowing what was written: storage up to its end, then start", () => {
    const { gaps, spans } = bench({ earlier: [{ ...earlier, ended: T - 300 }] });
    gaps.add([start()]);
    expect(spans()).toEqual([
      ["storage", "lost", null, T - 700, T - 300],
      ["start", "planned", null, T - 300, T + 9000],
    ]);
  });

  test("never begins after itself, even if the clock was set back", () => {
    const { gaps, spans } = bench({ earlier: [{ ...earlier, until: T + 10 ** 9 }] });
    gaps.add([start()]);
    expect(spans()).toEqual([["crash", "lost", null, T - 50, T + 9000]]);
  });
});

describe("a start of a stream that several workers share", () => {
  const part = (coin: string, fields: Partial<GapNotice> = {}) =>
    notice({
      instrument: `${coin}-USDT-SWAP`,
      reason: "start",
      certainty: "planned",
      wholePart: true,
      to: T + 9000,
      ...fields,
    });
  const earlier = [{ exchange: "okx", stream: "bbo", until: T - 700, ended: null, clean: false }];

  test("is one row of all symbols, when each of them has told its part", () => {
    const { gaps, spans, commits } = bench({ earlier, parts: 3, time: new TestTime() });
    gaps.told([part("BTC"), part("ETH", { to: T + 8000 })], 0, [], 0);
    gaps.told([part("XRP", { from: T + 500, to: T + 5_000_000 }), notice({ to: T + 1 })], 0, [], 1);
    expect(spans()).toEqual([["disconnect", "possible", null, T, T + 1]]);
    gaps.told([part("SOL")], 0, [], 2);
    expect(spans().slice(1)).toEqual([["crash", "lost", null, T - 700, T + 5_000_000]]);
    expect(commits.at(-1)).toEqual(["2 row crash", "2 started bbo"]);
    // A listing later is of its own.
    gaps.told([part("NEW", { from: T + 60_000_000, to: T + 61_000_000 })], 0, [], 1);
    expect(spans()[2]).toEqual(["start", "planned", "NEWUSDT", T + 60_000_000, T + 61_000_000]);
  });

  test("is a row of each symbol where a worker does not get there, in parts, or begins later", () => {
    const time = new TestTime();
    const late = bench({ earlier, parts: 2, time });
    late.gaps.told([part("BTC"), part("ETH")], 0, [], 0);
    time.pass(14_999);
    expect(late.rows).toEqual([]);
    time.pass(1);
    const names = (rows: typeof late.rows) => rows.map(([, { symbol }]) => symbol);
    expect(names(late.rows)).toEqual(["BTCUSDT", "ETHUSDT"]);
    late.gaps.told([part("SOL")], 0, [], 1);
    expect(names(late.rows).slice(2)).toEqual(["SOLUSDT"]);
    const parts = bench({ earlier, parts: 2, time });
    parts.gaps.told([part("BTC")], 0, [], 0);
    const { wholePart: _, ...half } = part("SOL");
    parts.gaps.told([half], 0, [], 1);
    expect(names(parts.rows)).toEqual(["BTCUSDT", "SOLUSDT"]);
    const apart = bench({ earlier, parts: 2, time });
    apart.gaps.told([part("BTC")], 0, [], 0);
    apart.gaps.told([part("SOL", { from: T + 2_000_000, to: T + 3_000_000 })], 0, [], 1);
    expect(names(apart.rows)).toEqual(["BTCUSDT", "SOLUSDT"]);
  });

  test("is told at a stop, whoever is missing", () => {
    const { gaps, spans } = bench({ earlier, parts: 2, time: new TestTime() });
    gaps.told([part("BTC")], 0, [], 0);
    gaps.stop(T + 20_000);
    expect(spans()).toEqual([
      ["crash", "lost", "BTCUSDT", T - 700, T + 9000],
      ["stop", "planned", null, T + 20_000, null],
    ]);
  });
});

test("an overflow's rows and the mark up to where it is told are one commit; without room for them there is no mark", () => {
  let room = 10;
  const { gaps, commits } = bench({ room: () => room });
  const overflow = notice({ reason: "overflow", certainty: "lost", missed: 3, toldBelow: 77 });
  gaps.told([overflow], 0, [], 2);
  expect(commits).toEqual([["2 row overflow", "1 told okx bbo 2 below 77"]]);
  gaps.told([overflow], 1, [], 2);
  room = 0;
  gaps.told([overflow], 0, [], 2);
  expect(commits.slice(1)).toEqual([["2 row overflow"], []]);
});

describe("holes that are not told yet", () => {
  const hole = notice({ instrument: "BTC-USDT-SWAP", reason: "silence", from: T + 5, to: null });

  test("are noted as the rows that they would be, and gone in the commit that brings their row", () => {
    const { gaps, noted, commits } = bench({});
    gaps.told([], 0, [{ exchange: "okx", holes: [hole] }], 1);
    expect(noted.get("okx 1")).toMatchObject([
      {
        affected_stream: "bbo",
        symbol: "BTCUSDT",
        reason: "silence",
        from_timestamp: T + 5,
        to_timestamp: null,
      },
    ]);
    gaps.told([{ ...hole, to: T + 9 }], 0, [{ exchange: "okx", holes: [] }], 1);
    expect(noted.get("okx 1")).toEqual([]);
    expect(commits).toEqual([["1 noted 1"], ["2 row silence", "1 noted 0"]]);
  });

  test("a start that stays open begins where the run before ended; that of a later listing does not", () => {
    const earlier = { exchange: "okx", stream: "bbo", until: T - 700, ended: T - 700, clean: true };
    const { gaps, noted } = bench({ earlier: [earlier] });
    const start = { ...hole, reason: "start", certainty: "planned" } as const;
    const holes = [
      { ...start, from: T - 50 },
      { ...start, from: T + 60_000_000 },
    ];
    gaps.told([], 0, [{ exchange: "okx", holes }], 0);
    expect(noted.get("okx 0")?.map(({ from_timestamp }) => from_timestamp)).toEqual([
      T - 700,
      T + 60_000_000,
    ]);
  });
});

test("a step of the clock that several workers of an exchange tell is one row; the next step is another", () => {
  const { gaps, spans } = bench({});
  const step = (from: number, to: number) => notice({ reason: "clock", from, to });
  gaps.add([step(T, T + 20_000_000)]);
  gaps.add([step(T + 200_000, T + 20_240_000), notice({ ...step(T, T + 9), exchange: "binance" })]);
  gaps.add([step(T + 60_000_000, T + 61_000_000)]);
  expect(spans().map(([, , , from]) => from)).toEqual([T, T, T + 60_000_000]);
});

test("a start's row and the mark that it is written are one commit", () => {
  const { gaps, commits } = bench({});
  gaps.add([notice({ reason: "start", certainty: "planned", from: T, to: T + 9000 })]);
  expect(commits).toEqual([["1 row start", "1 started bbo"]]);
});

test("a stop: one open row for each stream; a stream that never began was missing all the time", () => {
  const { gaps, rows, spans } = bench({
    lanes: [
      { exchange: "okx", stream: "bbo" },
      { exchange: "okx", stream: "trade" },
      // A second ring of the same stream.
      { exchange: "okx", stream: "bbo" },
    ],
    earlier: [{ exchange: "okx", stream: "trade", until: T - 700, ended: null, clean: false }],
  });
  gaps.add([notice({ reason: "start", certainty: "planned" })]);
  gaps.stop(T + 5000);
  expect(rows.map(([, row]) => row.affected_stream)).toEqual(["bbo", "trade", "bbo", "trade"]);
  expect(spans().slice(1)).toEqual([
    ["crash", "lost", null, T - 700, T + 5000],
    ["stop", "planned", null, T + 5000, null],
    ["stop", "planned", null, T + 5000, null],
  ]);
  gaps.lost([{ ring: 0, exchange: "okx", stream: "bbo", rows: 77, from: T + 1, to: T + 2 }]);
  expect(rows.at(-1)?.[1]).toMatchObject({
    reason: "storage",
    certainty: "lost",
    missed: 77,
    from_timestamp: T + 1,
  });
});

describe("the log", () => {
  test("has one line for an outage of 500 symbols, with their number; rows are 500", () => {
    const { gaps, rows, told } = bench({});
    const outage = Array.from({ length: 500 }, (_, i) =>
      notice({ instrument: `C${i}-USDT-SWAP`, from: T + (i % 7), to: T + 2_000_000 + i }),
    );
    gaps.add([...outage, notice({ stream: "trade", instrument: "BTC-USDT-SWAP" })]);
    expect(rows.length).toBe(501);
    const line = { stream: "bbo", reason: "disconnect", symbols: 500, to: "2026-11-20T00:00:02.000Z" };
    expect(told("gap")).toMatchObject([line, { stream: "trade", symbols: ["BTCUSDT"] }]);
    // Another outage, later: another line; up to ten symbols by name.
    gaps.add(
      Array.from({ length: 20 }, (_, i) =>
        notice({
          instrument: `C${i % 10}-USDT-SWAP`,
          from: T + (i < 10 ? 0 : 10_000),
          to: T + (i < 10 ? 5 : 10_005),
        }),
      ),
    );
    const names = Array.from({ length: 10 }, (_, i) => `C${i}USDT`);
    expect(told("gap").slice(2)).toMatchObject([{ symbols: names }, { symbols: names }]);
  });

  test("has a bounded number of lines a minute of an exchange, and says what it held back", () => {
    const time = new TestTime();
    const { gaps, rows, told } = bench({ bounds: { lines: 3, span: 60_000 }, time });
    for (let i = 0; i < 50; i++) gaps.add([notice({ from: T + i * 10_000, to: T + i * 10_000 + 5 })]);
    gaps.add([notice({ exchange: "binance" })]);
    expect(rows.length).toBe(51);
    expect(told("gap").map(({ exchange }) => exchange)).toEqual(["okx", "okx", "okx", "binance"]);
    time.pass(59_999);
    expect(told("gaps_not_logged")).toEqual([]);
    time.pass(1);
    expect(told("gaps_not_logged")).toMatchObject([{ exchange: "okx", lines: 47, count: 47 }]);
    gaps.add([notice({})]);
    expect(told("gap").length).toBe(5);
    for (let i = 0; i < 5; i++) gaps.add([notice({})]);
    gaps.close();
    expect(told("gap").length + Number(told("gaps_not_logged")[1]?.lines ?? 0)).toBe(10);
  });
});
