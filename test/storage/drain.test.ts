/** From rings to checked Parquet files, with a real DuckDB and real files, on this thread. */
import { describe, expect, spyOn, test } from "bun:test";
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { STREAM_NAMES, type Stream } from "../../src/events/streams.ts";
import { recordBytes } from "../../src/ring/memory.ts";
import { JournalWriter } from "../../src/storage/journal/writer.ts";
import { auditFile } from "../helpers/audit.ts";
import { type LakeRow, quoted, type Sql, withSql } from "../helpers/lake.ts";
import { STREAM_COLUMNS } from "../helpers/schema-v1.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { waitFor } from "../helpers/wait.ts";
import { pick, seeded } from "../lib/seed.ts";
import { type EventValues, Feed, someMidnight, TestDrain } from "./feed.ts";

const folder = scratchFolder("drain");
const MIDNIGHT = someMidnight();
const NOON = MIDNIGHT + 43_200_000_000;

/** Checks every file and reads their rows in file order. */
async function readFiles(sql: Sql, test: TestDrain): Promise<LakeRow[][]> {
  const all: LakeRow[][] = [];
  for (const file of test.files) {
    await auditFile(sql, file);
    all.push(await sql.rows(`SELECT * FROM read_parquet(${quoted(file.path)}, hive_partitioning = false)`));
  }
  return all;
}

/** An event with a value in every column of the stream. */
function fullEvent(stream: Stream, salt: number): EventValues {
  const values: Record<string, string | number | boolean> = {};
  for (const [name, type] of STREAM_COLUMNS[stream] ?? []) {
    if (["symbol", "instrument", "local_timestamp", "run", "ring", "seq"].includes(name)) continue;
    if (name === "side") values[name] = salt % 2 === 0 ? "buy" : "sell";
    else if (type === "VARCHAR") values[name] = `id-${salt}`;
    else if (type === "DOUBLE") values[name] = -1.5e-7 * salt + 0.1;
    else if (type === "BIGINT") values[name] = Number.MAX_SAFE_INTEGER - salt;
    else if (type === "INTEGER") values[name] = 2 ** 31 - 1 - salt;
    else if (type === "BOOLEAN") values[name] = salt % 2 === 1;
    else values[name] = 1_795_132_800_123_456 + salt;
  }
  return values;
}

