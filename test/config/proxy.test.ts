/** The settings of proxies and certificates: what is taken, and that no password is shown. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readCaFile } from "../../src/config/ca-file.ts";
import { describeSettings } from "../../src/config/describe.ts";
import { loadSettings, settingValue } from "../../src/config/load.ts";
import { toToml } from "../../src/config/toml.ts";
import { dialingOf } from "../../src/recorder/dialing.ts";
import { CA, CA_FILE, CERTIFICATE } from "../helpers/proxies.ts";

const folder = mkdtempSync(join(tmpdir(), "tapedeck-proxy-"));
afterAll(() => rmSync(folder, { recursive: true }));

const load = (env: Record<string, string>) => loadSettings({ flags: [], env, cwd: folder });
function settingsOf(env: Record<string, string>) {
  const loaded = load(env);
  if (!loaded.ok) throw new Error(loaded.faults.join("\n"));
  return loaded;
}
function file(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

describe("proxy", () => {
  test("comes from the environment and goes as it is to where connections are opened", () => {
    const url = "socks5h://me:hunter2@proxy:1080";
    const { settings, sources } = settingsOf({ TAPEDECK_EXCHANGES_OKX_PROXY: url });
    expect(dialingOf(settings, "okx")).toEqual({ proxy: url, ca: null });
    expect(dialingOf(settings, "bybit")).toEqual({ proxy: null, ca: null });
    const shown = toToml(describeSettings(), (one) => settingValue(settings, one).written, sources);
    expect(shown).toContain('proxy = "socks5h://***@proxy:1080" # from TAPEDECK_EXCHANGES_OKX_PROXY');
    expect(shown).not.toContain("hunter2");
  });

  test.each([
    "http://me:12/hunter2@proxy:1",
    "http://me:hunter2@proxy:99999",
    "ftp://me:hunter2@proxy",
    "me:hunter2@proxy:8080",
    "http://me:hunter2@proxy/path",
    "socks5://me:hunter2%@proxy",
  ])("a fault names the setting and what is wrong, without the password: %s", (url) => {
    const loaded = load({ TAPEDECK_EXCHANGES_OKX_PROXY: url });
    const faults = loaded.ok ? [] : loaded.faults;
    expect(faults).toHaveLength(1);
    expect(faults[0]).toStartWith("TAPEDECK_EXCHANGES_OKX_PROXY=");
    expect(faults[0]).toContain("must be the URL of a proxy");
    expect(faults[0]).not.toContain("hunter2");
  });
});

describe("ca_file", () => {
  test("is read once, certificates alone", () => {
    const path = file("mixed.pem", `# ours\n${CERTIFICATE.key}\n${CA}\n${CERTIFICATE.cert}`);
    const { settings } = settingsOf({ TAPEDECK_EXCHANGES_BYBIT_CA_FILE: path });
    const { ca } = dialingOf(settings, "bybit");
    expect(ca?.match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
    expect(ca).not.toContain("PRIVATE KEY");
    rmSync(path);
    expect(dialingOf(settings, "bybit").ca).toBe(ca);
  });

  test.each([
    ["missing.pem", null, "ENOENT"],
    ["empty.pem", "", "holds no certificate"],
    ["key.pem", CERTIFICATE.key, "holds no certificate"],
    [
      "broken.pem",
      `${CA}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`,
      "certificate number 2 cannot",
    ],
    [".", null, "is no file"],
  ])("%s is a fault that names the setting", (name, text, why) => {
    const path = text === null ? join(folder, name) : file(name, text);
    const loaded = load({ TAPEDECK_EXCHANGES_BYBIT_CA_FILE: path });
    const faults = loaded.ok ? [] : loaded.faults;
    expect(faults).toHaveLength(1);
    expect(faults[0]).toStartWith("TAPEDECK_EXCHANGES_BYBIT_CA_FILE=");
    expect(faults[0]).toContain(why);
  });

  test("lines may end as on Windows", () => {
    const path = file("crlf.pem", CA.replaceAll("\n", "\r\n"));
    expect(readCaFile(path)).toContain("BEGIN CERTIFICATE");
    expect(readCaFile(CA_FILE).trim()).toBe(CA.trim());
  });
});
