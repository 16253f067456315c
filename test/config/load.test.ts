import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeSettings } from "../../src/config/describe.ts";
import type { Given } from "../../src/config/given.ts";
import { type Loaded, loadSettings, settingValue } from "../../src/config/load.ts";
import { toToml } from "../../src/config/toml.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "tapedeck-config-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

interface Sources {
  toml?: string;
  env?: Record<string, string>;
  flags?: Given[];
}

function load({ toml = "", env = {}, flags = [] }: Sources): Loaded {
  writeFileSync(join(folder, "tapedeck.toml"), toml);
  return loadSettings({ flags, env, cwd: folder });
}

function flag(path: string, name: string, value: string): Given {
  return { path, value, source: `--${name}`, where: (shown) => `--${name} ${shown}`, quoted: false };
}

function resolved(loaded: Loaded) {
  if (!loaded.ok) throw new Error(loaded.faults.join("\n"));
  return loaded;
}

function faultsOf(loaded: Loaded): readonly string[] {
  return loaded.ok ? [] : loaded.faults;
}

describe("precedence", () => {
  test("flags > TAPEDECK_* > operators' names > tapedeck.toml > defaults", () => {
    const toml = '[flush]\nrows = 1\nbytes = "1MiB"\ninterval = 1\nmin_gap = "1s"';
    const env = {
      BUFFER_SIZE: "2",
      FLUSH_INTERVAL: "2",
      TAPEDECK_FLUSH_ROWS: "3",
      TAPEDECK_FLUSH_BYTES: "3MiB",
    };
    const flags = [flag("flush.rows", "set", "4"), flag("flush.rows", "set", "5")];
    const { settings, sources } = resolved(load({ toml, env, flags }));
    expect(settings.flush).toMatchObject({
      rows: 5,
      bytes: 3 * 1024 ** 2,
      interval: 2_000,
      min_gap: 1_000,
      slow_interval: 900_000,
    });
    const from = ["rows", "bytes", "interval", "min_gap", "slow_interval"].map((key) =>
      sources.get(`flush.${key}`),
    );
    expect(from).toEqual(["--set", "TAPEDECK_FLUSH_BYTES", "FLUSH_INTERVAL", "tapedeck.toml", "default"]);
  });

  test("every setting can be given in the environment", () => {
    const env = Object.fromEntries(
      describeSettings().flatMap(({ env, path, kind }) => {
        if (kind === "duration") return [[env, "25ms"]];
        return path.startsWith("flush.streams.") ? [[env, "2048"]] : [];
      }),
    );
    const { settings } = resolved(load({ env }));
    expect(settings.connection.handshake_timeout).toBe(25);
    expect(settings.flush.streams.open_interest).toEqual({ rows: 2_048, bytes: 2_048, interval: 25 });
  });

  test("lists in the environment are comma separated; empty values count as absent", () => {
    const env = {
      TAPEDECK_RECORD_SYMBOLS: "币安人生USDT,BTCUSDT",
      TAPEDECK_STATUS_PORT: "",
      BUFFER_SIZE: " ",
      STORAGE_BACKEND: "local",
    };
    const { settings, sources } = resolved(load({ env }));
    expect(settings.record.symbols).toEqual(["币安人生USDT", "BTCUSDT"]);
    expect(settings.status.port).toBe(9100);
    expect(sources.get("flush.rows")).toBe("default");
    expect(sources.get("storage.backend")).toBe("STORAGE_BACKEND");
  });

  test("buckets under the names that operators know; their keys are shown nowhere", () => {
    const env = {
      STORAGE_BACKEND: "s3",
      STORAGE_FALLBACK: "gcs",
      S3_ENDPOINT: "http://127.0.0.1:9000/",
      S3_BUCKET: "lake",
      S3_PREFIX: "team/",
      S3_REGION: "eu-central-1",
      S3_ACCESS_KEY: "AKhunter2",
      S3_SECRET_KEY: "SKhunter2",
      S3_SESSION_TOKEN: "SThunter2",
      GCS_BUCKET: "lake2",
      GCS_ACCESS_KEY: "GOOGhunter2",
      GCS_SECRET_KEY: "GShunter2",
    };
    const { settings, sources } = resolved(load({ env }));
    expect(settings.storage).toMatchObject({ backend: "s3", fallback: "gcs" });
    expect(settings.s3).toMatchObject({
      endpoint: "http://127.0.0.1:9000",
      bucket: "lake",
      prefix: "team/",
      region: "eu-central-1",
      access_key: "AKhunter2",
      secret_key: "SKhunter2",
      session_token: "SThunter2",
    });
    expect(settings.gcs).toMatchObject({ endpoint: "https://storage.googleapis.com", region: "auto" });
    const written = (one: ReturnType<typeof describeSettings>[number]) => settingValue(settings, one).written;
    expect(toToml(describeSettings(), written, sources)).not.toContain("hunter2");
    const wrong = load({ env: { ...env, S3_SECRET_KEY: "a hunter2 key", GCS_ACCESS_KEY: "hunter2 é" } });
    expect(faultsOf(wrong)).toHaveLength(2);
    expect(faultsOf(wrong).join()).not.toContain("hunter2");
  });

  test("a fallback without its keys is a fault at the start", () => {
    const env = { STORAGE_BACKEND: "s3", S3_BUCKET: "lake", STORAGE_FALLBACK: "gcs", GCS_BUCKET: "lake2" };
    const faults = faultsOf(load({ env }));
    expect(faults).toHaveLength(2);
    expect(faults.join()).toContain("gcs.access_key");
    expect(faults.join()).toContain("gcs.secret_key");
  });

  test("an unknown variable of our prefix is a warning", () => {
    const loaded = resolved(load({ env: { TAPEDECK_PORT: "tcp://10.0.0.1:80", TAPEDECK_STATUS_PROT: "1" } }));
    expect(loaded.warnings).toEqual([
      expect.stringContaining("TAPEDECK_PORT names no setting and is ignored"),
      expect.stringContaining("did you mean TAPEDECK_STATUS_PORT?"),
    ]);
    expect(loaded.warnings.join()).not.toContain("10.0.0.1");
  });
});

