/**
 * A longer life of the executable: against simulated exchanges that it serves itself, killed and started again. Minutes on a
 * busy machine, so only with TAPEDECK_TEST_LONG=1. It prints how long start-up takes.
 */
import { beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { COMMANDS } from "../../src/commands/index.ts";
import { tapedeck } from "../helpers/process.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { waitFor } from "../helpers/wait.ts";
import { buildInto, CAN_BUILD } from "./executable.ts";

const LONG = process.env.TAPEDECK_TEST_LONG === "1" && CAN_BUILD;
/** Starts that are timed. */
const STARTS = 5;

const folder = scratchFolder("binary-life");
let program: readonly string[] = [];

beforeAll(() => {
  if (LONG) program = [buildInto(folder).path];
}, 180_000);

const cwd = join(folder, "empty");
mkdirSync(cwd);
const env = { XDG_CACHE_HOME: join(folder, "cache") };
const run = (...args: readonly string[]) => tapedeck(args, { cwd, env, program });

const metrics = z.looseObject({
  total_events: z.number(),
  writer: z.looseObject({ pending_events: z.number() }),
});
const balance = async (url: string) => metrics.parse(await (await fetch(`${url}/metrics`)).json());

describe.skipIf(!LONG)(`a life of the executable${LONG ? "" : " (TAPEDECK_TEST_LONG=1 only)"}`, () => {
  test("records what it simulates, is killed, goes on, and the lake is whole", async () => {
    const exchange = run("simulate", "--exchange", "binance", "--port", "0", "--rate", "5000");
    const [, at = ""] = await exchange.text(/ws:\/\/(127\.0\.0\.1:\d+)/);
    const start = (data: string) =>
      run(
        ...["record", "--exchanges", "binance", "--port", "0", "--data", data],
        ...["--set", `exchanges.binance.ws_url=ws://${at}`],
        ...["--set", `exchanges.binance.rest_url=http://${at}`],
      );

    const times: number[] = [];
    for (let i = 0; i < STARTS; i++) {
      const began = performance.now();
      const recorder = start(`timed-${i}`);
      const { url } = await recorder.event("status_api");
      await waitFor("the first event", async () =>
        (await balance(String(url))).total_events > 0 ? true : undefined,
      );
      times.push(performance.now() - began);
      await recorder.kill();
    }
    console.log(
      `start to first event received, ms: ${times.map((time) => time.toFixed(0)).join(" ")}; the first unpacks`,
    );

    const killed = start("data");
    const { url } = await killed.event("status_api");
    await waitFor("events in journals", async () =>
      (await balance(String(url))).writer.pending_events > 20_000 ? true : undefined,
    );
    await killed.kill();

    const next = start("data");
    const { url: nextUrl } = await next.event("status_api");
    await waitFor("more events", async () =>
      (await balance(String(nextUrl))).total_events > 5000 ? true : undefined,
    );
    const asked = { status: [`--url=${nextUrl}`], healthcheck: [`--url=${nextUrl}`] };
    for (const [name, args] of Object.entries(asked)) {
      // Written by others; what is there has to work in the executable too.
      if (!(name in COMMANDS)) continue;
      const flags = (await COMMANDS[name]?.load())?.flags.map((flag) => flag.name) ?? [];
      const port = new URL(String(nextUrl)).port;
      const asking = flags.includes("url") ? run(name, ...args) : run(name, "--port", port);
      expect([name, await asking.exit()]).toEqual([name, 0]);
    }
    // The page's script and style are files of the sources: they have to be inside.
    const page = await fetch(`${nextUrl}/`);
    expect([page.status, await page.text()]).toEqual([200, expect.stringContaining("<html")]);
    next.signal("SIGTERM");
    expect(await next.exit()).toBe(0);
    const audit = run("verify", "data/lake", "--deep");
    expect([await audit.exit(), audit.stderr]).toEqual([0, ""]);
    if ("sql" in COMMANDS) {
      const rows = run("sql", "--lake", "data", "--format", "json", "SELECT count(*) AS n FROM bbo");
      expect([await rows.exit(), rows.stderr]).toEqual([0, ""]);
      expect(rows.stdout).toMatch(/"n": ?"?[1-9]/);
    }
  });
});
