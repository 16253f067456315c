import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, until } from "./client.ts";

const MAIN = join(import.meta.dir, "..", "..", "src", "main.ts");
const folder = mkdtempSync(join(tmpdir(), "tapedeck-commands-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A running command with what it has printed so far. */
function run(...args: readonly string[]) {
  const child = Bun.spawn([process.execPath, MAIN, ...args], { cwd: folder, stdout: "pipe", stderr: "pipe" });
  const printed = { stdout: "", stderr: "" };
  const gather = async (name: keyof typeof printed): Promise<void> => {
    for await (const chunk of child[name].pipeThrough(new TextDecoderStream())) printed[name] += chunk;
  };
  const outputs = Promise.all([gather("stdout"), gather("stderr")]);
  const url = async (): Promise<string> => {
    await until(() => /ws:\/\/\S+?:\d+\b/.test(printed.stdout), "a ready line");
    return /ws:\/\/127\.0\.0\.1:\d+/.exec(printed.stdout)?.[0] ?? "";
  };
  const exit = async (): Promise<number> => {
    const code = await child.exited;
    await outputs;
    return code;
  };
  return { child, printed, url, exit };
}

test("simulate serves until SIGTERM, says what it sent, and exits 0", async () => {
  const simulate = run("simulate", "--port", "0", "--instruments", "3", "--rate", "1000");
  const client = await Client.open(`${await simulate.url()}/public/stream?streams=btcusdt@bookTicker`);
  await until(() => client.frames.length > 10, "quotes");
  simulate.child.kill("SIGTERM");
  expect(await simulate.exit()).toBe(0);
  await client.closed;
  const [, sent] = /sent (\d+) frames/.exec(simulate.printed.stdout) ?? [];
  expect(Number(sent)).toBe(client.frames.length);
}, 180_000);

test("replay sends its file, stays open until SIGINT, and with --exit-when-done ends by itself", async () => {
  const frame = '{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","s":"BTCUSDT","a":1}}';
  const file = join(folder, "frames.jsonl");
  writeFileSync(file, `${frame}\n${frame}\n`);
  for (const flags of [["--exit-when-done"], []]) {
    const replay = run("replay", file, "--port", "0", "--quiet", "50ms", ...flags);
    const client = await Client.open(`${await replay.url()}/market/stream?streams=btcusdt@aggTrade`);
    await until(() => replay.printed.stdout.includes("done, 2 frames sent"), "the outcome");
    if (flags.length === 0) {
      await Bun.sleep(100);
      expect(replay.child.exitCode).toBeNull();
      replay.child.kill("SIGINT");
    }
    expect(await replay.exit()).toBe(0);
    await client.closed;
    expect(client.frames).toEqual([frame, frame]);
  }
}, 180_000);

test("wrong values exit 2 and name the flag; a missing file and a taken port exit 1 and name themselves", async () => {
  const wrong = run("simulate", "--port", "70000", "--rate", "fast", "--burst-every", "0s");
  expect(await wrong.exit()).toBe(2);
  for (const flag of ["--port", "--rate", "--burst-every"]) expect(wrong.printed.stderr).toContain(flag);

  const missing = run("replay", "absent.jsonl");
  expect(await missing.exit()).toBe(1);
  expect(missing.printed.stderr).toContain("absent.jsonl");

  const taken = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response() });
  const second = run("simulate", "--port", String(taken.port));
  expect(await second.exit()).toBe(1);
  expect(second.printed.stderr).toContain(String(taken.port));
  await taken.stop(true);
}, 180_000);
