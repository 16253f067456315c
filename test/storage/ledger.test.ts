/** The ledger: how a run is left, told to the next one, whatever happened in between. */
import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Ledger, LedgerError } from "../../src/storage/ledger.ts";
import { lakeKey } from "../../src/storage/names.ts";
import { scratchFolder } from "../helpers/scratch.ts";

const folder = scratchFolder("ledger");
let files = 0;
const fresh = () => join(folder, `ledger-${files++}.db`);

const BBO = { exchange: "binance", stream: "bbo", ring: 0 };
const TRADE = { exchange: "binance", stream: "trade", ring: 1 };
const T = 1_795_132_800_000_000;

/** Opens, does something, closes: or leaves it as kill -9 would. */
function run<V>(path: string, use: (ledger: Ledger) => V): V {
  const ledger = Ledger.open(path);
  try {
    return use(ledger);
  } finally {
    ledger.close();
  }
}

describe("how a run is left", () => {
  test("the first run has no predecessor; one that ended well is complete up to its end", () => {
    const path = fresh();
    run(path, (ledger) => {
      expect(ledger.begin("a", T, [BBO, TRADE])).toEqual([]);
      ledger.published(BBO, T + 5000.7);
      ledger.end(T + 9000, true);
    });
    run(path, (ledger) => {
      expect(ledger.begin("b", T + 10_000, [BBO])).toEqual([
        { exchange: "binance", stream: "bbo", until: T + 9000, ended: T + 9000, clean: true },
      ]);
    });
  });

  test("one that was killed is complete up to its last row in a file, or to where its predecessor was", () => {
    const path = fresh();
    run(path, (ledger) => {
      ledger.begin("a", T, [BBO, TRADE]);
      ledger.published(BBO, T + 7000);
      ledger.published(BBO, T + 5000);
    });
    const killed = { exchange: "binance", ended: null, clean: false };
    run(path, (ledger) => {
      expect(ledger.begin("b", T + 10_000, [BBO, TRADE])).toEqual([
        { ...killed, stream: "bbo", until: T + 7000 },
        { ...killed, stream: "trade", until: T },
      ]);
      ledger.published(TRADE, T + 12_000);
    });
    // Run b brought no bbo into a file: what run a left open is open still.
    run(path, (ledger) => {
      expect(ledger.begin("c", T + 20_000, [BBO, TRADE])).toEqual([
        { ...killed, stream: "bbo", until: T + 7000 },
        { ...killed, stream: "trade", until: T + 12_000 },
      ]);
    });
  });

  test("of several rings of a stream the one that is furthest behind counts", () => {
    const path = fresh();
    const other = { ...BBO, ring: 7 };
    run(path, (ledger) => {
      ledger.begin("a", T, [BBO, other]);
      ledger.published(BBO, T + 7000);
      ledger.published(other, T + 3000);
    });
    // The next run has only one, and what it has not is forgotten.
    run(path, (ledger) => {
      expect(ledger.begin("b", T + 9000, [BBO])).toMatchObject([{ until: T + 3000 }]);
      ledger.published(BBO, T + 11_000);
    });
    run(path, (ledger) => {
      expect(ledger.begin("c", T + 20_000, [BBO])).toMatchObject([{ until: T + 11_000 }]);
    });
  });

  test("a stream that a run leaves out keeps its own predecessor", () => {
    const path = fresh();
    run(path, (ledger) => {
      ledger.begin("a", T, [BBO, TRADE]);
      ledger.end(T + 9000, true);
    });
    run(path, (ledger) => {
      ledger.begin("b", T + 10_000, [TRADE]);
      ledger.end(T + 19_000, false);
    });
    run(path, (ledger) => {
      expect(ledger.begin("c", T + 20_000, [BBO, TRADE])).toEqual([
        { exchange: "binance", stream: "bbo", until: T + 9000, ended: T + 9000, clean: true },
        { exchange: "binance", stream: "trade", until: T + 9000, ended: T + 19_000, clean: false },
      ]);
    });
  });

  test("thousands of runs do not make it grow, and the last of each stream is kept", () => {
    const path = fresh();
    run(path, (ledger) => {
      ledger.begin("first", T, [BBO]);
      ledger.end(T + 1, true);
    });
    alter(
      path,
      `WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1500)
       INSERT INTO runs SELECT 'run-' || n, ${T} + n * 10, ${T} + n * 10 + 1, 1 FROM n`,
    );
    run(path, (ledger) => ledger.begin("other", T + 99_000, [TRADE]));
    run(path, (ledger) => {
      expect(ledger.begin("last", T + 99_999, [BBO])).toMatchObject([{ until: T + 1 }]);
    });
    const db = new Database(path, { readonly: true });
    expect(db.query("SELECT count(*) AS runs FROM runs").get()).toEqual({ runs: 1000 });
    db.close();
  });
});

