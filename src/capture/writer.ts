import { dayOf } from "../lib/days.ts";
import { capturedLine } from "./line.ts";
import { type HandoverMark, MARKS_MAX, markLine } from "./mark.ts";
import type { RawFile, WriterCounts, WriterOptions, WriterStats } from "./messages.ts";
import { placeOf } from "./names.ts";
import { PackedFile, pack } from "./packed-file.ts";
import { filesBelow } from "./recover.ts";

/** Connections whose addresses are remembered. */
const URLS_MAX = 10_000;
/** How often a full folder is looked at again, ms. */
const LOOK_AGAIN = 30_000;
/** Wait after midnight for frames that are still on their way, µs. */
const DAY_GRACE_US = 1_000_000;

/** What the writer tells. */
export interface WriterEvents {
  file(file: RawFile): void;
  /** `maxBytes` is reached: nothing more is written. */
  full(bytes: number): void;
  /** There is room again. */
  resumed(): void;
  /** The disk refused. */
  failed(error: string): void;
}

/** A frame that was received. */
export interface ReceivedFrame {
  /** Number of the ingest worker that received it. */
  readonly worker: number;
  readonly exchange: string;
  readonly connection: number;
  /** Receive time, µs; of one worker it never goes back. */
  readonly ts: number;
  /** Not kept: it may be part of memory that is used again. */
  readonly frame: Uint8Array;
}

/** What one ingest worker captures of one exchange. */
interface Lane {
  readonly worker: number;
  readonly exchange: string;
  readonly counts: WriterCounts;
  /** Lines for the next zstd frame. */
  lines: string[];
  /** Those of them that are marks. */
  marks: string[];
  /** Marks that stand before the next frame: what came between is not written. */
  marksAhead: string[];
  chars: number;
  /** Receive time of the first of them, µs. */
  first: number;
  /** When it was taken, ms of the monotonic clock. */
  since: number;
  /** UTC day of what is gathered and in the file. */
  day: number;
  /** Connections whose address stands in the file. */
  named: Set<number>;
  file: PackedFile | null;
  fileFrames: number;
  fileSince: number;
  syncedAt: number;
  n: number;
}

/**
 * Writes captured frames: lines of JSON in zstd frames, in one file per exchange and ingest worker at a time, which
 * ends by size, by age and at the end of the UTC day. So the times within a file never go back, although workers
 * hand over their frames independently. What cannot be written is counted.
 */
export class RawWriter {
  readonly #options: WriterOptions;
  readonly #events: WriterEvents;
  /** By exchange, then by worker. */
  readonly #lanes = new Map<string, Lane[]>();
  readonly #urls = new Map<number, string>();
  /** Bytes below the root. */
  #total: number;
  #full = false;
  #lookedAt = 0;

  constructor(options: WriterOptions, events: WriterEvents) {
    this.#options = options;
    this.#events = events;
    this.#total = this.#measure();
  }

