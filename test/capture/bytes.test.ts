/** A frame that is not UTF-8 goes the whole way: served as bytes, captured, quarantined, named by decode. */
import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import { aggTrade, START_MS } from "../e2e/frames.ts";
import { tapedeck } from "../helpers/process.ts";
import { startRecorder } from "../helpers/recorder.ts";
import { scratchFolder } from "../helpers/scratch.ts";

const folder = scratchFolder("bytes");

test("bytes that are no text survive replay, record --raw and decode", async () => {
  const cwd = join(folder, "run");
  mkdirSync(cwd);
  const bytes = Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x80, 0x00, 0x22, 0x7d]);
  const trade = (id: number): string => aggTrade("BTCUSDT", id, START_MS + id);
  const line = (ts: number, frame: object): string => JSON.stringify({ ts, dir: "in", ...frame });
  const file = join(cwd, "frames.jsonl");
  const lines = [
    line(1, { raw: trade(1) }),
    line(2, { raw_base64: bytes.toString("base64") }),
    line(3, { raw: trade(2) }),
  ];
  writeFileSync(file, `${lines.join("\n")}\n`);
  const replay = tapedeck(["replay", file, "--port", "0", "--quiet", "1s"], { cwd });
  const [url = ""] = await replay.text(/ws:\/\/127\.0\.0\.1:\d+/);
  const exchange = { url, restUrl: url.replace("ws:", "http:") };
  // One route only, so that the oldest connection is the one that carries trades.
  const recorder = await startRecorder({ cwd, exchange, args: ["--raw", "--streams", "trade"] });
  await replay.text(/replay: done, 3 frames sent/);
  await recorder.until("both trades", ({ total_events }) => total_events === 2);
  await recorder.process.event("frame_quarantined");
  const { code, end } = await recorder.stop();
  expect([code, end.received]).toEqual([0, 2]);
  replay.signal("SIGINT");
  expect(await replay.exit()).toBe(0);

  const below = (name: string): string[] =>
    readdirSync(join(recorder.data, name), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
  const [capture = ""] = below("raw");
  const [quarantine = ""] = below("quarantine");
  const captured = zstdDecompressSync(readFileSync(capture)).toString();
  const kept = captured
    .trimEnd()
    .split("\n")
    .map((text) => JSON.parse(text) as { ts: number; raw?: string; raw_base64?: string });
  expect(kept.flatMap(({ raw_base64 }) => raw_base64 ?? [])).toEqual([bytes.toString("base64")]);
  expect(kept.flatMap(({ raw }) => (raw?.includes("aggTrade") ? [raw] : []))).toEqual([trade(1), trade(2)]);
  const [bad] = kept.filter(({ raw_base64 }) => raw_base64 !== undefined);
  expect(JSON.parse(readFileSync(quarantine, "utf8"))).toMatchObject({ ...bad, reason: expect.any(String) });

  const decode = tapedeck(["decode", "--exchange", "binance"], { cwd, stdin: Bun.file(capture) });
  expect(await decode.exit()).toBe(1);
  expect(decode.stdout.trimEnd().split("\n").length).toBe(2);
  expect(decode.stderr).toContain(
    `line ${kept.findIndex(({ raw_base64 }) => raw_base64 !== undefined) + 1}: `,
  );
}, 180_000);
