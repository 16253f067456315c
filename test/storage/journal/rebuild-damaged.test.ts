/** A journal that is damaged when the drain is rebuilt after an error: what is missing is told and counted, to the row. */
import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { rename } from "node:fs/promises";
import { join } from "node:path";
import { STREAM_NAMES } from "../../../src/events/streams.ts";
import type { DrainOptions } from "../../../src/storage/drain.ts";
import { DrainService } from "../../../src/storage/drain-service.ts";
import type { Step } from "../../../src/storage/filer.ts";
import { recoverJournals } from "../../../src/storage/journal/recovery.ts";
import type { FromDrain } from "../../../src/storage/messages.ts";
import { RECOVERED_RING, RecoveredCounters } from "../../../src/storage/recovered.ts";
import { scratchFolder } from "../../helpers/scratch.ts";
import { smallDisk } from "../../helpers/small-disk.ts";
import { waitFor } from "../../helpers/wait.ts";
import { Feed, someMidnight } from "../feed.ts";
import { makeJournal } from "./rows.ts";

const root = scratchFolder("rebuild-damaged");
const FIRST = someMidnight();
const ROWS = 1000;

/** Strikes a journal; resolves never later than it returns. */
const DAMAGES: Readonly<Record<string, (path: string) => void>> = {
  "a flipped byte": (path) => {
    const bytes = readFileSync(path);
    const at = bytes.length >> 1;
    bytes[at] = (bytes[at] ?? 0) ^ 0x10;
    writeFileSync(path, bytes);
  },
  "cut off": (path) => truncateSync(path, statSync(path).size - 5000),
  gone: (path) => rmSync(path),
};

/** A drain in a folder, as its thread has it. */
function drainIn(folder: string, feed: Feed, step?: (step: Step) => Promise<void>) {
  const [outbox, journal] = [join(folder, "outbox"), join(folder, "journal")];
  for (const one of [outbox, journal]) mkdirSync(one, { recursive: true });
  const messages: FromDrain[] = [];
  const heard = { now: (_: FromDrain): void => undefined };
  const service = new DrainService((message) => {
    messages.push(message);
    heard.now(message);
    if (message.type === "file") service.receive({ type: "filed", id: message.id });
  }, step);
  const of = <T extends FromDrain["type"]>(type: T) =>
    messages.filter((message): message is Extract<FromDrain, { type: T }> => message.type === type);
  const told = (type: FromDrain["type"]) =>
    waitFor(type, () => of(type).length > 0, { state: () => JSON.stringify(messages) });
  const bounds = { rows: 100_000, bytes: 2 ** 30, interval: 3_600_000 };
  const options: DrainOptions = {
    run: "test-1795132800000000-abcd",
    version: "0.1.0",
    rings: [feed.spec],
    outbox,
    quarantine: join(folder, "quarantine"),
    layout: "flat",
    journal: { folder: journal, fsync: "interval", fsyncInterval: 1000, maxBytes: 2 ** 40 },
    seal: Object.fromEntries(STREAM_NAMES.map((stream) => [stream, bounds])) as DrainOptions["seal"],
    datasetSeal: bounds,
    firstDatasetRing: 1,
    minGap: 0,
    memoryLimit: 192 * 2 ** 20,
    threads: 1,
    retryMax: 1000,
    recovered: [],
    recoveredCounters: new RecoveredCounters().buffer,
  };
  /** Ends it. @returns rows in files, and what was told as lost */
  const end = async () => {
    service.receive({ type: "finish", timeout: 90_000 });
    await told("finished");
    service.receive({ type: "stop", timeout: 90_000 });
    await told("stopped");
    const filed = of("file").reduce((sum, { file }) => sum + file.rows, 0);
    const spoiled = of("spoiled").map((one) => one.spoiled);
    return { filed, spoiled, lost: spoiled.reduce((sum, { rows }) => sum + rows, 0) };
  };
  return { service, options, journal, told, end, heard };
}

/** Pushes rows that come into the journal some at a time. */
async function pushed(feed: Feed): Promise<void> {
  for (let i = 0; i < ROWS; i += 100) {
    for (let row = i; row < i + 100; row++) feed.push(0, FIRST + row, { id: String(row) });
    feed.publish();
    await waitFor("drained", () => feed.reading.released === i + 100, { every: 1 });
  }
}