describe("values", () => {
  test("every column of every stream comes back as it went in, and NULL where there was nothing", async () => {
    const feeds = STREAM_NAMES.map((stream, ring) => new Feed(stream, { ring }));
    const drain = await TestDrain.open(folder, feeds);
    drain.symbols(["BTCUSDT"]);
    for (const feed of feeds) {
      for (let salt = 0; salt < 4; salt++)
        feed.push(0, NOON + salt, salt === 2 ? {} : fullEvent(feed.stream, salt));
    }
    expect(await drain.stop()).toBe(0);
    await withSql(async (sql) => {
      const files = await readFiles(sql, drain);
      expect(drain.files.map(({ stream }) => stream).sort()).toEqual([...STREAM_NAMES].sort());
      drain.files.forEach(({ stream, ring }, index) => {
        const nothing = Object.fromEntries((STREAM_COLUMNS[stream] ?? []).map(([name]) => [name, null]));
        const expected = [0, 1, 2, 3].map((salt) => ({
          ...nothing,
          ...(salt === 2 ? {} : fullEvent(stream as Stream, salt)),
          symbol: "BTCUSDT",
          instrument: "BTCUSDT-X",
          local_timestamp: NOON + salt,
          run: "test-1795132800000000-abcd",
          ring,
          seq: salt,
        }));
        expect(files[index], stream).toEqual(expected);
      });
    });
  });

  test("text ids of 1 to 48 bytes, characters cut across pieces, and none", async () => {
    const feed = new Feed("trade", { capacity: 256 });
    const drain = await TestDrain.open(folder, [feed]);
    drain.symbols(["BTCUSDT"]);
    const ids: (string | null)[] = [null];
    for (let bytes = 1; bytes <= 48; bytes++) {
      ids.push("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOP".slice(0, bytes));
      // Characters of two, three and four bytes, so that every border falls inside one.
      for (const character of ["é", "币", "😀"]) {
        const size = Buffer.byteLength(character);
        if (bytes > size) ids.push("x".repeat(bytes % size) + character.repeat(Math.floor(bytes / size)));
      }
      if (bytes % 7 === 0) ids.push(null);
    }
    for (const [index, id] of ids.entries()) feed.push(0, NOON + index, { id, price: index });
    expect(await drain.stop()).toBe(0);
    await withSql(async (sql) => {
      const [rows = []] = await readFiles(sql, drain);
      expect(rows.map(({ id }) => id)).toEqual(ids);
    });
  });

  test("a segment of one row, and a row with no value but its times", async () => {
    const feed = new Feed("mark_price", { capacity: 2 });
    const drain = await TestDrain.open(folder, [feed]);
    drain.symbols(["BTCUSDT"]);
    feed.push(0, NOON);
    expect(await drain.stop()).toBe(0);
    await withSql(async (sql) => {
      expect((await readFiles(sql, drain)).map((rows) => rows.length)).toEqual([1]);
    });
  });

  test("rings that wrap around again and again: random values, nothing lost, nothing mixed up", async () => {
    const random = seeded("drain");
    const feed = new Feed("trade", { capacity: 64 });
    const drain = await TestDrain.open(folder, [feed], { seal: { rows: 900 } });
    const names = ["BTCUSDT", "ETHUSDT", "币安人生USDT"];
    drain.symbols(names);
    const pushed: LakeRow[] = [];
    for (let local = NOON; pushed.length < 5000; local += random.below(3)) {
      const symbol = random.below(names.length);
      const id = random.below(10) === 0 ? null : "7".repeat(1 + random.below(48));
      const values = { id, price: random.unit() * 1e5, side: pick(random, ["buy", "sell", null]) };
      expect(feed.push(symbol, local, values)).toBe(true);
      pushed.push({ symbol: names[symbol] ?? "", local_timestamp: local, ...values });
      if (random.below(20) === 0 || feed.reading.used > 30 || pushed.length % 40 === 0)
        await drain.drainAll();
    }
    expect(await drain.stop()).toBe(0);
    expect(drain.files.length).toBeGreaterThan(3);
    await withSql(async (sql) => {
      const rows = (await readFiles(sql, drain)).flat().sort((a, b) => Number(a.seq) - Number(b.seq));
      expect(rows.length).toBe(pushed.length);
      rows.forEach((row, seq) => {
        const { symbol, local_timestamp, id, price, side } = row;
        expect({ symbol, local_timestamp, id, price, side, seq: row.seq }).toEqual({
          ...(pushed[seq] as {
            symbol: string;
            local_timestamp: number;
            id: string;
            price: number;
            side: string;
          }),
          seq,
        });
      });
    });
  });
});

describe("order", () => {
  test("many events of one frame with one time stay in order", async () => {
    const feed = new Feed("mark_price", { capacity: 16_384 });
    const drain = await TestDrain.open(folder, [feed]);
    drain.symbols(["B", "A", "C"]);
    for (let i = 0; i < 9000; i++) feed.push(i % 3, NOON + Math.floor(i / 4500), { mark_price: i });
    expect(await drain.stop()).toBe(0);
    await withSql(async (sql) => {
      const [rows = []] = await readFiles(sql, drain);
      const of = (rest: number) => Array.from({ length: 3000 }, (_, k) => 3 * k + rest);
      // File order: A was given number 1, B 0, C 2.
      expect(rows.map(({ mark_price }) => mark_price)).toEqual([...of(1), ...of(0), ...of(2)]);
    });
  });

  test("symbols beyond ASCII are sorted by their bytes, also those that became known later", async () => {
    const feed = new Feed("bbo");
    const drain = await TestDrain.open(folder, [feed]);
    const names = ["龙USDT", "ZUSDT", "币安人生USDT", "😀USDT", "aUSDT", "1000PEPEUSDT", "ÉUSDT", "｡USDT"];
    const late = ["0USDT", "币安USDT", "BTCUSDT"];
    drain.symbols(names);
    for (const number of names.keys()) feed.push(number, NOON);
    await drain.drainAll();
    drain.symbols(late, names.length);
    for (const i of late.keys()) feed.push(names.length + i, NOON + 1);
    feed.push(0, NOON + 2);
    expect(await drain.stop()).toBe(0);
    await withSql(async (sql) => {
      const [rows = []] = await readFiles(sql, drain);
      const byBytes = [...names, ...late, "龙USDT"].sort((a, b) =>
        Buffer.compare(Buffer.from(a), Buffer.from(b)),
      );
      expect(rows.map(({ symbol }) => symbol)).toEqual(byBytes);
      // Readers that sort by text find them where they look for them.
      const [file] = drain.files;
      const sorted = await sql.rows(`SELECT symbol FROM ${quoted(file?.path ?? "")} ORDER BY symbol`);
      expect(sorted.map(({ symbol }) => symbol)).toEqual(byBytes);
    });
  });
});

