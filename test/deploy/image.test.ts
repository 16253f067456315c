/**
 * What the image would do, without a container: the files that the Dockerfile copies, its environment, entry point,
 * health check and signal, in a folder of its own whose program files nobody may write.
 */
import { expect, test } from "bun:test";
import { chmodSync, cpSync, mkdirSync, readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { COMMANDS } from "../../src/commands/index.ts";
import { startBinance } from "../../src/simulator/binance.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { waitFor, within } from "../helpers/wait.ts";
import { ROOT, read } from "./repository.ts";

const scratch = scratchFolder("image");
/** What Docker gives a process, besides ENV. */
const PATH = process.env.PATH ?? "";

/** The words of an instruction in exec form. */
function words(dockerfile: string, instruction: string): string[] {
  const found = new RegExp(`^${instruction} (\\[.+\\])$`, "m").exec(dockerfile)?.[1];
  const parsed: unknown = JSON.parse(found ?? "[]");
  return Array.isArray(parsed) ? parsed.map(String) : [];
}

test("records with the Dockerfile's own words, says that it is well, and stops on SIGTERM with 0", async () => {
  const dockerfile = await read("Dockerfile");
  const app = join(scratch, "app");
  const data = join(scratch, "data");
  const etc = join(scratch, "etc");
  for (const folder of [app, data, etc]) mkdirSync(folder);
  const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, paths = ""]) =>
    paths.split(" "),
  );
  for (const path of copied) cpSync(join(ROOT, path), join(app, path), { recursive: true });
  // What `bun install --production` would have put there: the shipped packages, and no others.
  const shipped = Bun.spawnSync([process.execPath, "scripts/sbom.ts"], { cwd: ROOT });
  const names = [...shipped.stdout.toString().matchAll(/^ {6}"name": "([^"]+)"/gm)].map(
    ([, name = ""]) => name,
  );
  expect(names.length).toBeGreaterThan(5);
  for (const name of names) {
    mkdirSync(join(app, "node_modules", name, ".."), { recursive: true });
    const from = join(ROOT, "node_modules", name);
    if (readdirSync(join(from, "..")).includes(name.split("/").at(-1) ?? ""))
      symlinkSync(from, join(app, "node_modules", name));
  }
  for (const folder of [app, etc]) chmodSync(folder, 0o555);

  const exchange = startBinance({ instruments: 3, rate: 200 });
  const inFolder = (word: string) =>
    word === "bun" ? process.execPath : word.replace(/^\/app\//, `${app}/`);
  const env = Object.fromEntries(
    [...dockerfile.matchAll(/\b([A-Z_]+)=(\S+)(?: \\)?$/gm)].map(([, name = "", value = ""]) => [
      name,
      value,
    ]),
  );
  expect(Object.keys(env)).toContain("TAPEDECK_DATA");
  const child = Bun.spawn([...words(dockerfile, "ENTRYPOINT"), ...words(dockerfile, "CMD")].map(inFolder), {
    cwd: etc,
    env: {
      ...env,
      PATH,
      TAPEDECK_DATA: data,
      TAPEDECK_STATUS_PORT: "0",
      TAPEDECK_RECORD_EXCHANGES: "binance",
      TAPEDECK_EXCHANGES_BINANCE_WS_URL: exchange.url,
      TAPEDECK_EXCHANGES_BINANCE_REST_URL: exchange.restUrl,
    },
    stdout: "pipe",
    stderr: "pipe",
  });
  let said = "";
  const gathered = (async () => {
    for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) said += chunk;
  })();
  try {
    const url = await waitFor(
      "the status API",
      () => /"event":"status_api","url":"([^"]+)"/.exec(said)?.[1],
      { state: () => said },
    );
    // Bound to all addresses, as a container must.
    expect(url).toContain("0.0.0.0");
    const port = new URL(url).port;
    const metrics = async () =>
      (await fetch(`http://127.0.0.1:${port}/metrics`, { headers: { accept: "application/json" } })).json();
    await waitFor("events", async () => /"total_events":[1-9]/.test(JSON.stringify(await metrics())), {
      state: () => said,
    });
    if (Object.hasOwn(COMMANDS, "healthcheck")) {
      const healthcheck = Bun.spawn(words(dockerfile, " +CMD").map(inFolder), {
        cwd: etc,
        env: { ...env, PATH, TAPEDECK_STATUS_PORT: port },
        stdout: "ignore",
        stderr: "inherit",
      });
      expect(await within("the health check", healthcheck.exited)).toBe(0);
    } else console.log("image: no `tapedeck healthcheck` in this version, not tried");
    child.kill("SIGTERM");
    expect(await within("the end", child.exited, { timeout: 90_000, state: () => said })).toBe(0);
    await gathered;
    expect(said).toContain('"event":"collector_stop"');
    // Everything it wrote is in the one folder.
    expect(readdirSync(etc)).toEqual([]);
    expect(readdirSync(data)).toContain("lake");
  } finally {
    child.kill("SIGKILL");
    await exchange.stop();
    for (const folder of [app, etc]) chmodSync(folder, 0o755);
  }
});
