/** `tapedeck sql`: answers SQL over a lake. */
import { z } from "zod";
import { EXCHANGE_NAMES } from "../config/exchanges.ts";
import { table } from "../config/wrap.ts";
import { FORMATS, TABLE_ROWS } from "../sql/formats.ts";
import { RECIPES, recipeSql } from "../sql/recipes.ts";
import { type Command, UsageError } from "./command.ts";
import { days, namesOf } from "./selection.ts";

const options = z.strictObject({
  lake: z.string().optional(),
  format: z.enum(FORMATS, { error: () => `is no format; there are: ${FORMATS.join(", ")}` }).optional(),
  output: z.string().min(1, "the name of a file is wanted").optional(),
  limit: z
    .string()
    .regex(/^\d{1,9}$/, "a number of rows is wanted; 0 = all")
    .transform(Number)
    .optional(),
  epoch: z.literal(true).optional(),
  recipes: z.literal(true).optional(),
  recipe: z
    .enum(
      RECIPES.map(({ name }) => name),
      { error: () => `is no recipe; there are: ${RECIPES.map(({ name }) => name).join(", ")}` },
    )
    .optional(),
  print: z.literal(true).optional(),
  date: days.optional(),
  exchanges: namesOf(EXCHANGE_NAMES).optional(),
  symbols: z
    .string()
    .transform((text) =>
      text
        .split(",")
        .map((name) => name.trim())
        .filter((name) => name !== ""),
    )
    .optional(),
  cost: z.literal(true).optional(),
});
type Options = z.output<typeof options>;

/** `tapedeck sql` */
export const command: Command<Options> = {
  name: "sql",
  summary: "Answers SQL over a lake: a view for each stream, read-only.",
  description:
    "QUERY is one SELECT of DuckDB over a view for each stream and dataset (bbo, trade, gaps, …) and those that convert units " +
    "and carry values forward (docs/views.md). It cannot read other files, nor write any. Of buckets it downloads the columns " +
    "and row groups that the query reads, up to sql.download_bytes. Without --lake it is the destinations of the settings, " +
    "each file once.\n\n" +
    "  tapedeck sql \"SELECT symbol, count(*) FROM trade WHERE date = '2026-11-20' GROUP BY 1\"\n" +
    "  tapedeck sql --recipe bars --symbols BTCUSDT --date 2026-11-20 --format csv --output bars.csv",
  positionals: { name: "QUERY", min: 0, max: 1 },
  flags: [
    {
      name: "lake",
      value: "LAKE",
      meaning: "A folder, a data folder, s3://bucket/prefix or gs://bucket/prefix.",
    },
    {
      name: "format",
      value: FORMATS.join("|"),
      meaning: "Form of the answer; json is one object a line. Default: table.",
    },
    {
      name: "output",
      value: "FILE",
      meaning: "Writes the answer to a file, which is there when it is whole.",
    },
    {
      name: "limit",
      value: "N",
      meaning: `Rows at most; 0 = all. Default: ${TABLE_ROWS} of a table, else all.`,
    },
    { name: "epoch", meaning: "Times as microseconds since 1970 instead of ISO 8601." },
    { name: "recipes", meaning: "Lists the recipes." },
    {
      name: "recipe",
      value: RECIPES.map(({ name }) => name).join("|"),
      meaning: "Runs a recipe instead of a query.",
    },
    { name: "print", meaning: "Prints the SQL of the recipe and does not run it." },
    { name: "date", value: "DAY|DAY..DAY", meaning: "Days of the recipe, UTC; an end may be left out." },
    { name: "exchanges", value: "a,b", meaning: "Exchanges of the recipe." },
    { name: "symbols", value: "A,B", meaning: "Symbols of the recipe." },
    { name: "cost", meaning: "Tells on stderr what was read and downloaded." },
  ],
  common: ["data"],
  options,
  async run({ positionals: [given], options: chosen, settings }) {
    if (chosen.recipes === true) {
      const rows = RECIPES.map(({ name, meaning }) => [name, meaning] as const);
      process.stdout.write(`${table(rows)}\n`);
      return 0;
    }
    const sql = textOf(given, chosen);
    if (chosen.print === true) {
      process.stdout.write(`${sql}\n`);
      return 0;
    }
    // Loads DuckDB, which `--help` need not.
    const { answer } = await import("./sql-answer.ts");
    return answer(sql, chosen, settings);
  },
};

/** The query, from what was given. */
function textOf(given: string | undefined, chosen: Options): string {
  const { recipe, date, exchanges, symbols, print, format, output } = chosen;
  const faults: string[] = [];
  if ((given === undefined) === (recipe === undefined))
    faults.push('one query or one --recipe is wanted, such as "SELECT count(*) FROM trade" or --recipe gaps');
  if (recipe === undefined) {
    const narrowing = { date, exchanges, symbols, print };
    for (const [name, value] of Object.entries(narrowing))
      if (value !== undefined) faults.push(`--${name} goes with --recipe; a query says it itself (WHERE …)`);
  }
  if (format === "parquet" && output === undefined && process.stdout.isTTY)
    faults.push("--format parquet is nothing for a terminal: add --output FILE, or > FILE");
  if (faults.length > 0) throw new UsageError(faults);
  const choice = {
    exchanges: exchanges ?? null,
    symbols: symbols ?? null,
    from: date?.from ?? null,
    to: date?.to ?? null,
  };
  return given ?? recipeSql(recipe ?? "", choice) ?? "";
}
