import { describe, expect, test } from "bun:test";
import { redactor } from "../../src/config/secrets.ts";

test("a secret is masked as it is, as in JSON and as in a URL, in either case", () => {
  const redact = redactor(['a/b+c="d']);
  expect(redact('a/b+c="d a/b+c=\\"d a%2Fb%2Bc%3D%22d a%2fb%2bc%3d%22d')).toBe("*** *** *** ***");
});

describe("a secret that was cut short", () => {
  const token = "987654:planted-telegram-token";
  const redact = redactor([token, "longer+than/that=", "pass"]);

  test("at the end of a text, or before an ellipsis, is masked", () => {
    const from = Math.ceil(token.length / 4);
    for (let length = from; length <= token.length; length++) {
      const cut = token.slice(0, length);
      expect(redact(`no: ${cut}`)).toBe("no: ***");
      expect(redact(`put failed: ${cut}…; see S3_ACCESS_KEY`)).toBe("put failed: ***…; see S3_ACCESS_KEY");
    }
    expect(redact("… 987654:98765…, longer%2Bth… and longer+…")).toBe("… 987654:98765…, ***… and ***…");
    expect(redact("987654:planted-987654:planted-tel")).toBe("987654:planted-***");
  });

  test("what is no secret stays: few of its characters, the beginning of one in the middle, an ellipsis", () => {
    for (const text of ["", "…", "no: 98765", "987654:planted, and more", "no pas", "long…er", "…987654"])
      expect(redact(text)).toBe(text);
  });
});