for (const [name, damage] of Object.entries(DAMAGES)) {
  test(`${name}: the rest comes into a file, the rows that are missing count as lost`, async () => {
    const feed = new Feed("trade", { capacity: 4096 });
    const { service, options, journal, told, end } = drainIn(join(root, name.replaceAll(" ", "-")), feed);
    service.receive({ type: "start", options, poll: 1 });
    await told("ready");
    const symbols = [{ number: 0, symbol: "BTCUSDT", instrument: "BTCUSDT-X" }];
    service.receive({ type: "symbols", id: 0, exchange: "binance", symbols });
    await told("symbols");
    await pushed(feed);
    for (const file of readdirSync(journal)) damage(join(journal, file));
    service.fail(new Error("an error of the drain"));
    await told("rebuilt");
    const { filed, spoiled, lost } = await end();
    expect(lost).toBeGreaterThan(0);
    expect(filed > 0).toBe(name !== "gone");
    expect(filed + lost).toBe(ROWS);
    expect(feed.reading).toMatchObject({ released: ROWS, filed: ROWS, parked: 0 });
    for (const { exchange, stream, ring, lost: spans } of spoiled) {
      expect([exchange, stream, ring]).toEqual(["binance", "trade", 0]);
      expect(spans.length).toBeGreaterThan(0);
    }
  });

  test(`${name}, of journals of an earlier run: the same, and each row is told where it is missing`, async () => {
    const feed = new Feed("trade");
    let struck = false;
    const strike = async (step: Step): Promise<void> => {
      if (step !== "sealed" || struck) return;
      struck = true;
      await told("ready");
      for (const file of readdirSync(journal)) damage(join(journal, file));
      service.fail(new Error("an error of the drain"));
      // Until it is given up.
      await Bun.sleep(50);
    };
    const folder = join(root, `earlier-${name.replaceAll(" ", "-")}`);
    const { service, options, journal, told, end } = drainIn(folder, feed, strike);
    const run = "test-1795100000000000-abcd";
    const streams = ["trade", "bbo"] as const;
    for (const [ring, stream] of streams.entries())
      await makeJournal(journal, { stream, ring, run, records: [300, 400, 300], sealed: true });
    const quarantine = async (path: string) => {
      await rename(path, `${folder}/aside`);
      return `${folder}/aside`;
    };
    const { segments } = await recoverJournals({ folder: journal, published: () => false, quarantine });
    const counters = new RecoveredCounters(options.recoveredCounters);
    for (const { rest } of segments) counters.take(rest);
    service.receive({ type: "start", options: { ...options, recovered: segments }, poll: 1 });
    await told("rebuilt");
    const { filed, spoiled, lost } = await end();
    expect(filed > 0).toBe(name !== "gone");
    expect(filed + lost).toBe(2 * ROWS);
    expect(counters.read()).toEqual({ taken: 2 * ROWS, filed: 2 * ROWS, parked: 0 });
    expect(spoiled.map(({ stream }) => stream).sort()).toEqual(["bbo", "trade"]);
    for (const { ring, rows, lost: spans } of spoiled) {
      expect(ring).toBe(RECOVERED_RING);
      expect(spans).toMatchObject([{ rows }]);
    }
  });
}

const disk = smallDisk(16);
const SKIPPED = disk === null ? "SKIPPED, this user cannot mount a file system (root on Linux can): " : "";
test.skipIf(disk === null)(
  `${SKIPPED}a quarantine on another disk: what is damaged goes there, and the drain is rebuilt`,
  async () => {
    if (disk === null) return;
    const quarantine = join(disk.folder, "quarantine");
    const { service, options, journal, told, end } = drainIn(join(root, "far"), new Feed("trade"));
    const run = "test-1795100000000000-abcd";
    for (const ring of [0, 1, 2])
      await makeJournal(journal, { ring, run, records: [300, 400, 300], sealed: true });
    const aside = async () => {
      throw new Error("nothing is damaged yet");
    };
    const { segments } = await recoverJournals({
      folder: journal,
      published: () => false,
      quarantine: aside,
    });
    const counters = new RecoveredCounters(options.recoveredCounters);
    for (const { rest } of segments) counters.take(rest);
    // The first is being made a file already when this is heard; the others wait.
    service.receive({ type: "hold", held: true });
    service.receive({ type: "start", options: { ...options, quarantine, recovered: segments }, poll: 1 });
    await waitFor("one file", () => readdirSync(journal).length === 2);
    const names = readdirSync(journal).sort();
    const [headless = "", flipped = ""] = names.map((name) => join(journal, name));
    writeFileSync(headless, "no journal any more");
    DAMAGES["a flipped byte"]?.(flipped);
    service.fail(new Error("an error of the drain"));
    await told("rebuilt");
    service.receive({ type: "hold", held: false });
    const { filed, lost } = await end();
    expect(filed).toBeGreaterThan(ROWS);
    expect(filed + lost).toBe(3 * ROWS);
    expect(readdirSync(journal)).toEqual([]);
    const kept = readdirSync(quarantine);
    for (const name of names) expect(kept.filter((one) => one.endsWith(name))).toHaveLength(1);
  },
);

test("what is held, and is no longer while the drain is rebuilt, comes into files", async () => {
  const feed = new Feed("trade");
  const { service, options, journal, told, end, heard } = drainIn(join(root, "held"), feed);
  service.receive({ type: "start", options, poll: 1 });
  await told("ready");
  service.receive({ type: "hold", held: true });
  const symbols = [{ number: 0, symbol: "BTCUSDT", instrument: "BTCUSDT-X" }];
  service.receive({ type: "symbols", id: 0, exchange: "binance", symbols });
  await told("symbols");
  await pushed(feed);
  for (const file of readdirSync(journal)) DAMAGES["cut off"]?.(join(journal, file));
  // The one before is closed, and the next one begins: it says what it misses.
  heard.now = ({ type }) => {
    if (type !== "spoiled") return;
    heard.now = () => undefined;
    service.receive({ type: "hold", held: false });
  };
  service.fail(new Error("an error of the drain"));
  await told("rebuilt");
  const { filed, lost } = await end();
  expect(filed).toBeGreaterThan(0);
  expect(filed + lost).toBe(ROWS);
});
