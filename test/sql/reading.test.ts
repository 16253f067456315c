/** The snippets of docs/reading.md, run as they stand on the page. Python: see test/e2e/python.test.ts. */
import { beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { scratchFolder } from "../helpers/scratch.ts";
import { makeLake, Reference, SYMBOLS } from "./made-lake.ts";

const PROJECT = join(import.meta.dir, "../..");
const PAGE = readFileSync(join(PROJECT, "docs/reading.md"), "utf8");
const PYTHON = [
  process.env.TAPEDECK_TEST_PYTHON,
  join(PROJECT, "../.venv/bin/python"),
  join(PROJECT, ".venv/bin/python"),
].find((path) => path !== undefined && existsSync(path));
const FILE_ROWS = 1000;
const EXPECTED = (2 * FILE_ROWS) / SYMBOLS.length;

const snippets = [...PAGE.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language = "", text = ""]) => ({
  language,
  text,
}));
const python = snippets
  .filter(({ language }) => language === "python")
  .map(({ text }) => ({ text, module: /^import (\w+)/.exec(text)?.[1] ?? "" }));

const cwd = scratchFolder("reading");
let reference: Reference;

/** Why a snippet cannot be run here; "" = it can. */
function missing(module: string): string {
  if (PYTHON === undefined) return " (skipped: no Python, set TAPEDECK_TEST_PYTHON)";
  const { exitCode } = Bun.spawnSync([
    PYTHON,
    "-c",
    `import importlib.util as u, sys; sys.exit(u.find_spec("${module}") is None)`,
  ]);
  return exitCode === 0 ? "" : ` (skipped: ${PYTHON} has no module ${module})`;
}

beforeAll(async () => {
  reference = await Reference.open();
  await makeLake(join(cwd, "data/lake"), reference.connection, FILE_ROWS);
}, 180_000);

describe("docs/reading.md", () => {
  test("has a snippet for each tool that is tried, and says which are not", () => {
    expect(python.map(({ module }) => module)).toEqual(["duckdb", "pandas", "polars", "pyarrow"]);
    expect(snippets.map(({ language }) => language)).toEqual([
      "sql",
      ...python.map(() => "python"),
      "text",
      "text",
    ]);
    expect(PAGE.indexOf("## Not tried here")).toBeLessThan(PAGE.indexOf("```text"));
  });

  test("SQL", async () => {
    await reference.connection.run(`SET file_search_path = '${cwd}'`);
    const [{ text = "" } = {}] = snippets.filter(({ language }) => language === "sql");
    expect(await reference.rows(text)).toEqual([[EXPECTED]]);
  });

  for (const { module, text } of python) {
    const note = missing(module);
    test.skipIf(note !== "")(
      `${module}${note}`,
      async () => {
        const child = Bun.spawn([PYTHON ?? "", "-c", text], { cwd, stdout: "pipe", stderr: "pipe" });
        const [stdout, stderr, code] = await Promise.all([
          new Response(child.stdout).text(),
          new Response(child.stderr).text(),
          child.exited,
        ]);
        expect([code, stdout.trim()], stderr).toEqual([0, String(EXPECTED)]);
      },
      180_000,
    );
  }
});