describe("rows of gaps", () => {
  const row = (n: number) => ({
    affected_stream: "bbo",
    symbol: n % 2 === 0 ? null : "币安人生USDT",
    missed: n,
  });
  const rows = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => row(from + i));

  test("are kept until they are in a file, by exchange and in order, over several runs", () => {
    const path = fresh();
    run(path, (ledger) => {
      ledger.begin("a", T, [BBO]);
      expect(ledger.takeGaps()).toEqual([]);
      ledger.keepGaps("binance", rows(0, 3));
      ledger.keepGaps("okx", rows(10, 12));
      ledger.keepGaps("binance", rows(3, 5));
      ledger.gapsFiled("binance", 2);
    });
    run(path, (ledger) => {
      ledger.begin("b", T + 10, [BBO]);
      const binance = rows(2, 5).map((one) => ({ exchange: "binance", row: one }));
      const okx = rows(10, 12).map((one) => ({ exchange: "okx", row: one }));
      expect(ledger.takeGaps()).toEqual([...binance, ...okx]);
      ledger.keepGaps("binance", rows(5, 6));
      // The file holds what was taken over, not yet what came now.
      ledger.gapsFiled("binance", 3);
      ledger.gapsFiled("okx", 2);
    });
    run(path, (ledger) => {
      ledger.begin("c", T + 20, [BBO]);
      expect(ledger.takeGaps()).toEqual([{ exchange: "binance", row: row(5) }]);
      ledger.gapsFiled("binance", 1);
    });
    run(path, (ledger) => {
      ledger.begin("d", T + 30, [BBO]);
      expect(ledger.takeGaps()).toEqual([]);
    });
  });
});

describe("holes that a run noted and could not tell", () => {
  const hole = (fields: Record<string, string | number | null> = {}) => ({
    affected_stream: "bbo",
    symbol: "BTCUSDT",
    from_timestamp: T + 2000,
    to_timestamp: null,
    reason: "silence",
    certainty: "possible",
    ...fields,
  });
  const LAST = T + 5000;
  const SEEN = T + 9000;
  /** Rows of the next run's ledger, and how it finds the stream, after a run that noted these and was killed. */
  function killedWith(
    holes: readonly ReturnType<typeof hole>[],
    { until = LAST, ended = false }: { until?: number; ended?: boolean } = {},
  ) {
    const path = fresh();
    run(path, (ledger) => {
      ledger.begin("a", T, [BBO]);
      ledger.keepGaps("binance", [{ affected_stream: "bbo", reason: "start" }]);
      if (until > T) ledger.published(BBO, until);
      ledger.noteHoles("binance", 0, [hole({ symbol: "GONE" })], T);
      ledger.noteHoles("binance", 0, holes, SEEN);
      if (ended) ledger.end(T + 6000, false);
    });
    return run(path, (ledger) => {
      ledger.settleHoles();
      const [earlier] = ledger.begin("b", T + 20_000, [BBO]);
      const [first, ...rows] = ledger.takeGaps();
      expect(first?.row.reason).toBe("start");
      ledger.settleHoles();
      return {
        until: earlier?.until,
        rows: rows.map(({ row }) => [
          row.symbol,
          row.reason,
          row.certainty,
          row.from_timestamp,
          row.to_timestamp,
        ]),
      };
    });
  }

  test("a symbol's, beside living ones, ends where the rows in files end: from there on all is lost", () => {
    expect(killedWith([hole()])).toEqual({
      until: LAST,
      rows: [["BTCUSDT", "silence", "possible", T + 2000, LAST]],
    });
  });

  test("that of a whole stream which was dark ends when it was last seen, and what is lost begins there", () => {
    const dark = hole({ symbol: null, reason: "disconnect", from_timestamp: LAST + 10 });
    // From the last row on, so that nothing lies between.
    expect(killedWith([dark])).toEqual({
      until: SEEN,
      rows: [[null, "disconnect", "possible", LAST, SEEN]],
    });
  });

  test("a clock that was apart darkened nothing: rows came all the same, and ended where they ended", () => {
    const apart = hole({ symbol: null, reason: "clock" });
    const later = hole({ symbol: null, reason: "clock", from_timestamp: LAST + 10 });
    expect(killedWith([apart, later])).toEqual({
      until: LAST,
      rows: [[null, "clock", "possible", T + 2000, LAST]],
    });
  });

  test("one that had closed keeps its end; one that is younger than the last row is in what was lost", () => {
    const closed = hole({ to_timestamp: T + 3000 });
    const young = hole({ from_timestamp: LAST + 1 });
    expect(killedWith([closed, young])).toEqual({
      until: LAST,
      rows: [["BTCUSDT", "silence", "possible", T + 2000, T + 3000]],
    });
  });

  test("of a run that had not told its own start nothing is told: all since the run before is missing", () => {
    const dark = hole({ symbol: null, reason: "disconnect" });
    expect(killedWith([dark, hole()], { until: T })).toEqual({ until: T, rows: [] });
  });

  test("of one that stopped without telling them they end with it", () => {
    expect(killedWith([hole(), hole({ symbol: null })], { ended: true }).rows).toEqual([
      ["BTCUSDT", "silence", "possible", T + 2000, T + 6000],
      [null, "silence", "possible", T + 2000, T + 6000],
    ]);
  });
});

