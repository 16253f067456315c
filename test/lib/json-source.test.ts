import { describe, expect, test } from "bun:test";
import { elementSources } from "../../src/lib/json-source.ts";
import type { Random } from "../../src/simulator/random.ts";
import { digits, pick, seeded } from "./seed.ts";

describe("the sources of a list's elements", () => {
  test("each as it stands, blanks around it left out", () => {
    const text = ' {\n"a" : [ 1 ,-0.10,1E5, "x]\\"," ,\t{"b":[{}, []]}\r\n,[ ],null,true ] } ';
    expect(elementSources(text, ["a"])).toEqual([
      "1",
      "-0.10",
      "1E5",
      '"x]\\","',
      '{"b":[{}, []]}',
      "[ ]",
      "null",
      "true",
    ]);
    expect(elementSources("[]", [])).toEqual([]);
    expect(elementSources("[ ]", [])).toEqual([]);
    expect(elementSources('[""]', [])).toEqual(['""']);
  });

  test("under keys, whatever stands before and behind", () => {
    const text = '{"x":"{\\\\","list":[7],"result":{"y":[[1],{"list":[2]}],"list":[9007199254740993]},"z":1}';
    expect(elementSources(text, ["result", "list"])).toEqual(["9007199254740993"]);
    expect(elementSources(text, ["list"])).toEqual(["7"]);
    for (const keys of [["z"], ["x"], ["result"], ["result", "z"], ["list", "list"], ["nothing"], []]) {
      expect([keys, elementSources(text, keys)]).toEqual([keys, null]);
    }
    expect(elementSources("{}", ["list"])).toBeNull();
  });

  test("of a key that comes twice the last, as JSON.parse has it; a key may be written with escapes", () => {
    expect(elementSources('{"list":[1],"list":[2]}', ["list"])).toEqual(["2"]);
    expect(elementSources('{"list":[1],"l\\u0069st":[2]}', ["list"])).toEqual(["2"]);
    expect(elementSources('{"list":[1],"list":5}', ["list"])).toBeNull();
    expect(elementSources('{"a\\"":[1],"__proto__":[2]}', ['a"'])).toEqual(["1"]);
    expect(elementSources('{"a\\"":[1],"__proto__":[2]}', ["__proto__"])).toEqual(["2"]);
  });

  test("nesting as deep as it gets and strings full of backslashes are passed", () => {
    const deep = "[".repeat(1_000_000) + "]".repeat(1_000_000);
    const string = `"${"\\\\".repeat(500_000)}\\""`;
    const [first, second] = elementSources(`[${deep},${string}]`, []) ?? [];
    expect(first === deep && second === string).toBe(true);
  });

  test("what is cut short or is none of this gives nothing", () => {
    const text = '{"a":{"b":1},"list":[{"c":"d"},[1,2],"e\\"f"],"g":2}';
    for (let length = 0; length < text.length; length++) {
      expect(elementSources(text.slice(0, length), ["list"])).toBeNull();
    }
    for (const broken of [
      '{"list" [1]}',
      "{list:[1]}",
      '{"list":[1 2]}',
      '{"list":[,1]}',
      '{"\\x":1}',
      "x",
    ]) {
      expect([broken, elementSources(broken, ["list"])]).toEqual([broken, null]);
    }
  });
});

const blank = (random: Random) => pick(random, ["", "", "", " ", "\n", "\t ", "\r\n"]);

function stringOf(random: Random): string {
  const parts = [
    "a",
    "币",
    "😀",
    '\\"',
    "\\\\",
    "\\u0041",
    "\\ud83d\\ude00",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "\\n",
  ];
  let text = "";
  for (let i = random.below(8); i > 0; i--) text += pick(random, parts);
  return `"${text}"`;
}

function numberOf(random: Random): string {
  const sign = pick(random, ["", "-"]);
  const whole = pick(random, ["0", `1${digits(random, random.below(25))}`]);
  return sign + whole + pick(random, ["", ".0", `.${digits(random, 3)}0`]) + pick(random, ["", "e5", "E-07"]);
}

/** The text of a value, and of a list its elements. */
function anyValue(random: Random, depth: number): string {
  const kind = random.below(depth > 0 ? 6 : 4);
  if (kind === 4) return listOf(random, depth - 1).text;
  if (kind === 5) return objectOf(random, [stringOf(random), anyValue(random, depth - 1)]);
  return pick(random, [stringOf(random), numberOf(random), pick(random, ["true", "false", "null"])]);
}

function listOf(random: Random, depth: number): { text: string; elements: string[] } {
  const elements = Array.from({ length: random.below(5) }, () => anyValue(random, depth));
  const spaced = elements.map((one) => blank(random) + one + blank(random));
  return { text: `[${elements.length === 0 ? blank(random) : spaced.join()}]`, elements };
}

/** Keys and values by turns. */
function objectOf(random: Random, tokens: readonly string[]): string {
  let text = "";
  for (const [i, token] of tokens.entries()) {
    text += blank(random) + token + blank(random) + (i % 2 === 0 ? ":" : i < tokens.length - 1 ? "," : "");
  }
  return `{${text}}`;
}

test("random texts: each element as it was put in", () => {
  const random = seeded("json sources");
  for (let round = 0; round < 3000; round++) {
    const { text: list, elements } = listOf(random, 4);
    const others = () =>
      Array.from({ length: random.below(3) }, () => [`"k${random.below(5)}"`, anyValue(random, 3)]).flat();
    const inner = objectOf(random, [
      ...others(),
      pick(random, ['"list"', '"l\\u0069st"']),
      list,
      ...others(),
    ]);
    const text =
      blank(random) + objectOf(random, [...others(), '"result"', inner, ...others()]) + blank(random);
    const parsed = JSON.parse(text) as { result: { list: unknown[] } };
    const sources = elementSources(text, ["result", "list"]);
    expect(sources).toEqual(elements);
    expect(sources?.map((source): unknown => JSON.parse(source))).toEqual(parsed.result.list);
  }
});
