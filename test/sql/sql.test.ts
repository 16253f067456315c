/** `tapedeck sql` over a lake at hand: answers, forms, and what it must not be talked into. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { QueryError } from "../../src/sql/engine.ts";
import { recipeSql } from "../../src/sql/recipes.ts";
import { tapedeck } from "../cli/run.ts";
import { tapedeck as start } from "../helpers/process.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { answerOf, keysOf, makeLake, Reference } from "./made-lake.ts";

const folder = scratchFolder("sql");
// What looks like a partition in the lake's own path must not become a column.
const data = join(folder, "env=prod", "data");
const lake = join(data, "lake");
let reference: Reference;
const sql = (...args: string[]) => tapedeck(["sql", "--data", data, ...args], { cwd: folder });

beforeAll(async () => {
  reference = await Reference.open();
  const plain = join(folder, "plain");
  await makeLake(plain, reference.connection, FILE_ROWS);
  await reference.over(plain, ["trade", "bbo", "instruments"]);
  for (const key of keysOf(plain).keys()) {
    mkdirSync(join(lake, key, ".."), { recursive: true });
    writeFileSync(join(lake, key), readFileSync(join(plain, key)));
  }
  // What waits in the outbox is on its way to the lake, or there already: it must not count.
  mkdirSync(join(data, "outbox"));
  const [key = ""] = keysOf(plain).keys();
  writeFileSync(join(data, "outbox", key.replaceAll("/", "~")), readFileSync(join(plain, key)));
}, 180_000);
afterAll(() => reference.connection.closeSync());

const FILE_ROWS = 5000;
const QUESTION =
  "SELECT exchange, date, symbol, count(*) AS n, sum(seq) AS s FROM trade GROUP BY ALL ORDER BY ALL";

describe("answers", () => {
  test("a table has its limit, and says when there are more rows", async () => {
    const { code, stdout } = await sql(`${QUESTION};`, "--limit", "2");
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^exchange +date +symbol +n +s\n─+\nbinance +2026-11-18 +1000PEPEUSDT +2000 +\d+\n/,
    );
    expect(stdout.split("\n")[4]).toBe("(2 rows; there are more: --limit N shows N of them, --limit 0 all)");
    const long = await sql("SELECT NULL AS nothing, repeat('x', 200) AS wide, 'a\tb' AS tab, 1e-9 AS small");
    expect(long.stdout).toContain(`NULL     ${"x".repeat(59)}…`);
    expect(long.stdout).toContain("a·b");
    expect(long.stdout).toContain("1e-9");
    expect(long.stdout).toContain("long values are cut");
  }, 180_000);

  test("as JSON lines, CSV and Parquet it is what the files hold", async () => {
    const expected = await reference.rows(QUESTION);
    const json = await sql(QUESTION, "--format", "json");
    const lines = json.stdout
      .trim()
      .split("\n")
      .map((line) => Object.values(z.record(z.string(), z.unknown()).parse(JSON.parse(line))));
    expect(lines).toEqual(expected);
    const csv = await sql(QUESTION, "--format", "csv");
    expect(csv.stdout.split("\r\n").slice(0, -1)).toEqual([
      "exchange,date,symbol,n,s",
      ...expected.map((row) => row.join(",")),
    ]);
    const out = join(folder, "out.parquet");
    const parquet = await sql(`${QUESTION} -- a comment`, "--format", "parquet", "--output", out, "--cost");
    expect([parquet.code, parquet.stdout]).toEqual([0, ""]);
    expect(parquet.stderr).toMatch(/^12 files of \d+ bytes; 0 bytes of them downloaded\n$/);
    expect(await reference.rows(`FROM '${out}'`)).toEqual(expected);
    expect(readdirSync(folder).filter((name) => name.includes(".part"))).toEqual([]);
    const text = await sql(
      "SELECT '' AS e, NULL AS n, 'a\"b' AS q, TIMESTAMPTZ '2026-11-20 00:00:00.000001+00' AS t, 9007199254740993 AS b",
      "--format",
      "csv",
      "--epoch",
    );
    expect(text.stdout).toBe('e,n,q,t,b\r\n"",,"a""b",1795132800000001,9007199254740993\r\n');
  }, 180_000);

  test("the lake by its path, a data folder and the settings are the same; other files are not counted", async () => {
    const expected = await reference.rows("SELECT count(*) FROM trade_base");
    for (const where of [lake, data])
      expect((await answerOf("SELECT count(*) FROM trade_base", { lake: where })).rows).toEqual(expected);
    expect((await answerOf("SELECT count(*) FROM trade_base", { set: { data } })).rows).toEqual(expected);
    expect((await answerOf("DESCRIBE trade", { lake })).rows.map(([name]) => name)).not.toContain("env");
    expect((await answerOf("FROM (SHOW TABLES) SELECT count(*)", { lake })).rows).toEqual([[14]]);
  });

  test("each recipe runs, whole and narrowed", async () => {
    const list = await sql("--recipes");
    const names = [...list.stdout.matchAll(/^ *(\w+) {2}/gm)].map(([, name = ""]) => name);
    expect(names).toEqual(["rows", "spread", "bars", "funding", "gaps", "latency"]);
    const narrowed = { exchanges: ["okx"], symbols: ["BTCUSDT"], from: "2026-11-19", to: "2026-11-19" };
    const flags = ["--symbols", "BTCUSDT", "--exchanges", "okx", "--date", "2026-11-19"];
    const printed = await sql("--recipe", "bars", "--print", ...flags);
    expect(printed.stdout.trim()).toBe(recipeSql("bars", narrowed) ?? "");
    for (const name of names) {
      const { rows } = await answerOf(recipeSql(name, narrowed) ?? "", { lake });
      if (name === "rows") expect(rows.map((row) => row[4])).toEqual(expect.arrayContaining([720]));
      if (name === "bars") {
        // Trades of each fifth second, 2 coins a contract; from rows sorted in another way.
        const [minute, open, close, volume] =
          (
            await reference.rows(`SELECT '2026-11-19T00:00:00.000000Z', first(price ORDER BY seq), last(price ORDER BY seq), sum(amount) * 2 FROM trade
            WHERE symbol = 'BTCUSDT' AND exchange = 'okx' AND local_timestamp >= '2026-11-19 00:00:00+00' AND local_timestamp < '2026-11-19 00:01:00+00'`)
          )[0] ?? [];
        expect(rows[0]?.slice(0, 4)).toEqual(["okx", "BTCUSDT", minute ?? null, open ?? null]);
        expect(rows[0]?.[6]).toBe(close ?? null);
        expect(Number(rows[0]?.[7])).toBeCloseTo(Number(volume), 9);
        expect(rows[0]?.[10]).toBe(12);
      }
      if (name === "spread") expect(rows.length).toBeGreaterThan(0);
    }
    const gaps = await sql("--recipe", "gaps");
    expect([gaps.code, gaps.stdout.split("\n")[2]]).toEqual([0, "(0 rows)"]);
  }, 180_000);
});

test("a bound from above narrows what is opened as one from below does", async () => {
  for (const [where, files] of [
    ["date < '2026-11-19'", 4],
    ["date <= '2026-11-19' AND exchange = 'okx'", 4],
    ["exchange < 'c'", 6],
    ["date > '2026-11-19'", 4],
  ] as const) {
    const sql = `SELECT count(*) FROM bbo WHERE ${where}`;
    const { rows, cost } = await answerOf(sql, { lake });
    expect([where, cost.files, rows]).toEqual([where, files, await reference.rows(sql)]);
  }
});

describe("what it must not be talked into", () => {
  const secret = join(folder, "secret.csv");
  const target = join(folder, "target");
  const elsewhere = join(folder, "elsewhere.parquet");

  test("no other file is read, none is written, nothing is loaded or set", async () => {
    writeFileSync(secret, "a\nhunter2\n");
    await reference.rows(`COPY (SELECT 'hunter2' AS a) TO '${elsewhere}' (FORMAT parquet)`);
    const before = readdirSync(folder, { recursive: true }).sort();
    for (const wrong of [
      `SELECT * FROM read_csv('${secret}')`,
      `SELECT * FROM '${secret}'`,
      `SELECT * FROM '${elsewhere}'`,
      `SELECT * FROM read_parquet('${elsewhere}')`,
      `SELECT * FROM parquet_metadata('${elsewhere}')`,
      `SELECT * FROM parquet_schema('${elsewhere}')`,
      `SELECT * FROM read_text('${secret}')`,
      `SELECT * FROM read_blob('${secret}')`,
      `SELECT * FROM read_json('${secret}')`,
      `SELECT * FROM read_text('file://${secret}')`,
      `SELECT * FROM sniff_csv('${secret}')`,
      "SELECT * FROM read_csv('/etc/passwd')",
      "SELECT * FROM read_text('/proc/self/environ')",
      "SELECT * FROM read_text('/dev/stdin')",
      `SELECT * FROM read_text('${lake}/../../../secret.csv')`,
      `SELECT * FROM glob('${folder}/*')`,
      "SELECT * FROM glob('/etc/*')",
      "SELECT * FROM query('FROM read_text(''/etc/passwd'')')",
      "SELECT * FROM query_table(['/etc/passwd'])",
      "SELECT * FROM read_duckdb('/etc/passwd')",
      "SELECT * FROM read_parquet('s3://lake/x.parquet')",
      "SELECT * FROM read_parquet('https://example.com/x.parquet')",
      "SELECT getenv('HOME')",
      "SELECT * FROM duckdb_secrets()",
      "SELECT * FROM duckdb_extensions()",
      `SELECT * FROM enable_logging('FileSystem', storage = 'file', storage_path = '${target}')`,
      "SELECT * FROM enable_logging()",
      `CALL enable_logging('QueryLog', storage = 'file', storage_path = '${target}')`,
      `COPY (SELECT 1) TO '${target}'`,
      `COPY trade TO '${target}' (FORMAT parquet)`,
      `WITH x AS (SELECT 1) COPY x TO '${target}'`,
      `WITH x AS (COPY (SELECT 1) TO '${target}') FROM x`,
      `EXPLAIN ANALYZE COPY (SELECT 1) TO '${target}'`,
      `SELECT 1; COPY (SELECT 1) TO '${target}'`,
      `SELECT 1) TO '${target}' --`,
      `EXPORT DATABASE '${target}'`,
      `IMPORT DATABASE '${folder}'`,
      `ATTACH '${target}' AS other`,
      "ATTACH ':memory:' AS other",
      "INSTALL httpfs",
      "LOAD httpfs",
      `LOAD '${secret}'`,
      "SET enable_external_access = true",
      "SET allowed_paths = ['/etc/passwd']",
      "SET GLOBAL lock_configuration = false",
      "RESET enable_external_access",
      "PRAGMA enable_profiling",
      `PRAGMA profiling_output = '${target}'`,
      "CREATE TABLE t AS SELECT 1",
      "CREATE SECRET s (TYPE s3)",
      "INSERT INTO trade SELECT * FROM trade",
      "DELETE FROM trade",
      "DROP VIEW trade",
      "CHECKPOINT",
      "BEGIN",
      "PREPARE p AS SELECT 1",
      "EXECUTE p",
      "USE memory",
      "SELECT $1",
      "",
      "-- nothing",
    ]) {
      const outcome = await answerOf(wrong, { lake }).then(
        ({ rows }) => `answered ${JSON.stringify(rows)}`,
        (error: unknown) => (error instanceof QueryError ? "refused" : String(error)),
      );
      expect([wrong, outcome]).toEqual([wrong, "refused"]);
    }
    expect(readdirSync(folder, { recursive: true }).sort()).toEqual(before);
    expect(existsSync(target)).toBe(false);
    expect((await answerOf("SELECT count(*) FROM trade", { lake })).rows).toEqual([[12 * FILE_ROWS]]);
  }, 180_000);

  test("Parquet output is written where it is said, whatever the query says", async () => {
    const out = join(folder, "answer.parquet");
    const { code, stderr } = await sql(
      `SELECT 1 AS a) TO '${target}' (FORMAT csv) --`,
      "--format",
      "parquet",
      "--output",
      out,
    );
    expect([code, existsSync(target), existsSync(out)]).toEqual([1, false, false]);
    expect(stderr).toContain("Parser Error");
  });

  test("a pipe is written to and stays one, a link stays one, a folder is refused", async () => {
    const [pipe, real, link] = ["pipe", "real.csv", "link.csv"].map((name) => join(folder, name));
    if (pipe === undefined || real === undefined || link === undefined) throw new Error("no paths");
    expect(Bun.spawnSync(["mkfifo", pipe]).exitCode).toBe(0);
    writeFileSync(real, "before");
    symlinkSync(real, link);
    const reader = Bun.spawn(["cat", pipe]);
    const csv = (to: string) => sql("SELECT 42 AS a", "--format", "csv", "--output", to);
    expect((await csv(pipe)).code).toBe(0);
    expect([await reader.stdout.text(), lstatSync(pipe).isFIFO()]).toEqual(["a\r\n42\r\n", true]);
    expect((await csv(link)).code).toBe(0);
    expect([readFileSync(real, "utf8"), lstatSync(link).isSymbolicLink()]).toEqual(["a\r\n42\r\n", true]);
    for (const to of [folder, join(folder, "nowhere", "a.csv")]) {
      const { code, stderr } = await csv(to);
      expect([code, stderr.startsWith(`tapedeck: ${to} cannot be written: `)]).toEqual([1, true]);
      expect(stderr).not.toContain("    at ");
    }
    expect(readdirSync(folder).filter((name) => name.includes(".part"))).toEqual([]);
  }, 180_000);
});

describe("faults", () => {
  test("wrong use is named, every fault at once, with exit code 2", async () => {
    const both = await sql("SELECT 1", "--recipe", "gaps");
    expect([both.code, both.stderr.includes("one query or one --recipe is wanted")]).toEqual([2, true]);
    const narrowed = await sql("SELECT 1", "--symbols", "BTCUSDT", "--date", "2026-11-20", "--format", "xml");
    expect(narrowed.code).toBe(2);
    expect(narrowed.stderr).toContain("there are: table, json, csv, parquet");
    const nowhere = await tapedeck(["sql", "SELECT 1", "--lake", join(folder, "nowhere")], { cwd: folder });
    expect([nowhere.code, nowhere.stderr.includes("there is no folder")]).toEqual([2, true]);
    const wrong = await sql("SELECT nothing FROM trade");
    expect([wrong.code, wrong.stderr.includes("Binder Error"), wrong.stderr.includes("    at ")]).toEqual([
      1,
      true,
      false,
    ]);
  }, 180_000);

  test("a broken file is named by its key, with the mend; other days are answered", async () => {
    const [key = ""] = [...keysOf(lake).keys()].filter((one) =>
      one.includes("okx/stream=bbo/date=2026-11-20"),
    );
    const whole = readFileSync(join(lake, key));
    try {
      writeFileSync(join(lake, key), whole.subarray(0, whole.length - 100));
      const failed = answerOf("SELECT count(*) FROM bbo", { lake });
      await expect(failed).rejects.toThrow(key);
      await expect(failed).rejects.toThrow("tapedeck verify");
      const flipped = Buffer.from(whole);
      flipped.fill(0, 100, 30_000);
      writeFileSync(join(lake, key), flipped);
      await expect(answerOf("SELECT sum(bid_price) FROM bbo", { lake })).rejects.toThrow(
        "tapedeck verify --deep",
      );
      const rest = "SELECT count(*) FROM bbo WHERE date < '2026-11-20'";
      expect((await answerOf(rest, { lake })).rows).toEqual(await reference.rows(rest));
    } finally {
      writeFileSync(join(lake, key), whole);
    }
  });

  test("a file that a compaction takes while a query runs is called gone, not broken", async () => {
    const [key = ""] = [...keysOf(lake).keys()].filter((one) => one.includes("okx/stream=bbo/"));
    const away = join(folder, "away.parquet");
    const failed = answerOf("SELECT sum(bid_price) FROM bbo", {
      lake,
      prepared: () => renameSync(join(lake, key), away),
    });
    try {
      await expect(failed).rejects.toThrow(
        `${key} was compacted, moved or removed while the query ran: ask again`,
      );
    } finally {
      renameSync(away, join(lake, key));
    }
  });

  test("a record of a compaction that cannot be read is named, with the mend; other days are answered", async () => {
    const record = join(lake, "v1/_compacted/exchange=okx/stream=bbo/date=2026-11-20/x.json");
    mkdirSync(join(record, ".."), { recursive: true });
    writeFileSync(record, "{");
    try {
      const { code, stderr } = await sql("SELECT count(*) FROM bbo");
      expect([code, stderr.trim().split("\n").length]).toEqual([1, 1]);
      expect(stderr).toMatch(
        /date=2026-11-20\/x\.json is no record of a compaction: .*bring it back from a copy/,
      );
      const rest = "SELECT count(*) FROM bbo WHERE date < '2026-11-20'";
      expect((await answerOf(rest, { lake })).rows).toEqual(await reference.rows(rest));
    } finally {
      rmSync(join(lake, "v1/_compacted"), { recursive: true });
    }
  });

  test("without a temporary folder the mend is named, and so it is by verify", async () => {
    const nowhere = join(folder, "no-tmp");
    for (const args of [
      ["sql", "SELECT 1", "--data", data],
      ["verify", "--data", data],
    ]) {
      const { code, stderr } = await tapedeck(args, { cwd: folder, env: { TMPDIR: nowhere } });
      expect([code, stderr.trim().split("\n").length]).toEqual([1, 1]);
      expect(stderr).toContain(`no temporary folder can be made in ${nowhere}`);
    }
  });

  test("a table that is none: those that there are", async () => {
    await expect(answerOf("FROM trades", { lake })).rejects.toThrow(
      /trades does not exist.*There are: bbo, trade,/s,
    );
  });

  const ENDLESS =
    "SELECT count(*) FROM range(100000000000) a, range(1000) b WHERE hash(a.range, b.range) = 1";

  test("a query that takes too long is ended, and memory is bounded", async () => {
    const late = await sql(ENDLESS, "--set", "sql.timeout=300ms");
    expect([late.code, late.stderr.includes("longer than sql.timeout (0.3 s)")]).toEqual([1, true]);
    const set = ["--set", "sql.memory_limit=64MiB", "--set", "sql.temp_bytes=1MiB"];
    const large = await sql("SELECT max(l) FROM (SELECT list(range) AS l FROM range(30000000))", ...set);
    expect([large.code, large.stderr.includes("Out of Memory")]).toEqual([1, true]);
  }, 180_000);

  test("Ctrl-C ends it with 130 and leaves nothing behind", async () => {
    const out = join(folder, "never.csv");
    const temporary = join(folder, "tmp");
    mkdirSync(temporary);
    const child = start(["sql", ENDLESS, "--lake", lake, "--format", "csv", "--output", out], {
      cwd: folder,
      env: { TMPDIR: temporary },
    });
    const deadline = Date.now() + 30_000;
    while (!readdirSync(folder).some((name) => name.startsWith("never.csv")) && Date.now() < deadline)
      await Bun.sleep(20);
    child.signal("SIGINT");
    expect(await child.exit()).toBe(130);
    expect(readdirSync(folder).filter((name) => name.startsWith("never"))).toEqual([]);
    expect(readdirSync(temporary)).toEqual([]);
  }, 180_000);
});