  /** The address of a connection. */
  opened(connection: number, url: string): void {
    this.#urls.set(connection, url);
    if (this.#urls.size <= URLS_MAX) return;
    for (const oldest of this.#urls.keys()) {
      this.#urls.delete(oldest);
      return;
    }
  }

  /** Takes a frame. */
  add({ worker, exchange, connection, ts, frame }: ReceivedFrame): void {
    const lane = this.#lane(exchange, worker);
    const day = dayOf(ts);
    if (day !== lane.day) {
      this.#finish(lane);
      lane.day = day;
    }
    if (lane.lines.length === 0) {
      lane.first = ts;
      lane.since = performance.now();
    }
    // The address stands once per connection in each file, at the connection's first frame there.
    const url = lane.named.has(connection) ? undefined : this.#urls.get(connection);
    lane.named.add(connection);
    const line = capturedLine({ ts, exchange, connection, frame }, url === undefined ? {} : { url });
    if (lane.marksAhead.length > 0) {
      lane.lines.push(...lane.marksAhead);
      lane.marks.push(...lane.marksAhead);
      lane.marksAhead = [];
    }
    lane.lines.push(line);
    lane.chars += line.length;
    if (lane.chars >= this.#options.blockBytes) this.#write(lane);
  }

  /** Takes a mark, which is written with the next frame. @param mark JSON of a {@link HandoverMark} */
  mark(worker: number, exchange: string, ts: number, mark: Uint8Array): void {
    const lane = this.#lane(exchange, worker);
    const parsed = JSON.parse(new TextDecoder().decode(mark)) as HandoverMark;
    lane.marksAhead.push(markLine(ts, exchange, this.#options.run, worker, parsed));
    if (lane.marksAhead.length > MARKS_MAX) lane.marksAhead.shift();
  }

  /** Lines were not written: their marks stand before the next frame that is. */
  #keepMarks(lane: Lane, marks: readonly string[]): void {
    lane.marksAhead = [...marks, ...lane.marksAhead].slice(-MARKS_MAX);
  }

  #lane(exchange: string, worker: number): Lane {
    const known = this.#lanes.get(exchange) ?? [];
    const found = known.find((lane) => lane.worker === worker);
    if (found !== undefined) return found;
    const lane: Lane = {
      worker,
      exchange,
      counts: noCounts(),
      lines: [],
      marks: [],
      marksAhead: [],
      chars: 0,
      first: 0,
      since: 0,
      day: 0,
      named: new Set(),
      file: null,
      fileFrames: 0,
      fileSince: 0,
      syncedAt: 0,
      n: 0,
    };
    this.#lanes.set(exchange, [...known, lane]);
    return lane;
  }

  #allLanes(): Lane[] {
    return [...this.#lanes.values()].flat();
  }

  /** What is due by time: to be called every few hundred ms. @param wall now, µs */
  tick(wall: number): void {
    const { blockInterval, interval } = this.#options;
    const today = dayOf(wall - DAY_GRACE_US);
    const now = performance.now();
    for (const lane of this.#allLanes()) {
      if (lane.lines.length > 0 && now - lane.since >= blockInterval) this.#write(lane);
      if (lane.file === null) continue;
      if (lane.day < today || now - lane.fileSince >= interval) this.#finish(lane);
      else if (now - lane.syncedAt >= blockInterval) this.#sync(lane, lane.file, now);
    }
  }

  /** Writes what has been gathered as one zstd frame. */
  #write(lane: Lane): void {
    const { lines, marks, counts } = lane;
    if (lines.length === 0) return;
    lane.lines = [];
    lane.marks = [];
    lane.chars = 0;
    const frames = lines.length - marks.length;
    try {
      const bytes = pack(Buffer.from(lines.join("")), this.#options.level);
      if (!this.#hasRoom(bytes.length)) {
        counts.full += frames;
        lane.named.clear();
        this.#keepMarks(lane, marks);
        return;
      }
      lane.file ??= this.#open(lane);
      lane.file.append(bytes);
      lane.fileFrames += frames;
      counts.written += frames;
      counts.bytes += bytes.length;
      this.#total += bytes.length;
    } catch (error) {
      counts.failed += frames;
      lane.named.clear();
      this.#keepMarks(lane, marks);
      this.#failed(error);
      return;
    }
    if (lane.file.bytes >= this.#options.segmentBytes) this.#finish(lane);
  }

  #open(lane: Lane): PackedFile {
    const { root, run } = this.#options;
    const { worker, exchange, first } = lane;
    const { folder, name } = placeOf(root, { exchange, first, run, worker, n: lane.n });
    const file = new PackedFile(folder, name);
    lane.n++;
    lane.fileFrames = 0;
    lane.fileSince = performance.now();
    lane.syncedAt = lane.fileSince;
    return file;
  }

  #sync(lane: Lane, file: PackedFile, now: number): void {
    lane.syncedAt = now;
    try {
      file.sync();
    } catch (error) {
      this.#failed(error);
    }
  }

  /** Writes what has been gathered and closes the file. */
  #finish(lane: Lane): void {
    // May come back here by size: then there is no file any more.
    this.#write(lane);
    const { file, exchange, fileFrames: frames } = lane;
    lane.file = null;
    lane.named = new Set();
    if (file === null) return;
    try {
      file.close();
      lane.counts.files++;
      this.#events.file({ path: file.path, exchange, frames, bytes: file.bytes });
    } catch (error) {
      // What is in it is found by the next start.
      this.#failed(error);
    }
  }

  #failed(error: unknown): void {
    this.#events.failed(error instanceof Error ? error.message : String(error));
  }

  /** Whether more may be written; files that somebody took away make room again. */
  #hasRoom(bytes: number): boolean {
    const { maxBytes } = this.#options;
    if (maxBytes === 0) return true;
    const now = performance.now();
    // Else a small block would still fit now and then, and the capture be full of holes.
    if (this.#full && now - this.#lookedAt < LOOK_AGAIN) return false;
    if (!this.#full && this.#total + bytes <= maxBytes) return true;
    this.#lookedAt = now;
    this.#total = this.#measure();
    const full = this.#total + bytes > maxBytes;
    if (full && !this.#full) this.#events.full(this.#total);
    if (!full && this.#full) this.#events.resumed();
    this.#full = full;
    return !full;
  }

  #measure(): number {
    return filesBelow(this.#options.root).reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** What was counted so far. */
  stats(): WriterStats {
    return Object.fromEntries([...this.#lanes].map(([name, lanes]) => [name, sumOf(lanes)]));
  }

  /** Writes everything and closes all files. */
  close(): void {
    for (const lane of this.#allLanes()) this.#finish(lane);
  }
}

function noCounts(): WriterCounts {
  return { written: 0, full: 0, failed: 0, bytes: 0, files: 0 };
}

function sumOf(lanes: readonly Lane[]): WriterCounts {
  const sum = noCounts();
  for (const { counts } of lanes)
    for (const key of Object.keys(sum) as (keyof WriterCounts)[]) sum[key] += counts[key];
  return sum;
}
