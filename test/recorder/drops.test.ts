/** What a killed run dropped and did not tell: found in its journals and files, from the number up to which it had told. */
import { describe, expect, test } from "bun:test";
import { untoldDrops } from "../../src/recorder/drops.ts";
import { RingConsumer } from "../../src/ring/consumer.ts";
import { inspectJournal } from "../../src/storage/journal/inspect.ts";
import type { JournalHole, JournalNumbers } from "../../src/storage/journal/recovery.ts";
import { JournalWriter, Stage } from "../../src/storage/journal/writer.ts";
import { Ledger } from "../../src/storage/ledger.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { Feed } from "../storage/feed.ts";
import { FIRST, headerOf } from "../storage/journal/rows.ts";

const T = 1_795_132_800_000_000;
const RUN = `test-${T}-abcd`;
const RING = { ring: 0, exchange: "okx", stream: "bbo" } as const;

/** Numbers `first` to `last` of a segment, received a millisecond apart, but for those of the jumps. */
function numbers(n: number, first: number, last: number, ...jumps: [first: number, missed: number][]) {
  const at = (seq: number) => T + seq * 1000;
  const missing = jumps.reduce((sum, [, missed]) => sum + missed, 0);
  const found: JournalNumbers = {
    ...RING,
    run: RUN,
    n,
    span: {
      rows: last - first + 1 - missing,
      firstLocal: at(first),
      lastLocal: at(last),
      firstSeq: first,
      lastSeq: last,
    },
    jumps: jumps.map(([seq, missed]) => ({ first: seq, missed, from: at(seq - 1), to: at(seq + missed) })),
  };
  return found;
}

/** What is told after a run that left these journals and files. */
function told(options: {
  journals?: readonly JournalNumbers[];
  files?: readonly JournalNumbers[];
  toldBelow?: number;
  holes?: readonly JournalHole[];
  ended?: boolean;
  started?: boolean;
}) {
  const { journals = [], files = [], toldBelow = 0, holes = [], ended = false, started = true } = options;
  const ledger = Ledger.open(":memory:");
  try {
    ledger.begin(RUN, T, [RING]);
    if (started) ledger.published(RING, T + 1);
    for (const { n, span } of files) {
      const key = `v1/exchange=okx/stream=bbo/date=2026-11-20/${span.firstLocal}_${RUN}_0_${n}.parquet`;
      ledger.files.copied({ key, ...span, bytes: null, sha256: null });
    }
    ledger.toldBelow(RING, toldBelow);
    if (ended) ledger.end(T + 9_000_000, true);
    return untoldDrops({ numbers: journals, holes }, ledger).map(({ row }) => [
      row.certainty,
      (Number(row.from_timestamp) - T) / 1000,
      (Number(row.to_timestamp) - T) / 1000,
      row.missed,
    ]);
  } finally {
    ledger.close();
  }
}

describe("what was dropped and not told", () => {
  test("within journals and files, between them, and before the first one: each once", () => {
    expect(told({ journals: [numbers(0, 0, 99)] })).toEqual([]);
    expect(told({ journals: [numbers(0, 0, 99, [50, 7])] })).toEqual([["lost", 49, 57, 7]]);
    expect(told({ journals: [numbers(0, 5, 99)] })).toEqual([["lost", 5, 5, 5]]);
    const files = [numbers(0, 0, 99, [50, 7])];
    expect(told({ files })).toEqual([["lost", 0, 99, 7]]);
    // The file is there already, and so is its journal still.
    expect(told({ files, journals: files })).toEqual([["lost", 49, 57, 7]]);
    // Of what is missing in quick succession: one row.
    const journals = [numbers(1, 110, 199, [150, 2]), numbers(2, 5000, 5009)];
    expect(told({ files: [numbers(0, 0, 99)], journals })).toEqual([["lost", 99, 5000, 10 + 2 + 4800]]);
    expect(told({ journals: [numbers(0, 0, 5000, [10, 2], [4000, 3])] })).toEqual([
      ["lost", 9, 12, 2],
      ["lost", 3999, 4003, 3],
    ]);
  });

  test("not what the run had told itself, nor what is told as lost with a journal, nor of a neighbour nobody knows", () => {
    const journals = [numbers(0, 0, 99, [20, 5], [50, 7])];
    expect(told({ journals, toldBelow: 40 })).toEqual([["lost", 49, 57, 7]]);
    expect(told({ journals, toldBelow: 54 })).toEqual([["lost", 49, 57, 3]]);
    expect(told({ journals, toldBelow: 57 })).toEqual([]);
    const files = [numbers(0, 0, 99, [20, 5])];
    expect(told({ files, toldBelow: 100 })).toEqual([]);
    // Where in the file they are only its rows would say.
    expect(told({ files, toldBelow: 60 })).toEqual([["possible", 0, 99, null]]);
    const hole = {
      ...RING,
      run: RUN,
      reason: "crash",
      from: T + 99_000,
      to: T + 110_000,
      missed: 10,
    } as const;
    const two = [numbers(0, 0, 99), numbers(1, 110, 120)];
    expect([told({ journals: two }), told({ journals: two, holes: [hole] })]).toEqual([
      [["lost", 99, 110, 10]],
      [],
    ]);
    expect(told({ journals: [numbers(7, 700, 800)] })).toEqual([]);
  });

  test("nothing of a run that ended, and told all; nor of one whose start is not told: all of it is missing", () => {
    const journals = [numbers(0, 0, 99, [50, 7])];
    expect([told({ journals, ended: true }), told({ journals, started: false })]).toEqual([[], []]);
  });
});

test("a journal says where its numbers jump: within a record, and between two", async () => {
  const feed = new Feed("bbo", { capacity: 8 });
  const consumer = new RingConsumer(feed.spec.handle);
  const folder = scratchFolder("drops");
  const symbols = [[0, "BTCUSDT", "BTCUSDT-X"]] as const;
  const context = { stage: new Stage(), always: false };
  const writer = JournalWriter.create(folder, headerOf({ stream: "bbo" }), symbols, context);
  let seq = 0;
  const push = (count: number) => {
    for (let i = 0; i < count; i++, seq++) feed.push(0, FIRST + seq);
    feed.publish();
  };
  const write = (count: number) => {
    for (let left = count; left > 0; ) {
      // Up to where the ring begins anew.
      const rows = consumer.available(left);
      expect(rows).toBeGreaterThan(0);
      writer.rows(consumer, rows);
      consumer.release(rows);
      left -= rows;
    }
  };
  push(8);
  write(4);
  push(6); // 12 and 13 find it full …
  write(4);
  push(3);
  write(7); // … within this record;
  push(10); // so do 25 and 26 …
  write(8);
  push(1);
  write(1); // … before this one.
  await writer.close();
  const { span, jumps } = inspectJournal(writer.path);
  expect(span).toMatchObject({ rows: 24, firstSeq: 0, lastSeq: 27 });
  expect(jumps).toEqual([
    { first: 12, missed: 2, from: FIRST + 11, to: FIRST + 14 },
    { first: 25, missed: 2, from: FIRST + 24, to: FIRST + 27 },
  ]);
});
