import { describe, expect, test } from "bun:test";
import { z } from "zod";
import { describeSettings } from "../../src/config/describe.ts";
import { baseUrl, section, setting, text } from "../../src/config/leaf.ts";
import { maskUrl, maskValue, shownText, shownValue } from "../../src/config/mask.ts";
import { toToml } from "../../src/config/toml.ts";

describe("masking", () => {
  test.each([
    ["wss://me:pa@ss@host/x", "wss://***@host/x"],
    ["https://token@host", "https://***@host"],
    ["me:pass@host", "***@host"],
    ["wss://me:pa/ss@host", "wss://***@host"],
    ["https://host/a@b", "https://host/a@b"],
    ["wss://host", "wss://host"],
  ])("%s is shown as %s", (given, shown) => {
    expect(maskUrl(given)).toBe(shown);
  });

  test("a path with @ is no URL", () => {
    expect(maskValue("/home/me@work/data", { kind: "text", secret: false })).toBe("/home/me@work/data");
  });

  test("control characters and endless values do not reach a terminal", () => {
    expect(shownText("a\nb\u001b[2J")).toBe("a\uFFFDb\uFFFD[2J");
    expect(shownText("x".repeat(1_000)).length).toBeLessThan(110);
    expect(shownValue(Number.POSITIVE_INFINITY, { kind: "number", secret: false }, true)).toBe("Infinity");
  });

  test("a small schema with a secret is written without it", () => {
    const schema = z.strictObject({
      s3: section({
        secret_key: setting(text(/^.*$/, "a key"), "", { meaning: "Key.", secret: true }),
        endpoint: setting(baseUrl(["https"]), "https://s3.example", { meaning: "Where." }),
      }),
    });
    const values = new Map([
      ["s3.secret_key", "hunter2"],
      ["s3.endpoint", "https://me:hunter2@s3.example"],
    ]);
    const sources = new Map([["s3.secret_key", "TAPEDECK_S3_SECRET_KEY"]]);
    const toml = toToml(describeSettings(schema), ({ path }) => values.get(path), sources);
    expect(toml).toBe(
      '[s3]\nsecret_key = "***" # from TAPEDECK_S3_SECRET_KEY\nendpoint = "https://***@s3.example"',
    );
  });
});
