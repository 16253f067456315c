/** An error in the drain's thread that nobody catches: the drain is rebuilt there, nothing is lost, nothing is twice. */
import { expect, test } from "bun:test";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { RingReading } from "../../../src/ring/memory.ts";
import type { FromDrain } from "../../../src/storage/messages.ts";
import type { FileLayout } from "../../../src/storage/names.ts";
import { auditFile, lakeFile } from "../../helpers/audit.ts";
import { quoted, withSql } from "../../helpers/lake.ts";
import { scratchFolder } from "../../helpers/scratch.ts";

const root = scratchFolder("rebuild");
const PROCESS = join(import.meta.dir, "rebuild-process.ts");
const ROWS = 8000;
let folders = 0;

/** Lets a drain worker fail; resolves to what it told. */
async function failing(step: string, times: number, layout: FileLayout = "flat") {
  const folder = join(root, String(folders++));
  mkdirSync(join(folder, "outbox"), { recursive: true });
  const told = { folder, rows: ROWS, step, times, layout };
  const child = Bun.spawn([process.execPath, PROCESS, JSON.stringify(told)], {
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  expect(child.exitCode, err).toBe(0);
  const { messages, readings } = JSON.parse(out) as { messages: FromDrain[]; readings: RingReading[] };
  const of = <T extends FromDrain["type"]>(type: T) =>
    messages.filter((message): message is Extract<FromDrain, { type: T }> => message.type === type);
  return { of, readings, folder };
}

for (const { step, times, layout } of [
  { step: "journaled", times: 3, layout: "flat" },
  { step: "copying", times: 3, layout: "flat" },
  { step: "accepted", times: 2, layout: "flat" },
  { step: "filed", times: 2, layout: "flat" },
  { step: "accepted", times: 2, layout: "symbol" },
  { step: "filed", times: 2, layout: "symbol" },
] as const) {
  test(`thrown at "${step}", ${times} times, ${layout}: rebuilt each time, every row in one file`, async () => {
    const { of, readings, folder } = await failing(step, times, layout);
    expect(of("fatal")).toEqual([]);
    expect(of("failed").length).toBe(times);
    expect(of("failed")[0]?.error).toContain(`thrown at ${step}`);
    expect(of("rebuilt").length).toBe(times);
    expect(of("finished")[0]?.lost).toEqual([]);
    expect(of("stopped")[0]?.lost).toBe(0);
    expect(of("spoiled")).toEqual([]);
    console.log(
      `thrown at ${step}: rebuilt in ${of("rebuilt").map(({ ms, rows }) => `${ms} ms (${rows} rows)`)}`,
    );
    for (const reading of readings)
      expect(reading).toMatchObject({ accepted: ROWS, released: ROWS, filed: ROWS, parked: 0 });
    expect(readdirSync(join(folder, "journal"))).toEqual([]);
    const files = of("file").map(({ file }) => file);
    expect(new Set(files.map(({ key }) => key)).size).toBe(files.length);
    expect(files.some(({ recovered }) => recovered)).toBe(false);
    await withSql(async (sql) => {
      for (const stream of ["trade", "bbo"]) {
        const own = files.filter((file) => file.stream === stream);
        for (const { path, key } of own) await auditFile(sql, lakeFile(path, key));
        const from = `read_parquet([${own.map(({ path }) => quoted(path)).join(", ")}])`;
        const found = await sql.row(
          `SELECT count(*) AS rows, count(DISTINCT seq) AS seqs, min(seq) AS least, max(seq) AS most FROM ${from}`,
        );
        expect(found).toEqual({ rows: ROWS, seqs: ROWS, least: 0, most: ROWS - 1 });
        for (const of of Map.groupBy(own, ({ key }) => lakeFile("", key).symbol).values()) {
          const numbers = of.map(({ key }) => lakeFile("", key).n).sort((a, b) => a - b);
          expect(numbers, stream).toEqual(numbers.map((_, index) => index));
        }
      }
      const gaps = files.filter((file) => file.stream === "gaps").map(({ path }) => quoted(path));
      const missed = await sql.rows(`SELECT missed FROM read_parquet([${gaps.join(", ")}]) ORDER BY missed`);
      expect(missed.map((row) => row.missed)).toEqual(
        Array.from({ length: ROWS / 2000 }, (_, i) => i * 2000 + 1999),
      );
    });
  }, 180_000);
}

test("an error that comes again and again is the end: it is told as fatal", async () => {
  const { of } = await failing("journaled", 1000);
  expect(of("failed").length).toBe(5);
  expect(of("fatal")[0]?.error).toContain("thrown at journaled");
}, 180_000);
