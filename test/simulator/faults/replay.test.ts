import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startReplay } from "../../../src/simulator/replay.ts";
import { Client, until } from "../client.ts";

const folder = mkdtempSync(join(tmpdir(), "tapedeck-replay-faults-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const frame = (symbol: string, a: number): string =>
  JSON.stringify({ stream: `${symbol.toLowerCase()}@aggTrade`, data: { e: "aggTrade", s: symbol, a } });

test("the faults of a replay: a silent symbol, doubled frames, a refused topic, and those it cannot have", async () => {
  const file = join(folder, "frames.jsonl");
  const frames = Array.from({ length: 40 }, (_, i) => frame(i % 2 === 0 ? "BTCUSDT" : "ETHUSDT", i));
  writeFileSync(file, frames.join("\n"));
  const replay = await startReplay({ files: [file], quietMs: 60 });
  expect(() => replay.faults.inject({ kind: "clock-step", byMs: 1000 })).toThrow("of a replay");
  expect(() => replay.faults.inject({ kind: "list" })).toThrow("of its file");
  const bad = replay.faults.inject({ kind: "bad-topic", symbol: "BTCUSDT" });
  const client = await Client.open(`${replay.url}/market/stream`);
  client.request("SUBSCRIBE", 1, ["btcusdt@aggTrade", "ethusdt@aggTrade"]);
  await until(() => client.frames.some((text) => text.includes('"error"')), "the refusal");
  bad.end();
  await client.subscribe(["btcusdt@aggTrade", "ethusdt@aggTrade"], 2);
  replay.faults.inject({ kind: "silence", symbol: "BTCUSDT" });
  replay.faults.inject({ kind: "duplicates", share: 1 });
  await replay.done;
  const wanted = frames.filter((text) => text.includes("ETH")).flatMap((text) => [text, text]);
  await until(() => client.frames.length === 1 + wanted.length, "all frames");
  expect(client.frames.slice(1)).toEqual(wanted);
  expect((await fetch(`${replay.restUrl}/sim/faults`)).status).toBe(200);
  await replay.stop();
});

test("a dripping replay comes late and whole", async () => {
  const file = join(folder, "slow.jsonl");
  const frames = Array.from({ length: 30 }, (_, i) => frame("BTCUSDT", i));
  writeFileSync(file, frames.map((raw, i) => JSON.stringify({ ts: i * 10_000, dir: "in", raw })).join("\n"));
  const replay = await startReplay({ files: [file], quietMs: 30, speed: 1 });
  const client = await Client.open(`${replay.url}/market/stream?streams=btcusdt@aggTrade`);
  const drip = replay.faults.inject({ kind: "drip", share: 0.3 });
  await replay.done;
  expect(client.frames.length).toBeLessThan(20);
  drip.end();
  await until(() => client.frames.length === 30, "all frames");
  expect(client.frames).toEqual(frames);
  await replay.stop();
});
