/** Two recorders of one exchange, one of them killed and started again, merged by the queries of docs/sql.md. */
import { beforeAll, describe, expect, test } from "bun:test";
import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { startBinance } from "../../src/simulator/binance.ts";
import { withSql } from "../helpers/lake.ts";
import { startRecorder } from "../helpers/recorder.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { waitFor } from "../helpers/wait.ts";
import { answerOf } from "./made-lake.ts";

const cwd = scratchFolder("merge");
const both = join(cwd, "both");
const PAGE = readFileSync(join(import.meta.dir, "../../docs/sql.md"), "utf8");
const queries = new Map(
  [...PAGE.matchAll(/^<!-- tried: (\w+) -->\n```sql\n(.*?)^```$/gms)].map(([, name = "", text = ""]) => [
    name,
    text,
  ]),
);

/** A query of the page, whatever the day is. */
function query(name: string): string {
  const text = queries.get(name) ?? "";
  expect(text).toContain("date = '2026-11-20'");
  return text.replaceAll("date = '2026-11-20'", "true");
}

const STREAMS = "bbo,trade,mark_price";
const QUICK = { "flush.interval": "300ms", "flush.slow_interval": "300ms", "flush.min_gap": "0ms" };

beforeAll(async () => {
  const exchange = startBinance({ instruments: 12, rate: 1500, seed: "merge" });
  try {
    const begin = (instance: string) =>
      startRecorder({
        cwd,
        data: join(cwd, instance),
        exchange,
        set: { ...QUICK, instance },
        args: ["--streams", STREAMS],
      });
    const [first, b] = await Promise.all([begin("a"), begin("b")]);
    const published = (rows: number) => (metrics: { balance: { published: number } }) =>
      metrics.balance.published > rows;
    await Promise.all([first.until("files of a", published(1500)), b.until("files of b", published(1500))]);
    await first.process.kill();
    // What `b` alone has: marks come once a second.
    const before = (await b.metrics()).total_events;
    await b.until("events that a misses", ({ total_events }) => total_events > before + 2000);
    const a = await begin("a");
    await a.until("files of the second run", published(1500));
    let later = 0;
    await waitFor("some more of both", async () => {
      later ||= (await b.metrics()).total_events + 1500;
      return (await b.metrics()).total_events > later;
    });
    for (const one of [a, b]) {
      const { code, end } = await one.stop();
      expect([code, end.holds]).toEqual([0, true]);
    }
  } finally {
    await exchange.stop();
  }
  // As they are in one bucket.
  for (const instance of ["a", "b"])
    cpSync(join(cwd, instance, "lake"), join(both, "lake"), { recursive: true });
}, 180_000);

describe("two recorders, one history", () => {
  const ask = async (sql: string) => (await answerOf(sql, { lake: both })).rows;

  test("trades: each id once, none is missing between the first and the last", async () => {
    const jumps = (from: string) =>
      ask(`SELECT count(*), count(DISTINCT (instrument, id)), coalesce(sum(missing), 0)::BIGINT FROM (
        SELECT instrument, id, id::BIGINT - lag(id::BIGINT) OVER (PARTITION BY instrument ORDER BY id::BIGINT) - 1 AS missing FROM (${from}))`);
    const [[rows, ids, missing] = []] = await jumps(query("trades"));
    const [[union] = []] = await ask("SELECT count(DISTINCT (instrument, id)) FROM trade");
    expect([rows, ids, missing]).toEqual([union ?? null, union ?? null, 0]);
    // One of them alone has a hole, and together they have doubles.
    const [[, , alone = 0] = []] = await jumps("SELECT * FROM trade WHERE run LIKE 'a-%'");
    expect(alone).toBeGreaterThan(0);
    const [[all = 0] = []] = await ask("SELECT count(*) FROM trade");
    expect(Number(all)).toBeGreaterThan(Number(union));
  }, 180_000);

  test("quotes: each once", async () => {
    const [[rows, ids] = []] = await ask(
      `SELECT count(*), count(DISTINCT (instrument, update_id)) FROM (${query("quotes")})`,
    );
    const [[union, all = 0] = []] = await ask(
      "SELECT count(DISTINCT (instrument, update_id)), count(*) FROM bbo",
    );
    expect([rows, ids]).toEqual([union ?? null, union ?? null]);
    expect(Number(all)).toBeGreaterThan(Number(union));
  }, 180_000);

  test("marks: those of the first choice, and of the other what it misses", async () => {
    const counted =
      "count(*), count(DISTINCT (instrument, published_timestamp)), count(*) FILTER (run LIKE 'b-%')";
    const [[rows, marks, filled = 0] = []] = await ask(`SELECT ${counted} FROM (${query("filled")})`);
    const [[union] = []] = await ask(
      "SELECT count(DISTINCT (instrument, published_timestamp)) FROM mark_price",
    );
    const [[primary] = []] = await ask("SELECT count(*) FROM mark_price WHERE run LIKE 'a-%'");
    // A hole is filled by receive time with a second on both sides: what came later than that on a busy machine is not.
    const [[late = 0] = []] = await ask(
      `SELECT count(DISTINCT (instrument, published_timestamp)) FROM mark_price b
       WHERE run LIKE 'b-%' AND local_timestamp - published_timestamp > INTERVAL 1 second AND NOT EXISTS (
         SELECT 1 FROM mark_price a WHERE a.run LIKE 'a-%' AND a.instrument = b.instrument
           AND a.published_timestamp = b.published_timestamp)`,
    );
    if (Number(late) > 0) console.log(`marks that came more than a second late: ${late}`);
    expect(marks).toBe(rows);
    expect(Number(rows)).toBeWithin(Number(union) - Number(late), Number(union) + 1);
    expect(Number(filled)).toBeGreaterThan(0);
    expect(Number(primary) + Number(filled)).toBe(Number(rows));
    // Not through `sql`: the union is what the files hold.
    await withSql(async (sql) => {
      const files = join(both, "lake/v1/exchange=*/stream=mark_price/date=*/*.parquet");
      expect(
        await sql.number(`SELECT count(DISTINCT (instrument, published_timestamp)) FROM '${files}'`),
      ).toBe(Number(union));
    });
  }, 180_000);
});
