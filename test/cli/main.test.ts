import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { COMMANDS } from "../../src/commands/index.ts";
import { COMMON_FLAGS } from "../../src/config/flags.ts";
import { sources as tapedeck } from "./run.ts";

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), "tapedeck-cli-"));
});
afterEach(() => rmSync(cwd, { recursive: true }));

describe("help", () => {
  test("lists every command and exits 0", async () => {
    const { code, stdout, stderr } = await tapedeck(["--help"], { cwd });
    expect([code, stderr]).toEqual([0, ""]);
    for (const name of Object.keys(COMMANDS)) expect(stdout).toContain(`\n  ${name} `);
  });

  test("`help X` and `X --help` are the same, whatever else is wrong", async () => {
    const [first, second] = await Promise.all([
      tapedeck(["help", "config"], { cwd }),
      tapedeck(["config", "--help", "--bogus"], { cwd }),
    ]);
    expect(first).toEqual(second);
    expect(first).toMatchObject({ code: 0, stderr: "" });
  });

  test("`help settings` names every setting within 100 columns", async () => {
    const { stdout } = await tapedeck(["help", "settings"], { cwd });
    expect(stdout).toContain("BUFFER_SIZE");
    expect(stdout).toContain("TAPEDECK_FLUSH_STREAMS_MARK_PRICE_ROWS");
    for (const line of stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(100);
  });

  test("the version is that of package.json", async () => {
    const { version } = await Bun.file(join(import.meta.dir, "../../package.json")).json();
    expect(await tapedeck(["--version"], { cwd })).toEqual({
      code: 0,
      stdout: `tapedeck ${version}\n`,
      stderr: "",
    });
  });

  test("without a command it is wrong use", async () => {
    expect(await tapedeck([], { cwd })).toMatchObject({ code: 2, stdout: "" });
  });
});

describe("commands", () => {
  test.each(Object.keys(COMMANDS))("%s is what the list says", async (name) => {
    const { summary, load } = COMMANDS[name];
    const command = await load();
    expect([command.name, command.summary]).toEqual([name, summary]);
    const known = COMMON_FLAGS.map((flag) => flag.name);
    if (command.common !== "all") for (const flag of command.common) expect(known).toContain(flag);
  });

  test.each([
    ["confg", "confg: unknown command; did you mean config?"],
    ["constructor", "constructor: unknown command"],
    ["--port", "--port: a command comes first: tapedeck <command> [flags]"],
  ])("%s is wrong use", async (name, fault) => {
    expect(await tapedeck([name], { cwd })).toEqual({
      code: 2,
      stdout: "",
      stderr: `tapedeck: ${fault}\nSee: tapedeck --help\n`,
    });
  });
});

describe("config", () => {
  test("its TOML is a tapedeck.toml of the same settings", async () => {
    const env = { TAPEDECK_RECORD_SYMBOLS: "币安人生USDT", TAPEDECK_STATUS_PORT: "1" };
    const args = ["config", "--port", "9200", "--set", "flush.streams.bbo.interval=1.5s", "--data", "a b"];
    const first = await tapedeck(args, { cwd, env });
    expect([first.code, first.stderr]).toEqual([0, ""]);
    expect(first.stdout).toContain("port = 9200 # from --port\n");
    expect(first.stdout).toContain('symbols = ["币安人生USDT"] # from TAPEDECK_RECORD_SYMBOLS\n');
    writeFileSync(join(cwd, "tapedeck.toml"), first.stdout);
    const second = await tapedeck(["config"], { cwd });
    expect(second.stderr).toBe("");
    expect(Bun.TOML.parse(second.stdout)).toEqual(Bun.TOML.parse(first.stdout));
  });

  test("--json names value, unit and source of each", async () => {
    writeFileSync(join(cwd, "mine.toml"), '[stop]\ntimeout = "1m"');
    writeFileSync(join(cwd, ".env"), "FLUSH_INTERVAL=30");
    const { stdout } = await tapedeck(["--", "config", "--", "--json", "--config", "mine.toml"], { cwd });
    expect(JSON.parse(stdout)).toMatchObject({
      "stop.timeout": { value: 60_000, unit: "ms", source: "mine.toml" },
      "flush.interval": { value: 30_000, unit: "ms", source: "FLUSH_INTERVAL" },
      "record.duration": { value: null, source: "default" },
      "status.port": { value: 9100, source: "default" },
    });
  });

  test("an unknown variable of our prefix is a warning on stderr, not an end", async () => {
    const { code, stderr } = await tapedeck(["config"], { cwd, env: { TAPEDECK_PORT: "tcp://10.0.0.1:80" } });
    expect(code).toBe(0);
    expect(stderr).toStartWith("tapedeck: warning: TAPEDECK_PORT names no setting and is ignored");
  });

  test("every fault of flags, environment and file at once, exit 2", async () => {
    writeFileSync(join(cwd, "tapedeck.toml"), "[flush]\nrow = 1\n[drain]\npoll = true\n");
    const args =
      "config extra --prot 1 --streams bbo,trdae --exchanges binanc --port many --json=1 --duration 1y";
    const { code, stdout, stderr } = await tapedeck(args.split(" "), { cwd, env: { BUFFER_SIZE: "big" } });
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr.trimEnd().split("\n")).toEqual([
      "tapedeck: --prot: unknown flag; did you mean --port?",
      "tapedeck: --json: is a switch and takes no value",
      "tapedeck: extra: unexpected argument",
      "tapedeck: tapedeck.toml: flush.row: names no setting; did you mean flush.rows?",
      'tapedeck: --exchanges binanc: "binanc" is no exchange (known: binance, bybit, okx); did you mean binance?',
      expect.stringContaining('tapedeck: --streams bbo,trdae: "trdae" is no stream'),
      "tapedeck: --duration 1y: must be a duration from 1ms to 24d, such as 500ms, 1.5s, 5m",
      "tapedeck: tapedeck.toml: drain.poll = true: must be a duration from 1ms to 1s, such as 500ms, 1.5s, 5m",
      "tapedeck: BUFFER_SIZE=big: must be a whole number from 1 to 100000000",
      "tapedeck: --port many: must be a whole number from 0 to 65535",
      "See: tapedeck config --help",
    ]);
  });
});

