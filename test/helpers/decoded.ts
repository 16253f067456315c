/** Compares a lake with what `decode` says of frames: row by row, in the database, so that millions are soon done. */
import { expect } from "bun:test";
import { quoted, type Sql, streamFrom } from "./lake.ts";
import { PROGRAM, SHORT_LIVED } from "./program.ts";
import { STREAM_COLUMNS } from "./schema-v1.ts";

/** Decodes captures into a file of one event a line. Resolves to the exit code and what was said on stderr. */
export async function decodeInto(
  output: string,
  files: readonly string[],
  exchange: string,
): Promise<{ code: number; stderr: string }> {
  const child = Bun.spawn([...PROGRAM, "decode", "--exchange", exchange], {
    stdin: new Blob(await Promise.all(files.map((file) => Bun.file(file).arrayBuffer()))),
    stdout: Bun.file(output),
    stderr: "pipe",
    env: { ...process.env, ...SHORT_LIVED },
  });
  const stderr = await new Response(child.stderr).text();
  return { code: await child.exited, stderr };
}

/** Events in an output of `decode`. `where`: condition of SQL over stream and instrument. */
export function countDecoded(sql: Sql, decoded: string, where: string): Promise<number> {
  return sql.number(
    `SELECT count(*) FROM read_json(${quoted(decoded)}, format = 'newline_delimited',
       columns = {stream: 'VARCHAR', instrument: 'VARCHAR'}) WHERE ${where}`,
  );
}

/** Columns that `decode` prints of a stream, and how each is compared. */
function printed(stream: string): [name: string, type: string][] {
  const own = STREAM_COLUMNS[stream] ?? [];
  const notPrinted = new Set(["local_timestamp", "run", "ring", "seq", "connection"]);
  const types: Readonly<Record<string, string>> = {
    "TIMESTAMP WITH TIME ZONE": "BIGINT",
    INTEGER: "BIGINT",
  };
  return own
    .filter(([name]) => !notPrinted.has(name))
    .map(([name, type]): [string, string] => [name, types[type] ?? type]);
}

/** What is compared with what. */
export interface Comparison {
  /** Data folder. */
  readonly data: string;
  readonly exchange: string;
  /** Output of `decode`. */
  readonly decoded: string;
  /**
   * "received": rows must be in the order of `decode`. "instrument": in that order instrument by instrument,
   * for recordings whose connections are not those of the capture.
   */
  readonly order: "received" | "instrument";
  /** Condition of SQL over stream and instrument: which events are compared. */
  readonly where?: string;
}

/**
 * Expects an exchange's rows of a lake to be these events: the same number, in order, every value.
 *
 * @returns rows by stream
 */
export async function expectSameAsDecoded(
  sql: Sql,
  { data, exchange, decoded, order, where = "true" }: Comparison,
): Promise<Record<string, number>> {
  const union = new Map(Object.keys(STREAM_COLUMNS).flatMap((stream) => printed(stream)));
  const columns = [["exchange", "VARCHAR"], ["stream", "VARCHAR"], ...union]
    .map(([name, type]) => `"${name}": '${type}'`)
    .join(", ");
  // One hash a row stands for all its values; the stream decides which those are.
  const all = [...union.keys()].map((name) => `"${name}"`).join(", ");
  const within = order === "received" ? "stream" : "stream, instrument";
  const numbered = (from: string, place: string) =>
    `SELECT exchange, stream, instrument, hash(${all}) AS content,
       row_number() OVER (PARTITION BY ${within} ORDER BY ${place}) AS n
     FROM (${from}) WHERE ${where}`;
  await sql.rows(
    `CREATE OR REPLACE TEMP TABLE decoded AS ${numbered(
      `SELECT *, row_number() OVER () AS line FROM read_json(${quoted(decoded)}, format = 'newline_delimited',
         columns = {${columns}})`,
      "line",
    )}`,
  );
  await sql.rows(
    "CREATE OR REPLACE TEMP TABLE recorded (exchange VARCHAR, stream VARCHAR, instrument VARCHAR, content UBIGINT, n BIGINT)",
  );
  const streams = (await sql.rows("SELECT DISTINCT stream FROM decoded ORDER BY stream")).map(({ stream }) =>
    String(stream),
  );
  for (const stream of streams) {
    const own = new Set(printed(stream).map(([name]) => name));
    const values = [...union].map(([name, type]) => {
      if (!own.has(name)) return `NULL::${type} AS "${name}"`;
      const time = (STREAM_COLUMNS[stream] ?? []).some(([n, t]) => n === name && t.startsWith("TIMESTAMP"));
      return `${time ? `epoch_us("${name}")` : `"${name}"`}::${type} AS "${name}"`;
    });
    await sql.rows(
      `INSERT INTO recorded ${numbered(
        `SELECT exchange, '${stream}' AS stream, ${values.join(", ")}, ring, seq FROM ${streamFrom(data, stream)}
         WHERE exchange = '${exchange}'`,
        "ring, seq",
      )}`,
    );
  }
  const counts = async (table: string): Promise<Record<string, number>> =>
    Object.fromEntries(
      (await sql.rows(`SELECT stream, count(*) AS rows FROM ${table} GROUP BY stream ORDER BY stream`)).map(
        ({ stream, rows }) => [String(stream), Number(rows)],
      ),
    );
  const rows = await counts("recorded");
  expect(rows, `rows of ${exchange} in the lake and events decoded`).toEqual(await counts("decoded"));
  const differ = await sql.rows(
    `SELECT d.stream, d.instrument, d.n FROM decoded d FULL JOIN recorded r
       ON d.stream = r.stream AND d.n = r.n ${order === "received" ? "" : "AND d.instrument = r.instrument"}
     WHERE d.content IS DISTINCT FROM r.content OR d.exchange <> r.exchange ORDER BY ALL LIMIT 10`,
  );
  expect(differ, `events of ${exchange} that are another row in the lake`).toEqual([]);
  await sql.rows("DROP TABLE decoded; DROP TABLE recorded");
  return rows;
}
