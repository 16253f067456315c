/** docs/logs.md against the source. That nothing else is logged is checked by types, and on running recorders by helpers/process.ts. */
import { describe, expect, test } from "bun:test";
import { Glob } from "bun";
import { EVENTS, undocumented } from "../../src/status/events.ts";

const root = new URL("../../src/", import.meta.url).pathname;

async function sources(): Promise<string> {
  const texts: string[] = [];
  for await (const file of new Glob("**/*.ts").scan(root)) {
    if (file !== "status/events.ts") texts.push(await Bun.file(root + file).text());
  }
  return texts.join("\n");
}

describe("the list of events", () => {
  test("names none that the source does not log", async () => {
    const source = await sources();
    expect(Object.keys(EVENTS).filter((name) => !source.includes(`"${name}"`))).toEqual([]);
  });

  test("has every event that the source logs by name", async () => {
    const source = await sources();
    const logged = [...source.matchAll(/\blog\.(?:debug|info|warn|error)\(\s*"([a-z_0-9]+)"/gi)].map(
      ([, name]) => name,
    );
    expect(logged.length).toBeGreaterThan(40);
    expect(logged.filter((name) => name !== undefined && !Object.hasOwn(EVENTS, name))).toEqual([]);
  });

  test("finds an event and a field that are not in it", () => {
    const line = { time: "", level: "info", event: "heartbeat", state: "READY" };
    expect(undocumented(line)).toEqual([]);
    expect(undocumented({ ...line, mood: "good" })).toEqual(["heartbeat.mood"]);
    expect(undocumented({ ...line, event: "hearbeat" })).toEqual(["hearbeat"]);
    expect(undocumented({ ...line, event: "constructor" })).toEqual(["constructor"]);
  });
});
