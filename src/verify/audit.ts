/** The audit of a lake, from the first listing to the report. */
import { type DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";
import type { Settings } from "../config/schema.ts";
import { Catalog, type CatalogFile } from "./catalog.ts";
import { checkClaims } from "./claims.ts";
import { gatherRecords } from "./compacted.ts";
import { checkContent, holesByFooter, isInItsDay } from "./content.ts";
import { coverageOf, readGaps } from "./coverage.ts";
import { checkDoubles } from "./doubles.ts";
import { checkFooters } from "./footers.ts";
import type { Lake } from "./lake.ts";
import { gatherFlights, LedgerReader } from "./ledger.ts";
import { listLakes } from "./listing.ts";
import { gatherManifests } from "./manifests.ts";
import type { Report } from "./report.ts";
import type { Scratch } from "./scratch.ts";
import type { Selection } from "./selection.ts";
import { SequenceCheck } from "./sequence.ts";
import type { LakeSource } from "./source.ts";

/** Files whose footers are read in one go. */
const FOOTER_BATCH = 64;

/** Files after which garbage is collected: results of DuckDB hold memory that the collector knows nothing of. */
const COLLECT_EVERY = 256;

/** What is audited, and how thoroughly. */
export interface AuditOptions {
  readonly lake: Lake;
  readonly selection: Selection;
  readonly deep: boolean;
  readonly settings: Settings;
  readonly version: string;
  readonly scratch: Scratch;
}

/**
 * Audits a lake, also one that is being written.
 *
 * What the ledger and the manifests say is read before the files are listed: so whatever they name has to be found. What
 * has moved since is looked for once more before anybody calls it missing.
 *
 * @throws DestinationError when a bucket cannot be read
 */
export async function audit(options: AuditOptions): Promise<Report> {
  const { settings, scratch, lake } = options;
  const catalog = new Catalog(scratch.path(".sqlite"), settings.verify.max_faults);
  const notes: string[] = [];
  const ledger = openLedger(lake, notes);
  const instance = await DuckDBInstance.create(":memory:", {
    memory_limit: `${settings.duckdb.memory_limit}B`,
    threads: String(settings.duckdb.threads),
    temp_directory: scratch.folder,
    // Each file is read once: to keep its pages would only take memory.
    enable_external_file_cache: "false",
  });
  const connections = await Promise.all(
    Array.from({ length: settings.verify.parallel }, () => instance.connect()),
  );
  try {
    return await new Audit(options, catalog, ledger, connections, notes).run();
  } finally {
    for (const connection of connections) connection.closeSync();
    instance.closeSync();
    ledger?.close();
    catalog.close();
  }
}

function openLedger({ ledger }: Lake, notes: string[]): LedgerReader | null {
  if (ledger === null) return null;
  try {
    return LedgerReader.open(ledger);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    notes.push(`the ledger ${ledger} cannot be read (${why}): files that it alone knows are not looked for`);
    return null;
  }
}

class Audit {
  readonly #options: AuditOptions;
  readonly #catalog: Catalog;
  readonly #ledger: LedgerReader | null;
  readonly #connections: readonly DuckDBConnection[];
  readonly #notes: string[];
  readonly #sources: readonly LakeSource[];
  #read = 0;

  constructor(
    options: AuditOptions,
    catalog: Catalog,
    ledger: LedgerReader | null,
    connections: readonly DuckDBConnection[],
    notes: string[],
  ) {
    this.#options = options;
    this.#catalog = catalog;
    this.#ledger = ledger;
    this.#connections = connections;
    this.#notes = notes;
    this.#sources = options.lake.sources;
  }

  async run(): Promise<Report> {
    const { selection, settings, deep, lake } = this.#options;
    const catalog = this.#catalog;
    const now = Date.now() * 1000;
    const manifests = await this.#gather();
    await listLakes(catalog, this.#sources, selection);
    await gatherRecords(catalog, this.#sources, selection, this.#notes);
    await this.#footers();
    const content = await this.#rows();
    await checkDoubles(catalog, this.#sources, deep);
    await checkClaims(catalog, this.#sources, this.#ledger);
    await this.#gaps();
    if (!content) holesByFooter(catalog);
    const time = { now, grace: settings.verify.grace * 1000 };
    const [connection] = this.#connections;
    if (connection === undefined) throw new Error("there is no connection");
    const found = await new SequenceCheck(catalog, this.#sources, selection, time).run(connection, content);
    if (found.beheaded > 0)
      this.#notes.push(
        `${found.beheaded} rings began on days that are not here: what they held then is not judged`,
      );
    const audited = "FROM files WHERE role IN ('audit', 'compacted') AND within IS NULL";
    return {
      format: 1,
      tapedeck: this.#options.version,
      lakes: this.#sources.map(({ where }) => where),
      clean: catalog.faults === 0,
      filter: {
        from: selection.from,
        to: selection.to,
        exchanges: selection.exchanges === null ? null : [...selection.exchanges],
        streams: selection.streams === null ? null : [...selection.streams],
      },
      depth: deep ? "deep" : content ? "rows" : "footers",
      files: catalog.number(`SELECT count(*) ${audited}`),
      rows: catalog.number(`SELECT sum(rows) ${audited}`),
      bytes: catalog.number(`SELECT sum(bytes) ${audited}`),
      downloaded_bytes: this.#sources.reduce((sum, { downloaded }) => sum + downloaded, 0),
      ledger: this.#ledger === null ? null : lake.ledger,
      claims: catalog.number("SELECT count(DISTINCT key) FROM claims"),
      manifests,
      doubles: catalog.number("SELECT count(*) FROM doubles JOIN files USING (key) WHERE role <> 'gaps'"),
      pending: { segments: found.pendingSegments, holes: found.pendingHoles },
      drops: { missing: found.missing, counted: found.counted },
      coverage: coverageOf(catalog, selection, now),
      faults_total: catalog.faults,
      faults: catalog.faultList(),
      notes: this.#notes,
    };
  }

  async #gather(): Promise<number> {
    const { selection, lake } = this.#options;
    const catalog = this.#catalog;
    const ledger = this.#ledger;
    if (ledger !== null) {
      const elsewhere = catalog.db.transaction(() => ledger.gather(catalog, this.#sources, selection))();
      if (elsewhere > 0)
        this.#notes.push(
          `${elsewhere} files of the ledger are in destinations that were not looked at: tapedeck verify without LAKE looks at all that are set`,
        );
    }
    // After the ledger: what leaves a journal meanwhile is in neither only if it is published by then.
    if (lake.data !== null) gatherFlights(catalog, lake.data);
    let manifests = 0;
    for (const [index, source] of this.#sources.entries())
      manifests += await gatherManifests(catalog, source, index, selection);
    return manifests;
  }

  async #footers(): Promise<void> {
    let batch: CatalogFile[] = [];
    const [connection] = this.#connections;
    if (connection === undefined) return;
    for (const file of this.#catalog.files("within IS NULL")) {
      batch.push(file);
      if (batch.length < FOOTER_BATCH) continue;
      await checkFooters(connection, this.#catalog, this.#sources, batch);
      batch = [];
    }
    await checkFooters(connection, this.#catalog, this.#sources, batch);
  }

  /** Reads the rows, where that needs no download or is asked for; resolves to whether all were read. */
  async #rows(): Promise<boolean> {
    const { deep } = this.#options;
    let all = true;
    await this.#each(
      "sound AND role IN ('audit', 'compacted') AND within IS NULL",
      async (connection, file, source) => {
        if (!deep && !source.near) all = false;
        else if (isInItsDay(file) || deep) await checkContent(connection, this.#catalog, source, file, deep);
      },
    );
    return all;
  }

  async #gaps(): Promise<void> {
    await this.#each("sound AND stream = 'gaps'", (connection, file, source) =>
      readGaps(connection, this.#catalog, source, file),
    );
  }

  /** Goes through files, as many at once as there are connections. */
  async #each(
    where: string,
    check: (connection: DuckDBConnection, file: CatalogFile, source: LakeSource) => Promise<void>,
  ): Promise<void> {
    const files = this.#catalog.files(where)[Symbol.iterator]();
    await Promise.all(
      this.#connections.map(async (connection) => {
        for (let next = files.next(); next.done !== true; next = files.next()) {
          const source = this.#sources[next.value.source];
          if (++this.#read % COLLECT_EVERY === 0) Bun.gc(true);
          if (source !== undefined) await check(connection, next.value, source);
        }
      }),
    );
  }
}
