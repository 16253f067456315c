/** SQL and Python of a page, run in its folder against its `data/`. */
import { expect } from "bun:test";
import { join } from "node:path";
import { type DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";
import { allViews, createView } from "../../../src/storage/views.ts";
import { lakeFiles } from "../../helpers/audit.ts";
import { missingModules, PYTHON } from "../../helpers/python.ts";
import type { Block } from "./blocks.ts";
import { onRecordedDay } from "./world.ts";

/** DuckDB as a reader of one page has it, with the views that `tapedeck sql` has. */
export class PageSql {
  readonly #folder: string;
  #connection: DuckDBConnection | null = null;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async #open(): Promise<DuckDBConnection> {
    if (this.#connection !== null) return this.#connection;
    const connection = await (await DuckDBInstance.create(":memory:")).connect();
    const present = new Set(lakeFiles(join(this.#folder, "data")).map(({ stream }) => stream));
    for (const view of allViews(join(this.#folder, "data/lake"), present))
      await connection.run(createView(view));
    this.#connection = connection;
    return connection;
  }

  /** Runs every statement of a block. A view that is there already may be made again. */
  async run({ text }: Block): Promise<void> {
    const connection = await this.#open();
    const sql = onRecordedDay(text)
      .replaceAll("'data/", `'${this.#folder}/data/`)
      .replaceAll(/\bCREATE VIEW\b/g, "CREATE OR REPLACE VIEW");
    const statements = await connection.extractStatements(sql);
    expect(statements.count).toBeGreaterThan(0);
    for (let at = 0; at < statements.count; at++) {
      const reader = await (await statements.prepare(at)).runAndReadAll();
      expect(reader.columnCount).toBeGreaterThan(0);
    }
  }

  close(): void {
    this.#connection?.closeSync();
  }
}

const MODULES = ["pandas", "polars", "pyarrow", "duckdb"];
const MISSING = missingModules(MODULES);

/** What this machine lacks for a block of Python; empty = nothing. */
export function lackingFor({ text }: Block): string {
  const lacking = MODULES.filter((name) => MISSING.has(name) && new RegExp(`\\b${name}\\b`).test(text));
  if (PYTHON === undefined) return "needs Python: set TAPEDECK_TEST_PYTHON";
  return lacking.length === 0 ? "" : `needs ${lacking.join(", ")}: set TAPEDECK_TEST_PYTHON`;
}

/** Runs a block of Python in a folder. */
export async function runPython({ text }: Block, folder: string): Promise<void> {
  const child = Bun.spawn([PYTHON ?? "", "-c", onRecordedDay(text)], {
    cwd: folder,
    stdout: "ignore",
    stderr: "pipe",
  });
  const [stderr, code] = await Promise.all([new Response(child.stderr).text(), child.exited]);
  expect(code, `${text}\n${stderr}`).toBe(0);
}
