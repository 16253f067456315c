/** Which partitions a query can have rows from: as DuckDB's plan says, evaluated by DuckDB, and checked against it. */
import { sqlText } from "../storage/projection.ts";
import { type EmptyFiles, type Engine, type FilePaths, pathsByKind } from "./engine.ts";
import type { Kind } from "./kinds.ts";
import { type Partition, partitionId } from "./partitions.ts";
import { namesSymbol, type Plan, type Scan, splitConditions } from "./plan.ts";

/** Conditions that stand for "whatever there is". */
const NO_CONDITIONS = "";

/** Evaluates conditions on exchange, stream, date and symbol as a plan has them. */
export class Conditions {
  readonly #known = new Map<string, ReadonlySet<string>>();

  /** @param whole whether each partition stands for its day, whatever symbols have folders in it */
  constructor(
    readonly engine: Engine,
    readonly partitions: readonly Partition[],
    readonly whole: boolean,
  ) {}

  /** Partitions of a kind that a scan reads; all of them where a text cannot be evaluated. */
  async partitionsOf(kind: Kind, scan: Scan): Promise<ReadonlySet<string>> {
    const conditions = scan.kind === null ? NO_CONDITIONS : scan.fileFilters;
    const key = `${kind} ${scan.kind} ${conditions}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const isRead = ({ symbol }: Partition) =>
      this.whole || scan.kind === null || (symbol !== null) === scan.divided;
    const all = this.partitions.filter((partition) => partition.kind === kind && isRead(partition));
    const found = await this.#evaluate(all, conditions).catch(() => new Set(all.map(partitionId)));
    this.#known.set(key, found);
    return found;
  }

  async #evaluate(all: readonly Partition[], conditions: string): Promise<Set<string>> {
    const parts = splitConditions(conditions).filter((part) => !this.whole || !namesSymbol(part));
    if (all.length === 0 || parts.length === 0) return new Set(all.map(partitionId));
    const values = all.map(
      ({ exchange, kind, date, symbol }, i) =>
        `(${i}, ${sqlText(exchange)}, ${sqlText(kind)}, DATE '${date}', ${sqlText(symbol ?? "")})`,
    );
    const rows = await this.engine.rows(
      `SELECT i FROM (VALUES ${values.join(", ")}) p(i, exchange, stream, date, symbol) WHERE ${parts.join(" AND ")}`,
    );
    return new Set(
      rows.flatMap(([i]) => {
        const partition = all[Number(i)];
        return partition === undefined ? [] : [partitionId(partition)];
      }),
    );
  }
}

/** Kinds that a scan may be of. */
export const kindsOf = (scan: Scan, kinds: readonly Kind[]): readonly Kind[] =>
  scan.kind === null ? kinds : [scan.kind];

/** Partitions that the scans of a plan read. */
export async function neededPartitions(
  plan: Plan,
  kinds: readonly Kind[],
  conditions: Conditions,
): Promise<Set<string>> {
  const needed = new Set<string>();
  for (const scan of plan.scans) {
    for (const kind of kindsOf(scan, kinds)) {
      for (const id of await conditions.partitionsOf(kind, scan)) needed.add(id);
    }
  }
  return needed;
}

/**
 * The partitions of a query, or, `whole`, the days. Those that seem not to be needed are shown to DuckDB once more, alone: if its plan
 * would read a single one of them, what was made of the conditions is wrong, and all are taken.
 */
export async function prune(options: {
  sql: string;
  partitions: readonly Partition[];
  kinds: readonly Kind[];
  empty: EmptyFiles;
  open: (files: FilePaths) => Promise<Engine>;
  whole: boolean;
}): Promise<Set<string>> {
  const { sql, partitions, kinds, empty, open, whole } = options;
  const planOver = async <T>(some: readonly Partition[], use: (plan: Plan, engine: Engine) => Promise<T>) => {
    const engine = await open(await emptyFilesOf(some, empty));
    try {
      return await use(await engine.plan(sql), engine);
    } finally {
      engine.close();
    }
  };
  const needed = await planOver(partitions, (plan, engine) =>
    neededPartitions(plan, kinds, new Conditions(engine, partitions, whole)),
  );
  const rest = partitions.filter((partition) => !needed.has(partitionId(partition)));
  if (rest.length === 0) return needed;
  const scanned = new Set(rest.map(({ kind }) => kind));
  const missed = await planOver(rest, async ({ scans }) =>
    scans.some((scan) => kindsOf(scan, kinds).some((kind) => scanned.has(kind)) && scan.files !== 0),
  );
  return missed ? new Set(partitions.map(partitionId)) : needed;
}

async function emptyFilesOf(partitions: readonly Partition[], empty: EmptyFiles): Promise<FilePaths> {
  const paths: [Partition, string][] = [];
  for (const partition of partitions) paths.push([partition, await empty.of(partition)]);
  return pathsByKind(paths);
}
