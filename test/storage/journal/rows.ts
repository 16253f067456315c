/** Journals for tests: written by the real writer from a real ring, and damaged by hand. */
import { LAYOUTS } from "../../../src/events/layout.ts";
import type { Stream } from "../../../src/events/streams.ts";
import { RingConsumer } from "../../../src/ring/consumer.ts";
import type { JournalHeader } from "../../../src/storage/journal/format.ts";
import { JournalWriter, Stage } from "../../../src/storage/journal/writer.ts";
import { Feed } from "../feed.ts";

/** A run as tests name it; it began in November 2026. */
export const RUN = "test-1795132800000000-abcd";
/** Receive time of row 0, µs. */
export const FIRST = 1_795_132_801_000_000;

/** The header of a journal. */
export function headerOf(options: Partial<JournalHeader> & { readonly stream: Stream }): JournalHeader {
  const { numbers, texts } = LAYOUTS[options.stream];
  return {
    schema: "v1",
    tapedeck: "0.1.0",
    exchange: "binance",
    dataset: false,
    run: RUN,
    ring: 0,
    n: 0,
    numbers,
    texts,
    textPieces: 4,
    textCellBytes: 16,
    ...options,
  };
}

/** How a journal is made. */
export interface MadeJournal {
  readonly stream?: Stream;
  readonly n?: number;
  readonly ring?: number;
  readonly run?: string;
  /** Rows of each record. */
  readonly records: readonly number[];
  /** seq of the first row. */
  readonly firstSeq?: number;
  readonly sealed?: boolean;
}

/** Writes a journal with rows of which row i has seq and price i; resolves to its path and where records end. */
export async function makeJournal(
  folder: string,
  made: MadeJournal,
): Promise<{ path: string; ends: number[] }> {
  const { stream = "trade", n = 0, ring = 0, run = RUN, records, firstSeq = 0, sealed = false } = made;
  const feed = new Feed(stream, { capacity: 8192 });
  const symbols = [
    [0, "BTCUSDT", "BTCUSDT-X"],
    [1, "币安人生USDT", "币安人生USDT-X"],
  ] as const;
  const header = headerOf({ stream, n, ring, run });
  const writer = JournalWriter.create(folder, header, symbols, { stage: new Stage(), always: false });
  const ends = [writer.bytes];
  const consumer = new RingConsumer(feed.spec.handle);
  for (let seq = 0; seq < firstSeq; seq++) feed.push(0, FIRST);
  feed.publish();
  consumer.available(8192);
  consumer.release(firstSeq);
  let seq = firstSeq;
  for (const rows of records) {
    for (let i = 0; i < rows; i++, seq++)
      feed.push(seq % 2, FIRST + seq, { id: `id-${seq}`, price: seq, amount: 0.5 });
    feed.publish();
    consumer.available(8192);
    writer.rows(consumer, rows);
    consumer.release(rows);
    ends.push(writer.bytes);
  }
  if (sealed) {
    const rows = seq - firstSeq;
    const times = { firstLocal: FIRST + firstSeq, lastLocal: FIRST + seq - 1 };
    const date = new Date(times.firstLocal / 1000).toISOString().slice(0, 10);
    const key = `v1/exchange=binance/stream=${stream}/date=${date}/${times.firstLocal}_${run}_${ring}_${n}.parquet`;
    writer.seal({ rows, ...times, firstSeq, lastSeq: seq - 1, key });
    ends.push(writer.bytes);
  }
  await writer.close();
  return { path: writer.path, ends };
}
