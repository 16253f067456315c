import { expect, test } from "bun:test";
import { join } from "node:path";
import { readFaults } from "../../../src/simulator/faults/grammar.ts";
import { Client, until } from "../client.ts";

const MAIN = join(import.meta.dir, "..", "..", "..", "src", "main.ts");

function simulate(...flags: readonly string[]) {
  const args = ["simulate", "--port", "0", "--instruments", "3", "--rate", "500", ...flags];
  const child = Bun.spawn([process.execPath, MAIN, ...args], { stdout: "pipe", stderr: "pipe" });
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

test("--fault happens at its time and is told with its times, --lifetime ends connections, --account is kept", async () => {
  const run = simulate(
    "--fault",
    "pings-only at=3s for=100ms; clock-step by=60s",
    "--lifetime",
    "5s",
    "--account",
  );
  const url = await run.url();
  const opened = Date.now();
  const client = await Client.open(`${url}/public/stream?streams=btcusdt@bookTicker`);
  await until(() => run.printed.stdout.includes("fault 1 over, "), "the fault over");
  expect(run.printed.stdout).toMatch(/fault 1 at \d{4}-\S+Z: pings-only at=3s for=100ms \(seed 1\)/);
  expect(run.printed.stdout).toMatch(/fault 1 over, \d{4}-\S+Z to \d{4}-\S+Z: 1 connections, /);
  expect(run.printed.stdout).toContain("clock-step by=60s");
  const { E } = JSON.parse(client.frames.at(-1) ?? "").data as { E: number };
  expect(E - 60_000).toBeGreaterThan(opened - 1000);
  expect(E - 60_000).toBeLessThan(Date.now() + 1000);
  const rest = url.replace("ws:", "http:");
  expect((await fetch(`${rest}/sim/account/counts`)).status).toBe(200);
  expect(await (await fetch(`${rest}/sim/faults`)).json()).toHaveLength(2);
  expect(await client.closed).toBe(1001);
  run.child.kill("SIGTERM");
  expect(await run.exit()).toBe(0);
}, 180_000);

test("--fault-every: random faults, printed with seed and time, that --fault can repeat", async () => {
  const run = simulate("--fault-every", "100ms", "--seed", "77");
  await run.url();
  const lines = (): string[] =>
    [...run.printed.stdout.matchAll(/fault \d+ at \S+: (.+) \(seed 77\)/g)].map(([, text]) => text ?? "");
  await until(() => lines().length >= 3, "three faults");
  for (const text of lines()) expect(readFaults(text)).toHaveLength(1);
  run.child.kill("SIGTERM");
  expect(await run.exit()).toBe(0);
}, 180_000);

test("a fault that is none exits 2, one that this exchange cannot have exits 1; both say what is wrong", async () => {
  for (const [flags, code, words] of [
    [["--fault", "silence for=soon"], 2, "silence: for: a time such as 500ms"],
    [["--fault", "nap"], 2, "nap is no fault"],
    [["--fault", "silence", "--fault", "drip"], 2, 'faults separated by ";"'],
    [["--fault", "silence symbol=NOSUCH"], 1, "--fault: symbol: there is no NOSUCH here"],
    [["--fault-every", "never"], 2, "--fault-every"],
  ] as const) {
    const run = simulate(...flags);
    expect(await run.exit(), flags.join(" ")).toBe(code);
    expect(run.printed.stderr).toContain(words);
  }
}, 180_000);
