/** kill -9 between each two steps on a segment's way to its file: every row taken is in one file, none in two. */
import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, truncateSync } from "node:fs";
import { join } from "node:path";
import type { FileLayout } from "../../../src/storage/names.ts";
import { lakeFile } from "../../helpers/audit.ts";
import { quoted, withSql } from "../../helpers/lake.ts";
import { scratchFolder } from "../../helpers/scratch.ts";
import { seeded } from "../../lib/seed.ts";
import { someMidnight } from "../feed.ts";

const root = scratchFolder("steps");
const PROCESS = join(import.meta.dir, "step-process.ts");
const ROWS = 1500;
/** Receive time of the first row, µs: of a day to come, for the rows of a day gone by are sealed at once. */
const FIRST = someMidnight();
let folders = 0;

/** Runs the drain once; resolves to the rows it took from its ring and how it ended. */
async function once(
  folder: string,
  life: number,
  step: string | null,
  passes = 0,
  layout: FileLayout = "flat",
) {
  const run = `test-${1_795_132_800_000_000 + life}-abcd`;
  const told = { folder, run, step, passes, rows: ROWS, first: FIRST + life * 10_000, layout };
  const child = Bun.spawn([process.execPath, PROCESS, JSON.stringify(told)], {
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, TAPEDECK_TEST_SEED: "" },
  });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  await child.exited;
  const taken = Number([...out.matchAll(/^taken (\d+)$/gm)].at(-1)?.[1] ?? 0);
  return { taken, signal: child.signalCode, code: child.exitCode, said: `${out}\n${err}` };
}

function newFolder(): string {
  const folder = join(root, String(folders++));
  for (const name of ["lake", "outbox", "journal"]) mkdirSync(join(folder, name), { recursive: true });
  return folder;
}

/** Ids in all finished files, with the number of files that hold each. */
async function idsOf(folder: string): Promise<Map<number, number>> {
  const files = ["lake", "outbox"].flatMap((name) =>
    readdirSync(join(folder, name))
      .filter((file) => file.endsWith(".parquet"))
      .map((file) => quoted(join(folder, name, file))),
  );
  if (files.length === 0) return new Map();
  return await withSql(async (sql) => {
    const rows = await sql.rows(`SELECT id::BIGINT AS id FROM read_parquet([${files.join(", ")}])`);
    const ids = new Map<number, number>();
    for (const { id } of rows) ids.set(Number(id), (ids.get(Number(id)) ?? 0) + 1);
    return ids;
  });
}

const random = seeded("steps");
for (const step of ["journaled", "sealed", "copying", "copied", "accepted", "filed", "removed"]) {
  test(`killed at the step "${step}", twice, then left alone`, async () => {
    const folder = newFolder();
    const took: number[] = [];
    for (const life of [0, 1]) {
      const passes = step === "journaled" ? random.below(14) : random.below(life === 0 ? 3 : 4);
      const { taken, signal, said } = await once(folder, life, step, passes);
      expect(signal, said).toBe("SIGKILL");
      took.push(taken);
    }
    const { code, said } = await once(folder, 2, null);
    expect(code, said).toBe(0);
    expect(said).toContain("stopped 0");
    expect(readdirSync(join(folder, "journal"))).toEqual([]);
    const ids = await idsOf(folder);
    expect([...ids.values()].every((times) => times === 1)).toBe(true);
    for (const [life, taken] of [...took, ROWS].entries()) {
      for (let i = 0; i < taken; i++)
        expect(ids.has(FIRST + life * 10_000 + i), `life ${life}, row ${i}`).toBe(true);
    }
    // Unfinished files of COPY are not among the finished ones; the next start of a recorder puts them aside.
    const left = readdirSync(join(folder, "outbox"));
    for (const name of left) expect(name).toMatch(/^\..*\.tmp$|^\.spill$|\.parquet$/);
  });
}