describe("segments", () => {
  test("a batch over midnight (UTC) is split: two files in two days, nothing lost", async () => {
    const feed = new Feed("trade");
    const drain = await TestDrain.open(folder, [feed]);
    drain.symbols(["BTCUSDT", "ETHUSDT"]);
    const times = [-2_000_000, -1, -1, 0, 0, 1, 5_000_000, 86_400_000_000 - 1, 86_400_000_000];
    for (const [i, offset] of times.entries()) feed.push(i % 2, MIDNIGHT + offset, { id: String(i) });
    await drain.drainAll();
    expect(await drain.stop()).toBe(0);
    const date = (us: number) => new Date(us / 1000).toISOString().slice(0, 10);
    await withSql(async (sql) => {
      const files = await readFiles(sql, drain);
      expect(drain.files.map((file, i) => [file.date, file.n, file.first, files[i]?.length])).toEqual([
        [date(MIDNIGHT - 1), 0, MIDNIGHT - 2_000_000, 3],
        [date(MIDNIGHT), 1, MIDNIGHT, 5],
        [date(MIDNIGHT + 86_400_000_000), 2, MIDNIGHT + 86_400_000_000, 1],
      ]);
      const ids = files.flat().sort((a, b) => Number(a.seq) - Number(b.seq));
      expect(ids.map(({ id }) => id)).toEqual(times.map((_, i) => String(i)));
    });
    expect(drain.finished.map(({ reason }) => reason)).toEqual(["day", "day", "stop"]);
  });

  test("the rows of a day gone by are sealed without waiting for their interval", async () => {
    const feed = new Feed("bbo");
    const drain = await TestDrain.open(folder, [feed]);
    drain.symbols(["BTCUSDT"]);
    feed.push(0, MIDNIGHT - 3 * 86_400_000_000 - 1);
    await drain.drainAll();
    await waitFor("the file of the day before", () => drain.finished.length === 1);
    expect(drain.finished[0]?.reason).toBe("day");
    expect(await drain.stop()).toBe(0);
  });

  test("sealed by rows, by bytes and by age", async () => {
    const bytes = recordBytes({ numbers: 12, texts: 0 });
    for (const { seal, reason } of [
      { seal: { rows: 3000 }, reason: "rows" },
      { seal: { bytes: 3000 * bytes }, reason: "bytes" },
      { seal: { interval: 30 }, reason: "interval" },
    ]) {
      const feed = new Feed("bbo", { capacity: 16_384 });
      const drain = await TestDrain.open(folder, [feed], { seal });
      drain.symbols(["BTCUSDT"]);
      for (let i = 0; i < 10_000; i++) feed.push(0, NOON + i);
      await drain.drainAll();
      await waitFor(`a file sealed by ${JSON.stringify(seal)}`, async () => {
        await drain.drain.step();
        return drain.finished.length > 0;
      });
      expect(drain.finished[0]?.reason).toBe(reason);
      if (reason === "rows") expect(drain.finished[0]?.rows).toBe(3000);
      // The bound on bytes is kept but for the batch that crossed it.
      if (reason === "bytes") {
        expect(drain.finished[0]?.rows).toBeGreaterThanOrEqual(3000);
        expect(drain.finished[0]?.rows).toBeLessThan(3000 + 2048);
      }
      expect(await drain.stop()).toBe(0);
      expect(drain.finished.reduce((sum, { rows }) => sum + rows, 0)).toBe(10_000);
      await withSql((sql) => readFiles(sql, drain));
    }
  });

  test("rows stand in journals alone while nothing can be written, one segment aside, and all come through", async () => {
    const feed = new Feed("trade", { capacity: 131_072 });
    const drain = await TestDrain.open(folder, [feed], { seal: { rows: 10_000 }, retryMax: 100 });
    drain.symbols(["BTCUSDT"]);
    renameSync(drain.outbox, `${drain.outbox}-aside`);
    writeFileSync(drain.outbox, "in the way");
    const rows = 100_000;
    for (let i = 0; i < rows; i++) feed.push(0, NOON + i, { id: String(i) });
    feed.publish();
    await waitFor("empty rings, and a failure", async () => {
      await drain.drain.step();
      return feed.reading.used === 0 && drain.failures.length > 0;
    });
    const { accepted, released, parked, dropped } = feed.reading;
    expect({ accepted, released, dropped }).toEqual({ accepted: rows, released: rows, dropped: 0 });
    expect(parked).toBe(rows - 10_000);
    rmSync(drain.outbox);
    renameSync(`${drain.outbox}-aside`, drain.outbox);
    expect(await drain.stop()).toBe(0);
    expect(feed.reading).toMatchObject({ filed: rows, parked: 0 });
    expect(drain.finished.reduce((sum, file) => sum + file.rows, 0)).toBe(rows);
  });

  test("where room is scarce every ring gets its turn", async () => {
    const feeds = [
      new Feed("bbo", { ring: 0, capacity: 65_536 }),
      new Feed("trade", { ring: 1, capacity: 4096 }),
      new Feed("funding", { ring: 2, capacity: 4096 }),
    ];
    const drain = await TestDrain.open(folder, feeds, {
      journal: { maxBytes: 200_000 },
      seal: { rows: 500 },
    });
    drain.symbols(["BTCUSDT"]);
    for (let i = 0; i < 60_000; i++) feeds[0]?.push(0, NOON + i);
    for (let i = 0; i < 1000; i++) for (const feed of feeds.slice(1)) feed.push(0, NOON + i);
    for (const feed of feeds) feed.publish();
    await waitFor("the small rings are empty", async () => {
      await drain.drain.step();
      return feeds.slice(1).every(({ reading }) => reading.used === 0);
    });
    expect(feeds[0]?.reading.used).toBeGreaterThan(20_000);
    expect(await drain.stop(30_000)).toBe(0);
  });

  test("segments that wait for their file stand in journals up to a bound", async () => {
    const feed = new Feed("bbo", { capacity: 65_536 });
    const drain = await TestDrain.open(folder, [feed], {
      seal: { rows: 10 },
      retryMax: 100,
      journal: { maxBytes: 100_000 },
    });
    drain.symbols(["BTCUSDT"]);
    renameSync(drain.outbox, `${drain.outbox}-aside`);
    writeFileSync(drain.outbox, "in the way");
    for (let i = 0; i < 1000; i++) feed.push(0, NOON + i);
    feed.publish();
    await waitFor("a bound that holds", async () => (await drain.drain.step()) === 0);
    const { released } = feed.reading;
    expect(released).toBeLessThan(1000);
    expect(drain.drain.journalBytes).toBeGreaterThanOrEqual(100_000);
    // A segment here is about 2 KB.
    expect(drain.drain.journalBytes).toBeLessThan(105_000);
    expect(drain.drain.openSegments).toBe(Math.ceil(released / 10));
    expect(drain.journalFaults).toHaveLength(1);
    rmSync(drain.outbox);
    renameSync(`${drain.outbox}-aside`, drain.outbox);
    expect(await drain.stop()).toBe(0);
    expect(drain.finished.map(({ rows }) => rows)).toEqual(Array.from({ length: 100 }, () => 10));
  });

  test("row groups of 122,880 rows", async () => {
    const feed = new Feed("bbo", { capacity: 131_072 });
    const drain = await TestDrain.open(folder, [feed]);
    drain.symbols(["BTCUSDT", "ETHUSDT"]);
    for (let i = 0; i < 130_000; i++) feed.push(i % 2, NOON + i, { bid_price: i, update_id: i });
    expect(await drain.stop()).toBe(0);
    await withSql(async (sql) => {
      const [file] = drain.files;
      if (file === undefined) throw new Error("no file");
      expect(await auditFile(sql, file)).toBe(130_000);
      const groups = await sql.rows(
        `SELECT DISTINCT row_group_id, row_group_num_rows AS rows FROM parquet_metadata(${quoted(file.path)}) ORDER BY ALL`,
      );
      expect(groups.map(({ rows }) => rows)).toEqual([122_880, 7120]);
      const wrong = await sql.number(
        `SELECT count(*) FROM ${quoted(file.path)}
         WHERE seq <> bid_price OR seq <> update_id OR epoch_us(local_timestamp) <> ${NOON} + seq
           OR symbol <> CASE seq % 2 WHEN 0 THEN 'BTCUSDT' ELSE 'ETHUSDT' END`,
      );
      expect(wrong).toBe(0);
    });
  });
});

