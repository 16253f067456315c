/** Audits in this process, and lakes to plant faults in. */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { loadSettings } from "../../src/config/load.ts";
import type { Settings } from "../../src/config/schema.ts";
import { audit } from "../../src/verify/audit.ts";
import { type Lake, openLake } from "../../src/verify/lake.ts";
import { type Report, reportSchema } from "../../src/verify/report.ts";
import { Scratch } from "../../src/verify/scratch.ts";
import type { Selection } from "../../src/verify/selection.ts";
import { type LakeFile, lakeFiles } from "../helpers/audit.ts";
import { quoted, type Sql } from "../helpers/lake.ts";

/** Settings by path, as a file would have them. */
export function settingsOf(set: Readonly<Record<string, string>>): Settings {
  const flags = Object.entries(set).map(([path, value]) => ({
    path,
    value,
    source: "test",
    where: (shown: string) => `${path}=${shown}`,
    quoted: false,
  }));
  const loaded = loadSettings({ flags, config: undefined, env: {}, cwd: "/" });
  if (!loaded.ok) throw new Error(loaded.faults.join("\n"));
  return loaded.settings;
}

/** Audits a lake; undefined = the destinations of the settings. The report has the shape that is promised. */
export async function auditOf(
  name: string | undefined,
  options: { deep?: boolean; set?: Readonly<Record<string, string>>; selection?: Partial<Selection> } = {},
): Promise<Report> {
  const settings = settingsOf(options.set ?? {});
  const scratch = new Scratch();
  let lake: Lake | null = null;
  try {
    lake = await openLake(name, settings, scratch);
    const selection = { from: null, to: null, exchanges: null, streams: null, ...options.selection };
    const report = await audit({
      lake,
      selection,
      deep: options.deep ?? false,
      settings,
      version: "test",
      scratch,
    });
    return reportSchema.parse(JSON.parse(JSON.stringify(report)));
  } finally {
    lake?.close();
    scratch.close();
  }
}

/** Kinds of faults by file, each kind of a file once. */
export function faultsOf({ faults }: Report): Record<string, string[]> {
  return Object.fromEntries(
    [...Map.groupBy(faults, ({ file }) => file)].map(([file, list]) => [
      file,
      [...new Set(list.map(({ kind }) => kind))].sort(),
    ]),
  );
}

/** A copy of a data folder, to do harm to. */
export class Patient {
  constructor(
    readonly data: string,
    readonly sql: Sql,
  ) {}

  static of(original: string, data: string, sql: Sql, { ledger }: { ledger: boolean }): Patient {
    cpSync(original, data, { recursive: true });
    if (!ledger)
      for (const part of ["", "-wal", "-shm"]) rmSync(join(data, `ledger.db${part}`), { force: true });
    return new Patient(data, sql);
  }

  /** Files of a stream, in the order of their ring. */
  files(stream: string): LakeFile[] {
    return lakeFiles(this.data)
      .filter((file) => file.stream === stream)
      .sort((a, b) => a.run.localeCompare(b.run) || a.ring - b.ring || a.n - b.n);
  }

  /** The second of at least three files of a ring of the last run, which ended well: there is one before it and one behind. */
  middle(stream: string): LakeFile {
    const rings = Map.groupBy(this.files(stream), ({ run, ring }) => `${run} ${ring}`);
    const file = [...rings.values()].findLast(({ length }) => length >= 3)?.[1];
    if (file === undefined) throw new Error(`no ring of ${stream} has three files`);
    return file;
  }

  key(file: LakeFile): string {
    return file.path.slice(join(this.data, "lake").length + 1);
  }

  put(key: string, content: Uint8Array | string): void {
    const path = join(this.data, "lake", key);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }

  /** Turns one byte in the middle of the pages of a file around. */
  flip({ path }: LakeFile): void {
    const bytes = readFileSync(path);
    const footer = bytes.readUInt32LE(bytes.length - 8) + 8;
    const at = Math.floor((bytes.length - footer) / 2);
    bytes[at] = (bytes[at] ?? 0) ^ 0x10;
    writeFileSync(path, bytes);
  }

  /** Writes a file anew, with other rows or other metadata. */
  async rewrite(
    { path }: LakeFile,
    change: { rows?: string; metadata?: Readonly<Record<string, string>> },
  ): Promise<void> {
    const pairs = await this.sql.rows(
      `SELECT decode(key) AS key, decode(value) AS value FROM parquet_kv_metadata(${quoted(path)})`,
    );
    const metadata = {
      ...Object.fromEntries(pairs.map(({ key, value }) => [key, value])),
      ...change.metadata,
    };
    const entries = Object.entries(metadata).map(([key, value]) => `${key}: ${quoted(String(value))}`);
    const query = (change.rows ?? "FROM file").replace(
      "FROM file",
      `FROM read_parquet(${quoted(path)}, hive_partitioning = false)`,
    );
    const other = `${path}.new`;
    await this.sql.rows(
      `COPY (${query.startsWith("FROM") ? `SELECT * ${query}` : query}) TO ${quoted(other)} (FORMAT parquet, COMPRESSION zstd, KV_METADATA {${entries.join(", ")}})`,
    );
    writeFileSync(path, readFileSync(other));
    rmSync(other);
  }
}
