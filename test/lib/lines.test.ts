import { expect, test } from "bun:test";
import { lines } from "../../src/lib/lines.ts";
import { pick, seeded } from "./seed.ts";

function streamOf(chunks: readonly Uint8Array[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });
}

async function linesOf(...chunks: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for await (const line of lines(streamOf(chunks.map((chunk) => Buffer.from(chunk))))) {
    found.push(Buffer.from(line).toString());
  }
  return found;
}

test("lines of one chunk; the last may lack its end", async () => {
  expect(await linesOf("a\nbc\n")).toEqual(["a", "bc"]);
  expect(await linesOf("a\nbc")).toEqual(["a", "bc"]);
  expect(await linesOf("")).toEqual([]);
  expect(await linesOf()).toEqual([]);
  expect(await linesOf("\n")).toEqual([""]);
});

test("empty lines are lines", async () => {
  expect(await linesOf("\n\na\n\n")).toEqual(["", "", "a", ""]);
  expect(await linesOf("a\n", "\n", "b")).toEqual(["a", "", "b"]);
});

test("CRLF is an end too, also when it is cut in two; a CR inside stays", async () => {
  expect(await linesOf("a\r\nb\r\n")).toEqual(["a", "b"]);
  expect(await linesOf("a\r", "\nb\r", "\n")).toEqual(["a", "b"]);
  expect(await linesOf("a\rb\n\r\n")).toEqual(["a\rb", ""]);
  expect(await linesOf("a\r")).toEqual(["a"]);
});

test("a line over many chunks, borders inside characters", async () => {
  expect(await linesOf("ab", "c", "", "d\ne", "f\n")).toEqual(["abcd", "ef"]);
  const bytes = Buffer.from("币安\n人生\n");
  const single = Array.from(bytes, (_, i) => bytes.subarray(i, i + 1));
  const found: string[] = [];
  for await (const line of lines(streamOf(single))) found.push(Buffer.from(line).toString());
  expect(found).toEqual(["币安", "人生"]);
});

test("random texts cut at random places give the lines that were put in", async () => {
  const random = seeded("lines");
  for (let round = 0; round < 300; round++) {
    const wanted = Array.from({ length: random.below(20) }, () => "x".repeat(random.below(30)));
    const text = Buffer.from(wanted.map((line) => line + pick(random, ["\n", "\r\n"])).join(""));
    const chunks: Buffer[] = [];
    for (let at = 0; at < text.length; ) {
      const to = at + random.below(12);
      chunks.push(text.subarray(at, to));
      at = to;
    }
    const found: string[] = [];
    for await (const line of lines(streamOf(chunks))) found.push(Buffer.from(line).toString());
    expect(found).toEqual(wanted);
  }
});