test("rows of gaps in a file of which the run before could not take note are not kept any more", () => {
  const path = fresh();
  const row = (n: number) => ({ affected_stream: "bbo", missed: n });
  run(path, (ledger) => {
    ledger.begin("a", T, [BBO]);
    ledger.keepGaps("binance", [0, 1, 2, 3].map(row));
    ledger.keepGaps("okx", [row(9)]);
    ledger.gapsFiled("binance", 1);
  });
  run(path, (ledger) => {
    ledger.gapsFiledBefore("binance", 2);
    ledger.begin("b", T + 10, [BBO]);
    expect(ledger.takeGaps().map(({ row: { missed } }) => missed)).toEqual([3, 9]);
  });
});

describe("files", () => {
  const key =
    "v1/exchange=okx/stream=trade/date=2026-11-20/1795132800000000_t-1795132800000000-abcd_3_7.parquet";
  const facts = { key, rows: 5, lastLocal: T + 9, firstSeq: 1, lastSeq: 5, bytes: 100, sha256: "ab" };
  const at = { destination: "s3", bytes: 100, sha256: "ab", doubtful: ["gcs"], recheckAt: 50, run: "b" };

  test("go from state to state, each durable, and what is published stays so", () => {
    const path = fresh();
    run(path, ({ files: ledger }) => {
      expect(ledger.get(key)).toBeNull();
      ledger.sealed({ ...facts, bytes: null, sha256: null });
    });
    run(path, ({ files: ledger }) => {
      expect(ledger.get(key)).toMatchObject({
        state: "sealed",
        exchange: "okx",
        stream: "trade",
        ring: 3,
        n: 7,
      });
      expect(ledger.unfinished()).toEqual([]);
      ledger.copied(facts);
      ledger.uploading(key, "s3");
    });
    run(path, ({ files: ledger }) => {
      expect(ledger.unfinished()).toMatchObject([
        { state: "uploading", destination: "s3", attempts: 1, bytes: 100 },
      ]);
      ledger.failed(key, "no answer", ["s3"]);
      expect(ledger.get(key)).toMatchObject({ state: "unknown", lastError: "no answer", doubtful: ["s3"] });
      ledger.failed(key, "refused", []);
      expect(ledger.get(key)).toMatchObject({ state: "copied", doubtful: [] });
      ledger.published(key, at);
    });
    run(path, ({ files: ledger }) => {
      // A second file of the journal, or a late word of an attempt.
      ledger.copied({ ...facts, bytes: null, sha256: null });
      ledger.failed(key, "late", []);
      expect(ledger.get(key)).toMatchObject({ ...facts, state: "published", destination: "s3" });
      expect(ledger.unfinished()).toEqual([]);
      expect(ledger.ofSegment({ run: "t-1795132800000000-abcd", ring: 3, n: 7 })).toHaveLength(1);
      expect(ledger.counts()).toEqual({ published: 1 });
      expect(() => ledger.copied({ ...facts, key: "notes.txt" })).toThrow("notes.txt");
    });
  });

  test("a segment is what its files say together: each symbol's, or one of two that it was written as", () => {
    run(fresh(), ({ files: ledger }) => {
      const name = (n: number, firstLocal: number, symbol: string | null) =>
        lakeKey({
          exchange: "okx",
          stream: "trade",
          firstLocal,
          key: { run: "t-1795132800000000-abcd", ring: 3, n },
          symbol,
        });
      const note = (at: string, rows: number, seqs: readonly [number, number], lastLocal: number) =>
        ledger.copied({
          key: at,
          rows,
          lastLocal,
          firstSeq: seqs[0],
          lastSeq: seqs[1],
          bytes: null,
          sha256: null,
        });
      const us = 1_795_132_800_000_000;
      note(name(0, us, null), 10, [0, 9], us + 9);
      // Written again from its journal, of which the begin was damaged meanwhile.
      note(name(0, us + 2, null), 8, [2, 9], us + 9);
      note(name(1, us + 10, "BTCUSDT"), 6, [10, 18], us + 18);
      note(name(1, us + 11, "币安人生USDT"), 3, [11, 19], us + 19);
      note(name(2, us + 20, "BTCUSDT"), 5, [20, 29], us + 29);
      ledger.foundAt(name(2, us + 21, "ETHUSDT"), "s3", 100, []);
      // Of the third one nobody knows all.
      expect([...ledger.newestOf("t-1795132800000000-abcd", 3, 10)]).toEqual([
        { n: 1, rows: 9, firstLocal: us + 10, lastLocal: us + 19, firstSeq: 10, lastSeq: 19 },
        { n: 0, rows: 10, firstLocal: us, lastLocal: us + 9, firstSeq: 0, lastSeq: 9 },
      ]);
      expect(ledger.ofSegment({ run: "t-1795132800000000-abcd", ring: 3, n: 1 })).toHaveLength(2);
    });
  });

  test("a doubt is asked for when it is due, or when the destination is back", () => {
    run(fresh(), ({ files: ledger }) => {
      ledger.copied(facts);
      ledger.published(key, { ...at, recheckAt: 500 });
      expect(ledger.doubtful(499, 10)).toEqual([]);
      ledger.askAgain("s3", 100);
      expect(ledger.doubtful(499, 10)).toEqual([]);
      ledger.askAgain("gcs", 100);
      expect(ledger.doubtful(100, 10)).toHaveLength(1);
      ledger.asked(key, [], 3, 0);
      expect(ledger.doubtful(1e15, 10)).toEqual([]);
    });
  });

  test("a file that moves goes from one manifest and comes into the other", () => {
    run(fresh(), ({ files: ledger }) => {
      ledger.copied(facts);
      ledger.published(key, { ...at, destination: "gcs" });
      expect(ledger.unlistedDays("gcs")).toEqual(["2026-11-20"]);
      expect(ledger.manifest("gcs", "2026-11-20", "b")).toEqual([{ key, rows: 5, bytes: 100, sha256: "ab" }]);
      ledger.listed("gcs", "b", [key]);
      expect(ledger.unlistedDays("gcs")).toEqual([]);
      ledger.moved(key, "gcs", "s3", "c");
      // The end of a manifest that was being written meanwhile.
      ledger.listed("gcs", "b", [key]);
      const removal = { destination: "gcs", date: "2026-11-20", run: "b", key };
      expect(ledger.removals("gcs", 10)).toEqual([removal]);
      expect(ledger.unlistedDays("s3")).toEqual(["2026-11-20"]);
      ledger.removed(removal);
      expect(ledger.removals("gcs", 10)).toEqual([]);
      ledger.takeUnlisted("d");
      expect(ledger.manifest("s3", "2026-11-20", "d")).toHaveLength(1);
    });
  });
});

