/** `bun run bench peers`: what an event costs others, on the same frames in the same run. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { binance } from "../src/exchanges/binance.ts";
import { decodingVariant } from "./lib/decoding.ts";
import { spelledMachine, thisMachine } from "./lib/machine.ts";
import { interleaved } from "./lib/measure.ts";
import { record } from "./lib/recording.ts";
import { type Bar, type Figure, printed, type StageReport } from "./lib/report.ts";
import { reportSchema, saveResults } from "./lib/results.ts";
import { CountingSink } from "./lib/sink.ts";
import { ratioOf, type Spread, spreadOf } from "./lib/statistics.ts";
import { startSource } from "./source/handle.ts";
import { MIX, spellTape, tapeInstruments } from "./source/tape.ts";

const FOLDER = join(import.meta.dir, "peers");
const SYMBOLS = 200;
const FRAMES = 8192;
/** A socket's worth for a peer that takes some 20,000 events a second: rate, and how long. */
const LOAD = { rate: 10_000, seconds: 4 } as const;
/** What tapedeck is made for: rate, and how long; and what comes before, since the first seconds are those of the engine's compilers. */
const FAST = { rate: 500_000, seconds: 4 } as const;
const WARM_UP = { rate: 200_000, seconds: 6 } as const;
/** CPU time of our decoding before it is measured, ms; theirs have a warm-up as well. */
const WARM_UP_DECODING = 600;
/** How long a peer may take to store what it was sent, ms. */
const STORED_MAX = 120_000;
/** Ticks of the kernel's CPU times, ms. */
const TICK = 10;

const answerSchema = z.strictObject({
  version: z.string(),
  runtime: z.string(),
  cpuNs: z.number().positive(),
  frames: z.int(),
});

/** Something that decodes frames in memory. */
interface Contender {
  readonly name: string;
  readonly peer: "json" | "ccxt" | "tardis";
  readonly runtime: string;
}

/** Installs what is missing; the reason why something cannot be had is a note, not an end. */
function install(notes: string[]): { python: string | null } {
  const npm = Bun.spawnSync([process.execPath, "install", "--frozen-lockfile", "--ignore-scripts"], {
    cwd: FOLDER,
  });
  if (npm.exitCode !== 0) throw new Error(`the peers could not be installed: ${npm.stderr.toString()}`);
  const python = join(FOLDER, ".venv/bin/python");
  if (!existsSync(python)) {
    const made = Bun.spawnSync(["python3", "-m", "venv", ".venv"], { cwd: FOLDER });
    const got =
      made.exitCode === 0 &&
      Bun.spawnSync([python, "-m", "pip", "install", "--quiet", "-r", "requirements.txt"], { cwd: FOLDER })
        .exitCode === 0;
    if (!got) {
      rmSync(join(FOLDER, ".venv"), { recursive: true, force: true });
      notes.push("SKIPPED: cryptofeed, for it could not be installed by pip.");
      return { python: null };
    }
  }
  return { python };
}

/** One reading of a contender, in a process of its own. */
function read({ runtime, peer }: Contender, file: string): z.infer<typeof answerSchema> {
  const { stdout, stderr, exitCode } = Bun.spawnSync([runtime, "decode.mjs", peer, file], { cwd: FOLDER });
  if (exitCode !== 0) throw new Error(`${peer}: ${stderr.toString()}`);
  return answerSchema.parse(JSON.parse(stdout.toString()));
}

