/** What the page says of a picture, as text: complete without a script, and nothing of it is anyone else's markup. */
import { describe, expect, test } from "bun:test";
import type { Live } from "../../../src/status/live.ts";
import { balanceVerdict } from "../../../src/status/page/balance-view.ts";
import { ASSETS, Page } from "../../../src/status/page/page.ts";
import { sampleLive } from "./sample.ts";

function documentOf(live: Live): string {
  return new Page(() => live).document() ?? "";
}

/** Every text of a picture replaced by what would be markup, a line, or the end of an attribute. */
function hostile<T>(value: T, key = ""): T {
  if (typeof value === "string") {
    // Words of ours, which are checked by the schema and are not anyone's text.
    if (["state", "health", "level", "certainty"].includes(key)) return value;
    return `"'><script>alert(1)</script>\r\n<b onclick=x>币安人生\u2028` as T & string;
  }
  if (Array.isArray(value)) return value.map((one) => hostile(one, key)) as T & unknown[];
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, hostile(one, name)])) as T &
      object;
  }
  return value;
}

describe("the page", () => {
  test("shows every number of the balance, and that it holds", () => {
    const live = sampleLive();
    const text = documentOf(live);
    const { holds, ...terms } = live.balance;
    for (const value of Object.values(terms)) expect(text).toContain(`${value.toLocaleString("en-US")}</dd>`);
    expect(text).toContain("holds: every event is accounted for");
  });

  test("says by how much a balance does not hold", () => {
    const { balance } = sampleLive();
    const off = (change: Partial<Live["balance"]>) => balanceVerdict({ ...balance, ...change, holds: false });
    expect(off({ dropped: balance.dropped + 1204 })).toBe("does not hold: 1,204 events too many");
    expect(off({ received: balance.received + 1 })).toBe("does not hold: 1 events are missing");
    expect(off({ inRing: balance.inRing - 500, inTable: balance.inTable + 500 })).toBe(
      "does not hold: a part is negative",
    );
  });

  test("has a row for each stream of each exchange", () => {
    const live = sampleLive();
    const text = documentOf(live);
    for (const { exchange, stream } of live.streams)
      expect(text).toContain(`data-key="${exchange}/${stream}"`);
    expect(text.split("<tbody").length - 1).toBe(3);
  });

  test("escapes everything that comes from outside", () => {
    const text = documentOf(hostile(sampleLive()));
    expect(text).not.toContain("<script>alert");
    expect(text).not.toContain("<b onclick");
    expect(text).not.toContain(`"'>`);
    expect(text).toContain("币安人生");
    // The only script is ours.
    expect(text.match(/<script[^>]*>/g)).toEqual(['<script type="module" src="page/page.js">']);
  });

  test("has neither inline scripts nor inline styles, and loads nothing from elsewhere", () => {
    const text = documentOf(sampleLive());
    expect(text).not.toMatch(/\sstyle="|<style|\son[a-z]+="|javascript:|https?:|src="\/|href="\//);
    const loaded = [...text.matchAll(/(?:src|href)="(page\/[^"]+)"/g)].map(([, path]) => path);
    expect(loaded.length).toBeGreaterThanOrEqual(3);
    for (const path of loaded) expect(ASSETS.has(path ?? "")).toBe(true);
    for (const { body } of ASSETS.values())
      expect(body.replace("http://www.w3.org/2000/svg", "")).not.toMatch(/https?:/);
  });

  test("is one line for an open page, made once for a picture", () => {
    const live = hostile(sampleLive());
    const page = new Page(() => live);
    const main = page.main() ?? "";
    expect(main).toStartWith("<main");
    expect(main).not.toMatch(/[\r\n]/);
    expect(page.main()).toBe(main);
  });

  test("is bounded: 50 gaps and 50 log lines of the longest kind, and all exchanges", () => {
    const live = sampleLive();
    const long = "x".repeat(500);
    const [gap] = live.gaps;
    const [line] = live.logs;
    if (gap === undefined || line === undefined) throw new Error("the sample has neither");
    const full = {
      ...live,
      gaps: Array.from({ length: 50 }, () => gap),
      logs: Array.from({ length: 50 }, () => ({ ...line, text: long })),
    };
    expect(documentOf(full).length).toBeLessThan(200_000);
  });
});