describe("faults", () => {
  test("all at once, each with source, value, bounds and mend", () => {
    const faults = faultsOf(
      load({
        toml: [
          "port = 1",
          "status = { hots = 1, port = 70000 }",
          "log = 3",
          "[record]",
          'streams = ["bbo", "trdae"]',
          "[exchanges.binanc]",
          "x = 1",
          "[duckdb]",
          'memory_limit = "64MiB"',
          "[flush]",
          'bytes = "65MiB"',
        ].join("\n"),
        env: { TAPEDECK_CONNECTION_ACK_TIMEOUT: "soon", STORAGE_BACKEND: "gcp" },
        flags: [flag("record.exchanges", "exchanges", "binance,bynance")],
      }),
    );
    const streams = "bbo, trade, mark_price, funding, open_interest, liquidation";
    expect(faults).toEqual([
      "tapedeck.toml: port: names no setting; did you mean status.port?",
      "tapedeck.toml: status.hots: names no setting; did you mean status.host?",
      "tapedeck.toml: log: is a section, not a value; write [log] and its settings below it",
      "tapedeck.toml: exchanges.binanc: names no setting; did you mean exchanges.binance?",
      '--exchanges binance,bynance: "bynance" is no exchange (known: binance, bybit, okx); did you mean binance?',
      `tapedeck.toml: record.streams = ["bbo","trdae"]: "trdae" is no stream (known: ${streams}); did you mean trade?`,
      "TAPEDECK_CONNECTION_ACK_TIMEOUT=soon: must be a duration from 1ms to 10m, such as 500ms, 1.5s, 5m",
      "STORAGE_BACKEND=gcp: must be local or s3 or gcs; did you mean gcs?",
      "tapedeck.toml: status.port = 70000: must be a whole number from 0 to 65535",
      'tapedeck.toml: flush.bytes = "65MiB": must not be above duckdb.memory_limit ("64MiB" from tapedeck.toml); ' +
        "lower flush.bytes or raise duckdb.memory_limit",
    ]);
  });

  test("a password in a URL is not repeated", () => {
    const env = { TAPEDECK_EXCHANGES_BINANCE_WS_URL: "wss//me:hunter2@host" };
    expect(faultsOf(load({ env }))[0]).toStartWith("TAPEDECK_EXCHANGES_BINANCE_WS_URL=***@host: must be");
  });

  test.each([
    ["a = 1\n\n[status]\nport = \n", 4],
    ['[record]\nsymbols = [\n  "A",\n  "B",\n]\n[status]\nport = 1\nport = 2\n', 8],
    ["=", 1],
  ])("a syntax error names the file and the line: %p", (toml, line) => {
    expect(faultsOf(load({ toml }))).toEqual([
      expect.stringContaining(`tapedeck.toml: no valid TOML, at line ${line}:`),
    ]);
  });

  test("a missing file is a fault only when asked for", () => {
    const cwd = join(folder, "nowhere");
    expect(loadSettings({ flags: [], env: {}, cwd }).ok).toBe(true);
    const config = join(cwd, "x.toml");
    expect(faultsOf(loadSettings({ flags: [], env: {}, cwd, config }))).toEqual([
      `--config ${config}: cannot be read: there is no such file`,
    ]);
  });

  test("a folder and a file that is not UTF-8 are faults", () => {
    const latin = join(folder, "latin1.toml");
    writeFileSync(latin, Buffer.from([0x61, 0x3d, 0x22, 0xe4, 0x22]));
    expect(faultsOf(loadSettings({ flags: [], env: {}, cwd: folder, config: latin }))[0]).toContain(
      "not UTF-8",
    );
    expect(faultsOf(loadSettings({ flags: [], env: {}, cwd: folder, config: folder }))).toHaveLength(1);
  });
});

test("resolved settings as TOML load to the same settings", () => {
  const env = {
    TAPEDECK_DATA: 'C:\\new "data"/me@work',
    TAPEDECK_RECORD_SYMBOLS: "币安人生USDT",
    TAPEDECK_RECORD_DURATION: "1.5",
    TAPEDECK_FLUSH_STREAMS_MARK_PRICE_BYTES: "1000KB",
    FLUSH_INTERVAL: "0.25",
  };
  const first = resolved(load({ env }));
  const written = (setting: ReturnType<typeof describeSettings>[number]) =>
    settingValue(first.settings, setting).written;
  const toml = toToml(describeSettings(), written, first.sources);
  expect(toml).toContain('interval = "250ms" # from FLUSH_INTERVAL');
  expect(resolved(load({ toml })).settings).toEqual(first.settings);
});
