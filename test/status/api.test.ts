/** The app, without a listener: methods, headers, probes, what is remembered, and what the schemas promise. */
import { describe, expect, test } from "bun:test";
import { z } from "zod";
import { errorSchema, type Probe, probeSchema } from "../../src/status/answers.ts";
import { createStatusApp, PATHS, type StatusSource } from "../../src/status/api.ts";
import type { Snapshot } from "../../src/status/snapshot.ts";
import type { StateInput } from "../../src/status/state.ts";
import { madeUpSnapshot } from "../helpers/snapshot.ts";

/** The app over a snapshot that is made by `make`, counted. */
function appOf(make: () => Snapshot | null, refresh = 0, freshness?: StatusSource["freshness"]) {
  const asked = { snapshots: 0, freshness: 0 };
  const { app, close } = createStatusApp(
    "1.2.3",
    {
      snapshot: () => {
        asked.snapshots++;
        return make();
      },
      freshness: (timeout) => {
        asked.freshness++;
        return freshness?.(timeout) ?? Promise.resolve({ streams: [], complete: true });
      },
    },
    { refresh, streamsMax: 2 },
  );
  return { get: async (path: string, init?: RequestInit) => app.request(path, init), asked, close };
}

describe("every path", () => {
  for (const { path, schema, verbose, also = [] } of PATHS.filter((one) => one.path !== "/events")) {
    test(`GET ${path} answers what its schema says, HEAD the same without a body`, async () => {
      const { get } = appOf(madeUpSnapshot);
      const got = await get(path);
      expect(got.status).toBe(200);
      expect(got.headers.get("content-type")).toContain("application/json");
      schema.parse(await got.json());
      if (verbose !== undefined) verbose.parse(await (await get(`${path}?verbose`)).json());
      const head = await get(path, { method: "HEAD" });
      expect([head.status, await head.text()]).toEqual([200, ""]);
      expect(also.every((status) => status === 503)).toBe(true);
    });
  }

  for (const path of [...PATHS.map((one) => one.path), "/openapi.json", "/nothing", "/"]) {
    test(`${path} is neither kept, framed nor sniffed, and cannot be written to`, async () => {
      const { get, close } = appOf(madeUpSnapshot);
      for (const method of ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]) {
        const got = await get(path, { method });
        expect(got.headers.get("cache-control")).toBe("no-store");
        expect(got.headers.get("x-content-type-options")).toBe("nosniff");
        expect(got.headers.get("referrer-policy")).toBe("no-referrer");
        const policy = got.headers.get("content-security-policy") ?? "";
        for (const word of ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"])
          expect(policy).toContain(word);
        expect(policy).not.toContain("unsafe");
        if (method === "GET" || method === "HEAD") {
          await got.body?.cancel();
          continue;
        }
        expect([got.status, got.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
        errorSchema.parse(await got.json());
      }
      close();
    });
  }

  test("what is not there is told as JSON, with what there is", async () => {
    const { get } = appOf(madeUpSnapshot);
    for (const path of [
      "/page",
      "/metricsx",
      "/health/x",
      "/constructor",
      "/%2e%2e/etc/passwd",
      `/${"x".repeat(5000)}`,
    ]) {
      const got = await get(path);
      expect(got.status).toBe(404);
      const { error } = errorSchema.parse(await got.json());
      expect(error).toContain("/metrics");
      expect(error.length).toBeLessThan(300);
    }
  });

  test("while the recorder starts: 503 with Retry-After, but the process is alive", async () => {
    const { get } = appOf(() => null);
    for (const path of [
      "/health",
      "/streams",
      "/streams?verbose",
      "/metrics",
      "/status",
      "/live",
      "/events",
    ]) {
      const got = await get(path);
      expect([got.status, got.headers.get("retry-after"), await got.json()]).toEqual([
        503,
        "1",
        { error: "starting" },
      ]);
    }
    expect((await get("/livez")).status).toBe(200);
    const ready = await get("/readyz");
    expect(ready.status).toBe(503);
    expect(probeSchema.parse(await ready.json()).checks).toEqual([
      { name: "started", ok: false, required: true, excluded: false, fault: "the recorder is starting" },
    ]);
    expect((await get("/openapi.json")).status).toBe(200);
  });
});

describe("probes", () => {
  const ask = async (path: string, wrong: Partial<StateInput>): Promise<[number, Probe]> => {
    const got = await appOf(() => madeUpSnapshot({}, wrong)).get(path);
    return [got.status, probeSchema.parse(await got.json())];
  };
  const offline: Partial<StateInput> = {
    open: 0,
    exchanges: [{ exchange: "okx", online: false }],
  };

  test("all is well: a word; with ?verbose every check", async () => {
    expect(await ask("/readyz", {})).toEqual([200, { status: "ok" }]);
    const [, { checks }] = await ask("/readyz?verbose", {});
    expect(checks?.every(({ ok }) => ok)).toBe(true);
  });

  test("an outage of every exchange never fails livez, but readyz", async () => {
    expect((await ask("/livez", offline))[0]).toBe(200);
    const [status, { checks }] = await ask("/readyz", offline);
    expect(status).toBe(503);
    expect(checks?.filter(({ ok }) => !ok).map(({ name, required }) => [name, required])).toEqual([
      ["connections", true],
      ["exchange-okx", false],
    ]);
  });

  test("what only degrades fails neither", async () => {
    const degraded: Partial<StateInput> = { drops15m: 7, fullestRingPct: 99, destinationFault: "403" };
    expect((await ask("/livez", degraded))[0]).toBe(200);
    expect((await ask("/readyz", degraded))[0]).toBe(200);
  });

  test("a dead thread fails both; a disk that is full fails readyz alone", async () => {
    expect((await ask("/livez", { fatal: "the drain worker died" }))[0]).toBe(503);
    expect((await ask("/readyz", { fatal: "the drain worker died" }))[0]).toBe(503);
    expect((await ask("/livez", { journalFault: "ENOSPC" }))[0]).toBe(200);
    expect((await ask("/readyz", { journalFault: "ENOSPC" }))[0]).toBe(503);
  });

  test("excluded checks may fail, others not, and unknown names are told", async () => {
    const both: Partial<StateInput> = { ...offline, copyFault: "no space" };
    expect((await ask("/readyz?exclude=connections", both))[0]).toBe(503);
    expect((await ask("/readyz?exclude=connections&exclude=copy", both))[0]).toBe(200);
    const [, answer] = await ask("/readyz?exclude=nothing", {});
    expect(answer).toEqual({ status: "ok", unknown_excludes: ["nothing"] });
  });
});

describe("work", () => {
  test("a thousand requests for everything cost one snapshot within the time an answer may be old", async () => {
    const { get, asked } = appOf(madeUpSnapshot, 60_000);
    for (let i = 0; i < 100; i++) {
      for (const path of [
        "/health",
        "/streams",
        "/metrics",
        "/status",
        "/live",
        "/livez",
        "/readyz?verbose",
      ]) {
        expect((await get(path)).status).toBe(200);
      }
      for (const accept of ["text/plain", "application/openmetrics-text", "application/json"])
        expect((await get("/metrics", { headers: { accept } })).status).toBe(200);
    }
    expect(asked.snapshots).toBe(1);
  });

  test("the ingest workers are asked once for all who want to know how fresh symbols are", async () => {
    const answer = Promise.withResolvers<{ streams: []; complete: boolean }>();
    const { get, asked } = appOf(madeUpSnapshot, 0, () => answer.promise);
    const waiting = Array.from({ length: 50 }, () => get("/streams?verbose"));
    answer.resolve({ streams: [], complete: false });
    for (const got of await Promise.all(waiting)) expect(await got.json()).toMatchObject({ complete: false });
    expect(asked.freshness).toBe(1);
  });

  test("several workers' symbols of one stream are put together", async () => {
    const one = { exchange: "okx", stream: "bbo" } as const;
    const symbol = (symbol: string, last: number | null, events: number, silent = false) => ({
      symbol,
      last,
      events,
      silent,
    });
    const now = Date.now() * 1000;
    const { get } = appOf(madeUpSnapshot, 0, async () => ({
      complete: true,
      streams: [
        { ...one, symbols: [symbol("A", now - 5e6, 3), symbol("B", null, 0)] },
        { ...one, symbols: [symbol("A", now - 9e6, 4, true), symbol("C", now - 1e6, 1, true)] },
      ],
    }));
    const answer = z
      .looseObject({ freshness: z.looseObject({ okx: z.looseObject({ bbo: z.looseObject({}) }) }) })
      .parse(await (await get("/streams?verbose")).json());
    expect(answer.freshness.okx.bbo).toEqual({
      A: { last_event_ts: (now - 5e6) / 1000, age_ms: expect.any(Number), events_total: 7, silent: false },
      B: { last_event_ts: null, age_ms: null, events_total: 0, silent: false },
      C: { last_event_ts: (now - 1e6) / 1000, age_ms: expect.any(Number), events_total: 1, silent: true },
    });
  });
});

describe("/openapi.json", () => {
  test("has every path, with the schema of its answer", async () => {
    const document = z
      .looseObject({
        openapi: z.literal("3.1.0"),
        info: z.looseObject({ version: z.literal("1.2.3") }),
        paths: z.record(z.string(), z.looseObject({ get: z.looseObject({ responses: z.looseObject({}) }) })),
      })
      .parse(await (await appOf(madeUpSnapshot).get("/openapi.json")).json());
    expect(Object.keys(document.paths)).toEqual(PATHS.map(({ path }) => path));
    const words = JSON.stringify(document.paths["/metrics"]);
    for (const name of ["effective_data_loss_rate_pct", "total_written", "openmetrics-text"])
      expect(words).toContain(name);
    expect(JSON.stringify(document)).not.toContain("$schema");
  });
});
