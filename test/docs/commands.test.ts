/**
 * Every command and query of README.md and docs/ is run, as it stands on the page, in a folder as a reader has it; what cannot
 * run here says so on the page and is skipped by name. docs/README.md tells writers of pages how.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Random } from "../../src/simulator/random.ts";
import { auditLake } from "../helpers/audit.ts";
import { withSql } from "../helpers/lake.ts";
import { endSimulated } from "../helpers/simulated.ts";
import { allBlocks, type Block } from "./page/blocks.ts";
import { commandsOf, type PageCommand } from "./page/commands.ts";
import { lackingFor, PageSql, runPython } from "./page/queries.ts";
import { missingLine } from "./page/shape.ts";
import type { Background, Ended, Shell } from "./page/shell.ts";
import { World } from "./page/world.ts";

const LONG = process.env.TAPEDECK_TEST_LONG === "1";
const TIMEOUT = 300_000;
/** Pages of docs/ whose commands a default run runs, beside those of README.md: other ones each day. */
const SAMPLE = 2;
const folder = mkdtempSync(join(tmpdir(), "tapedeck-pages-"));
endSimulated();

const COMMANDS = ["sh", "console"];
const blocks = (await allBlocks()).filter(({ language }) =>
  [...COMMANDS, "sql", "python"].includes(language),
);
const byPage = Map.groupBy(blocks, ({ page }) => page);
const sample = sampled();

/** README.md, and of the other pages with commands some by the seed; with TAPEDECK_TEST_LONG=1 all. */
function sampled(): ReadonlySet<string> {
  const seed = process.env.TAPEDECK_TEST_SEED ?? new Date().toISOString().slice(0, 10);
  const random = new Random(`${seed}/pages`);
  const others = [...new Set(blocks.filter(runnable).map(({ page }) => page))].filter(
    (page) => page !== "README.md",
  );
  if (LONG) return new Set(["README.md", ...others]);
  const chosen: string[] = [];
  while (chosen.length < SAMPLE && others.length > 0)
    chosen.push(...others.splice(random.below(others.length), 1));
  console.log(`commands of README.md, ${chosen.join(", ")}: TAPEDECK_TEST_SEED=${seed}`);
  return new Set(["README.md", ...chosen]);
}

function runnable({ language, notRun, long }: Block): boolean {
  return COMMANDS.includes(language) && notRun === null && (LONG || !long);
}

/** Why a block is not run now; null = it is. */
function whyNot(block: Block): string | null {
  if (block.notRun !== null) return block.notRun;
  if (block.long && !LONG) return "long: TAPEDECK_TEST_LONG=1";
  if (block.language === "python") return lackingFor(block) || null;
  return block.language === "sql" || sample.has(block.page)
    ? null
    : "not in the sample: TAPEDECK_TEST_LONG=1";
}

let world: World;
beforeAll(async () => {
  world = await World.start(folder);
}, TIMEOUT);
afterAll(async () => {
  await world?.stop();
  rmSync(folder, { recursive: true, force: true });
}, TIMEOUT);

/** Commands that ask the recorder which runs at the usual port. */
const ASKS = /\btapedeck (status|healthcheck)\b|:9100\b/;
const RECORDS = /\btapedeck (record|demo|capture)\b/;

/** What shows that a command which goes on for ever does what it is for. */
const signOf = (command: string): RegExp => (/\btapedeck record\b/.test(command) ? /READY/ : /\S/);

/** The balance that a recorder told of at its end. */
function balanceHolds(output: string): boolean[] {
  return output
    .split("\n")
    .filter((line) => line.startsWith("{") && line.includes('"event":"collector_stop"'))
    .map((line) => (JSON.parse(line) as { holds?: boolean }).holds === true);
}

function check({ text, code, output }: PageCommand, ended: Ended): void {
  expect(ended.code, `${text}\n${ended.output.slice(-4000)}`).toBe(code);
  expect(
    missingLine(output, ended.output),
    `not in what it printed:\n${ended.output.slice(-4000)}`,
  ).toBeNull();
  for (const holds of balanceHolds(ended.output)) expect(holds, "every event is accounted for").toBe(true);
}

async function runBlock(block: Block, shell: Shell): Promise<void> {
  const commands = commandsOf(block);
  const asks = ASKS.test(block.text) && !RECORDS.test(block.text);
  if (asks || RECORDS.test(block.text)) await world.recorder(asks);
  const going: { command: PageCommand; background: Background }[] = [];
  try {
    for (const command of commands) {
      const typed = world.typed(command.text);
      if (!command.untilStopped) {
        check(command, await shell.run(typed));
        continue;
      }
      const background = shell.start(typed);
      going.push({ command, background });
      await background.until(signOf(typed));
    }
    // The last one first, as a reader closes terminals: a recorder before its exchange.
    for (const { command, background } of going.toReversed()) check(command, await background.stop());
  } finally {
    shell.killAll();
  }
}

function nameOf(block: Block): string {
  const [first = ""] = block.text.trim().split("\n");
  const why = whyNot(block);
  const name = `${block.page}:${block.line} ${first.replace(/^\$ /, "").trim()}`;
  return why === null ? name : `${name} (SKIPPED, ${why})`;
}

describe("commands of the pages", () => {
  for (const [page, ofPage] of byPage) {
    describe(page, () => {
      let here: { folder: string; shell: Shell };
      let sql: PageSql;
      const runs = ofPage.filter((block) => whyNot(block) === null);

      beforeAll(() => {
        if (runs.length === 0) return;
        here = world.page(page, LONG && !page.startsWith("docs/"));
        sql = new PageSql(here.folder);
      }, TIMEOUT);
      afterAll(() => sql?.close());

      for (const block of ofPage) {
        test.skipIf(!runs.includes(block))(
          nameOf(block),
          async () => {
            if (block.language === "sql") await sql.run(block);
            else if (block.language === "python") await runPython(block, here.folder);
            else await runBlock(block, here.shell);
          },
          TIMEOUT,
        );
      }

      if (!runs.some((block) => COMMANDS.includes(block.language) && RECORDS.test(block.text))) return;
      test(
        "what its commands have recorded is whole",
        async () => {
          const data = join(here.folder, "data");
          await withSql(async (lake) => expect((await auditLake(lake, data)).holes).toBe(0));
        },
        TIMEOUT,
      );
    });
  }
});