/** Each file has the rows of its own symbol alone; those beside the folders are of the one that can have none. */
async function checkFolders(folder: string, files: readonly string[]): Promise<void> {
  await withSql(async (sql) => {
    for (const file of files) {
      const { symbol } = lakeFile("", file.replaceAll("~", "/"));
      const from = `read_parquet(${quoted(join(folder, file))}, hive_partitioning = false)`;
      const found = await sql.rows(`SELECT DISTINCT instrument FROM ${from}`);
      expect(found, file).toEqual([{ instrument: `${symbol ?? "X".repeat(70)}-X` }]);
      const columns = await sql.rows(`DESCRIBE SELECT * FROM ${from}`);
      expect(
        columns.some(({ column_name }) => column_name === "symbol"),
        file,
      ).toBe(symbol === null);
    }
  });
}

const LONG = process.env.TAPEDECK_TEST_LONG === "1";
/** Those between which most happens run always, the others at length. */
const SAMPLE = ["copying", "accepted", "filed"];
for (const step of ["sealed", "copying", "copied", "accepted", "filed", "removed"]) {
  const isRun = LONG || SAMPLE.includes(step);
  const skipped = isRun ? "" : " (SKIPPED, TAPEDECK_TEST_LONG=1 runs it)";
  test.if(isRun)(
    `a file for each symbol, killed at the step "${step}", twice, then with the other layout${skipped}`,
    async () => {
      const folder = newFolder();
      const took: number[] = [];
      for (const life of [0, 1]) {
        // Of each segment five files are written: so most of these are between two files of one.
        const passes = random.below(step === "removed" ? 2 : life === 0 ? 9 : 14);
        const { taken, signal, said } = await once(folder, life, step, passes, "symbol");
        expect(signal, said).toBe("SIGKILL");
        took.push(taken);
      }
      // What was begun by symbol is completed by symbol, whatever is set now.
      const { code, said } = await once(folder, 2, null, 0, "flat");
      expect(code, said).toBe(0);
      expect(said).toContain("stopped 0");
      expect(readdirSync(join(folder, "journal"))).toEqual([]);
      const ids = await idsOf(folder);
      expect([...ids.values()].every((times) => times === 1)).toBe(true);
      for (const [life, taken] of [...took, ROWS].entries()) {
        for (let i = 0; i < taken; i++)
          expect(ids.has(FIRST + life * 10_000 + i), `life ${life}, row ${i}`).toBe(true);
      }
      const files = readdirSync(join(folder, "lake"));
      const [flat, divided] = [true, false].map((last) =>
        files.filter((name) => name.includes("-1795132800000002-") === last),
      );
      expect(flat?.some((name) => name.includes("symbol="))).toBe(false);
      expect(divided?.some((name) => name.includes("~symbol=A%2FB%3D1%25~"))).toBe(true);
      await checkFolders(join(folder, "lake"), divided ?? []);
    },
  );
}

test("a journal cut back to its last sync, as a power loss would: what was synced is there once", async () => {
  const folder = newFolder();
  const { signal, said } = await once(folder, 0, "journaled", 12);
  expect(signal, said).toBe("SIGKILL");
  const journals = readdirSync(join(folder, "journal")).sort();
  const open = join(folder, "journal", journals.at(-1) ?? "");
  const size = readFileSync(open).length;
  // Behind header and symbols: a journal cut in them is quarantine's business, see journal.test.ts.
  truncateSync(open, 2000 + random.below(size - 2000));
  const { code, said: words } = await once(folder, 1, null);
  expect(code, words).toBe(0);
  const ids = await idsOf(folder);
  expect([...ids.values()].every((times) => times === 1)).toBe(true);
  const own = [...ids.keys()].filter((id) => id < FIRST + 10_000).sort((a, b) => a - b);
  expect(own).toEqual(own.map((_, index) => FIRST + index));
  expect(own.length).toBeGreaterThanOrEqual(800);
});
