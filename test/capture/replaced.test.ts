/**
 * While a connection is replaced, a capture has every frame of both sockets and the recording each event once:
 * `decode` over the capture gives the rows of the recording all the same, and so does what is recorded of its replay.
 */
import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import { countDecoded, decodeInto, expectSameAsDecoded } from "../helpers/decoded.ts";
import { endFaulty, endRecording, recordFaulty, startFaulty } from "../helpers/faulty.ts";
import { withSql } from "../helpers/lake.ts";
import { tapedeck } from "../helpers/process.ts";
import { type RunningRecorder, startRecorder } from "../helpers/recorder.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { waitFor } from "../helpers/wait.ts";
import { pick, seeded } from "../lib/seed.ts";

const folder = scratchFolder("replaced");
endFaulty();

const NAMES = ["binance", "bybit", "okx"] as const;
type Name = (typeof NAMES)[number];
/** Replacements of each exchange. */
const REPLACEMENTS = 4;
/** Connections that are cut meanwhile. */
const CUTS = 4;
/** Liquidations of all contracts come on one channel: also of those that nobody asked for. */
const WANTED =
  "NOT (stream = 'liquidation' AND (contains(instrument, '_') OR NOT contains(instrument, 'USDT')))";

/** Captures of an exchange in the order of their first frames. */
function captures(data: string, exchange: Name): string[] {
  return readdirSync(join(data, "raw", `exchange=${exchange}`), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".zst"))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

const replacementsOf = (recorder: RunningRecorder, exchange: Name) =>
  recorder.process.events("connection_replaced").filter((line) => line.exchange === exchange);

/** Serves captures to a recorder, until so many events are there; resolves to its data folder. */
async function recordReplay(name: Name, files: readonly string[], events: number): Promise<string> {
  const cwd = join(folder, `again-${name}`);
  mkdirSync(cwd);
  const replay = tapedeck(["replay", ...files, "--exchange", name, "--port", "0", "--quiet", "1500ms"], {
    cwd,
  });
  const [url = ""] = await replay.text(/ws:\/\/127\.0\.0\.1:\d+/);
  const restUrl = url.replace("ws:", "http:");
  const recorder = await startRecorder({
    cwd,
    exchange: { url, restUrl },
    set: { [`exchanges.${name}.ws_url`]: url, [`exchanges.${name}.rest_url`]: restUrl },
    args: ["--exchanges", name],
  });
  const [done] = await replay.text(/replay: done, .*/);
  console.log(`${name}: ${done}`);
  expect(done).toMatch(/[1-9]\d* second copies skipped/);
  expect(done).not.toContain("sent whole");
  await recorder.until(`${events} events of ${name}`, ({ total_events }) => total_events >= events);
  // Whatever came beyond what was expected gets the time to show.
  await Bun.sleep(300);
  expect(await recorder.stop()).toMatchObject({ code: 0, end: { received: events, dropped: 0 } });
  replay.signal("SIGINT");
  await replay.exit();
  return recorder.data;
}

test("connections replaced and cut: decode over the capture, and a recording of its replay, are the rows of the lake", async () => {
  const random = seeded("replaced");
  const faulty = startFaulty(NAMES, { seed: "replaced", instruments: 8, rate: 600 });
  const recorder = await recordFaulty(folder, "first", faulty, {
    set: {
      "record.raw": "true",
      "ingest.workers": "2",
      "connection.max_age": "2s",
      "connection.overlap": "600ms",
      "raw.block_bytes": "16KiB",
      // Replacements go on from one file to the next.
      "raw.segment_bytes": "64KiB",
    },
  });
  let cuts = 0;
  await waitFor(
    `${REPLACEMENTS} replacements of each exchange and ${CUTS} cuts`,
    () => {
      // One that falls into an overlap ends the old connection before its time, or the new one.
      if (cuts < CUTS && random.below(6) === 0) {
        pick(random, faulty).exchange.faults.inject({ kind: "close", code: 1006, connections: "one" });
        cuts++;
      }
      return cuts === CUTS && NAMES.every((name) => replacementsOf(recorder, name).length >= REPLACEMENTS);
    },
    { every: 200, timeout: 90_000, state: () => recorder.process.words },
  );
  const decoded = (name: string) => join(folder, `${name}.jsonl`);
  await endRecording(recorder, faulty, async (sql, data) => {
    for (const name of NAMES) {
      const files = captures(data, name);
      expect(await decodeInto(decoded(name), files, name)).toEqual({ code: 0, stderr: "" });
      const rows = await expectSameAsDecoded(sql, {
        data,
        exchange: name,
        decoded: decoded(name),
        order: "instrument",
        where: WANTED,
      });
      const lines = files.flatMap((file) =>
        zstdDecompressSync(readFileSync(file)).toString().trimEnd().split("\n"),
      );
      const marks = lines.filter((line) => line.includes('"dir":"mark"'));
      // One written before there were marks: every frame's rows, as before.
      const before = join(folder, `${name}-unmarked`);
      writeFileSync(before, lines.filter((line) => !marks.includes(line)).join("\n"));
      expect((await decodeInto(decoded(`${name}-before`), [before], name)).code).toBe(0);
      const [once, all] = [
        await countDecoded(sql, decoded(name), WANTED),
        await countDecoded(sql, decoded(`${name}-before`), WANTED),
      ];
      const copies = replacementsOf(recorder, name).reduce((sum, line) => sum + Number(line.duplicates), 0);
      console.log(
        `${name}: ${files.length} files, ${marks.length} marks, ${copies} copies, ${JSON.stringify(rows)}`,
      );
      // A replacement may be going on at the end.
      expect(all - once).toBeGreaterThanOrEqual(copies);
      expect(copies).toBeGreaterThan(150);
    }
  });
  const again = async (name: Name) => {
    const events = readFileSync(decoded(name), "utf8").trimEnd().split("\n").length;
    const data = await recordReplay(name, captures(recorder.data, name), events);
    // History of OKX is told by the first push of a connection, and a replay has others than the recording.
    const where = name === "okx" ? "stream <> 'liquidation'" : "true";
    await withSql((sql) =>
      expectSameAsDecoded(sql, { data, exchange: name, decoded: decoded(name), order: "instrument", where }),
    );
  };
  await Promise.all(NAMES.map(again));
}, 180_000);