/** Decoding alone: everybody in turn, round by round. */
async function decodeOnly(scratch: string, rounds: number): Promise<{ figures: Figure[]; bars: Bar[] }> {
  const node = Bun.which("node");
  const contenders: Contender[] = [
    { name: "JSON.parse alone", peer: "json", runtime: process.execPath },
    { name: "tardis-dev", peer: "tardis", runtime: process.execPath },
    { name: "ccxt pro", peer: "ccxt", runtime: process.execPath },
    ...(node === null
      ? []
      : ([
          { name: "tardis-dev", peer: "tardis", runtime: node },
          { name: "ccxt pro", peer: "ccxt", runtime: node },
        ] as const)),
  ];
  const figures: Figure[] = [];
  const bars: Bar[] = [];
  for (const { kind, quotes, streams, peers } of [
    { kind: "bookTicker", quotes: 1, streams: ["bbo"], peers: ["json", "tardis", "ccxt"] },
    // tardis-dev has no mapper of aggTrade.
    { kind: "aggTrade", quotes: 0, streams: ["trade"], peers: ["json", "ccxt"] },
  ] as const) {
    const texts = spellTape({ frames: FRAMES, quotes, symbols: SYMBOLS }).map(({ text }) => text);
    const file = join(scratch, `${kind}.jsonl`);
    writeFileSync(file, texts.join("\n"));
    const instruments = tapeInstruments(SYMBOLS).map(({ symbol }) => symbol);
    const frames = texts.map((text) => Uint8Array.from(Buffer.from(text)));
    const ours = decodingVariant(
      kind,
      binance,
      streams,
      { frames, instruments },
      { scanners: true, gated: true },
    );
    const own: number[] = [];
    const taking = contenders.filter(({ peer }) => (peers as readonly string[]).includes(peer));
    const readings = taking.map((): z.infer<typeof answerSchema>[] => []);
    for (let round = 0; round < rounds; round++) {
      const [measured] = await interleaved([ours], { repeats: 1, slice: 500, warmUp: WARM_UP_DECODING });
      own.push(measured?.cpu.median ?? Number.NaN);
      for (const [i, contender] of taking.entries()) readings[i]?.push(read(contender, file));
    }
    figures.push({
      name: `${kind}: tapedeck, scanner + gate + ring`,
      cpuNs: spreadOf(own),
      note: "in process",
    });
    for (const [i, { name, peer }] of taking.entries()) {
      const all = readings[i] ?? [];
      const costs = all.map(({ cpuNs }) => cpuNs);
      const { version = "", runtime = "" } = all[0] ?? {};
      const ratio = ratioOf(costs, own);
      figures.push({
        name: `${kind}: ${`${name} ${version}`.trim()}, ${runtime}`,
        cpuNs: spreadOf(costs),
        note: `in process; ${ratio.median.toFixed(1)} × tapedeck`,
      });
      if (peer !== "json")
        bars.push(
          barOf(`${kind}: ${name} (${runtime}) / tapedeck, decode only`, ratio, peer === "ccxt" ? 20 : 3),
        );
    }
  }
  return { figures, bars };
}

function barOf(name: string, value: Spread, bar: number): Bar {
  return { name, value, is: "at least", bar };
}

/** CPU time of a process, all its threads, ms. */
function cpuOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  // utime and stime: fields 14 and 15 of proc(5).
  return (Number(fields[11]) + Number(fields[12])) * TICK;
}

/** One run of cryptofeed, from socket to its backend. */
async function cryptofeed(
  python: string,
): Promise<{ cpuNs: number; perSecond: number; version: string; sourceNs: number }> {
  using source = await startSource({ ...MIX, symbols: SYMBOLS });
  using sink = new CountingSink();
  const child = Bun.spawn([python, "cryptofeed_run.py", source.host, String(sink.port), String(SYMBOLS)], {
    cwd: FOLDER,
    stdout: "pipe",
    stderr: "inherit",
  });
  try {
    await source.subscribed(2 * SYMBOLS);
    const reader = child.stdout.getReader();
    const { value } = await reader.read();
    const [version = "", pythonVersion = ""] = Buffer.from(value ?? [])
      .toString()
      .split(" ");
    const before = cpuOf(child.pid);
    const began = performance.now();
    const played = await source.play(LOAD);
    while (sink.lines < played.frames) {
      if (performance.now() - began > STORED_MAX)
        throw new Error(`cryptofeed stored ${sink.lines} of ${played.frames} events`);
      await Bun.sleep(TICK);
    }
    const cpuMs = cpuOf(child.pid) - before;
    return {
      cpuNs: (cpuMs * 1e6) / played.frames,
      perSecond: (played.frames * 1000) / (performance.now() - began),
      version: `${version}, Python ${pythonVersion}`,
      sourceNs: (played.cpuUs * 1000) / played.frames,
    };
  } finally {
    child.kill("SIGKILL");
  }
}