describe("a ledger that is not one", () => {
  test("is refused by name: noise, a torn file, another version, tables of somebody else", () => {
    const noise = fresh();
    writeFileSync(noise, "this is no database, however long it may be; ".repeat(200));
    const torn = fresh();
    run(torn, (ledger) => ledger.begin("a", T, [BBO]));
    writeFileSync(torn, new Uint8Array(5000).fill(7), { flag: "r+" });
    const newer = fresh();
    run(newer, (ledger) => ledger.begin("a", T, [BBO]));
    alter(newer, "PRAGMA user_version = 99");
    const foreign = fresh();
    alter(foreign, "CREATE TABLE runs (something TEXT)");
    for (const path of [noise, torn, newer, foreign]) {
      expect(() => Ledger.open(path)).toThrow(LedgerError);
      expect(() => Ledger.open(path)).toThrow(path);
    }
    rmSync(newer);
    run(newer, (ledger) => expect(ledger.begin("b", T, [BBO])).toEqual([]));
  });

  test("one of the version before is taken over with what it knows", () => {
    const path = fresh();
    run(path, (ledger) => {
      ledger.begin("a", T, [BBO]);
      ledger.end(T + 9000, true);
    });
    alter(path, "DROP TABLE files");
    alter(path, "DROP TABLE manifest_removals");
    alter(path, "DROP TABLE holes");
    alter(path, "ALTER TABLE published DROP COLUMN told_below");
    alter(path, "PRAGMA user_version = 1");
    for (let time = 0; time < 2; time++) {
      run(path, (ledger) => {
        expect(ledger.files.counts()).toEqual({});
        expect(ledger.begin(`b${time}`, T + 10_000, time === 0 ? [BBO] : [])).toHaveLength(1 - time);
      });
    }
  });

  test("an empty file is a new one", () => {
    const path = fresh();
    writeFileSync(path, "");
    run(path, (ledger) => expect(ledger.begin("a", T, [BBO])).toEqual([]));
  });
});

/** What somebody else does to a database. */
function alter(path: string, statement: string): void {
  const db = new Database(path, { create: true });
  db.run(statement);
  db.close();
}