test("a reader that leaves early ends it quietly", async () => {
  const script = '"$0" "$1" help settings | true; echo "$PIPESTATUS"';
  const main = join(import.meta.dir, "../../src/main.ts");
  const child = Bun.spawn(["bash", "-c", script, process.execPath, main], {
    cwd,
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  expect([stdout, stderr]).toEqual(["0\n", ""]);
});

describe("outcomes", () => {
  test("what cannot be done is one line and exit 1", async () => {
    const { code, stdout, stderr } = await tapedeck(["replay", join(cwd, "nothing.jsonl")], { cwd });
    expect([code, stdout, stderr.trimEnd().split("\n").length]).toEqual([1, "", 1]);
    expect(stderr).toStartWith("tapedeck: ");
    expect(stderr).toContain("nothing.jsonl");
  });

  test("faults of a command's own flags are listed beside the others", async () => {
    const { code, stderr } = await tapedeck(["replay", "--port", "x", "--quite", "1s"], { cwd });
    expect(code).toBe(2);
    expect(stderr.split("\n")).toEqual([
      "tapedeck: --quite: unknown flag; did you mean --quiet?",
      "tapedeck: FILE: is missing; write tapedeck replay FILE",
      expect.stringContaining("tapedeck: --port x: "),
      "See: tapedeck replay --help",
      "",
    ]);
  });

  test("a command without settings is not stopped by a wrong tapedeck.toml", async () => {
    writeFileSync(join(cwd, "tapedeck.toml"), "nonsense");
    const { code, stderr } = await tapedeck(["replay", join(cwd, "nothing.jsonl")], { cwd });
    expect([code, stderr.includes("tapedeck.toml")]).toEqual([1, false]);
  });

  test.skipIf(process.platform !== "linux")("output that cannot be written is exit 1", async () => {
    const main = join(import.meta.dir, "../../src/main.ts");
    const child = Bun.spawn([process.execPath, main, "--help"], {
      cwd,
      stdout: Bun.file("/dev/full"),
      stderr: "pipe",
    });
    expect(await new Response(child.stderr).text()).toContain("tapedeck: cannot write to stdout: ENOSPC");
    expect(await child.exited).toBe(1);
  });
});