/** From socket to stored rows. */
async function endToEnd(
  python: string,
  scratch: string,
  rounds: number,
): Promise<{ figures: Figure[]; bars: Bar[] }> {
  const theirs = [];
  const same = [];
  const fast = [];
  for (let round = 0; round < rounds; round++) {
    theirs.push(await cryptofeed(python));
    same.push(await record({ symbols: SYMBOLS, load: LOAD, scratch }));
    fast.push(await record({ symbols: SYMBOLS, load: FAST, warmUp: WARM_UP, scratch }));
  }
  const costs = (list: readonly { cpuNs: number }[]) => list.map(({ cpuNs }) => cpuNs);
  const rates = (list: readonly { perSecond: number }[]) => spreadOf(list.map(({ perSecond }) => perSecond));
  const line = (
    name: string,
    list: readonly { cpuNs: number; perSecond: number }[],
    note: string,
  ): Figure => ({
    name,
    cpuNs: spreadOf(costs(list)),
    perSecond: rates(list),
    note,
  });
  return {
    figures: [
      line(
        `stored: cryptofeed ${theirs[0]?.version ?? ""}`,
        theirs,
        "socket to text lines in its QuestDB backend",
      ),
      line("stored: tapedeck, the same rate", same, "socket to journal and published Parquet"),
      line(`stored: tapedeck, ${FAST.rate / 1000}k/s after a warm-up`, fast, "the same"),
    ],
    bars: [
      barOf(
        `socket to stored rows: cryptofeed / tapedeck, both at ${LOAD.rate} events/s`,
        ratioOf(costs(theirs), costs(same)),
        15,
      ),
      barOf(
        `socket to stored rows: cryptofeed at ${LOAD.rate} events/s / tapedeck at ${FAST.rate}`,
        ratioOf(costs(theirs), costs(fast)),
        15,
      ),
    ],
  };
}

/** Flags of it. */
export interface PeersFlags {
  /** Rounds in which everybody takes a turn. */
  readonly repeats: number;
  readonly json: boolean;
  readonly save: boolean;
}

/** Runs it; the exit code. */
export async function runPeers({ repeats, json, save }: PeersFlags): Promise<number> {
  const machine = thisMachine();
  const scratch = mkdtempSync(join(tmpdir(), "tapedeck-peers-"));
  try {
    const notes = [
      `Frames of ${SYMBOLS} symbols of Binance; every contender in a process of its own, ${repeats} rounds in turns.`,
      "tardis-dev: parse, canHandle, map, as its real-time feed does; it has no mapper of aggTrade. ccxt pro: parse and handleMessage with loaded markets, its caches at their smallest. Both in process, without a socket, for what is compared is decoding alone.",
      "cryptofeed: over real sockets from the same source as tapedeck, uvloop, no logging, ticker and trades into its QuestDB backend: one line of text an event, the leanest it has. Lines are counted by a sink that costs it nothing; no database, no file and no sync is counted against it. Its check that addresses begin with wss is passed by, which spares it TLS.",
    ];
    const { python } = install(notes);
    const decoded = await decodeOnly(scratch, repeats);
    const none = { figures: [], bars: [] };
    const stored =
      python === null
        ? none
        : await endToEnd(python, scratch, repeats).catch((error: unknown) => {
            notes.push(`SKIPPED: cryptofeed: ${error instanceof Error ? error.message : String(error)}`);
            return none;
          });
    const report: StageReport = {
      stage: "peers",
      figures: [...decoded.figures, ...stored.figures],
      bars: [...decoded.bars, ...stored.bars],
      notes,
    };
    console.log(
      json
        ? JSON.stringify({ machine, reports: [report] })
        : `${spelledMachine(machine)}\n\n${printed(report, null)}`,
    );
    const plain = reportSchema.parse(JSON.parse(JSON.stringify(report)));
    if (save) saveResults([{ at: new Date().toISOString(), machine, report: plain }], []);
    return 0;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
