/** A data folder whose ring is a file, filled and drained by the real parts, and what stands in its journals. */
import { cpSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { rename } from "node:fs/promises";
import { basename, join } from "node:path";
import { LAYOUTS, LOCAL, SYMBOL } from "../../../src/events/layout.ts";
import { STREAM_NAMES } from "../../../src/events/streams.ts";
import { journalSymbols, parseJournalName, RECORD } from "../../../src/storage/journal/format.ts";
import { inspectJournal } from "../../../src/storage/journal/inspect.ts";
import {
  columnOrder,
  JournalReader,
  JournalRows,
  parsePayload,
} from "../../../src/storage/journal/reader.ts";
import type { FileLayout } from "../../../src/storage/names.ts";
import { RingFiles } from "../../../src/storage/rings/files.ts";
import { RingFolders } from "../../../src/storage/rings/folders.ts";
import { type RescueContext, rescueRings } from "../../../src/storage/rings/rescue.ts";
import { Feed, TestDrain } from "../feed.ts";

export const RUN = "test-1795132800000000-abcd";
/** Symbols that the drain knows from the begin. */
export const SYMBOLS = ["BTCUSDT", "币安人生USDT"];

/** Rows of segments that a rescue makes. */
export const SEGMENT_ROWS = 300;
const BOUNDS = Object.fromEntries(
  STREAM_NAMES.map((stream) => [stream, { rows: SEGMENT_ROWS, bytes: 2 ** 30 }]),
) as RescueContext["bounds"];

/** A run that is going on. */
export interface World {
  readonly root: string;
  readonly feed: Feed;
  readonly files: RingFiles;
  readonly test: TestDrain;
}

/** Begins a run with one ring of trades. */
export async function newWorld(
  root: string,
  {
    capacity,
    parent,
    layout = "flat",
  }: { readonly capacity: number; readonly parent?: string; readonly layout?: FileLayout },
): Promise<World> {
  mkdirSync(join(root, "journal"), { recursive: true });
  const files = RingFiles.open({
    folders: new RingFolders(root),
    parent,
    run: RUN,
    version: "0.1.0",
    layout,
  });
  const name = { ring: 0, exchange: "binance", stream: "trade" } as const;
  const feed = new Feed("trade", { capacity, create: (shape) => files.create(shape, name) });
  const test = await TestDrain.open(root, [feed], {
    seal: { rows: SEGMENT_ROWS },
    layout,
    journal: { folder: join(root, "journal"), fsync: "off" },
  });
  // Journals stay: they are what is looked at.
  test.drain.hold(true);
  addSymbols({ files, test }, SYMBOLS, 0);
  return { root, feed, files, test };
}

/** Makes symbols known, in the order in which a recorder does. */
export function addSymbols(
  { files, test }: Pick<World, "files" | "test">,
  names: readonly string[],
  first: number,
) {
  files.keepSymbols(
    "binance",
    names.map((name, i) => [first + i, name, `${name}-X`]),
  );
  test.symbols(names, first);
}

/** What kill -9 would leave at this instant. */
export function killed({ root }: Pick<World, "root">, to: string): string {
  cpSync(root, to, { recursive: true });
  return to;
}

/** Rescues what a run left in a folder, with a quarantine beside it. */
export function rescueIn(root: string, options: Partial<RescueContext> = {}) {
  const aside = join(root, "aside");
  mkdirSync(aside, { recursive: true });
  return rescueRings({
    folders: new RingFolders(root),
    journal: join(root, "journal"),
    bounds: BOUNDS,
    published: () => false,
    quarantine: async (path) => {
      const now = join(aside, basename(path));
      await rename(path, now);
      return now;
    },
    ...options,
  });
}

/** Files of rings in a data folder. */
export function ringsIn(root: string): string[] {
  return readdirSync(join(root, "rings")).filter((name) => name.endsWith(".ring"));
}

/** A row as a journal has it. */
export interface FoundRow {
  readonly n: number;
  readonly seq: number;
  readonly local: number;
  readonly symbol: string | undefined;
}

/** All rows in the journals of a folder, in the order of journals; throws where one is damaged. */
export function journaledRows(root: string): FoundRow[] {
  const folder = join(root, "journal");
  const names = readdirSync(folder).flatMap((name) => {
    const n = parseJournalName(name)?.n;
    return n === undefined ? [] : [{ name, n }];
  });
  return names
    .sort((a, b) => a.n - b.n)
    .flatMap(({ name, n }) => {
      const path = join(folder, name);
      const { lost, header } = inspectJournal(path);
      if (lost.length > 0) throw new Error(`${name} is damaged`);
      const order = columnOrder(header, LAYOUTS.trade);
      const symbols = new Map<number, string>();
      const rows: FoundRow[] = [];
      using reader = JournalReader.open(path);
      for (const record of reader.records()) {
        if (record.head.type === RECORD.symbols)
          for (const [number, symbol] of parsePayload(journalSymbols, record, "symbols"))
            symbols.set(number, symbol);
        if (record.head.type !== RECORD.rows) continue;
        const found = new JournalRows(record, header, order);
        for (let i = 0; i < found.count; i++) {
          const at = (column: number) => found.number(column, i);
          rows.push({ n, seq: at(LAYOUTS.trade.seq), local: at(LOCAL), symbol: symbols.get(at(SYMBOL)) });
        }
      }
      return rows;
    });
}

/** Bytes of the one file of a ring in a data folder. */
export function ringBytesIn(root: string): { readonly path: string; readonly bytes: Buffer } {
  const [name = ""] = ringsIn(root);
  const path = join(root, "rings", name);
  return { path, bytes: readFileSync(path) };
}
