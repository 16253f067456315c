import { describe, expect, test } from "bun:test";
import { z } from "zod";
import { tapedeck } from "../helpers/process.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { until } from "../lib/until.ts";

const cwd = scratchFolder("first-run");
/** Port 1 (tcpmux) of loopback: nobody listens, and it is refused at once. */
const NOBODY = "127.0.0.1:1";
const NAMES = ["binance", "bybit", "okx"];
const env = Object.fromEntries(
  NAMES.flatMap((name) => [
    [`TAPEDECK_EXCHANGES_${name.toUpperCase()}_WS_URL`, `ws://${NOBODY}`],
    [`TAPEDECK_EXCHANGES_${name.toUpperCase()}_REST_URL`, `http://${NOBODY}`],
  ]),
);

describe("a first recording", () => {
  test("without any network says which hosts it cannot reach, stays OFFLINE, goes on trying and stops well", async () => {
    const recorder = tapedeck(["record", "--port", "0"], { cwd, env });
    for (const exchange of NAMES) {
      const said = await recorder.event("discovery_failed", (line) => line.exchange === exchange);
      expect(said).toMatchObject({ level: "warn", url: `http://${NOBODY}` });
    }
    const { url } = await recorder.event("status_api");
    const state = async () => {
      const answer: unknown = await (await fetch(`${url}/status`)).json();
      return z.looseObject({ state: z.string() }).parse(answer).state;
    };
    expect(await state()).toBe("OFFLINE");
    const tries = (name: string) =>
      recorder.events("discovery_failed").filter((line) => line.exchange === name);
    await until(() => NAMES.every((name) => tries(name).length > 1), "a second try of each exchange");
    expect(await state()).toBe("OFFLINE");
    recorder.signal("SIGTERM");
    expect(await recorder.exit()).toBe(0);
    // Something was set.
    expect(recorder.stderr).toBe("");
  });

  test("with nothing set says in one line what is recorded and where to", async () => {
    // A folder of its own: ./data. No name leads anywhere in a proxy that nobody serves, so no exchange is reached.
    const recorder = tapedeck(["record"], {
      cwd,
      env: { https_proxy: `http://${NOBODY}`, HTTPS_PROXY: `http://${NOBODY}`, no_proxy: "", NO_PROXY: "" },
    });
    await until(() => recorder.stderr.includes("\n"), "the line");
    const lines = recorder.stderr.split("\n").filter((line) => line.includes("nothing is set"));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain("all USDT perpetuals of binance, bybit, okx are recorded to ./data/lake");
    recorder.signal("SIGTERM");
    await recorder.exit();
  });
});