describe("when a file cannot be written", () => {
  test("it is tried again, draining goes on, and in the end nothing is lost and nothing is twice", async () => {
    const feed = new Feed("trade");
    const drain = await TestDrain.open(folder, [feed], { seal: { rows: 100 }, retryMax: 600 });
    drain.symbols(["BTCUSDT"]);
    const push = async (from: number, to: number) => {
      for (let i = from; i < to; i++) feed.push(0, NOON + i, { id: String(i) });
      await drain.drainAll();
    };
    await push(0, 150);
    await waitFor("the first file", () => drain.finished.length === 1);
    renameSync(drain.outbox, `${drain.outbox}-aside`);
    writeFileSync(drain.outbox, "in the way");
    await push(150, 300);
    await waitFor("the second failure", () => drain.failures.length >= 2);
    await push(300, 450);
    // Not filed, not forgotten.
    expect(feed.reading).toMatchObject({ accepted: 450, released: 450, filed: 100 });
    expect(feed.reading.parked).toBe(250);
    expect(drain.finished.length).toBe(1);
    for (const { retryIn } of drain.failures) expect(retryIn).toBeLessThanOrEqual(600);
    rmSync(drain.outbox);
    renameSync(`${drain.outbox}-aside`, drain.outbox);
    await waitFor("the other files", () => drain.finished.length === 4);
    expect(drain.recoveries).toBe(1);
    await push(450, 500);
    expect(await drain.stop()).toBe(0);
    expect(feed.reading.filed).toBe(500);
    await withSql(async (sql) => {
      const rows = (await readFiles(sql, drain)).flat().sort((a, b) => Number(a.seq) - Number(b.seq));
      expect(rows.map(({ id }) => id)).toEqual(Array.from({ length: 500 }, (_, i) => String(i)));
    });
    expect(readdirSync(drain.outbox).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  test("what cannot be written before the deadline stays in its journal", async () => {
    const feed = new Feed("bbo");
    const drain = await TestDrain.open(folder, [feed]);
    drain.symbols(["BTCUSDT"]);
    rmSync(drain.outbox, { recursive: true });
    writeFileSync(drain.outbox, "in the way");
    for (let i = 0; i < 77; i++) feed.push(0, NOON + i);
    expect(await drain.stop(700)).toBe(0);
    expect(drain.failures.length).toBeGreaterThan(0);
    expect(drain.finished).toEqual([]);
    expect(feed.reading).toMatchObject({ released: 77, filed: 0, parked: 77 });
    expect(readdirSync(drain.journal)).toHaveLength(1);
  });

  test("what found no journal is told by ring and span, in time for a row about it that is still written", async () => {
    const trade = new Feed("trade", { ring: 1 });
    const bbo = new Feed("bbo");
    const drain = await TestDrain.open(folder, [trade, bbo], { seal: { rows: 1000 } });
    drain.symbols(["BTCUSDT"]);
    await drain.drain.addRows("binance", "connections", [{ connection: 7 }], NOON);
    for (let i = 0; i < 50; i++) trade.push(0, NOON + i);
    await drain.drainAll();
    // A folder that is no folder: no new journal can be begun.
    renameSync(drain.journal, `${drain.journal}-aside`);
    writeFileSync(drain.journal, "in the way");
    for (let i = 0; i < 77; i++) bbo.push(0, NOON + 1000 + i);
    for (const feed of drain.feeds) feed.publish();
    const lost = await drain.drain.finish(performance.now() + 700);
    expect(lost).toEqual([
      { ring: 0, exchange: "binance", stream: "bbo", rows: 77, from: NOON + 1000, to: NOON + 1076 },
    ]);
    expect(drain.journalFaults[0]).toContain("journals cannot be written");
    await drain.drain.addRows("binance", "gaps", [{ reason: "storage", missed: 77 }], NOON + 2000);
    expect(await drain.drain.stop(performance.now() + 10_000)).toBe(77);
    const written = drain.finished.map(({ stream, rows, lastLocal }) => [stream, rows, lastLocal]);
    expect(written.sort()).toEqual([
      ["connections", 1, NOON],
      ["gaps", 1, NOON + 2000],
      ["trade", 50, NOON + 49],
    ]);
    expect(readdirSync(drain.outbox).filter((name) => name.endsWith(".tmp"))).toEqual([]);
    await withSql(async (sql) => {
      for (const file of drain.files) await auditFile(sql, file);
    });
  });

  test("a folder that comes back in the time of the stop loses nothing", async () => {
    const feed = new Feed("bbo");
    const drain = await TestDrain.open(folder, [feed]);
    drain.symbols(["BTCUSDT"]);
    rmSync(drain.outbox, { recursive: true });
    writeFileSync(drain.outbox, "in the way");
    for (let i = 0; i < 77; i++) feed.push(0, NOON + i);
    const stopped = drain.stop();
    await waitFor("a failure", () => drain.failures.length > 0);
    rmSync(drain.outbox);
    mkdirSync(drain.outbox);
    expect(await stopped).toBe(0);
    expect(drain.finished.map(({ rows }) => rows)).toEqual([77]);
  });

  test("a row whose symbol is not known is not dropped in silence: it is told, and its journal is kept", async () => {
    const feed = new Feed("bbo");
    const drain = await TestDrain.open(folder, [feed]);
    drain.symbols(["BTCUSDT"]);
    feed.push(0, NOON);
    feed.push(1, NOON);
    expect(await drain.stop()).toBe(0);
    expect(drain.finished).toEqual([]);
    expect(drain.spoiled).toMatchObject([
      { ring: 0, rows: 2, why: expect.stringContaining("the name of its symbol 1 is missing") },
    ]);
    expect(feed.reading).toMatchObject({ accepted: 2, filed: 2, parked: 0 });
    expect(readdirSync(drain.journal)).toEqual([]);
    expect(readdirSync(drain.outbox.replace("outbox-", "quarantine-"))).toHaveLength(1);
  });
});

describe("datasets", () => {
  test("rows of gaps, connections and instruments come back as they went in", async () => {
    const feed = new Feed("bbo");
    const drain = await TestDrain.open(folder, [feed]);
    const gap = {
      affected_stream: "trade",
      symbol: "币安人生USDT",
      from_timestamp: NOON - 5,
      to_timestamp: NOON,
      reason: "sequence",
      certainty: "lost",
      first_id: "9007199254740993",
      last_id: "9007199254740995",
      missed: 3,
    };
    const connection = { url: "ws://host/public", opened: NOON, close_code: 1006, subscriptions: 200 };
    const instrument = {
      symbol: "O'NEILUSDT",
      instrument: "O'NEILUSDT",
      contract_size: 1,
      tick_size: 0.1,
      observed_at: NOON,
      raw: '{"symbol":"O\'NEILUSDT","filters":[{"tickSize":"0.10"}],"text":"币"}',
    };
    await drain.drain.addRows("binance", "gaps", [gap, { affected_stream: "bbo" }], NOON);
    await drain.drain.addRows("binance", "connections", [connection], NOON + 1);
    await drain.drain.addRows("binance", "instruments", [instrument], NOON + 2);
    await drain.drain.addRows("binance", "gaps", [gap], NOON + 3);
    // Over midnight they are split as well.
    await drain.drain.addRows("binance", "gaps", [gap], NOON + 86_400_000_000);
    expect(await drain.stop()).toBe(0);
    await withSql(async (sql) => {
      const files = await readFiles(sql, drain);
      const found = drain.files.map(({ stream, ring, n }, i) => [stream, ring, n, files[i]?.length]);
      expect(found.sort()).toEqual([
        ["connections", 2, 0, 1],
        ["gaps", 1, 0, 3],
        ["gaps", 1, 1, 1],
        ["instruments", 3, 0, 1],
      ]);
      const of = (stream: string) => files[drain.files.findIndex((file) => file.stream === stream)] ?? [];
      expect(of("gaps").map(({ local_timestamp }) => local_timestamp)).toEqual([NOON, NOON, NOON + 3]);
      expect(of("gaps")[0]).toMatchObject(gap);
      expect(of("gaps")[1]).toMatchObject({
        affected_stream: "bbo",
        symbol: null,
        missed: null,
        from_timestamp: null,
      });
      expect(of("connections")[0]).toMatchObject({ ...connection, closed: null, close_reason: null });
      expect(of("instruments")[0]).toMatchObject({ ...instrument, listed: null });
    });
    expect(drain.finished.every(({ ring }) => ring === null)).toBe(true);
  });
});

/** The journals of a drain. */
function writersIn({ journal }: TestDrain, results: readonly { value?: unknown }[]): JournalWriter[] {
  return results.flatMap(({ value }) =>
    value instanceof JournalWriter && value.folder === journal ? [value] : [],
  );
}

describe("power loss", () => {
  test("a sealed journal is brought to disk at once, however long its file has to wait", async () => {
    const created = spyOn(JournalWriter, "create");
    try {
      const feed = new Feed("trade");
      const drain = await TestDrain.open(folder, [feed], { seal: { rows: 100 }, journal: { fsync: "off" } });
      drain.drain.hold(true);
      drain.symbols(["BTCUSDT"]);
      for (let i = 0; i < 250; i++) feed.push(0, NOON + i, { price: i });
      await drain.drainAll();
      const journals = writersIn(drain, created.mock.results);
      expect(journals.map(({ header }) => header.n)).toEqual([0, 1, 2]);
      await waitFor("two synced", () =>
        journals.slice(0, 2).every(({ dirty, inFolder }) => !dirty && inFolder),
      );
      // The open one is the interval's business, which is off.
      expect(journals[2]?.dirty).toBe(true);
      drain.drain.hold(false);
      expect(await drain.stop()).toBe(0);
      expect(drain.journalFaults).toEqual([]);
    } finally {
      created.mockRestore();
    }
  });

  test('with "always" neither rows nor the name of their journal wait for a sync', async () => {
    const created = spyOn(JournalWriter, "create");
    try {
      const feed = new Feed("trade");
      const drain = await TestDrain.open(folder, [feed], { journal: { fsync: "always" } });
      drain.symbols(["BTCUSDT"]);
      feed.push(0, NOON, { price: 1 });
      await drain.drainAll();
      const [journal] = writersIn(drain, created.mock.results);
      expect([journal?.dirty, journal?.inFolder]).toEqual([false, true]);
      expect(await drain.stop()).toBe(0);
    } finally {
      created.mockRestore();
    }
  });
});
